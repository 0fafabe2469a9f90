"""Errors that quillet raises on purpose."""


class QuilletError(Exception):
    """Base class of all of them."""


class NestingError(QuilletError):
    """Quotations are nested too deeply to be meant."""
