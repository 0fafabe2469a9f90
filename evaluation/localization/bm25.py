"""What both forms of the Python alternative are made of: tokens, git, the cache of blobs, one BM25 index."""

from __future__ import annotations

import ast
import keyword
import math
import os
import pickle
import re
import sqlite3
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple, Optional
from collections.abc import Iterable, Iterator, Sequence

import numpy

IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
PART = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
DEFINITION = re.compile(r"^[ \t]*(?:async[ \t]+)?(class|def)[ \t]+([A-Za-z_]\w*)", re.MULTILINE)
BEHIND = re.compile(
    r"(^|/)(tests?|testing|docs?|examples?|benchmarks?|galleries|tutorials|asv_bench|bench)/"
    r"|(^|/)(test_[^/]*|[^/]*_test|conftest|tests)\.py$"
)
ENGLISH = (
    "a about after all also an and any are as at be because been but by can could did do does done each for from get "
    "had has have he her here his how i if in into is it its just like may me more most my no not of on one only or "
    "other our out over she should so some such than that the their them then there these they this to too two up us "
    "use used using was way we were what when where which while who why will with would you your"
)
TEMPLATE = "issue expected actual version reproduce file line error description steps output code example"
STOP = frozenset(ENGLISH.split()) | frozenset(TEMPLATE.split()) | frozenset(word.lower() for word in keyword.kwlist)

# Repetitions: names that a file defines, words of its path, the file's own name; terms of the issue's title.
CLASS_WEIGHT, FUNCTION_WEIGHT, PATH_WEIGHT, STEM_WEIGHT, TITLE_WEIGHT = 4, 3, 2, 4, 3
K1, B = 1.2, 0.75
LISTED = 100

Terms = dict[str, int]
# A blob's terms as two parallel sequences: smaller than a dict to keep and to load.
Packed = tuple[tuple[str, ...], tuple[int, ...]]


class Tokenizer:
    """Identifiers into lower-case parts, and the whole where it has several. Remembers each identifier."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[str, ...]] = {}

    def terms_of(self, identifier: str) -> tuple[str, ...]:
        terms = self.known.get(identifier)
        if terms is None:
            parts = [part.lower() for part in PART.findall(identifier)]
            kept = [part for part in parts if len(part) > 1 and part not in STOP]
            if len(parts) > 1:
                kept.append("=" + identifier.lower())
            terms = self.known[identifier] = tuple(kept)
        return terms

    def add(self, into: Terms, identifiers: Iterable[str], weight: int = 1) -> None:
        for identifier, count in Counter(identifiers).items():
            for term in self.terms_of(identifier):
                into[term] = into.get(term, 0) + count * weight

    def text(self, text: str) -> Terms:
        terms: Terms = {}
        self.add(terms, IDENTIFIER.findall(text))
        return terms


class Symbols(NamedTuple):
    """Names of classes; of functions, methods and the module's variables; first and last lines of functions, from 1."""

    classes: list[str]
    others: list[str]
    functions: list[tuple[int, int]]


def symbols(text: str) -> Symbols:
    """What a file defines; names by lines of text where `ast` gives up."""
    found = Symbols([], [], [])
    try:
        module = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        for kind, name in DEFINITION.findall(text):
            (found.classes if kind == "class" else found.others).append(name)
        return found
    for node in ast.walk(module):
        if isinstance(node, ast.ClassDef):
            found.classes.append(node.name)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found.others.append(node.name)
            found.functions.append((node.lineno, node.end_lineno or node.lineno))
    for node in module.body:
        if isinstance(node, ast.Assign):
            found.others.extend(target.id for target in node.targets if isinstance(target, ast.Name))
    return found


def decoded(data: bytes) -> str:
    """A blob as text, whatever it holds."""
    return data.decode("utf-8", "replace").lstrip("\ufeff")


def weighted(text: str, found: Symbols, tokenizer: Tokenizer) -> Packed:
    """A file's terms with their weights, path aside."""
    terms = tokenizer.text(text)
    tokenizer.add(terms, found.classes, CLASS_WEIGHT)
    tokenizer.add(terms, found.others, FUNCTION_WEIGHT)
    return packed(terms)


def packed(terms: Terms) -> Packed:
    """Smaller to keep."""
    return tuple(terms), tuple(terms.values())


