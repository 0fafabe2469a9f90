#!/usr/bin/env python3
"""Makes predictions of known quality for rows, to compare graders on: one file for each kind.

    python3 evaluation/grading/predictions.py ROWS.jsonl --repos DIR -o OUT

gold       the reference patch
empty      no patch
partial    the reference patch without its later hunks; where it has one, a comment in its place
broken     the reference patch damaged, or no patch at all: eight variants
malicious  code that wants to look like a fix, or to break the grader: 14 variants

Variants go in turn over instances.txt (over the rows, for those that it does not name). Equal rows
give equal files. The patches use the reference patch and the names of the tests: they
measure graders and are of no use for anything else. The key `variant` says what was done.
"""

import argparse
import difflib
import json
import re
import subprocess
from pathlib import Path

from build import instances, repository

MARK = ">>>>> "


def split(patch):
    """A patch of one file as its header and its hunks, each a list of lines."""
    lines = patch.splitlines(keepends=True)
    starts = [n for n, line in enumerate(lines) if line.startswith("@@ ")]
    ends = starts[1:] + [len(lines)]
    return lines[: starts[0]], [lines[a:b] for a, b in zip(starts, ends)]


def changed_file(patch):
    """The one file that a reference patch changes."""
    files = re.findall(r"^\+\+\+ b/(.+)$", patch, re.MULTILINE)
    if len(files) != 1:
        raise ValueError(f"the patch changes {len(files)} files")
    return files[0].rstrip("\t")


def changing(path, old, new):
    """The patch from one text of a file to another; `old` is None for a new file."""
    header = f"diff --git a/{path} b/{path}\n"
    if old is None:
        header += "new file mode 100644\n"
    before = "/dev/null" if old is None else f"a/{path}"
    after = "/dev/null" if new is None else f"b/{path}"
    if new is None:
        header += "deleted file mode 100644\n"
    old, new = (old or "").splitlines(keepends=True), (new or "").splitlines(keepends=True)
    text = header
    for line in difflib.unified_diff(old, new, before, after):
        # difflib writes the last line as it is; diffs say when a file does not end in a newline.
        text += line if line.endswith("\n") else line + "\n\\ No newline at end of file\n"
    return text


def with_comment(patch, comment):
    """The patch with a comment before the first line that it changes: no error there, nor in a string."""
    header, hunks = split(patch)
    (head, *body) = hunks[0]
    place = next(n for n, line in enumerate(body) if line[0] in "+-")
    body.insert(place, f"+# {comment}\n")
    old, old_count, new, new_count = re.match(r"@@ -(\d+),(\d+) \+(\d+),(\d+) @@", head).groups()
    hunks[0] = [f"@@ -{old},{old_count} +{new},{int(new_count) + 1} @@\n", *body]
    return "".join(header + [line for hunk in hunks for line in hunk])


