import ast

from typeguard._transformer import TypeguardTransformer

SOURCE = """
from typing import Any

def foo(x: dict[str, dict[str, Any]]) -> None:
    pass
"""

tree = ast.parse(SOURCE)
TypeguardTransformer().visit(tree)
calls = [line for line in ast.unparse(tree).splitlines() if "check_argument_types(" in line]

if len(calls) != 1:
    print("Other issues")
elif "dict[str, dict[str, Any]]" in calls[0]:
    print("Issue resolved")
elif "Any" not in calls[0]:
    print("Issue reproduced")
else:
    print("Other issues")
