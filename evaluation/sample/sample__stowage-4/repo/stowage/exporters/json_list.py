"""Pins as a JSON list, for other tools."""

import json


def export(lock, dev=False):
    """Objects with ``name``, ``version`` and ``requires``, dependencies first."""
    items = [
        {"name": pin.name, "version": str(pin.version), "requires": list(pin.requires)}
        for pin in lock.selected(dev)
    ]
    return json.dumps(items, indent=2) + "\n"
