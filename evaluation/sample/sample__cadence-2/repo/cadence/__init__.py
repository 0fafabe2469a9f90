"""Recurring events in plain words."""

from .agenda import Calendar
from .errors import CadenceError, DuplicateEvent, RuleError, StoreError, UnknownEvent
from .events import Event
from .occurrences import Occurrence, expand
from .rules import Rule, parse_rule

__version__ = "1.3.0"

__all__ = [
    "CadenceError",
    "Calendar",
    "DuplicateEvent",
    "Event",
    "Occurrence",
    "Rule",
    "RuleError",
    "StoreError",
    "UnknownEvent",
    "expand",
    "parse_rule",
]
