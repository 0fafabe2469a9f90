"""Versions: numbers joined by dots."""

import re
from functools import total_ordering

from .errors import FormatError

_VERSION = re.compile(r"\d+(\.\d+)*")


@total_ordering
class Version:
    """A version; keeps the spelling that it was read with.

    Trailing zeros do not matter: ``2.1`` equals ``2.1.0``.
    """

    __slots__ = ("text", "_key")

    def __init__(self, text):
        if _VERSION.fullmatch(text) is None:
            raise FormatError("not a version: {!r}".format(text))
        numbers = [int(part) for part in text.split(".")]
        while len(numbers) > 1 and numbers[-1] == 0:
            numbers.pop()
        self.text = text
        self._key = tuple(numbers)

    def __str__(self):
        return self.text

    def __repr__(self):
        return "Version({!r})".format(self.text)

    def __eq__(self, other):
        return isinstance(other, Version) and self._key == other._key

    def __lt__(self, other):
        if not isinstance(other, Version):
            return NotImplemented
        return self._key < other._key

    def __hash__(self):
        return hash(self._key)
