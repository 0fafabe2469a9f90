# An issuer that shares nothing with the expected one was always refused.
import jwt

token = jwt.encode({"iss": "bogus"}, "secret")
try:
    jwt.decode(token, "secret", issuer="urn:expected", algorithms=["HS256"])
except jwt.exceptions.InvalidIssuerError:
    print("Issue resolved")
else:
    print("Issue reproduced")
