"""What is put into a calendar."""

from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Optional, Set

from .rules import Rule


@dataclass
class Event:
    """A named event; ``rule`` is None for one that happens once.

    ``start`` is the first occurrence. All-day events start at midnight and have
    ``all_day`` set.
    """

    name: str
    start: datetime
    rule: Optional[Rule] = None
    all_day: bool = False
    skipped: Set[date] = field(default_factory=set)

    @classmethod
    def on(cls, name, day, rule=None):
        """An all-day event."""
        return cls(name, datetime.combine(day, time.min), rule, all_day=True)

    def skip(self, day):
        """Drop the occurrence of one day; harmless if there is none."""
        self.skipped.add(day)
