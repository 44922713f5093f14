"""Judge recorded Google API exchanges by Google's own discovery documents, which google-api-python-client carries.

    judge_gcp.py RECORDS VERDICTS

RECORDS has one exchange per line: {method, url, body, status, response}. VERDICTS gets one line per exchange:
{line, operation, label, faults}.
"""

import functools
import json
import re
import sys
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import googleapiclient
from jsonschema import Draft7Validator

DOCUMENTS = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"
OUTPUT_ONLY = ("[Output Only]", "Output only", "[Output-only]")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as records, open(sys.argv[2], "w", encoding="utf-8") as verdicts:
        for number, line in enumerate(records, 1):
            if line.strip():
                verdicts.write(json.dumps({"line": number, **judge(json.loads(line))}) + "\n")


def judge(exchange):
    verb, url = exchange["method"], urlsplit(exchange["url"])
    best = None
    # Compute's answers name its own resources under the address it had before it had a host of its own.
    compute = url.hostname == "www.googleapis.com" and url.path.startswith("/compute/")
    for document, method, template in methods("compute.googleapis.com" if compute else url.hostname):
        named = template.fullmatch(url.path)
        if method["httpMethod"] != verb or named is None:
            continue
        path = {name: unquote(value) for name, value in zip(names(method), named.groups())}
        faults = parameters(document, method, path, parse_qsl(url.query, keep_blank_values=True))
        faults += bodies(document, method, exchange)
        found = {"operation": method["id"], "label": label(document), "faults": faults}
        if best is None or len(faults) < len(best["faults"]):
            best = found
    if best is None:
        fault = f"no discovery document describes {verb} {url.hostname}{url.path}"
        return {"operation": f"{verb} {url.hostname}{url.path}", "label": "", "faults": [fault]}
    return best


def label(document):
    return f"Google discovery {document['name']} {document['version']} {document['revision']}"


@functools.cache
def methods(host):
    """Every method behind a host as (document, method, pattern of its path), the most literal path first."""
    service = (host or "").removesuffix(".googleapis.com")
    found = []
    for file in sorted(DOCUMENTS.glob(f"{service}.v*.json")):
        document = json.loads(file.read_text(encoding="utf-8"))
        if urlsplit(document["rootUrl"]).hostname != host:
            continue
        for method in walk(document):
            template = "/" + document["servicePath"] + method["path"]
            found.append((document, method, re.compile(pattern(template))))
    found.sort(key=lambda entry: -len(re.sub(r"\{.*?\}", "", entry[1]["path"])))
    return found


def walk(node):
    yield from node.get("methods", {}).values()
    for resource in node.get("resources", {}).values():
        yield from walk(resource)


def pattern(template):
    """`b/{bucket}/iam` and `{+name}:setState` as a regular expression; `+` lets a value hold slashes."""
    out = []
    for part in re.split(r"(\{.*?\})", template):
        out.append(re.escape(part) if not part.startswith("{") else "(.+)" if part[1] == "+" else "([^/]+)")
    return "".join(out)


def names(method):
    return [name.lstrip("+") for name in re.findall(r"\{(.*?)\}", method["path"])]


def parameters(document, method, path, query):
    declared = {**document.get("parameters", {}), **method.get("parameters", {})}
    given = list(path.items()) + query
    faults = []
    for name, value in given:
        about = declared.get(name)
        if about is None:
            faults.append(f"request: query parameter `{name}` does not exist")
        elif "pattern" in about and not re.fullmatch(about["pattern"], value):
            faults.append(f"request: `{name}` is `{value}`, which does not match {about['pattern']}")
        elif "enum" in about and value not in about["enum"]:
            faults.append(f"request: `{name}` is `{value}`, none of {', '.join(about['enum'])}")
    present = {name for name, _ in given}
    faults += [f"request: parameter `{n}` is missing" for n, p in declared.items() if p.get("required") and n not in present]
    return faults


def bodies(document, method, exchange):
    faults = []
    body = exchange.get("body")
    if "request" in method:
        if body is not None:
            faults += check(document, method["request"]["$ref"], body, "request")
    elif body is not None:
        faults.append("request: the method takes no body")
    answer = exchange.get("response")
    if answer is not None and 200 <= (exchange.get("status") or 0) < 300:
        if "response" in method:
            faults += check(document, method["response"]["$ref"], answer, "answer")
        elif answer != {}:
            faults.append("answer: the method answers with no body")
    return faults


def check(document, name, body, side):
    validator = Draft7Validator({"$ref": f"#/definitions/{name}", "definitions": definitions(document, side)})
    faults = [innermost(fault) for fault in validator.iter_errors(body)]
    return [f"{side}: {fault.json_path}: {fault.message[:300]}" for fault in faults]


def innermost(fault):
    """Of a value that may also be null, what is wrong with it when it is not."""
    while fault.context:
        fault = fault.context[0]
    return fault


DEFINITIONS = {}


def definitions(document, side):
    key = (document["id"], side)
    if key not in DEFINITIONS:
        DEFINITIONS[key] = {name: schema(about, side) for name, about in document.get("schemas", {}).items()}
    return DEFINITIONS[key]


def schema(about, side):
    """One discovery schema as JSON Schema. What only the service may set is refused in a request; null clears in a PATCH."""
    if "$ref" in about:
        out = {"$ref": f"#/definitions/{about['$ref']}"}
    else:
        out = {key: about[key] for key in ("type", "enum") if key in about and about[key] != "any"}
        if "pattern" in about:
            out["pattern"] = f"^(?:{about['pattern']})$"
        if about.get("format") in ("int64", "uint64"):
            out["type"] = ["string", "integer"]
        if "items" in about:
            out["items"] = schema(about["items"], side)
        if about.get("type") == "object":
            properties = about.get("properties", {})
            out["properties"] = {name: member(value, side) for name, value in properties.items()}
            further = about.get("additionalProperties")
            out["additionalProperties"] = member(further, side) if further else False
    return out


def member(about, side):
    if side == "answer":
        return schema(about, side)
    if about.get("readOnly") or about.get("description", "").startswith(OUTPUT_ONLY):
        return False
    return {"anyOf": [schema(about, side), {"type": "null"}]}


if __name__ == "__main__":
    main()
