"""Take OTLP over HTTP on a free loopback port: print the port, then one JSON line for each span and metric, decoded by
OpenTelemetry's own message definitions. Stays until stdin closes."""

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces

KINDS = {
    "/v1/traces": (traces.ExportTraceServiceRequest, traces.ExportTraceServiceResponse),
    "/v1/metrics": (metrics.ExportMetricsServiceRequest, metrics.ExportMetricsServiceResponse),
}


def rows(request):
    """One dictionary for each span or metric, ids in hexadecimal."""
    for resource in getattr(request, "resource_spans", ()):
        for scope in resource.scope_spans:
            for span in scope.spans:
                ids = {"trace": span.trace_id.hex(), "id": span.span_id.hex(), "parent": span.parent_span_id.hex()}
                yield {"span": MessageToDict(span), "resource": MessageToDict(resource.resource), **ids}
    for resource in getattr(request, "resource_metrics", ()):
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                yield {"metric": MessageToDict(metric), "resource": MessageToDict(resource.resource)}


class Sink(BaseHTTPRequestHandler):
    def do_POST(self):
        kind, answer = KINDS[self.path]
        request = kind.FromString(self.rfile.read(int(self.headers["content-length"])))
        sys.stdout.write("".join(json.dumps(row) + "\n" for row in rows(request)))
        sys.stdout.flush()
        body = answer().SerializeToString()
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def main():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
