"""Lock files: the versions that were chosen, and why they are there."""

import json
from dataclasses import dataclass
from typing import Tuple

from .errors import FormatError
from .versions import Version

FORMAT = 1


@dataclass(frozen=True)
class Pin:
    """One package; ``dev`` if only development needs it."""

    name: str
    version: Version
    requires: Tuple[str, ...] = ()
    dev: bool = False


@dataclass(frozen=True)
class Lock:
    """A resolved project; ``pins`` are in order of installation."""

    project: str
    roots: Tuple[str, ...]
    dev_roots: Tuple[str, ...]
    pins: Tuple[Pin, ...]

    def selected(self, dev=False):
        """Pins for use, or for development as well, in order of installation."""
        return [pin for pin in self.pins if dev or not pin.dev]

    def dumps(self):
        """The lock file's text."""
        data = {
            "format": FORMAT,
            "project": self.project,
            "roots": self.roots,
            "dev_roots": self.dev_roots,
            "pins": [
                {
                    "name": pin.name,
                    "version": str(pin.version),
                    "requires": pin.requires,
                    "dev": pin.dev,
                }
                for pin in self.pins
            ],
        }
        return json.dumps(data, indent=2) + "\n"

    @classmethod
    def loads(cls, text):
        """Read a lock file's text."""
        try:
            data = json.loads(text)
            if data["format"] != FORMAT:
                raise FormatError("lock format {} is not known".format(data["format"]))
            pins = tuple(
                Pin(item["name"], Version(item["version"]), tuple(item["requires"]), item["dev"])
                for item in data["pins"]
            )
            return cls(data["project"], tuple(data["roots"]), tuple(data["dev_roots"]), pins)
        except (ValueError, KeyError, TypeError) as error:
            raise FormatError("not a lock file: {!r}".format(error)) from error
