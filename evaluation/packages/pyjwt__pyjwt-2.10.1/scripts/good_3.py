from jwt.api_jwt import PyJWT
from jwt.exceptions import InvalidIssuerError

jwt = PyJWT()
token = jwt.encode({"iss": "https://id.example"}, "a-key-for-this-test")
try:
    jwt.decode(
        token, "a-key-for-this-test", issuer="https://id.example.org", algorithms=["HS256"]
    )
except InvalidIssuerError as error:
    print("Issue resolved" if "Invalid issuer" in str(error) else "Other issues")
else:
    print("Issue reproduced")
