"""Reconcile a bank statement with the books."""

from .entries import Entry, read_entries
from .errors import AmountError, DateError, FileFormatError, LedgerlyError
from .matching import Match, Reconciliation, reconcile
from .money import format_amount, parse_amount

__version__ = "0.6.1"

__all__ = [
    "AmountError",
    "DateError",
    "Entry",
    "FileFormatError",
    "LedgerlyError",
    "Match",
    "Reconciliation",
    "format_amount",
    "parse_amount",
    "read_entries",
    "reconcile",
]
