"""From source text to the document tree."""

import re

from .errors import NestingError
from .nodes import Code, Document, Heading, ListBlock, Paragraph, Quote, Rule
from .source import expand_tabs, normalise
from .text import plain_text, slug

MAX_DEPTH = 20

_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})\s*([\w+.#-]*)[^`]*$")
_RULE = re.compile(r" {0,3}([-*_])(\s*\1){2,}$")
_ITEM = re.compile(r" {0,3}(?:([-*+])|\d{1,9}[.)])\s+(.*)$")
_QUOTE = re.compile(r" {0,3}> ?(.*)$")


def parse(source):
    """The tree of a document."""
    document = Document(_blocks(normalise(source).split("\n")[:-1], 0))
    _number_anchors(document.children, {})
    return document


def _blocks(lines, depth):
    if depth > MAX_DEPTH:
        raise NestingError("quotations are nested more than {} deep".format(MAX_DEPTH))
    blocks = []
    position = 0
    while position < len(lines):
        line = expand_tabs(lines[position])
        if not line:
            position += 1
            continue
        for reader in (_fence, _heading, _rule, _list, _quote):
            found = reader(lines, position, depth)
            if found is not None:
                break
        else:
            found = _paragraph(lines, position)
        block, position = found
        blocks.append(block)
    return blocks


def _fence(lines, position, depth):
    opening = _FENCE.match(lines[position])
    if opening is None:
        return None
    mark, language = opening.groups()
    body = []
    for end in range(position + 1, len(lines)):
        candidate = lines[end].strip()
        if len(candidate) >= len(mark) and set(candidate) == {mark[0]}:
            break
        body.append(lines[end])
    else:
        end = len(lines)
    return Code("".join(line + "\n" for line in body), language), end + 1


def _heading(lines, position, depth):
    found = _HEADING.match(lines[position])
    if found is None:
        return None
    return Heading(len(found[1]), found[2]), position + 1


def _rule(lines, position, depth):
    return None if _RULE.match(lines[position]) is None else (Rule(), position + 1)


def _list(lines, position, depth):
    first = _ITEM.match(expand_tabs(lines[position]))
    if first is None:
        return None
    block = ListBlock(ordered=first[1] is None)
    while position < len(lines) and lines[position]:
        line = expand_tabs(lines[position])
        item = _ITEM.match(line)
        if item is not None and (item[1] is None) == block.ordered:
            block.items.append(item[2])
        elif item is None and line.startswith("  "):
            block.items[-1] += "\n" + line.strip()
        else:
            break
        position += 1
    return block, position


def _quote(lines, position, depth):
    inner = []
    while position < len(lines):
        found = _QUOTE.match(lines[position])
        if found is None:
            break
        inner.append(found[1])
        position += 1
    return (Quote(_blocks(inner, depth + 1)), position) if inner else None


def _paragraph(lines, position):
    text = []
    while position < len(lines) and lines[position]:
        if text and any(p.match(lines[position]) for p in (_FENCE, _HEADING, _RULE, _QUOTE)):
            break
        text.append(expand_tabs(lines[position]).strip())
        position += 1
    return Paragraph("\n".join(text)), position


def _number_anchors(blocks, seen):
    for block in blocks:
        if isinstance(block, Heading):
            base = slug(plain_text(block.text)) or "section"
            seen[base] = seen.get(base, 0) + 1
            block.anchor = base if seen[base] == 1 else "{}-{}".format(base, seen[base])
        elif isinstance(block, Quote):
            _number_anchors(block.children, seen)
