"""Tables of contents."""

from .nodes import Heading, Quote
from .text import plain_text


def outline(document):
    """``(level, text, anchor)`` of each heading, in order."""
    return list(_headings(document.children))


def _headings(blocks):
    for block in blocks:
        if isinstance(block, Heading):
            yield block.level, plain_text(block.text), block.anchor
        elif isinstance(block, Quote):
            yield from _headings(block.children)


def outline_text(document):
    """The outline for a terminal."""
    return "".join(
        "{}{}  #{}\n".format("  " * (level - 1), text, anchor)
        for level, text, anchor in outline(document)
    )