def git(repo: Path, *args: str, stdin: Optional[bytes] = None) -> bytes:
    """Output of a git command; never fetches."""
    done = subprocess.run(
        ["git", "-C", str(repo), *args],
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "GIT_NO_LAZY_FETCH": "1"},
    )
    if done.returncode:
        raise SystemExit(f"error: git {args[0]} in {repo}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def tree(repo: Path, rev: str) -> list[tuple[str, str]]:
    """(path, blob) of the commit's Python files, without links and submodules."""
    files = []
    for entry in git(repo, "ls-tree", "-r", "-z", rev).split(b"\0"):
        meta, _, path = entry.partition(b"\t")
        if path.endswith(b".py") and meta.startswith(b"100"):
            files.append((path.decode("utf-8", "replace"), meta.split()[2].decode()))
    return files


def blobs(repo: Path, ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Contents by one `git cat-file --batch`."""
    if not ids:
        return
    out = git(repo, "cat-file", "--batch", stdin=("\n".join(ids) + "\n").encode())
    at = 0
    for blob in ids:
        end = out.index(b"\n", at)
        fields = out[at:end].split()
        if len(fields) != 3:
            raise SystemExit(f"error: {repo} lacks blob {blob}; fetch it with a full clone")
        size = int(fields[2])
        yield blob, out[end + 1 : end + 1 + size]
        at = end + 1 + size + 1


class Cache:
    """What was made of each blob, by its id, pickled in one SQLite file a kind; None as the path keeps nothing."""

    def __init__(self, path: Optional[Path], kind: str) -> None:
        self.path = path
        self.database: Optional[sqlite3.Connection] = None
        if path is not None:
            path.mkdir(parents=True, exist_ok=True)
            self.database = sqlite3.connect(str(path / f"{kind}.sqlite"))
            self.database.execute("PRAGMA journal_mode=WAL")
            self.database.execute("PRAGMA synchronous=OFF")
            self.database.execute("CREATE TABLE IF NOT EXISTS blobs (id TEXT PRIMARY KEY, terms BLOB) WITHOUT ROWID")

    def load(self, ids: Sequence[str]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self.database is None:
            return found
        for at in range(0, len(ids), 500):
            some = ids[at : at + 500]
            marks = ",".join("?" * len(some))
            for blob, terms in self.database.execute(f"SELECT id, terms FROM blobs WHERE id IN ({marks})", some):
                found[blob] = pickle.loads(terms)
        return found

    def store(self, new: dict[str, Any]) -> None:
        if self.database is not None and new:
            rows = ((blob, pickle.dumps(made, pickle.HIGHEST_PROTOCOL)) for blob, made in new.items())
            self.database.executemany("INSERT OR REPLACE INTO blobs VALUES (?, ?)", rows)
            self.database.commit()


class Scorer:
    """One BM25 index over the files of one kind (sources, or what is ranked behind them)."""

    def __init__(self, engine: str, paths: list[str]) -> None:
        self.engine, self.paths = engine, paths
        self.index: object = None
        self.vocabulary: dict[str, int] = {}

    def build(self, documents: Sequence[Terms]) -> None:
        if self.engine == "rank_bm25":
            import rank_bm25

            texts = [[term for term, count in terms.items() for _ in range(count)] for terms in documents]
            self.index = rank_bm25.BM25Okapi(texts, k1=K1, b=B) if texts else None
            return
        import bm25s

        vocabulary = self.vocabulary
        ids = []
        for terms in documents:
            numbers = numpy.fromiter((vocabulary.setdefault(term, len(vocabulary)) for term in terms), numpy.int32, len(terms))
            counts = numpy.fromiter(terms.values(), numpy.int32, len(terms))
            ids.append(numpy.repeat(numbers, counts).tolist())
        if vocabulary:
            index = bm25s.BM25(method="lucene", k1=K1, b=B)
            index.index((ids, vocabulary), create_empty_token=False, show_progress=False)
            self.index = index

    def scores(self, query: Terms) -> numpy.ndarray:
        """BM25 of each document, in the order of `paths`."""
        terms = [term for term, count in query.items() for _ in range(count)]
        if self.engine == "bm25s":
            terms = [term for term in terms if term in self.vocabulary]
        if self.index is None or not terms:
            return numpy.zeros(len(self.paths))
        return self.index.get_scores(terms)  # type: ignore[attr-defined,no-any-return]

    def ranked(self, query: Terms) -> list[str]:
        """Paths with a score above zero, best first; equal scores by path."""
        scores = self.scores(query)
        order = numpy.argsort(-scores, kind="stable")[:LISTED]
        return [self.paths[at] for at in order if scores[at] > 0]

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        if self.engine == "bm25s" and self.index is not None:
            self.index.save(str(folder / "index"))  # type: ignore[attr-defined]
        with (folder / "state.pickle").open("wb") as file:
            kept = self.index if self.engine == "rank_bm25" else None
            pickle.dump((self.engine, self.paths, kept), file, pickle.HIGHEST_PROTOCOL)

    @classmethod
    def load(cls, folder: Path) -> "Scorer":
        with (folder / "state.pickle").open("rb") as file:
            engine, paths, index = pickle.load(file)
        scorer = cls(engine, paths)
        scorer.index = index
        if engine == "bm25s" and (folder / "index").exists():
            import bm25s

            loaded = bm25s.BM25.load(str(folder / "index"), load_corpus=False)
            scorer.index, scorer.vocabulary = loaded, loaded.vocab_dict
        return scorer


def with_path(kept: Packed, path: str, tokenizer: Tokenizer) -> Terms:
    """A blob's terms and those of its path."""
    terms = dict(zip(*kept))
    folders, _, name = path.rpartition("/")
    tokenizer.add(terms, IDENTIFIER.findall(folders), PATH_WEIGHT)
    tokenizer.add(terms, IDENTIFIER.findall(name[: -len(".py")]), STEM_WEIGHT)
    return terms


def issue_terms(issue: str, tokenizer: Tokenizer) -> Terms:
    """Each term 1 + ln(times) times, rounded; the title's terms more often."""
    issue = re.sub(r"<!--.*?-->", " ", issue.replace("\r\n", "\n"), flags=re.DOTALL)
    query = {term: round(1 + math.log(count)) for term, count in tokenizer.text(issue).items()}
    for term in tokenizer.text(issue.lstrip().partition("\n")[0]):
        query[term] = query.get(term, 0) + TITLE_WEIGHT - 1
    return query
