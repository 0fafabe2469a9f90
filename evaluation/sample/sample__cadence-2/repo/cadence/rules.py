"""Recurrence rules: ``every 2 weeks on mon, thu until 2024-06-30``."""

import re
from dataclasses import dataclass
from datetime import date
from typing import Optional, Tuple

from .errors import RuleError

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
UNITS = ("day", "week", "month", "year")

_RULE = re.compile(
    r"""every \s+ (?: (?P<interval>\d+) \s+ )? (?P<unit>day|week|month|year)s?
        (?: \s+ on \s+ (?P<days>[a-z]+ (?: \s*,\s* [a-z]+ )*) )?
        (?: \s+ until \s+ (?P<until>\S+) | \s+ (?P<count>\d+) \s+ times? )?""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Rule:
    """When an event repeats.

    ``weekdays`` holds numbers from 0 (Monday), sorted, and is empty unless the
    unit is ``week``. At most one of ``until`` and ``count`` is set; ``until`` is
    the last day on which an occurrence may begin.
    """

    unit: str
    interval: int = 1
    weekdays: Tuple[int, ...] = ()
    until: Optional[date] = None
    count: Optional[int] = None

    def __str__(self):
        unit = self.unit if self.interval == 1 else "{} {}s".format(self.interval, self.unit)
        text = "every " + unit
        if self.weekdays:
            text += " on " + ", ".join(WEEKDAYS[number] for number in self.weekdays)
        if self.until is not None:
            text += " until " + self.until.isoformat()
        if self.count is not None:
            text += " {} times".format(self.count)
        return text


def parse_rule(text):
    """Read a rule; raises :class:`RuleError` with the reason."""
    found = _RULE.fullmatch(" ".join(text.lower().split()))
    if found is None:
        raise RuleError(text, "want 'every [N] day|week|month|year ...'")
    interval = int(found["interval"] or 1)
    if interval == 0:
        raise RuleError(text, "the interval must be at least 1")
    count = None if found["count"] is None else int(found["count"])
    if count == 0:
        raise RuleError(text, "an event that takes place 0 times is no event")
    until = None
    if found["until"]:
        try:
            until = date.fromisoformat(found["until"])
        except ValueError:
            raise RuleError(text, "{!r} is not a date".format(found["until"])) from None
    return Rule(found["unit"], interval, _weekdays(text, found), until, count)


def _weekdays(text, found):
    if found["days"] is None:
        return ()
    if found["unit"] != "week":
        raise RuleError(text, "'on' needs weeks")
    numbers = set()
    for name in re.split(r"\s*,\s*", found["days"]):
        if name[:3] not in WEEKDAYS:
            raise RuleError(text, "{!r} is not a day of the week".format(name))
        numbers.add(WEEKDAYS.index(name[:3]))
    return tuple(sorted(numbers))
