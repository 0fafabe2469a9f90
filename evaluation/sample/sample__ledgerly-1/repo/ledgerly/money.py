"""Amounts: always :class:`decimal.Decimal`, never float."""

import re
from decimal import Decimal, InvalidOperation

from .errors import AmountError

CENT = Decimal("0.01")

_CURRENCY = re.compile(r"(EUR|USD|GBP|CHF|[€$£])", re.IGNORECASE)
_SPACES = re.compile(r"[\s\u00a0\u202f']")


def parse_amount(text):
    """Read an amount as banks and spreadsheets write it.

    Either separator may be the decimal one: the one further to the right wins,
    unless it stands alone before exactly three digits and is a comma
    (``1,200`` is twelve hundred). Negative amounts have a leading or trailing
    minus sign or stand in parentheses.
    """
    body = _SPACES.sub("", _CURRENCY.sub("", text))
    negative = False
    if body.startswith("(") and body.endswith(")"):
        negative = True
        body = body[1:-1]
    elif body.endswith("-"):
        negative = True
        body = body[:-1]
    elif body[:1] in ("-", "\u2212", "+"):
        negative = body[0] != "+"
        body = body[1:]
    plain = _plain_digits(body)
    try:
        value = Decimal(plain)
    except InvalidOperation:
        raise AmountError(text) from None
    if not value.is_finite():
        raise AmountError(text)
    value = value.quantize(CENT)
    return -value if negative else value


def _plain_digits(body):
    comma, point = body.rfind(","), body.rfind(".")
    if comma == -1:
        return body if body.count(".") < 2 else body.replace(".", "")
    if point == -1:
        grouped = body.count(",") > 1 or len(body) - comma - 1 == 3
        return body.replace(",", "" if grouped else ".")
    if comma > point:
        return body.replace(".", "").replace(",", ".")
    return body.replace(",", "")


def format_amount(value):
    """Two places, a plain minus, no grouping: what spreadsheets take back."""
    return "{:.2f}".format(value)
