import os
import tempfile

from dotenv import dotenv_values, set_key

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, ".env")
    with open(path, "w") as file:
        file.write("A=1\nB=2")
    set_key(path, "C", "3")
    values = dict(dotenv_values(path))

if values == {"A": "1", "B": "2", "C": "3"}:
    print("Issue resolved")
elif "C" not in values:
    print("Issue reproduced")
else:
    print("Other issues")
