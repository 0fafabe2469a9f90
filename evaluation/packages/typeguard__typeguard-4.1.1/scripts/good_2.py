from typeguard import TypeCheckError, suppress_type_checks, typechecked


@typechecked
def pair():
    a: int
    b: int
    a, b = 1, 2
    return a, b


@typechecked
def label(value):
    text: str = value
    return text


try:
    with suppress_type_checks():
        results = pair(), label("x"), label(5)
except TypeError as error:
    print("Issue reproduced" if "NoneType" in str(error) else "Other issues")
else:
    try:
        label(5)
    except TypeCheckError:
        checked = True
    else:
        checked = False
    if results == ((1, 2), "x", 5) and checked:
        print("Issue resolved")
    else:
        print("Other issues")
