"""The document tree. Text in it is source text: neither inline markup nor escapes are resolved."""

from dataclasses import dataclass, field
from typing import List


@dataclass
class Node:
    """Base class of blocks."""


@dataclass
class Document(Node):
    """A whole text."""

    children: List[Node] = field(default_factory=list)


@dataclass
class Heading(Node):
    """``level`` runs from 1 to 6; ``anchor`` is unique within the document."""

    level: int
    text: str
    anchor: str = ""


@dataclass
class Paragraph(Node):
    """Lines are joined by newlines."""

    text: str


@dataclass
class Code(Node):
    """``text`` ends with a newline unless it is empty."""

    text: str
    language: str = ""


@dataclass
class Quote(Node):
    """Holds blocks of its own."""

    children: List[Node] = field(default_factory=list)


@dataclass
class ListBlock(Node):
    """``items`` are inline texts."""

    ordered: bool
    items: List[str] = field(default_factory=list)


@dataclass
class Rule(Node):
    """A thematic break."""
