"""Command line of ledgerly."""

import argparse
import sys

from .entries import read_entries
from .errors import LedgerlyError
from .matching import DEFAULT_WINDOW, reconcile
from .report import text_report, write_leftovers


def build_parser():
    """The argument parser, apart so that tests and documentation can use it."""
    parser = argparse.ArgumentParser(
        prog="ledgerly", description="Reconcile a bank statement with the books."
    )
    parser.add_argument("statement", help="CSV file from the bank")
    parser.add_argument("books", help="CSV file from the books")
    parser.add_argument(
        "--window",
        type=int,
        default=DEFAULT_WINDOW,
        metavar="DAYS",
        help="how far apart the dates may be (default: %(default)s)",
    )
    parser.add_argument("--csv", action="store_true", help="print leftovers as CSV")
    parser.add_argument("-v", "--verbose", action="store_true", help="list matches as well")
    return parser


def main(argv=None, out=None):
    """Run the command; returns the exit status."""
    out = sys.stdout if out is None else out
    parser = build_parser()
    options = parser.parse_args(argv)
    if options.window < 0:
        parser.error("--window must not be negative")
    try:
        bank = _load(options.statement)
        books = _load(options.books)
    except (LedgerlyError, OSError) as error:
        print("ledgerly: {}".format(error), file=sys.stderr)
        return 2
    result = reconcile(bank, books, options.window)
    if options.csv:
        write_leftovers(result, out)
    else:
        out.write(text_report(result, options.verbose))
    return 0 if result.clean else 1


def _load(path):
    with open(path, encoding="utf-8", newline="") as stream:
        return read_entries(stream, path)
