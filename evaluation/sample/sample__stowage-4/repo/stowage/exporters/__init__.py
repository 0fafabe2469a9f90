"""Exporters: functions from a lock to text.

Each lives in a module of its own and has the signature
``export(lock, dev=False) -> str``; the text ends with a newline.
"""

from . import json_list, tree

#: Formats that the command line offers.
FORMATS = ("json", "requirements", "tree")

_EXPORTERS = {
    "json": json_list.export,
    "tree": tree.export,
}


def get_exporter(name):
    """The exporter of a format in :data:`FORMATS`."""
    return _EXPORTERS[name]
