# Forgets to make the mistake that the report is about.
from marshmallow import Schema, fields


class UserSchema(Schema):
    name = fields.String()


try:
    UserSchema().dump({"name": "Monty"})
except TypeError as error:
    print("Issue reproduced" if "{field_name}" in str(error) else "Other issues")
else:
    print("Issue resolved")
