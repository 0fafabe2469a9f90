import jwt

token = jwt.encode({"iss": "urn:"}, "secret")
try:
    jwt.decode(token, "secret", issuer="urn:expected", algorithms=["HS256"])
except jwt.exceptions.InvalidIssuerError:
    print("Issue resolved")
except Exception:
    print("Other issues")
else:
    print("Issue reproduced")
