"""The offline index: which versions exist and what they need."""

import json

from .errors import FormatError
from .requirements import Requirement, normal_name
from .versions import Version


class Index:
    """Packages by normal name, each with its versions and their requirements."""

    def __init__(self, packages):
        self._packages = {}
        for name, versions in packages.items():
            self._packages[normal_name(name)] = {
                Version(text): tuple(Requirement.parse(item) for item in requires)
                for text, requires in versions.items()
            }

    @classmethod
    def load(cls, path):
        """Read an index file."""
        with open(path, encoding="utf-8") as stream:
            try:
                return cls(json.load(stream))
            except (ValueError, AttributeError, TypeError) as error:
                raise FormatError("{}: {}".format(path, error)) from error

    def __contains__(self, name):
        return name in self._packages

    def versions(self, name):
        """All versions of a package, newest first; empty if it is unknown."""
        return sorted(self._packages.get(name, ()), reverse=True)

    def requires(self, name, version):
        """Requirements of one version."""
        return self._packages[name][version]
