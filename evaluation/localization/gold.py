"""Lines of the base commit that reference patches of SWE-bench rows change, for the evaluators here.

Only evaluators may import this: `patch` is what a fix changed, and no stage of `agent` ever sees it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

HUNK = re.compile(r"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


def rows(path: str | Path) -> list[dict]:
    """The rows of a .jsonl or .json dataset."""
    text = Path(path).read_text(encoding="utf-8")
    if text.lstrip().startswith("["):
        return json.loads(text)
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def gold_lines(patch: str) -> dict[str, set[int]]:
    """Old-side lines that a diff touches, by path; files that the diff creates are left out.

    A removed or replaced line counts itself; lines that are only inserted count the two lines
    between which they stand (one at a border of the file).
    """
    gold: dict[str, set[int]] = {}
    old_path: str | None = None
    before = after = 0
    line = 0
    inserted = removed = False
    # Where the present run of changed lines began, in lines of the old side.
    for text in patch.split("\n"):
        if before > 0 or after > 0:
            mark = text[:1]
            if mark == "\\":
                continue
            if mark == "-":
                before -= 1
                removed = True
                if old_path is not None:
                    gold[old_path].add(line)
                line += 1
            elif mark == "+":
                after -= 1
                inserted = True
            else:
                if inserted and not removed and old_path is not None:
                    gold[old_path].update(n for n in (line - 1, line) if n > 0)
                inserted = removed = False
                before -= 1
                after -= 1
                line += 1
            if before <= 0 and after <= 0 and inserted and not removed and old_path is not None:
                # A run of insertions at the end of a hunk without context.
                gold[old_path].update(n for n in (line - 1,) if n > 0)
            continue
        if text.startswith("--- "):
            name = text[4:].split("\t")[0].strip()
            old_path = None if name == "/dev/null" else name.removeprefix("a/")
            if old_path is not None:
                gold.setdefault(old_path, set())
        elif match := HUNK.match(text):
            line = int(match[1])
            before = int(match[2]) if match[2] is not None else 1
            after = int(match[4]) if match[4] is not None else 1
            if before == 0:
                # `-12,0` names the line before the insertion.
                line += 1
            inserted = removed = False
    return gold
