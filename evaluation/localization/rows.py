"""Reads what is evaluated: gold files of SWE-bench rows, ranked lists, run directories.

Everything that is wrong with a file is a `BadInput` whose message begins with the file, and the line where there is one.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional
from collections.abc import Iterator


class BadInput(Exception):
    """What is wrong, where, and what mends it."""


@dataclass(frozen=True)
class Changed:
    """Files of a patch: those that exist before it, and those that it creates."""

    old: tuple[str, ...]
    created: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """What the evaluation needs of one SWE-bench row."""

    instance_id: str
    repo: str
    gold: tuple[str, ...]
    created: tuple[str, ...]
    row: dict[str, object]


@dataclass
class Lists:
    """Ranked lists of one run by instance, with what is worth saying about them."""

    name: str
    path: Path
    ranked: dict[str, list[str]] = field(default_factory=dict)
    where: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


HUNK = re.compile(r"^@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
NOTHING = "/dev/null"
ESCAPES = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, '"': 34, "\\": 92}
QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')


def unquoted(text: str) -> str:
    """A path as git writes it: plain, or in C's quotes with octal escapes of UTF-8 bytes."""
    if not (len(text) >= 2 and text[0] == text[-1] == '"'):
        return text
    out = bytearray()
    at, inner = 0, text[1:-1]
    while at < len(inner):
        if inner[at] != "\\":
            out += inner[at].encode("utf-8", "surrogateescape")
            at += 1
        elif re.match(r"[0-7]{3}", inner[at + 1 : at + 4]):
            out.append(int(inner[at + 1 : at + 4], 8) & 255)
            at += 4
        else:
            code = inner[at + 1 : at + 2]
            out += bytes([ESCAPES[code]]) if code in ESCAPES else code.encode("utf-8", "surrogateescape")
            at += 2
    return out.decode("utf-8", "surrogateescape")


def header_path(text: str) -> str:
    """The path of a `---` or `+++` line: up to the tab before a time stamp, unquoted."""
    quoted = QUOTED.match(text)
    return unquoted(quoted.group()) if quoted else text.split("\t", 1)[0]


def both_sides(text: str) -> tuple[str, str]:
    """The two paths of a `diff --git` line. Unquoted paths with blanks are told apart by being equal."""
    quoted = QUOTED.match(text)
    if quoted:
        return unquoted(quoted.group()), unquoted(text[quoted.end() :].lstrip(" "))
    if text.endswith('"') and ' "' in text:
        old, new = text.split(' "', 1)
        return old, unquoted('"' + new)
    middle = len(text) // 2
    if len(text) % 2 and text[middle] == " " and without_prefix(text[:middle]) == without_prefix(text[middle + 1 :]):
        return text[:middle], text[middle + 1 :]
    old, _, new = text.partition(" ")
    return old, new


def without_prefix(path: str) -> str:
    """Takes `a/`, `b/` off, or what diff.mnemonicPrefix writes in their place."""
    return path[2:] if re.match(r"[abciwo]/", path) else path


class Section:
    """The part of a diff about one file."""

    def __init__(self, git: Optional[str] = None) -> None:
        self.sides: Optional[tuple[str, str]] = both_sides(git) if git is not None else None
        self.renamed: Optional[str] = None
        self.marked = False
        self.made = False

    def paths(self, old: str, new: str) -> None:
        """From `---` and `+++`, which say more than the `diff --git` line."""
        self.sides, self.marked = (old, new), True

    def result(self) -> Optional[tuple[str, bool]]:
        """The path, and whether the patch creates it."""
        if self.sides is None:
            return None
        old, new = self.sides
        # Prefixes always differ, so equal sides were written without any (diff.noprefix).
        strip = (lambda path: path) if old == new else without_prefix
        if self.made or old == NOTHING:
            return strip(new), True
        return self.renamed or strip(old), False


def changed(patch: str) -> Changed:
    """Old-side paths of a diff in its order, each once; paths that the patch creates apart.

    A renamed or deleted file counts by its old path, a copy as created. Lines inside hunks are counted off,
    so that a removed line `-- x` is not taken for a header.
    """
    sections: list[Section] = []
    lines = patch.split("\n")
    old_left = new_left = 0
    for at, line in enumerate(lines):
        if old_left > 0 or new_left > 0:
            kind = line[:1]
            if kind in ("", " ", "\r", "-", "+", "\\"):
                old_left -= kind not in ("+", "\\")
                new_left -= kind not in ("-", "\\")
                continue
            old_left = new_left = 0
        line = line.rstrip("\r")
        section = sections[-1] if sections else None
        hunk = HUNK.match(line)
        if hunk:
            old_left, new_left = (int(count) if count else 1 for count in hunk.groups())
        elif line.startswith("diff --git "):
            sections.append(Section(line[len("diff --git ") :]))
        elif line.startswith("--- ") and at + 1 < len(lines) and lines[at + 1].startswith("+++ "):
            if section is None or section.marked:
                section = Section()
                sections.append(section)
            section.paths(header_path(line[4:]), header_path(lines[at + 1].rstrip("\r")[4:]))
        elif section is not None and not section.marked:
            if line.startswith("rename from "):
                section.renamed = unquoted(line[len("rename from ") :])
            elif line.startswith(("new file mode ", "copy from ")):
                section.made = True
    found = [result for result in (section.result() for section in sections) if result]

    def paths(made: bool) -> tuple[str, ...]:
        return tuple(dict.fromkeys(path for path, is_made in found if is_made == made))

    return Changed(paths(False), paths(True))


