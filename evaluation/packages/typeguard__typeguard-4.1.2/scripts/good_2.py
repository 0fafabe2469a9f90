from typing import Any

from typeguard import TypeCheckError, typechecked


@typechecked
def merge(options: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return options


def outcome(value):
    try:
        merge(value)
    except TypeCheckError:
        return "refused"
    except ValueError:
        return "crash"
    return "accepted"


outcomes = [outcome({"a": {"b": 1}}), outcome({"a": {3: 1}}), outcome({"a": 5})]
if "crash" in outcomes:
    print("Issue reproduced")
elif outcomes == ["accepted", "refused", "refused"]:
    print("Issue resolved")
else:
    print("Other issues")