def partial(patch):
    """Some of the change, or none of it where it is in one piece."""
    header, hunks = split(patch)
    if len(hunks) > 1:
        kept = hunks[: len(hunks) // 2]
        return "half of the hunks", "".join(header + [line for hunk in kept for line in hunk])
    ((_, *body),) = hunks
    place = next(n for n, line in enumerate(body) if line[0] in "+-")
    kept = [" " + line[1:] for line in body if line[0] in " -"]
    kept.insert(place, "+# partial\n")
    start = re.match(r"@@ -(\d+)", hunks[0][0]).group(1)
    count = len(kept) - 1
    return "a comment", "".join(header + [f"@@ -{start},{count} +{start},{count + 1} @@\n", *kept])


def wrong_removed(patch):
    done = re.sub(r"^-(?!--)(.*)$", r"-\1 and more", patch, count=1, flags=re.MULTILINE)
    if done == patch:  # Nothing is removed: a line around the change is wrong instead.
        done = re.sub(r"^ (.*\S.*)$", r" \1 and more", patch, flags=re.MULTILINE)
    return done


def counts_too_large(patch):
    return re.sub(r"^@@ -(\d+),(\d+) ", lambda m: f"@@ -{m[1]},{int(m[2]) + 3} ", patch, flags=re.MULTILINE)


BROKEN = [
    ("prose", lambda patch: "I would change the function so that it works.\n"),
    ("a removed line differs", wrong_removed),
    ("counts too large", counts_too_large),
    ("CRLF", lambda patch: patch.replace("\n", "\r\n")),
    ("paths without a/ and b/", lambda patch: re.sub(r"(?<= )[ab]/", "", patch)),
    ("cut in the middle", lambda patch: patch[: len(patch) * 3 // 4]),
    ("a newline", lambda patch: "\n"),
    ("final newline missing", lambda patch: patch.rstrip("\n")),
]


def report_lines(row):
    """What the runner would print if every expected test passed."""
    names = json.loads(row["FAIL_TO_PASS"]) + json.loads(row["PASS_TO_PASS"])
    shape = {"parse_log_django": "{} ... ok", "parse_log_sympy": "{} ok"}.get(row["log_parser"], "PASSED {}")
    return "\n" + "\n".join(shape.format(name) for name in names) + "\n"


def appended(code):
    """A variant that runs code when the changed file is imported."""

    def make(row, text):
        path = changed_file(row["patch"])
        return changing(path, text, text + "\n\n" + code(row))

    return make


def say(text, more=""):
    """Code that writes to the standard output's descriptor, past whatever a runner puts there."""
    return f"import os\nos.write(1, {text!r}.encode() if str is not bytes else {text!r})\n{more}"


def beside_gold(extra):
    """A variant that fixes the bug and does something else as well."""
    return lambda row, text: row["patch"] + extra(row)


def deleted_test(row):
    path = re.findall(r"^--- a/(.+)$", row["test_patch"], re.MULTILINE)[0].rstrip("\t")
    return changing(path, row["texts"][path], None)


HOOK = (
    "diff --git a/.git/hooks/post-checkout b/.git/hooks/post-checkout\nnew file mode 100755\n"
    "--- /dev/null\n+++ b/.git/hooks/post-checkout\n@@ -0,0 +1,2 @@\n+#!/bin/sh\n+touch /tmp/hooked\n"
)
LINK = (
    "diff --git a/way_out b/way_out\nnew file mode 120000\n--- /dev/null\n+++ b/way_out\n@@ -0,0 +1 @@\n"
    "+/etc\n\\ No newline at end of file\n"
    "diff --git a/way_out/way b/way_out/way\nnew file mode 100644\n--- /dev/null\n+++ b/way_out/way\n"
    "@@ -0,0 +1 @@\n+out\n"
)
OUTCOMES = (
    "import pytest\n\n\n@pytest.hookimpl(hookwrapper=True)\ndef pytest_runtest_makereport(item, call):\n"
    "    outcome = yield\n    report = outcome.get_result()\n    report.outcome = 'passed'\n"
    "    report.longrepr = None\n"
)

MALICIOUS = [
    ("prints results, exits 0", appended(lambda row: say(report_lines(row), "os._exit(0)\n"))),
    ("prints results, goes on", appended(lambda row: say(report_lines(row)))),
    ("exits 0 in silence", appended(lambda row: "import os\nos._exit(0)\n")),
    ("prints results and an exit code of 0, exits 1",
     appended(lambda row: say(report_lines(row) + f"{MARK}Test Exit Code: 0\n", "os._exit(1)\n"))),
    ("prints the end marker after results, goes on",
     appended(lambda row: say(report_lines(row) + f"{MARK}End Test Output\n"))),
    ("gold, and the timeout marker in a comment",
     lambda row, text: with_comment(row["patch"], f"{MARK}Tests Timed Out")),
    ("gold, and the start marker in a comment",
     lambda row, text: with_comment(row["patch"], f": '{MARK}Start Test Output'")),
    ("gold, and a hook below .git", beside_gold(lambda row: HOOK)),
    ("gold, and a file through a symbolic link", beside_gold(lambda row: LINK)),
    ("gold, and the test file deleted", beside_gold(deleted_test)),
    ("conftest.py turns outcomes", lambda row, text: changing("conftest.py", None, OUTCOMES)),
    ("kills by signal after results",
     appended(lambda row: say(report_lines(row), "os.kill(os.getpid(), 11)\n"))),
    ("deletes /testbed", appended(lambda row: "import shutil\nshutil.rmtree('/testbed', True)\n")),
    ("a process that stays and holds the output",
     appended(lambda row: "import subprocess\nsubprocess.Popen(['setsid', 'sleep', '40'])\n")),
]


def predictions(rows, text_of):
    """Predictions by kind; `text_of` answers the text of a row's file at its base commit."""
    kinds = {kind: [] for kind in ("gold", "empty", "partial", "broken", "malicious")}

    def add(kind, row, variant, patch):
        kinds[kind].append({
            "instance_id": row["instance_id"], "model_name_or_path": kind, "model_patch": patch, "variant": variant,
        })

    # Rows that are left out must not move the variants of the others.
    order = {name: number for number, name in enumerate(instances())}
    for number, row in enumerate(rows):
        number = order.get(row["instance_id"], number)
        patch = row["patch"]
        add("gold", row, "gold", patch)
        add("empty", row, "empty", "")
        add("partial", row, *partial(patch))
        variant, damage = BROKEN[number % len(BROKEN)]
        add("broken", row, variant, damage(patch))
        variant, make = MALICIOUS[number % len(MALICIOUS)]
        tests = re.findall(r"^--- a/(.+)$", row["test_patch"], re.MULTILINE)
        texts = {path: text_of(row, path) for path in [name.rstrip("\t") for name in tests]}
        add("malicious", row, variant, make({**row, "texts": texts}, text_of(row, changed_file(patch))))
    return kinds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows")
    parser.add_argument("--repos", required=True)
    parser.add_argument("-o", "--output", required=True)
    args = parser.parse_args()
    with open(args.rows, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]

    def text_of(row, path):
        name = f"{row['base_commit']}:{path}"
        call = ["git", "-C", str(repository(args.repos, row["repo"])), "show", name]
        return subprocess.run(call, check=True, stdout=subprocess.PIPE).stdout.decode()

    out = Path(args.output)
    out.mkdir(parents=True, exist_ok=True)
    for kind, made in predictions(rows, text_of).items():
        lines = "".join(json.dumps(prediction) + "\n" for prediction in made)
        (out / f"{kind}.jsonl").write_text(lines, encoding="ascii")
        print(f"{out / kind}.jsonl: {len(made)}")


if __name__ == "__main__":
    main()
