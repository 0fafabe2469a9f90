"""Errors that stowage raises on purpose."""


class StowageError(Exception):
    """Base class; the command line prints these without a traceback."""


class FormatError(StowageError):
    """A version, a requirement or a file cannot be read."""


class UnknownPackage(StowageError):
    """The index does not have the package at all."""

    def __init__(self, name, needed_by):
        super().__init__("{} needs {}, which is not in the index".format(needed_by, name))
        self.name = name


class ConflictError(StowageError):
    """No choice of versions satisfies all requirements."""

    def __init__(self, name, requirements):
        wanted = "; ".join("{} wants {}".format(source, text) for source, text in requirements)
        super().__init__("no version of {} fits: {}".format(name, wanted))
        self.name = name
