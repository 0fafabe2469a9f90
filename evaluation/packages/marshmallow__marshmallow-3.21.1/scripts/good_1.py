from marshmallow import Schema, fields


class UserSchema(Schema):
    name = fields.String


try:
    UserSchema().dump({"name": "Monty"})
except TypeError as error:
    message = str(error)
    if "{field_name}" in message:
        print("Issue reproduced")
    elif '"name"' in message and "fields.String()" in message:
        print("Issue resolved")
    else:
        print("Other issues")
else:
    print("Other issues")
