"""Pairing bank lines with book lines."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import List

from .entries import Entry

DEFAULT_WINDOW = 3


@dataclass(frozen=True)
class Match:
    """A bank line and the book line that it settles."""

    bank: Entry
    book: Entry

    @property
    def delay(self):
        """Days from the booking to the bank's date; negative if the bank was first."""
        return (self.bank.day - self.book.day).days


@dataclass
class Reconciliation:
    """Outcome of a comparison; each input entry is in exactly one of the lists."""

    matches: List[Match] = field(default_factory=list)
    only_bank: List[Entry] = field(default_factory=list)
    only_books: List[Entry] = field(default_factory=list)

    @property
    def clean(self):
        """Whether nothing is left over."""
        return not self.only_bank and not self.only_books


def reconcile(bank, books, window=DEFAULT_WINDOW):
    """Pair ``bank`` entries with ``books`` entries.

    Amounts must be equal and dates at most ``window`` days apart. Bank entries
    choose in order of date, so an early payment is not robbed of its booking by
    a later one.
    """
    if window < 0:
        raise ValueError("window must not be negative")
    open_books = defaultdict(list)
    for entry in books:
        open_books[entry.amount].append(entry)
    result = Reconciliation()
    for entry in sorted(bank, key=lambda e: (e.day, e.line)):
        found = _best(entry, open_books[entry.amount], window)
        if found is None:
            result.only_bank.append(entry)
            continue
        open_books[entry.amount].remove(found)
        result.matches.append(Match(entry, found))
    left = [entry for group in open_books.values() for entry in group]
    result.only_books = sorted(left, key=lambda e: (e.day, e.line))
    return result


def _best(entry, candidates, window):
    """The candidate nearest in time, then in wording, or None."""
    best, best_rank = None, None
    for candidate in candidates:
        delta = (entry.day - candidate.day).days
        if delta > window:
            continue
        common = len(entry.words() & candidate.words())
        rank = (abs(delta), -common, candidate.line)
        if best_rank is None or rank < best_rank:
            best, best_rank = candidate, rank
    return best
