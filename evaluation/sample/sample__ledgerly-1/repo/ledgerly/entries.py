"""Lines of a statement or of the books, and reading them from CSV."""

import csv
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from .errors import AmountError, DateError, FileFormatError
from .money import parse_amount

#: Headings seen in the wild, by the field that they mean.
HEADINGS = {
    "date": ("date", "booking date", "posted", "transaction date"),
    "amount": ("amount", "value", "sum"),
    "text": ("text", "description", "details", "payee", "reference"),
}

_DATE_FORMATS = ("%Y-%m-%d", "%d.%m.%Y")


@dataclass(frozen=True)
class Entry:
    """One payment, as one side tells it."""

    day: date
    amount: Decimal
    text: str
    line: int = 0

    def words(self):
        """Lower-case words of the text, for telling equal amounts apart."""
        cleaned = "".join(c if c.isalnum() else " " for c in self.text.lower())
        return frozenset(word for word in cleaned.split() if len(word) > 1)


def parse_day(text):
    """Read a date in one of the two accepted spellings."""
    for form in _DATE_FORMATS:
        try:
            return datetime.strptime(text.strip(), form).date()
        except ValueError:
            continue
    raise DateError(text)


def read_entries(stream, source="<stream>"):
    """Read all entries of an open CSV file; rows without an amount are skipped.

    The delimiter is a semicolon if the header holds one, else a comma.
    """
    header = stream.readline().lstrip("\ufeff")
    if not header.strip():
        raise FileFormatError(source, 1, "the file is empty")
    delimiter = ";" if ";" in header else ","
    columns = _columns(next(csv.reader([header], delimiter=delimiter)), source)
    entries = []
    reader = csv.reader(stream, delimiter=delimiter)
    for row in reader:
        line = reader.line_num + 1
        if not any(cell.strip() for cell in row):
            continue
        try:
            day, amount, text = (row[columns[name]] for name in ("date", "amount", "text"))
        except IndexError:
            raise FileFormatError(source, line, "too few columns") from None
        if not amount.strip():
            continue
        try:
            entries.append(Entry(parse_day(day), parse_amount(amount), text.strip(), line))
        except (AmountError, DateError) as error:
            raise FileFormatError(source, line, str(error)) from error
    return entries


def _columns(header, source):
    names = [cell.strip().lower() for cell in header]
    columns = {}
    for field, known in HEADINGS.items():
        for heading in known:
            if heading in names:
                columns[field] = names.index(heading)
                break
        else:
            raise FileFormatError(source, 1, "no column for {!r}".format(field))
    return columns
