"""Serve moto on a free loopback port: print the port, then stay until stdin closes.

However the parent ends, its end of the pipe closes, so no server outlives the tests.
"""

import logging
import os
import sys

from moto.server import ThreadedMotoServer


def main():
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    print(server.get_host_and_port()[1], flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
