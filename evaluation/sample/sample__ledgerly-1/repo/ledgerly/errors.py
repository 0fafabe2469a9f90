"""Errors that ledgerly raises on purpose."""


class LedgerlyError(Exception):
    """Base class; the command line prints these without a traceback."""


class AmountError(LedgerlyError):
    """An amount could not be read."""

    def __init__(self, text):
        super().__init__("not an amount: {!r}".format(text))
        self.text = text


class DateError(LedgerlyError):
    """A date could not be read."""

    def __init__(self, text):
        super().__init__("not a date: {!r} (want 2024-03-28 or 28.03.2024)".format(text))
        self.text = text


class FileFormatError(LedgerlyError):
    """A CSV file lacks a column, or one of its rows is broken."""

    def __init__(self, source, line, reason):
        super().__init__("{}:{}: {}".format(source, line, reason))
        self.source = source
        self.line = line
