from typing import Any

from typeguard import typechecked


@typechecked
def merge(options: dict[str, dict[str, Any]]) -> None:
    pass


try:
    merge({"section": {"key": 1}})
except ValueError:
    print("Issue reproduced")
except Exception:
    print("Other issues")
else:
    print("Issue resolved")
