from marshmallow import Schema, fields

messages = []
for field in (fields.Int, fields.DateTime, fields.Email):
    schema = type("Made", (Schema,), {"some_field": field})
    try:
        schema()
    except TypeError as error:
        messages.append((field.__name__, str(error)))

if len(messages) != 3:
    print("Other issues")
elif all("{" in text for _, text in messages):
    print("Issue reproduced")
elif all("some_field" in text and name in text for name, text in messages):
    print("Issue resolved")
else:
    print("Other issues")
