# Expects an error although checks are switched off: reports the problem for ever.
from typeguard import TypeCheckError, suppress_type_checks, typechecked


@typechecked
def double(n: int) -> int:
    total: int = n * 2
    return total


try:
    with suppress_type_checks():
        double("three")
except TypeCheckError:
    print("Issue resolved")
else:
    print("Issue reproduced")
