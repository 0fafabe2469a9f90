"""The fuller form of the Python alternative: ranked lists fused by reciprocal ranks.

Weighted fields (whole issue; title), functions as documents of their own, path words, names that the issue uses
and the file defines, paths that the issue names, votes of past commits by their messages (title; whole issue).
With all files a ninth: what past commits changed together with the tests that are most like the issue.
Less than `agent` does: no import graph, no renames, no reasons.
"""

from __future__ import annotations

import math
import pickle
import re
import shutil
from pathlib import Path
from typing import Any, Optional
from collections.abc import Sequence

import numpy

from bm25 import BEHIND, IDENTIFIER, LISTED, Cache, Packed, Scorer, Terms, Tokenizer
from bm25 import blobs, decoded, git, issue_terms, packed, symbols, tree, weighted, with_path

STATE = "recipe.pickle"
PARTS = ("body", "chunks", "paths", "messages", "tests")
CODE_LIKE = re.compile(r"`([^`\n]+)`|\b([A-Za-z]\w*_\w+|[A-Z]?[a-z]+[A-Z]\w*|\w+(?:\.\w+)+|\w+(?=\())")
PATH = re.compile(r"[\w./-]+\.py\b")
RRF_K = 5
VOTERS, TESTS, MOST_FILES, AGE_DAYS = 200, 20, 30, 1500.0

# Of a blob: its terms, those of each function, the names it defines.
Entry = tuple[Packed, list[Packed], list[str]]
# Of a commit: parents, time, terms of its message, Python files that it changes.
Commit = tuple[list[str], int, Packed, list[str]]


def entry(data: bytes, tokenizer: Tokenizer) -> Entry:
    """What the index needs of a blob."""
    text = decoded(data)
    found = symbols(text)
    lines = text.split("\n")
    chunks = [packed(tokenizer.text("\n".join(lines[first - 1 : last]))) for first, last in found.functions]
    return weighted(text, found, tokenizer), chunks, found.classes + found.others


def log(repo: Path, rev: str, known: Sequence[str], tokenizer: Tokenizer) -> dict[str, Commit]:
    """Commits that `rev` reaches and `known` do not."""
    out = git(
        repo, "log", "-z", "--name-only", "--no-renames", "--format=%x01%H%x00%P%x00%ct%x00%s %B%x00", "--stdin",
        stdin="\n".join([rev, *(f"^{commit}" for commit in known)]).encode(),
    )
    commits: dict[str, Commit] = {}
    for record in out.decode("utf-8", "replace").split("\x01")[1:]:
        commit, parents, when, message, *names = record.split("\0")
        message = re.sub(r"(?im)^(signed-off|co-authored)-by:.*$", "", message)
        files = [name.lstrip("\n") for name in names if name.endswith(".py")]
        commits[commit.strip()] = (parents.split(), int(when), packed(tokenizer.text(message)), files)
    return commits


def history(repo: Path, rev: str, folder: Optional[Path], tokenizer: Tokenizer) -> list[Commit]:
    """Ancestors of a commit, itself included. The cache grows by what it lacks."""
    commits: dict[str, Commit] = {}
    tips: list[str] = []
    kept = folder / "history.pickle" if folder else None
    if kept is not None and kept.exists():
        with kept.open("rb") as file:
            commits, tips = pickle.load(file)
    commit = git(repo, "rev-parse", rev).decode().strip()
    if commit not in commits:
        commits.update(log(repo, commit, tips, tokenizer))
        tips.append(commit)
        if kept is not None:
            with kept.open("wb") as file:
                pickle.dump((commits, tips), file, pickle.HIGHEST_PROTOCOL)
    reached: set[str] = set()
    left = [commit]
    while left:
        at = left.pop()
        if at not in reached and at in commits:
            reached.add(at)
            left.extend(commits[at][0])
    return [value for key, value in commits.items() if key in reached]


def fused(lists: Sequence[numpy.ndarray]) -> numpy.ndarray:
    """Sum of (k + 1) / (k + 1 + rank); equal scores share the best rank, no score adds nothing."""
    total = numpy.zeros(len(lists[0]))
    for scores in lists:
        ascending = numpy.sort(scores)
        rank = len(scores) - numpy.searchsorted(ascending, scores, side="right")
        total += numpy.where(scores > 0, (RRF_K + 1) / (RRF_K + 1 + rank), 0.0)
    return total


