from typeguard import suppress_type_checks, typechecked


@typechecked
def chain():
    x: int
    y: int
    z: int
    x = y = z = 6
    return x, y, z


@typechecked
def rest():
    first: int
    others: list
    first, *others = [1, 2, 3]
    return first, others


@suppress_type_checks
def run():
    return chain(), rest()


try:
    result = run()
except TypeError:
    print("Issue reproduced")
else:
    if result == ((6, 6, 6), (1, [2, 3])):
        print("Issue resolved")
    elif None in result[0]:
        print("Issue reproduced")
    else:
        print("Other issues")
