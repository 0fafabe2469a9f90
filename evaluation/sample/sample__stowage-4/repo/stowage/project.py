"""The project whose dependencies are locked."""

import json
from dataclasses import dataclass
from typing import Tuple

from .errors import FormatError
from .requirements import Requirement


@dataclass(frozen=True)
class Project:
    """A name and two lists of requirements."""

    name: str
    requires: Tuple[Requirement, ...] = ()
    dev_requires: Tuple[Requirement, ...] = ()

    @classmethod
    def from_dict(cls, data):
        """A project from its JSON form."""
        try:
            name = data["name"]
        except (KeyError, TypeError):
            raise FormatError("the project has no name") from None
        return cls(
            name,
            tuple(Requirement.parse(text) for text in data.get("requires", ())),
            tuple(Requirement.parse(text) for text in data.get("dev_requires", ())),
        )

    @classmethod
    def load(cls, path):
        """Read a project file."""
        with open(path, encoding="utf-8") as stream:
            try:
                return cls.from_dict(json.load(stream))
            except ValueError as error:
                raise FormatError("{}: {}".format(path, error)) from error
