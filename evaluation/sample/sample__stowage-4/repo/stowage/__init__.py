"""Resolve dependencies against an offline index and lock them."""

from .errors import ConflictError, FormatError, StowageError, UnknownPackage
from .index import Index
from .lockfile import Lock, Pin
from .project import Project
from .requirements import Requirement, normal_name
from .resolver import resolve
from .versions import Version

__version__ = "0.4.0"

__all__ = [
    "ConflictError",
    "FormatError",
    "Index",
    "Lock",
    "Pin",
    "Project",
    "Requirement",
    "StowageError",
    "UnknownPackage",
    "Version",
    "normal_name",
    "resolve",
]
