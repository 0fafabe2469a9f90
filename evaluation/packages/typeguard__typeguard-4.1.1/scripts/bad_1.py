# Never suppresses anything, so it cannot see the problem.
from typeguard import typechecked


@typechecked
def double(n: int) -> int:
    total: int = n * 2
    return total


print("Issue reproduced" if double(3) is None else "Issue resolved")
