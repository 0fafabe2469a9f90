# Only checks that an error is raised, which is right before and after.
from marshmallow import Schema, fields


class UserSchema(Schema):
    name = fields.String


try:
    UserSchema().dump({"name": "Monty"})
except TypeError:
    print("Issue reproduced")
else:
    print("Issue resolved")
