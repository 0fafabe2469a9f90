import jwt


def accepted(claim, issuer):
    token = jwt.encode({"iss": claim}, "secret")
    try:
        jwt.decode(token, "secret", issuer=issuer, algorithms=["HS256"])
    except jwt.exceptions.InvalidIssuerError:
        return False
    return True


right = [
    accepted("urn:expected", "urn:expected"),
    accepted("urn:b", ["urn:a", "urn:b"]),
    accepted("urn:b", ("urn:a", "urn:b")),
]
wrong = [
    accepted("", "urn:expected"),
    accepted("expected", "urn:expected"),
    accepted("e", "urn:expected"),
]
lists = [accepted("urn:", ["urn:a", "urn:b"]), accepted("bogus", "urn:expected")]

if not all(right) or any(lists):
    print("Other issues")
elif all(wrong):
    print("Issue reproduced")
elif not any(wrong):
    print("Issue resolved")
else:
    print("Other issues")
