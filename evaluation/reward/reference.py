"""SWE-RL's reward in plain Python: a second implementation, written from the description of its
behaviour, that `parity.py` and `bench.py` hold `agent reward` against.

It needs the package `unidiff` for cases with diffs, and nothing else but the standard library.
"""

import difflib
import json
import re

TAGS = ("<think>", "</think>", "<solution>", "</solution>")
EDIT = re.compile(
    r"```.*?\n### (.*)\n<<<<<<< SEARCH\n([\s\S]*?)\n=======\n([\s\S]*?)\n>>>>>>> REPLACE\n```"
)


class FormatError(Exception):
    """The answer gets -1."""


def between(text, start, end):
    return text.split(start, 1)[1].split(end, 1)[0]


def solution(output):
    for tag in TAGS:
        if output.count(tag) != 1:
            raise FormatError(tag)
    if not between(output, "<think>", "</think>").strip():
        raise FormatError("no thought")
    return between(output, "<solution>", "</solution>")


def new_contents(context, output):
    edits = {}
    for path, search, replace in EDIT.findall(solution(output)):
        edits.setdefault(path, []).append((search, replace))
    if not edits:
        raise FormatError("no edit")
    contents = {}
    for path, pairs in edits.items():
        content = "\n" + context.get(path, "")
        for search, replace in pairs:
            if search == replace or "\n" + search not in content:
                raise FormatError(path)
            content = content.replace("\n" + search, "\n" + replace)
        contents[path] = content[1:]
    return contents


def change(old, new):
    diff = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=3)
    return "\n".join(list(diff)[2:])


def changes(context, contents):
    texts = {path: change(context.get(path, ""), new) for path, new in contents.items()}
    return {path: text for path, text in texts.items() if text}


def bare(path):
    return path[2:] if re.match(r"[abciow12]/", path) else path


def diff_changes(patches):
    import unidiff

    texts = {}
    for patch in patches:
        try:
            files = unidiff.PatchSet(patch)
        except Exception:  # whatever the library raises, the text contributes nothing
            continue
        for file in files:
            if file.is_binary_file:
                continue
            parts = [str(hunk).strip() for hunk in file]
            path = file.path
            if file.is_rename:
                path = bare(file.source_file)
                parts.insert(0, f"rename from {path} to {bare(file.target_file)}")
            texts[path] = "\n".join(parts)
    return texts


def similarity(pred, oracle, matcher=difflib.SequenceMatcher):
    if not pred or not oracle:
        return 0.0
    return matcher(None, pred, oracle, autojunk=False).ratio()


def mean(pred, oracle, matcher):
    paths = sorted(set(pred) | set(oracle))
    found = {p: similarity(pred.get(p, ""), oracle.get(p, ""), matcher) for p in paths}
    return (sum(found.values()) / len(found) if found else 1.0), found


def reward(case, matcher=difflib.SequenceMatcher):
    """The reward, and the similarity of each path."""
    if "pred_patches" in case:
        pred = diff_changes(case["pred_patches"])
        return mean(pred, diff_changes(case["oracle_patches"]), matcher)
    context = case["code_context"]
    if "output" in case:
        try:
            contents = new_contents(context, case["output"])
        except FormatError:
            return -1.0, {}
    else:
        contents = case["pred_new_content"]
    oracle = changes(context, case["oracle_new_content"])
    return mean(changes(context, contents), oracle, matcher)


def read_jsonl(path):
    with open(path, encoding="utf-8", newline="\n") as lines:
        return [json.loads(line) for line in lines]
