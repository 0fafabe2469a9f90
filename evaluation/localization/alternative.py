"""The Python alternative that `bench.py` holds `agent` against: bm25s over Python files, symbols by `ast`.

    python3 alternative.py index REPO --rev COMMIT --cache DIR
    python3 alternative.py query REPO --rev COMMIT --issue FILE --cache DIR [--repeat N]
    python3 alternative.py localize rows.jsonl --repos DIR --cache DIR -o ranked.jsonl

The usual recipe: list the tree, read its Python files from git, cut identifiers into parts beside the whole,
add the names that `ast` finds defined and the words of the path, weigh them by repetition, rank by BM25 for the
issue with its title counted more. Tests, documentation and examples are ranked behind everything else. What a
blob holds is kept in a cache under its id, so that the next commit parses only what changed. One process, one thread.
"""

from __future__ import annotations

import argparse
import ast
import gc
import json
import keyword
import math
import os
import pickle
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

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

Terms = Dict[str, int]
# A blob's terms as two parallel sequences: smaller than a dict to keep and to load.
Packed = Tuple[Tuple[str, ...], Tuple[int, ...]]


class Tokenizer:
    """Identifiers into lower-case parts, and the whole where it has several. Remembers each identifier."""

    def __init__(self) -> None:
        self.known: Dict[str, Tuple[str, ...]] = {}

    def terms_of(self, identifier: str) -> Tuple[str, ...]:
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


def defined(text: str) -> Tuple[List[str], List[str]]:
    """Names of classes, and of functions, methods and the module's variables; by lines where `ast` gives up."""
    classes: List[str] = []
    others: List[str] = []
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        for kind, name in DEFINITION.findall(text):
            (classes if kind == "class" else others).append(name)
        return classes, others
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            classes.append(node.name)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            others.append(node.name)
    for node in tree.body:
        if isinstance(node, ast.Assign):
            others.extend(target.id for target in node.targets if isinstance(target, ast.Name))
    return classes, others


def parsed(data: bytes, tokenizer: Tokenizer) -> Packed:
    """A blob's terms with their weights, path aside."""
    text = data.decode("utf-8", "replace").lstrip("\ufeff")
    terms = tokenizer.text(text)
    classes, others = defined(text)
    tokenizer.add(terms, classes, CLASS_WEIGHT)
    tokenizer.add(terms, others, FUNCTION_WEIGHT)
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


def tree(repo: Path, rev: str) -> List[Tuple[str, str]]:
    """(path, blob) of the commit's Python files, without links and submodules."""
    files = []
    for entry in git(repo, "ls-tree", "-r", "-z", rev).split(b"\0"):
        meta, _, path = entry.partition(b"\t")
        if path.endswith(b".py") and meta.startswith(b"100"):
            files.append((path.decode("utf-8", "replace"), meta.split()[2].decode()))
    return files


def blobs(repo: Path, ids: Sequence[str]) -> Iterator[Tuple[str, bytes]]:
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
    """Packed terms by blob id, pickled, in one SQLite file; None as the path keeps nothing."""

    def __init__(self, path: Optional[Path]) -> None:
        self.database: Optional[sqlite3.Connection] = None
        if path is not None:
            path.mkdir(parents=True, exist_ok=True)
            self.database = sqlite3.connect(str(path / "blobs.sqlite"))
            self.database.execute("PRAGMA journal_mode=WAL")
            self.database.execute("PRAGMA synchronous=OFF")
            self.database.execute("CREATE TABLE IF NOT EXISTS blobs (id TEXT PRIMARY KEY, terms BLOB) WITHOUT ROWID")

    def load(self, ids: Sequence[str]) -> Dict[str, Packed]:
        found: Dict[str, Packed] = {}
        if self.database is None:
            return found
        for at in range(0, len(ids), 500):
            some = ids[at : at + 500]
            marks = ",".join("?" * len(some))
            for blob, terms in self.database.execute(f"SELECT id, terms FROM blobs WHERE id IN ({marks})", some):
                found[blob] = pickle.loads(terms)
        return found

    def store(self, new: Dict[str, Packed]) -> None:
        if self.database is not None and new:
            rows = ((blob, pickle.dumps(packed, pickle.HIGHEST_PROTOCOL)) for blob, packed in new.items())
            self.database.executemany("INSERT OR REPLACE INTO blobs VALUES (?, ?)", rows)
            self.database.commit()


class Scorer:
    """One BM25 index over the files of one kind (sources, or what is ranked behind them)."""

    def __init__(self, engine: str, paths: List[str]) -> None:
        self.engine, self.paths = engine, paths
        self.index: object = None
        self.vocabulary: Dict[str, int] = {}

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

    def ranked(self, query: Terms) -> List[str]:
        """Paths with a score above zero, best first; equal scores by path."""
        if self.index is None or not query:
            return []
        terms = [term for term, count in query.items() for _ in range(count)]
        if self.engine == "bm25s":
            terms = [term for term in terms if term in self.vocabulary]
            if not terms:
                return []
        scores = self.index.get_scores(terms)  # type: ignore[attr-defined]
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


