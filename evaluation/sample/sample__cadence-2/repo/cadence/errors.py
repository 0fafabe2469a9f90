"""Errors that cadence raises on purpose."""


class CadenceError(Exception):
    """Base class of all of them."""


class RuleError(CadenceError):
    """A recurrence rule could not be understood."""

    def __init__(self, text, reason):
        super().__init__("cannot read the rule {!r}: {}".format(text, reason))
        self.text = text
        self.reason = reason


class DuplicateEvent(CadenceError):
    """An event of that name exists already."""


class UnknownEvent(CadenceError):
    """There is no event of that name."""


class StoreError(CadenceError):
    """The calendar file is damaged or of a newer version."""
