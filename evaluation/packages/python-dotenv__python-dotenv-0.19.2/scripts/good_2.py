import os
import tempfile

from dotenv import set_key

CASES = [
    ("a=b", "c", "a=b\nc='d'\n"),
    ("a=b\n", "c", "a=b\nc='d'\n"),
    ("", "c", "c='d'\n"),
    ("a=b\nc=e", "a", "a='d'\nc=e"),
]

results = []
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, ".env")
    for before, key, _ in CASES:
        with open(path, "w") as file:
            file.write(before)
        set_key(path, key, "d")
        with open(path) as file:
            results.append(file.read())

wanted = [after for _, _, after in CASES]
if results == wanted:
    print("Issue resolved")
elif results[0] == "a=bc='d'\n" and results[1:] == wanted[1:]:
    print("Issue reproduced")
else:
    print("Other issues")