class Index:
    """The files of one commit: sources, and the others behind them (empty unless all files are read)."""

    def __init__(self, scorers: List[Scorer]) -> None:
        self.scorers = scorers

    @classmethod
    def build(cls, repo: Path, rev: str, cache: Cache, tokenizer: Tokenizer, engine: str, all_files: bool) -> "Index":
        files = sorted(tree(repo, rev))
        kinds = [[file for file in files if not BEHIND.search(file[0])]]
        if all_files:
            kinds.append([file for file in files if BEHIND.search(file[0])])
        wanted = list(dict.fromkeys(blob for kind in kinds for _, blob in kind))
        terms = cache.load(wanted)
        new = {blob: parsed(data, tokenizer) for blob, data in blobs(repo, [blob for blob in wanted if blob not in terms])}
        cache.store(new)
        terms.update(new)
        scorers = []
        for kind in kinds:
            scorer = Scorer(engine, [path for path, _ in kind])
            scorer.build([with_path(terms[blob], path, tokenizer) for path, blob in kind])
            scorers.append(scorer)
        return cls(scorers)

    def ranked(self, issue: str, tokenizer: Tokenizer) -> List[str]:
        query = issue_terms(issue, tokenizer)
        paths = [path for scorer in self.scorers for path in scorer.ranked(query)]
        return paths[:LISTED]

    def save(self, folder: Path) -> None:
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        for number, scorer in enumerate(self.scorers):
            scorer.save(part / str(number))
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)

    @classmethod
    def load(cls, folder: Path) -> "Index":
        parts = sorted(folder.glob("[0-9]"))
        if not parts:
            raise SystemExit(f"error: no index in {folder}; `alternative.py index` makes it")
        return cls([Scorer.load(part) for part in parts])


def with_path(packed: Packed, path: str, tokenizer: Tokenizer) -> Terms:
    """A blob's terms and those of its path."""
    terms = dict(zip(*packed))
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


def processor_seconds() -> float:
    """User and system time of this process and its finished children."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def repository(folder: Path, name: str) -> Path:
    """`owner__name` or `owner__name.git`."""
    for candidate in (folder / name.replace("/", "__"), folder / (name.replace("/", "__") + ".git")):
        if candidate.exists():
            return candidate
    raise SystemExit(f"error: {folder} holds no {name.replace('/', '__')} or {name.replace('/', '__')}.git")


def spread(rows: Sequence[Dict[str, str]], limit: int) -> List[Dict[str, str]]:
    """About `limit` rows: of each repository its share, at least two, evenly spaced in the file's order."""
    if not limit or limit >= len(rows):
        return list(rows)
    by_repo: Dict[str, List[Dict[str, str]]] = {}
    for row in rows:
        by_repo.setdefault(row["repo"], []).append(row)
    chosen = []
    for members in by_repo.values():
        count = min(len(members), max(2, round(limit * len(members) / len(rows))))
        chosen += [members[at * len(members) // count] for at in range(count)]
    return chosen


def localize(args: argparse.Namespace) -> None:
    with args.dataset.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file if line.strip()]
    rows = [row for row in rows if not args.instance or row["instance_id"] in args.instance]
    tokenizer = Tokenizer()
    with args.output.open("w", encoding="utf-8") as out:
        for row in spread(rows, args.limit):
            cpu, wall = processor_seconds(), time.perf_counter()
            folder = None if args.no_cache else args.cache / row["repo"].replace("/", "__")
            index = Index.build(
                repository(args.repos, row["repo"]), row["base_commit"], Cache(folder), tokenizer, args.engine, args.all_files
            )
            ranked = index.ranked(row["problem_statement"], tokenizer)
            line = {"instance_id": row["instance_id"], "ranked": ranked, "repo": row["repo"]}
            line["seconds"] = {"cpu": processor_seconds() - cpu, "wall": time.perf_counter() - wall}
            print(json.dumps(line), file=out, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("index", "query", "localize"):
        command = commands.add_parser(name)
        command.add_argument("--cache", type=Path, required=True)
        if name == "localize":
            command.add_argument("dataset", type=Path)
            command.add_argument("--repos", type=Path, required=True)
            command.add_argument("-o", "--output", type=Path, required=True)
            command.add_argument("-i", "--instance", action="append", default=[])
            command.add_argument("--limit", type=int, default=0, help="about so many instances, spread over the repositories")
        else:
            command.add_argument("repo", type=Path)
            command.add_argument("--rev", required=True)
        if name == "query":
            command.add_argument("--issue", type=Path, required=True)
            command.add_argument("--repeat", type=int, default=1)
        else:
            command.add_argument("--engine", choices=("bm25s", "rank_bm25"), default="bm25s")
            command.add_argument("--all-files", action="store_true", help="also tests, documentation and examples")
            command.add_argument("--no-cache", action="store_true", help="parse every blob anew")
    args = parser.parse_args()
    # Millions of small tuples that live to the end: the collector's walks over them cost a quarter of the time.
    gc.disable()
    if args.command == "localize":
        localize(args)
        return
    folder = args.cache / f"index-{args.rev}"
    tokenizer = Tokenizer()
    if args.command == "index":
        index = Index.build(
            args.repo, args.rev, Cache(None if args.no_cache else args.cache), tokenizer, args.engine, args.all_files
        )
        args.cache.mkdir(parents=True, exist_ok=True)
        index.save(folder)
        print(f"{sum(len(scorer.paths) for scorer in index.scorers)} files", file=sys.stderr)
        return
    started = time.perf_counter()
    index = Index.load(folder)
    opened = time.perf_counter() - started
    issue = args.issue.read_text(encoding="utf-8")
    times = []
    ranked: List[str] = []
    for _ in range(args.repeat):
        started = time.perf_counter()
        ranked = index.ranked(issue, tokenizer)
        times.append(time.perf_counter() - started)
    print(json.dumps({"ranked": ranked, "seconds": {"open": opened, "query": sorted(times)[len(times) // 2]}}))


if __name__ == "__main__":
    main()
