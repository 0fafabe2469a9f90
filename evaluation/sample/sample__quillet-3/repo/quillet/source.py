"""Preparing source text for the block parser."""

import re

_LINE_END = re.compile(r"\r\n?")
_TRAILING = re.compile(r"[ \t]+$", re.MULTILINE)
_BLANK_RUN = re.compile(r"\n{3,}")


def normalise(text):
    """Bring text into the form that the parser works on.

    Line ends become newlines, a byte order mark and blanks at the ends of lines
    go, and the text ends with exactly one newline unless it is empty.
    """
    text = _LINE_END.sub("\n", text.lstrip("\ufeff"))
    text = _TRAILING.sub("", text)
    text = _BLANK_RUN.sub("\n\n", text)
    text = text.strip("\n")
    return text + "\n" if text else ""


def expand_tabs(line):
    """Leading tabs as four columns; tabs further right are left alone."""
    body = line.lstrip(" \t")
    return line[: len(line) - len(body)].expandtabs(4) + body