class Recipe:
    """The index of one commit."""

    def __init__(self, state: dict[str, Any], scorers: dict[str, Scorer]) -> None:
        self.state, self.scorers = state, scorers

    @classmethod
    def build(cls, repo: Path, rev: str, folder: Optional[Path], tokenizer: Tokenizer, all_files: bool) -> "Recipe":
        everything = sorted(tree(repo, rev))
        files = [file for file in everything if not BEHIND.search(file[0])]
        others = [file for file in everything if BEHIND.search(file[0])] if all_files else []
        cache = Cache(folder, "recipe")
        wanted = list(dict.fromkeys(blob for _, blob in [*files, *others]))
        entries = cache.load(wanted)
        new = {blob: entry(data, tokenizer) for blob, data in blobs(repo, [blob for blob in wanted if blob not in entries])}
        cache.store(new)
        entries.update(new)
        past = [commit for commit in history(repo, rev, folder, tokenizer) if 0 < len(commit[3]) <= MOST_FILES]
        place = {path: at for at, (path, _) in enumerate(files)}
        paths = [path for path, _ in files]
        owners = [at for at, (_, blob) in enumerate(files) for _ in entries[blob][1]]
        names: dict[str, list[int]] = {}
        for at, (_, blob) in enumerate(files):
            for name in dict.fromkeys(entries[blob][2]):
                names.setdefault(name, []).append(at)
        scorers = {name: Scorer("bm25s", []) for name in PARTS}
        scorers["body"].build([with_path(entries[blob][0], path, tokenizer) for path, blob in files])
        scorers["chunks"].build([dict(zip(*chunk)) for _, blob in files for chunk in entries[blob][1]])
        scorers["paths"].build([with_path(((), ()), path, tokenizer) for path in paths])
        scorers["messages"].build([dict(zip(*commit[2])) for commit in past])
        scorers["tests"].build([with_path(entries[blob][0], path, tokenizer) for path, blob in others])
        for name, count in zip(PARTS, (len(files), len(owners), len(files), len(past), len(others))):
            scorers[name].paths = [""] * count
        votes = [(when, len(touched), [place[path] for path in touched if path in place]) for _, when, _, touched in past]
        other_place = {path: at for at, (path, _) in enumerate(others)}
        beside: dict[int, list[int]] = {}
        for at, (_, _, _, touched) in enumerate(past):
            for path in touched:
                if path in other_place:
                    beside.setdefault(other_place[path], []).append(at)
        return cls({"paths": paths, "owners": owners, "names": names, "votes": votes, "beside": beside}, scorers)

    def voted(self, query: Terms, now: int) -> numpy.ndarray:
        """Files of the past commits whose messages are most like the query."""
        out = numpy.zeros(len(self.state["paths"]))
        scores = self.scorers["messages"].scores(query)
        best = float(scores.max(initial=0.0))
        for at in numpy.argsort(-scores, kind="stable")[:VOTERS]:
            if scores[at] <= 0:
                break
            when, count, touched = self.state["votes"][at]
            weight = (scores[at] / best) ** 3 * math.exp(-max(0, now - when) / 86400 / AGE_DAYS) / math.sqrt(count)
            for file in touched:
                out[file] += weight
        return out

    def with_tests(self, query: Terms, now: int) -> numpy.ndarray:
        """Files that past commits changed together with the tests most like the query, by the root of their changes."""
        out, churn = numpy.zeros(len(self.state["paths"])), numpy.full(len(self.state["paths"]), 3.0)
        for _, _, touched in self.state["votes"]:
            churn[touched] += 1
        scores = self.scorers["tests"].scores(query)
        for test in numpy.argsort(-scores, kind="stable")[:TESTS]:
            for at in self.state["beside"].get(int(test), ()) if scores[test] > 0 else ():
                when, _, touched = self.state["votes"][at]
                out[touched] += math.exp(-max(0, now - when) / 86400 / AGE_DAYS)
        return out / numpy.sqrt(churn)

    def ranked(self, issue: str, tokenizer: Tokenizer) -> list[str]:
        paths, owners = self.state["paths"], numpy.asarray(self.state["owners"], dtype=numpy.int64)
        whole = issue_terms(issue, tokenizer)
        title = tokenizer.text(issue.lstrip().partition("\n")[0])
        code = " ".join("".join(match) for match in CODE_LIKE.findall(issue))
        chunks = numpy.zeros(len(paths))
        numpy.maximum.at(chunks, owners, self.scorers["chunks"].scores(tokenizer.text(code)))
        names = numpy.zeros(len(paths))
        for name in set(IDENTIFIER.findall(code)):
            files = self.state["names"].get(name, ())
            for file in files:
                names[file] = max(names[file], math.log(1 + len(paths) / len(files)))
        mentions = numpy.zeros(len(paths))
        for mention in set(PATH.findall(issue)):
            parts = mention.lstrip("./").split("/")
            while parts:
                found = [at for at, path in enumerate(paths) if ("/" + path).endswith("/" + "/".join(parts))]
                if found:
                    mentions[found] += 1 / len(found)
                    break
                parts = parts[1:]
        now = max((vote[0] for vote in self.state["votes"]), default=0)
        body = self.scorers["body"]
        total = fused([
            body.scores(whole), body.scores(title), chunks, self.scorers["paths"].scores(whole), names, mentions,
            self.voted(title, now), self.voted(whole, now), self.with_tests(whole, now),
        ])
        return [paths[at] for at in numpy.argsort(-total, kind="stable")[:LISTED] if total[at] > 0]

    def save(self, folder: Path) -> None:
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        for name, scorer in self.scorers.items():
            scorer.save(part / name)
        with (part / STATE).open("wb") as file:
            pickle.dump(self.state, file, pickle.HIGHEST_PROTOCOL)
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)

    @classmethod
    def load(cls, folder: Path) -> "Recipe":
        with (folder / STATE).open("rb") as file:
            state = pickle.load(file)
        return cls(state, {name: Scorer.load(folder / name) for name in PARTS})
