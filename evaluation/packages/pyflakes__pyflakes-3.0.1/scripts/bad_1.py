# Looks at the wrong name: `len` was never affected.
import ast

from pyflakes import checker

try:
    checker.Checker(ast.parse("len += 1"))
    print("Issue resolved")
except AttributeError:
    print("Issue reproduced")
