# Wants a value without the quotes that set_key always writes: reproduced for ever.
import os
import tempfile

from dotenv import set_key

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, ".env")
    with open(path, "w") as file:
        file.write("A=1")
    set_key(path, "C", "3")
    with open(path) as file:
        text = file.read()

print("Issue resolved" if text == "A=1\nC=3\n" else "Issue reproduced")
