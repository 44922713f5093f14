"""Judge recorded AWS calls by the service models botocore carries.

    judge_aws.py RECORDS VERDICTS

RECORDS has one call per line: {service, operation, input, output, error}. VERDICTS gets one line per call:
{line, operation, label, faults}. botocore itself does not check enums; the walk below does.
"""

import functools
import json
import sys
from pathlib import Path

import botocore
from botocore.loaders import Loader
from botocore.model import OperationNotFoundError, ServiceModel
from botocore.exceptions import UnknownServiceError
from botocore.validate import ParamValidator

LABEL = f"botocore {botocore.__version__}"


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as records, open(sys.argv[2], "w", encoding="utf-8") as verdicts:
        for number, line in enumerate(records, 1):
            if line.strip():
                call = json.loads(line)
                verdict = {
                    "line": number,
                    "operation": f"{call['service']}.{call['operation']}",
                    "label": LABEL,
                    "faults": judge(call),
                }
                verdicts.write(json.dumps(verdict) + "\n")


def judge(call):
    try:
        operation = model(call["service"]).operation_model(call["operation"])
    except UnknownServiceError:
        return [f"botocore has no service `{call['service']}`"]
    except OperationNotFoundError:
        return [f"botocore's {call['service']} has no operation `{call['operation']}`"]
    faults = check("input", with_account(operation.input_shape, call.get("input") or {}), operation.input_shape)
    if not call.get("error"):
        faults += check("output", call.get("output") or {}, operation.output_shape)
    return faults


@functools.cache
def model(service):
    return ServiceModel(Loader([str(Path(botocore.__file__).parent / "data")]).load_service_model(service, "service-2"), service)


def with_account(shape, value):
    """The encoder states whose account it means in a header when the input leaves it out, as the SDKs' users must."""
    for name in shape.required_members if shape is not None else []:
        if shape.members[name].serialization.get("name", "").lower() == "x-amz-account-id":
            value = {name: "123456789012", **value}
    return value


def check(side, value, shape):
    if shape is None:
        return [f"{side}: the operation takes none"] if value else []
    report = ParamValidator().validate(value, shape)
    faults = report.generate_report().splitlines() if report.has_errors() else []
    return [f"{side}: {fault}" for fault in faults + list(enums(value, shape, ""))]


def enums(value, shape, at):
    kind = shape.type_name
    if kind == "structure" and isinstance(value, dict):
        for name, member in value.items():
            if name in shape.members:
                yield from enums(member, shape.members[name], f"{at}.{name}")
    elif kind == "list" and isinstance(value, list):
        for index, item in enumerate(value):
            yield from enums(item, shape.member, f"{at}[{index}]")
    elif kind == "map" and isinstance(value, dict):
        for key, item in value.items():
            yield from enums(key, shape.key, f"{at}.{key}")
            yield from enums(item, shape.value, f"{at}.{key}")
    elif kind == "string" and getattr(shape, "enum", None) and value not in shape.enum:
        yield f"{at}: `{value}` is none of {', '.join(shape.enum)}"


if __name__ == "__main__":
    main()
