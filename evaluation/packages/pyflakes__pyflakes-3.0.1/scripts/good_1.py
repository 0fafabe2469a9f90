import ast

from pyflakes import checker

try:
    checker.Checker(ast.parse("print += 1"))
except AttributeError:
    print("Issue reproduced")
except Exception:
    print("Other issues")
else:
    print("Issue resolved")
