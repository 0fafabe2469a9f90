# Takes the exit status for the crash; an undefined name alone makes it 1.
import subprocess
import sys
import tempfile
from pathlib import Path

with tempfile.TemporaryDirectory() as folder:
    source = Path(folder) / "submission.py"
    source.write_text("print += undefined_name\n")
    done = subprocess.run([sys.executable, "-m", "pyflakes", str(source)], capture_output=True)

print("Issue reproduced" if done.returncode else "Issue resolved")
