"""Plain text and CSV reports of a reconciliation."""

import csv

from .money import format_amount


def text_report(result, verbose=False):
    """The report for people; ``verbose`` lists the matches as well."""
    lines = ["matched       {}".format(len(result.matches))]
    if verbose:
        for match in result.matches:
            lines.append("{}  ({:+d} d)".format(_entry_line(match.bank), match.delay))
    for title, entries in (
        ("only in bank ", result.only_bank),
        ("only in books", result.only_books),
    ):
        lines.append("{} {}".format(title, len(entries)))
        lines.extend(_entry_line(entry) for entry in entries)
    return "\n".join(lines) + "\n"


def write_leftovers(result, stream):
    """Leftovers as CSV, for pasting into a spreadsheet."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["side", "date", "amount", "text"])
    for side, entries in (("bank", result.only_bank), ("books", result.only_books)):
        for entry in entries:
            writer.writerow([side, entry.day.isoformat(), format_amount(entry.amount), entry.text])


def _entry_line(entry):
    return "  {}  {:>9}  {}".format(entry.day.isoformat(), format_amount(entry.amount), entry.text)
