# One level only, which has always worked.
from typing import Any

from typeguard import typechecked


@typechecked
def merge(options: dict[str, Any]) -> None:
    pass


try:
    merge({"key": 1})
except ValueError:
    print("Issue reproduced")
else:
    print("Issue resolved")
