"""A small Markdown dialect, rendered to HTML."""

from .blocks import parse
from .errors import NestingError, QuilletError
from .html import to_html
from .outline import outline

__version__ = "0.9.4"

__all__ = ["NestingError", "QuilletError", "outline", "parse", "render", "to_html"]


def render(source):
    """HTML of a document."""
    return to_html(parse(source))
