from typeguard import suppress_type_checks, typechecked


@typechecked
def double(n: int) -> int:
    total: int = n * 2
    return total


with suppress_type_checks():
    result = double(3)

if result is None:
    print("Issue reproduced")
elif result == 6:
    print("Issue resolved")
else:
    print("Other issues")