def text_of(path: Path) -> str:
    """The file's text; undecodable bytes are an error that names the byte."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: not UTF-8 at byte {error.start}") from error


def json_lines(path: Path, text: str) -> Iterator[tuple[str, dict[str, object]]]:
    """The objects of a .jsonl file, each with `file:line`. Only line feeds end a line."""
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            value = json.loads(line)
        except ValueError as error:
            raise BadInput(f"{where}: no JSON: {error}") from error
        if not isinstance(value, dict):
            raise BadInput(f"{where}: expected an object, found {type(value).__name__}")
        yield where, value


def dataset_items(path: Path) -> Iterator[tuple[str, dict[str, object]]]:
    """The rows of .jsonl, or of .json: a list of rows, or an object of rows by instance."""
    if path.suffix == ".parquet":
        raise BadInput(f"{path}: parquet is not read here; write it as .jsonl first, one row a line")
    text = text_of(path)
    if path.suffix != ".json":
        yield from json_lines(path, text)
        return
    try:
        value = json.loads(text)
    except ValueError as error:
        raise BadInput(f"{path}: no JSON: {error}") from error
    rows = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(rows, list):
        raise BadInput(f"{path}: expected a list of rows, found {type(value).__name__}")
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise BadInput(f"{path}: row {number}: expected an object, found {type(row).__name__}")
        yield f"{path}: row {number}", row


def text_field(where: str, row: dict[str, object], name: str) -> str:
    """A field that must be a string."""
    value = row.get(name)
    if not isinstance(value, str):
        raise BadInput(f'{where}: no "{name}"' if value is None else f'{where}: "{name}" is not a string')
    return value


def load_rows(path: Path) -> list[Row]:
    """SWE-bench rows in the file's order, with their gold files."""
    rows: list[Row] = []
    seen: dict[str, str] = {}
    for where, item in dataset_items(path):
        name = text_field(where, item, "instance_id")
        if name in seen:
            raise BadInput(f"{where}: instance {name} again, first in {seen[name]}")
        seen[name] = where
        files = changed(text_field(where, item, "patch"))
        if not files.old and not files.created:
            raise BadInput(f'{where}: "patch" of {name} names no file')
        repo = item.get("repo")
        if not isinstance(repo, str):
            repo = name.rpartition("-")[0].replace("__", "/", 1)
        rows.append(Row(name, repo, files.old, files.created, item))
    if not rows:
        raise BadInput(f"{path}: no rows")
    return rows


def ranked_paths(where: str, item: dict[str, object], notes: list[str]) -> list[str]:
    """`ranked` as paths: strings, or objects with a `path`. A path that comes again keeps its first place."""
    value = item.get("ranked")
    if not isinstance(value, list):
        raise BadInput(f'{where}: no "ranked"' if value is None else f'{where}: "ranked" is not a list')
    paths: list[str] = []
    for number, entry in enumerate(value, 1):
        path = entry.get("path") if isinstance(entry, dict) else entry
        if not isinstance(path, str):
            raise BadInput(f'{where}: "ranked" entry {number} is neither a path nor an object with a "path"')
        paths.append(path)
    once = list(dict.fromkeys(paths))
    if len(once) < len(paths):
        notes.append(f"{where}: {len(paths) - len(once)} paths came again; the first place counts, later files move up")
    return once


def run_items(path: Path) -> Iterator[tuple[str, dict[str, object]]]:
    """RUN/<instance>/localization.json, as items with an instance_id."""
    files = sorted(path.glob("*/localization.json"))
    if not files:
        raise BadInput(f"{path}: no */localization.json in this directory; is it a run?")
    for file in files:
        try:
            value = json.loads(text_of(file))
        except ValueError as error:
            raise BadInput(f"{file}: no JSON: {error}") from error
        if not isinstance(value, dict):
            raise BadInput(f"{file}: expected an object, found {type(value).__name__}")
        yield str(file), {**value, "instance_id": file.parent.name}


def load_lists(path: Path) -> Lists:
    """Ranked lists of a .jsonl file or of a run directory."""
    lists = Lists(path.name if path.is_dir() else path.stem, path)
    items = run_items(path) if path.is_dir() else json_lines(path, text_of(path))
    for where, item in items:
        name = text_field(where, item, "instance_id")
        if name in lists.ranked:
            raise BadInput(f"{where}: instance {name} again, first in {lists.where[name]}")
        lists.where[name] = where
        lists.ranked[name] = ranked_paths(where, item, lists.notes)
    if not lists.ranked:
        raise BadInput(f"{path}: no lists")
    return lists
