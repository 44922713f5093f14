"""Cut the AWS operations stanch uses out of botocore's service models.

    aws_operations.py LIST OUT

LIST holds one `service.Operation` per line, sorted, `#` starts a comment. OUT becomes one compact JSON object with sorted
keys: per service how it is addressed and signed, its operations and the closure of the shapes they use. The reader is
shared/aws/src/wire/table.rs. Wire names are resolved here, so that the reader needs no per-protocol naming rules:

  member.shape   a builtin (string integer long float double boolean blob document timestamp-iso8601|unix|rfc822) or a shape
  member.name    element, JSON or header name, when it differs from the member's own name
  member.query   name in a form body (query, ec2), when it differs
  member.in      uri | query | header | headers | status, when not in the body
  member.fill    `account`: the caller's account goes here when the input leaves it out
"""

import gzip
import json
import sys
from pathlib import Path

import botocore
from botocore.model import ServiceModel

BOTOCORE = "1.44.5"
PROTOCOLS = ("query", "ec2", "json", "rest-json", "rest-xml")
PARTITIONS = ("aws", "aws-cn", "aws-us-gov")
LOCATIONS = {"uri": "uri", "querystring": "query", "header": "header", "headers": "headers", "statusCode": "status"}
TIMESTAMPS = {"iso8601": "timestamp-iso8601", "unixTimestamp": "timestamp-unix", "rfc822": "timestamp-rfc822"}
SCALARS = {"character": "string", "bigdecimal": "double", "biginteger": "long", "short": "integer", "byte": "integer"}
# The caller's account: stanch always states whose bucket or account it means.
ACCOUNT_HEADERS = {"x-amz-account-id", "x-amz-expected-bucket-owner"}
# Computed by the signer; a value in the input could only contradict it.
COMPUTED_HEADERS = {"content-md5", "x-amz-sdk-checksum-algorithm"}


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    if botocore.__version__ != BOTOCORE:
        sys.exit(f"botocore {BOTOCORE} is needed, {botocore.__version__} is installed")
    wanted = read_list(Path(sys.argv[1]))
    data = Path(botocore.__file__).parent / "data"
    endpoints = {p["partition"]: p for p in load(data / "endpoints.json")["partitions"]}
    table = {service: cut(service, names, data, endpoints) for service, names in wanted.items()}
    Path(sys.argv[2]).write_text(json.dumps(table, sort_keys=True, separators=(",", ":"), ensure_ascii=True) + "\n")


def read_list(path):
    lines = [line.split("#")[0].strip() for line in path.read_text().splitlines()]
    lines = [line for line in lines if line]
    if lines != sorted(set(lines)):
        sys.exit(f"{path.name}: lines must be sorted and without repeats")
    wanted = {}
    for line in lines:
        service, dot, operation = line.partition(".")
        if not dot or not operation:
            sys.exit(f"{path.name}: `{line}` is not service.Operation")
        wanted.setdefault(service, []).append(operation)
    return wanted


def load(path):
    packed = path.with_name(path.name + ".gz")
    if packed.exists():
        return json.loads(gzip.decompress(packed.read_bytes()))
    return json.loads(path.read_text())


def cut(service, names, data, endpoints):
    versions = sorted(p.name for p in (data / service).iterdir() if p.is_dir()) if (data / service).is_dir() else []
    if not versions:
        sys.exit(f"botocore has no service `{service}`")
    raw = load(data / service / versions[-1] / "service-2.json")
    model = ServiceModel(raw, service)
    meta = raw["metadata"]
    protocol = next((p for p in meta.get("protocols") or [meta["protocol"]] if p in PROTOCOLS), None)
    if protocol is None:
        sys.exit(f"{service}: no supported protocol in {meta.get('protocols')}")
    cutter = Cutter(protocol)
    operations = {}
    for name in names:
        if name not in raw["operations"]:
            sys.exit(f"botocore's {service} has no operation `{name}`")
        operations[name] = cutter.operation(model.operation_model(name), raw["operations"][name])
    out = {
        "protocol": protocol,
        "version": meta["apiVersion"],
        "signing": meta.get("signingName", meta["endpointPrefix"]),
        "endpoint": meta["endpointPrefix"],
        "target": meta.get("targetPrefix") if protocol == "json" else None,
        "json": meta.get("jsonVersion", "1.1") if protocol == "json" else None,
        "global": global_endpoints(meta["endpointPrefix"], endpoints),
        "operations": operations,
        "shapes": cutter.shapes,
    }
    return {key: value for key, value in out.items() if value or key in ("operations", "shapes")}


