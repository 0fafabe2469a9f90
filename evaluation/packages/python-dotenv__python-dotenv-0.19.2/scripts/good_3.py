import os
import subprocess
import sys
import tempfile

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, ".env")
    with open(path, "w") as file:
        file.write("FIRST=one")
    program = (
        "import sys, dotenv; dotenv.set_key(sys.argv[1], 'SECOND', 'two'); "
        "print(dotenv.get_key(sys.argv[1], 'FIRST'), dotenv.get_key(sys.argv[1], 'SECOND'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True
    )

answer = done.stdout.strip()
if answer == "one two":
    print("Issue resolved")
elif answer.endswith("None"):
    print("Issue reproduced")
else:
    print("Other issues")
