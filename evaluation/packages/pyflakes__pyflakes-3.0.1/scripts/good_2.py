import subprocess
import sys
import tempfile
from pathlib import Path

with tempfile.TemporaryDirectory() as folder:
    source = Path(folder) / "submission.py"
    source.write_text("def f():\n    print('hello')\n\n\nprint -= 1\n")
    done = subprocess.run(
        [sys.executable, "-m", "pyflakes", str(source)], capture_output=True, text=True
    )

if "Traceback" in done.stderr and "_pyflakes_parent" in done.stderr:
    print("Issue reproduced")
elif "Traceback" in done.stderr:
    print("Other issues")
else:
    print("Issue resolved")
