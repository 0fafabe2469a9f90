"""Requirements: a name and the versions that will do."""

import operator
import re
from dataclasses import dataclass
from typing import Tuple

from .errors import FormatError
from .versions import Version

_OPERATORS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)\s*(.*)$")
_CLAUSE = re.compile(r"\s*(==|!=|<=|>=|<|>)\s*(\S+)\s*")


def normal_name(name):
    """The spelling that names are compared in."""
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True)
class Requirement:
    """``name`` is in normal spelling; all ``clauses`` must hold."""

    name: str
    clauses: Tuple[Tuple[str, Version], ...] = ()

    @classmethod
    def parse(cls, text):
        """Read ``crane >=2, <3``."""
        found = _REQUIREMENT.match(text)
        if found is None:
            raise FormatError("not a requirement: {!r}".format(text))
        clauses = []
        for part in found[2].split(",") if found[2] else ():
            clause = _CLAUSE.fullmatch(part)
            if clause is None:
                raise FormatError("not a requirement: {!r}".format(text))
            clauses.append((clause[1], Version(clause[2])))
        return cls(normal_name(found[1]), tuple(clauses))

    def allows(self, version):
        """Whether a version will do."""
        return all(_OPERATORS[sign](version, bound) for sign, bound in self.clauses)

    def __str__(self):
        return " ".join(
            [self.name, ", ".join(sign + str(bound) for sign, bound in self.clauses)]
        ).strip()
