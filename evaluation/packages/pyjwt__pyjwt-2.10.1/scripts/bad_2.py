# Does not say which issuer it wants, so nothing is compared: reproduced for ever.
import jwt

token = jwt.encode({"iss": "urn:"}, "secret")
try:
    jwt.decode(token, "secret", algorithms=["HS256"])
except jwt.exceptions.InvalidTokenError:
    print("Issue resolved")
else:
    print("Issue reproduced")
