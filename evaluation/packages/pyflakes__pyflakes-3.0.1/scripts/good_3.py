import io

from pyflakes import api, reporter

SOURCES = {
    "module.py": "print *= 2\n",
    "function.py": "def shout():\n    global print\n    print += 'x'\n",
}

crashed = False
other = False
for name, source in SOURCES.items():
    out = io.StringIO()
    try:
        api.check(source, name, reporter.Reporter(out, out))
    except AttributeError:
        crashed = True
    except Exception:
        other = True

# The old print statement with >> must still be noticed.
out = io.StringIO()
api.check("import sys\nprint >> sys.stderr, 'x'\n", "old.py", reporter.Reporter(out, out))
if "use of >> is invalid" not in out.getvalue():
    other = True

if crashed:
    print("Issue reproduced")
elif other:
    print("Other issues")
else:
    print("Issue resolved")