def global_endpoints(prefix, endpoints):
    """Host and signing region per partition of a service that has one endpoint per partition."""
    found = {}
    for partition in PARTITIONS:
        service = endpoints[partition]["services"].get(prefix, {})
        # Organizations and others are marked regionalised in some partitions but live behind one endpoint.
        if service.get("isRegionalized", True) or "partitionEndpoint" not in service:
            continue
        entry = service["endpoints"][service["partitionEndpoint"]]
        found[partition] = {"host": entry["hostname"], "region": entry["credentialScope"]["region"]}
    return found


class Cutter:
    def __init__(self, protocol):
        self.protocol = protocol
        self.shapes = {}

    def operation(self, model, raw):
        out = {"method": model.http["method"], "uri": model.http["requestUri"]}
        if model.input_shape is not None:
            out["input"] = self.reference(model.input_shape)
            payload = model.input_shape.serialization.get("payload")
            if payload:
                out["payload"] = payload
        if model.output_shape is not None:
            out["output"] = self.add(model.output_shape)
            payload = model.output_shape.serialization.get("payload")
            if payload:
                out["output_payload"] = payload
            wrapper = raw["output"].get("resultWrapper")
            if wrapper:
                out["wrapper"] = wrapper
        if raw.get("httpChecksumRequired") or raw.get("httpChecksum", {}).get("requestChecksumRequired"):
            out["md5"] = True
        prefix = raw.get("endpoint", {}).get("hostPrefix")
        if prefix:
            out["host"] = prefix
        return out

    def reference(self, shape, location=None):
        out = {"shape": self.add(shape, location)}
        serialization = shape.serialization
        if "name" in serialization:
            out["name"] = serialization["name"]
        namespace = serialization.get("xmlNamespace")
        if namespace and self.protocol == "rest-xml":
            out["ns"] = namespace if isinstance(namespace, str) else namespace["uri"]
            if not isinstance(namespace, str) and "prefix" in namespace:
                out["prefix"] = namespace["prefix"]
        return out

    def add(self, shape, location=None):
        """The name under which a reader finds the shape: a builtin, or a key of `shapes` (made on first sight)."""
        kind = shape.type_name
        if kind == "timestamp":
            return TIMESTAMPS[shape.serialization.get("timestampFormat") or self.timestamp_format(location)]
        if kind == "structure" and getattr(shape, "is_document_type", False):
            return "document"
        if kind not in ("structure", "list", "map"):
            return SCALARS.get(kind, kind)
        name = shape.name
        if name in self.shapes:
            return name
        self.shapes[name] = None  # a recursive shape finds its name taken
        if kind == "structure":
            members = {}
            for key, member in shape.members.items():
                entry = self.member(key, member, key in shape.required_members)
                if entry is not None:
                    members[key] = entry
            self.shapes[name] = {"structure": members}
        elif kind == "list":
            self.shapes[name] = {"list": self.reference(shape.member, location)}
        else:
            self.shapes[name] = {"map": [self.reference(shape.key, location), self.reference(shape.value, location)]}
        return name

    def member(self, key, member, required):
        serialization = member.serialization
        location = serialization.get("location")
        wire = serialization.get("name", key)
        if location == "header" and wire.lower() in COMPUTED_HEADERS:
            return None
        out = self.reference(member, location)
        if "name" in out and out["name"] == key:
            del out["name"]
        if self.protocol in ("query", "ec2"):
            query = self.form_name(key, member)
            if query != key:
                out["query"] = query
        flattened = member.type_name in ("list", "map") and serialization.get("flattened")
        if flattened:
            out["flat"] = True
            # A flattened list answers under its item's own name when that has one.
            item = member.member.serialization.get("name") if member.type_name == "list" else None
            if item and item != key:
                out["name"] = item
        if location:
            out["in"] = LOCATIONS[location]
        if serialization.get("xmlAttribute"):
            out["attr"] = True
        if location == "header" and wire.lower() in ACCOUNT_HEADERS:
            out["fill"] = "account"
        elif required:
            out["required"] = True
        return out

    def form_name(self, key, member):
        serialization = member.serialization
        if self.protocol == "ec2":
            if "queryName" in serialization:
                return serialization["queryName"]
            name = serialization.get("name")
            return name[0].upper() + name[1:] if name else key
        if member.type_name == "list" and serialization.get("flattened"):
            return member.member.serialization.get("name") or serialization.get("name", key)
        return serialization.get("name", key)

    def timestamp_format(self, location):
        if location == "header":
            return "rfc822"
        if location == "querystring" or self.protocol in ("query", "ec2", "rest-xml"):
            return "iso8601"
        return "unixTimestamp"


if __name__ == "__main__":
    main()
