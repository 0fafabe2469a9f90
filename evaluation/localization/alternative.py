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
import gc
import json
import resource
import shutil
import time
from pathlib import Path
from typing import Any, Optional
from collections.abc import Sequence

import recipe
from bm25 import BEHIND, LISTED, Cache, Scorer, Tokenizer, blobs, decoded, issue_terms, symbols, tree, weighted, with_path


class Index:
    """The files of one commit: sources, and the others behind them (empty unless all files are read)."""

    def __init__(self, scorers: list[Scorer]) -> None:
        self.scorers = scorers

    @classmethod
    def build(cls, repo: Path, rev: str, folder: Optional[Path], tokenizer: Tokenizer, args: argparse.Namespace) -> Any:
        if args.recipe:
            return recipe.Recipe.build(repo, rev, folder, tokenizer, args.all_files)
        cache, engine, all_files = Cache(folder, "plain"), args.engine, args.all_files
        files = sorted(tree(repo, rev))
        kinds = [[file for file in files if not BEHIND.search(file[0])]]
        if all_files:
            kinds.append([file for file in files if BEHIND.search(file[0])])
        wanted = list(dict.fromkeys(blob for kind in kinds for _, blob in kind))
        terms = cache.load(wanted)
        new = {}
        for blob, data in blobs(repo, [blob for blob in wanted if blob not in terms]):
            text = decoded(data)
            new[blob] = weighted(text, symbols(text), tokenizer)
        cache.store(new)
        terms.update(new)
        scorers = []
        for kind in kinds:
            scorer = Scorer(engine, [path for path, _ in kind])
            scorer.build([with_path(terms[blob], path, tokenizer) for path, blob in kind])
            scorers.append(scorer)
        return cls(scorers)

    def ranked(self, issue: str, tokenizer: Tokenizer) -> list[str]:
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
    def load(cls, folder: Path) -> Any:
        if (folder / recipe.STATE).exists():
            return recipe.Recipe.load(folder)
        parts = sorted(folder.glob("[0-9]"))
        if not parts:
            raise SystemExit(f"error: no index in {folder}; `alternative.py index` makes it")
        return cls([Scorer.load(part) for part in parts])


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


def spread(rows: Sequence[dict[str, str]], limit: int) -> list[dict[str, str]]:
    """About `limit` rows: of each repository its share, at least two, evenly spaced in the file's order."""
    if not limit or limit >= len(rows):
        return list(rows)
    by_repo: dict[str, list[dict[str, str]]] = {}
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
            index = Index.build(repository(args.repos, row["repo"]), row["base_commit"], folder, tokenizer, args)
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
            command.add_argument("--recipe", action="store_true", help="many lists fused, see recipe.py")
            command.add_argument("--all-files", action="store_true", help="also tests, documentation and examples")
            command.add_argument("--no-cache", action="store_true", help="parse every blob anew")
    args = parser.parse_args()
    # Most objects live to the end: without the collector's walks over them it takes some 5% less processor time.
    gc.disable()
    if args.command == "localize":
        localize(args)
        return
    folder = args.cache / f"index-{args.rev}"
    tokenizer = Tokenizer()
    if args.command == "index":
        index = Index.build(args.repo, args.rev, None if args.no_cache else args.cache, tokenizer, args)
        args.cache.mkdir(parents=True, exist_ok=True)
        index.save(folder)
        return
    started = time.perf_counter()
    index = Index.load(folder)
    opened = time.perf_counter() - started
    issue = args.issue.read_text(encoding="utf-8")
    times = []
    ranked: list[str] = []
    for _ in range(args.repeat):
        started = time.perf_counter()
        ranked = index.ranked(issue, tokenizer)
        times.append(time.perf_counter() - started)
    print(json.dumps({"ranked": ranked, "seconds": {"open": opened, "query": sorted(times)[len(times) // 2]}}))


if __name__ == "__main__":
    main()
