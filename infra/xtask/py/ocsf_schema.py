#!/usr/bin/env python3
"""Write the JSON Schemas of the OCSF classes stanch emits, for the core tests that read STANCH_OCSF_SCHEMA.

    pip install ocsf-json-schema==1.2.0
    ocsf_schema.py OUT_DIR
"""

import json
import sys
from pathlib import Path

from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

VERSION = "1.8.0"
PROFILES = ["cloud", "security_control"]  # the second where a risk is; not `datetime`: every time stanch writes is in milliseconds
CLASSES = ["vulnerability_finding", "compliance_finding", "detection_finding", "remediation_activity"]


def main() -> int:
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print("usage: ocsf_schema.py OUT_DIR", file=sys.stderr)
        return 2
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    ocsf = OcsfJsonSchemaEmbedded(get_ocsf_schema(VERSION))
    for name in CLASSES:
        schema = ocsf.get_class_schema(name, PROFILES)
        text = json.dumps(schema, indent=1, sort_keys=True, ensure_ascii=False)
        (out / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        print(f"wrote {name}.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
