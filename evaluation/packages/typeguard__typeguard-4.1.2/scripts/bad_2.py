# Passes a wrong value: the refusal it sees is right before and after.
from typing import Any

from typeguard import typechecked


@typechecked
def merge(options: dict[str, dict[str, Any]]) -> None:
    pass


try:
    merge({"section": 5})
except Exception:
    print("Issue reproduced")
else:
    print("Issue resolved")
