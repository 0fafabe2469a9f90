"""Speed and memory of `agent`'s index beside a Python alternative (`alternative.py`), same files, same run.

    pip install -r evaluation/localization/requirements.txt
    python3 evaluation/localization/bench.py target/release/agent rows.jsonl --repos repos

Five measures: cold index of one commit, warm index of the next one in history, one query, all instances in a row
from an empty cache, peak memory. Each command is a process of its own; its processor time is user + system time of
the process and the children it waited for (wait4), so that a busy machine disturbs little. The sides take turns and
medians are compared. Cold means an empty cache of ours and theirs; git's files were read before by both.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Callable, Optional
from collections.abc import Sequence

HERE = Path(__file__).resolve().parent
QUERIES = 100

# Command lines of both sides; {words} are filled in by `Side`. AGENT_CACHE is {cache} for ours.
OURS: dict[str, list[str]] = {
    "index": ["{agent}", "index", "build", "{repo}", "--rev", "{rev}"],
    "query": ["{agent}", "index", "query", "{repo}", "--rev", "{rev}", "--issue", "{issue}", "--json", "--repeat", "{repeat}"],
    "all": ["{agent}", "localize", "{rows}", "--no-model", "--repos", "{repos}", "--quiet", "-o", "{out}"],
}
THEIRS: dict[str, list[str]] = {
    "index": ["{python}", "{alternative}", "index", "{repo}", "--rev", "{rev}", "--cache", "{cache}"],
    "query": [
        "{python}", "{alternative}", "query", "{repo}", "--rev", "{rev}", "--issue", "{issue}", "--cache", "{cache}", "--repeat", "{repeat}",
    ],
    "all": ["{python}", "{alternative}", "localize", "{rows}", "--repos", "{repos}", "--cache", "{cache}", "-o", "{out}"],
}
# Kinds of the alternative: what is added to its `index` and `all` commands. All read the same Python files as `agent`.
KINDS: dict[str, tuple[str, list[str]]] = {
    "recipe": ("bm25s + ast, nine lists", ["--recipe", "--all-files"]),
    "recipe-uncached": ("bm25s + ast, nine lists, no cache", ["--recipe", "--all-files", "--no-cache"]),
    "plain": ("bm25s + ast, one list", ["--all-files"]),
    "plain-uncached": ("bm25s + ast, one list, no cache", ["--all-files", "--no-cache"]),
    "rank-bm25": ("rank_bm25 + ast, one list", ["--all-files", "--engine", "rank_bm25"]),
}
COLD, WARM, OPEN, QUERY = "cold index", "warm index", "one query, new process", "one query, index open"


@dataclass
class Spent:
    """What one process took, with its children."""

    cpu: float
    wall: float
    rss_mib: float
    stdout: str = ""


def run(command: Sequence[str], cache: Path) -> Spent:
    """Runs a command to its end; a failure ends the benchmark with what the command said.

    The peak of memory is that of the largest single process. It includes this process before exec, some 20 MiB.
    """
    # Python keeps its compiled modules between runs, as it would by default, but not in the source folder.
    environment = {**os.environ, "AGENT_CACHE": str(cache), "PYTHONPYCACHEPREFIX": str(cache.parent.parent / "pycache")}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        started = time.perf_counter()
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - started
        child.returncode = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
        if child.returncode:
            err.seek(0)
            said = err.read().decode(errors="replace").strip()
            raise SystemExit(f"error: status {child.returncode} from: {' '.join(command)}\n{said}")
        out.seek(0)
        # Linux gives ru_maxrss in KiB, macOS in bytes.
        unit = 1024 if sys.platform != "darwin" else 1024 * 1024
        return Spent(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / unit, out.read().decode(errors="replace"))


class Side:
    """One of the two: its commands, and a folder for its caches."""

    def __init__(self, name: str, commands: dict[str, list[str]], extra: list[str], words: dict[str, str], folder: Path) -> None:
        self.name, self.commands, self.extra, self.words, self.folder = name, commands, extra, words, folder
        self.uncached = "--no-cache" in extra
        folder.mkdir(parents=True)

    def command(self, what: str, cache: Path, **words: str) -> list[str]:
        filled = {**self.words, "cache": str(cache), **words}
        return [part.format(**filled) for part in self.commands[what]] + (self.extra if what != "query" else [])

    def fresh(self, name: str, source: Optional[Path] = None) -> Path:
        """An empty cache, or a copy of another one; not timed."""
        cache = self.folder / name
        shutil.rmtree(cache, ignore_errors=True)
        if source is None:
            cache.mkdir()
        else:
            shutil.copytree(source, cache)
        return cache

    def cold(self, rev: str) -> Spent:
        return run(self.command("index", self.fresh("cold"), rev=rev), self.folder / "cold")

    def warm(self, rev: str) -> Spent:
        """After `cold`: the next commit, from a copy of the cold one's cache."""
        cache = self.fresh("warm", self.folder / "cold")
        return run(self.command("index", cache, rev=rev), cache)

    def query(self, rev: str, issue: Path, repeat: int) -> Spent:
        """After `warm`, in its cache."""
        cache = self.folder / "warm"
        return run(self.command("query", cache, rev=rev, issue=str(issue), repeat=str(repeat)), cache)

    def all(self, out: Path, extra: Sequence[str]) -> Spent:
        cache = self.fresh("all")
        spent = run([*self.command("all", cache, out=str(out)), *extra], cache)
        shutil.rmtree(cache)
        return spent


@dataclass
class Measured:
    """Runs of one measure by one side, and their medians."""

    measure: str
    side: str
    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    rss_mib: list[float] = field(default_factory=list)
    note: str = ""

    def add(self, spent: Spent) -> None:
        self.cpu.append(spent.cpu)
        self.wall.append(spent.wall)
        self.rss_mib.append(spent.rss_mib)

    def median(self, what: str) -> float:
        return statistics.median(getattr(self, what))


def git(repo: Path, *args: str) -> str:
    """Standard output of a git command."""
    return subprocess.run(["git", "-C", str(repo), *args], check=True, stdout=subprocess.PIPE, text=True).stdout


def neighbours(repo: Path, rows: Sequence[dict[str, str]]) -> tuple[dict[str, str], dict[str, str], int]:
    """The newest row's base commit as the second, the base commit nearest before it in history as the first.

    Distance: commits that only one of the two reaches.
    """
    dates = {row["base_commit"]: int(git(repo, "log", "-1", "--format=%ct", row["base_commit"])) for row in rows}
    newest = max(rows, key=lambda row: (dates[row["base_commit"]], row["instance_id"]))
    older = sorted(
        (row for row in rows if row["base_commit"] != newest["base_commit"]),
        key=lambda row: -dates[row["base_commit"]],
    )
    if not older:
        raise SystemExit("error: the repository has only one base commit in these rows")

    def distance(row: dict[str, str]) -> int:
        return int(git(repo, "rev-list", "--count", f"{row['base_commit']}...{newest['base_commit']}"))

    # Near in history is near in time; rev-list over years takes long.
    first = min(older[:8], key=distance)
    return first, newest, distance(first)


def scaled(out: Path, rows: Sequence[dict[str, str]]) -> tuple[float, float, int]:
    """Processor and wall seconds for all rows from the instances that were run: of each repository the first one
    (empty cache) as it is, the others' mean for all others."""
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    totals = {"cpu": 0.0, "wall": 0.0}
    for repo in dict.fromkeys(row["repo"] for row in rows):
        count = sum(row["repo"] == repo for row in rows)
        run_here = [line["seconds"] for line in lines if line["repo"] == repo]
        for what in totals:
            first, *others = [seconds[what] for seconds in run_here]
            totals[what] += first + (count - 1) * (statistics.mean(others) if others else first)
    return totals["cpu"], totals["wall"], len(lines)


def machine(agent: str, python: str) -> dict[str, object]:
    """What the numbers depend on."""
    def said(*command: str) -> str:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
        return done.stdout.strip()

    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0] if names else cpu
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = "import importlib.metadata as m; print(' '.join(p + ' ' + m.version(p) for p in ('bm25s', 'numpy', 'rank-bm25')))"
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "system": platform.platform(),
        "load_at_start": os.getloadavg()[0],
        "agent": said(agent, "--version"),
        "git": said("git", "--version"),
        "python": said(python, "--version"),
        "packages": said(python, "-c", versions),
    }


def alternate(ours: Side, theirs: Sequence[Side], repeat: int, work: Callable[[Side], dict[str, Spent]]) -> list[Measured]:
    """Runs `work` by both sides in turns, the order turned about each time."""
    found: dict[tuple[str, str], Measured] = {}
    for number in range(repeat):
        sides = [ours, *theirs]
        for side in sides if number % 2 == 0 else reversed(sides):
            for measure, spent in work(side).items():
                found.setdefault((measure, side.name), Measured(measure, side.name)).add(spent)
    return list(found.values())


def commit_work(first: str, second: str, issue: Path) -> Callable[[Side], dict[str, Spent]]:
    """Measures of one pair of commits: cold, warm, and a query."""
    def work(side: Side) -> dict[str, Spent]:
        if side.uncached:
            side.fresh("cold")
            return {WARM: side.warm(second)}
        spent = {COLD: side.cold(first), WARM: side.warm(second)}
        once, often = side.query(second, issue, 1), side.query(second, issue, 1 + QUERIES)
        inside = json.loads(often.stdout)["seconds"]["query"]
        wall = statistics.median(inside) if isinstance(inside, list) else inside
        spent[OPEN] = once
        spent[QUERY] = Spent(max(often.cpu - once.cpu, 0.0) / QUERIES, wall, often.rss_mib)
        return spent

    return work


def seconds(value: float) -> str:
    """Three digits; milliseconds below a tenth of a second."""
    return f"{1000 * value:.2g} ms" if value < 0.0995 else f"{value:.2f} s" if value < 10 else f"{value:.0f} s"


def table(results: Sequence[Measured], titles: dict[str, str]) -> str:
    """Each line of the alternative beside ours."""
    lines = [
        "| measure | alternative | CPU: agent | CPU: alternative | ratio | wall: agent | wall: alternative | ratio "
        "| peak MiB: agent | alternative | ratio |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for measure in dict.fromkeys(one.measure for one in results):
        ours = next((one for one in results if one.measure == measure and one.side == "agent"), None)
        for one in (one for one in results if one.measure == measure and one.side != "agent"):
            cells = [measure + (f" ({one.note})" if one.note else ""), titles[one.side]]
            for what, form in (("cpu", seconds), ("wall", seconds), ("rss_mib", lambda value: f"{value:.0f}")):
                their = one.median(what)
                own = ours.median(what) if ours else 0.0
                cells += [form(own) if ours else "", form(their), f"{their / own:.1f}" if own > 0 else ""]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def whole(ours: Side, theirs: Sequence[Side], args: argparse.Namespace, rows: Sequence[dict[str, str]]) -> list[Measured]:
    """All instances in a row from an empty cache. The alternative may run a part, scaled by repository."""
    found = []
    measure = f"{len(rows)} instances"
    for side in [ours, *theirs]:
        measured = Measured(measure, side.name)
        is_ours = side is ours
        for number in range(args.all_repeat if is_ours else 1):
            limit = 0 if is_ours else args.uncached_limit if side.uncached else args.theirs_limit
            out = side.folder / f"ranked-{number}.jsonl"
            spent = side.all(out, ["--limit", str(limit)] if limit else [])
            if limit:
                cpu, wall, count = scaled(out, rows)
                spent = Spent(cpu, wall, spent.rss_mib)
                measured.note = f"alternative: {count} run, scaled by repository"
            measured.add(spent)
            if args.keep_lists:
                args.keep_lists.mkdir(parents=True, exist_ok=True)
                shutil.copy(out, args.keep_lists / f"{side.name}.jsonl")
        found.append(measured)
    return found


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("agent", help="release binary")
    parser.add_argument("dataset", type=Path, help="SWE-bench rows, .jsonl")
    parser.add_argument("--repos", type=Path, required=True, help="owner__name or owner__name.git")
    parser.add_argument("--repo", default="django/django", help="whose commits are indexed [default: django/django]")
    parser.add_argument("--kind", action="append", choices=list(KINDS), help="of the alternative; repeatable [default: all]")
    parser.add_argument("--repeat", type=int, default=5, help="turns of the first measures [default: 5]")
    parser.add_argument("--all-repeat", type=int, default=1, help="our runs of all instances; 0 leaves the measure out [default: 1]")
    parser.add_argument("--theirs-limit", type=int, default=0, metavar="N", help="the alternative runs about N instances, scaled; 0: all")
    parser.add_argument("--uncached-limit", type=int, default=30, metavar="N", help="the same for kinds without a cache [default: 30]")
    parser.add_argument("--python", default=sys.executable, help="with requirements.txt installed [default: this one]")
    parser.add_argument("--work", type=Path, help="folder for caches [default: a temporary one]")
    parser.add_argument("--keep-lists", type=Path, metavar="DIR", help="keep the ranked lists, for evaluate.py --listed-only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every run's figures and the machine, to a file")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    with args.dataset.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file if line.strip()]
    bare = args.repos / args.repo.replace("/", "__")
    repo = bare if bare.exists() else bare.with_name(bare.name + ".git")
    here = [row for row in rows if row["repo"] == args.repo]
    if not repo.exists() or not here:
        raise SystemExit(f"error: {args.repo} must be in {args.repos} and among the rows of {args.dataset}")
    kinds = args.kind or list(KINDS)
    description = machine(args.agent, args.python)
    first, second, apart = neighbours(repo, here)
    words = {
        "agent": os.path.abspath(args.agent), "python": args.python, "alternative": str(HERE / "alternative.py"),
        "repo": str(repo), "repos": str(args.repos), "rows": str(args.dataset),
    }
    with tempfile.TemporaryDirectory(dir=args.work) as name:
        folder = Path(name)
        issue = folder / "issue.txt"
        issue.write_text(second["problem_statement"], encoding="utf-8")
        ours = Side("agent", OURS, [], words, folder / "agent")
        theirs = [Side(kind, THEIRS, KINDS[kind][1], words, folder / kind) for kind in kinds]
        # Both read the trees once, so that no side pays for the disk.
        for commit in (first, second):
            git(repo, "ls-tree", "-r", "-l", commit["base_commit"])
        results = alternate(ours, theirs, args.repeat, commit_work(first["base_commit"], second["base_commit"], issue))
        results.sort(key=lambda one: [COLD, WARM, OPEN, QUERY].index(one.measure))
        if args.all_repeat:
            results += whole(ours, theirs, args, rows)
    description["load_at_end"] = os.getloadavg()[0]
    if args.json:
        document = {
            "machine": description, "repo": args.repo, "commits": [first["base_commit"], second["base_commit"]],
            "apart": apart, "results": [asdict(one) for one in results],
        }
        args.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    titles = {kind: title for kind, (title, _) in KINDS.items()}
    print(", ".join(f"{key}: {value}" for key, value in description.items()))
    print(
        f"{args.repo}: cold {first['base_commit'][:12]}, warm {second['base_commit'][:12]} ({apart} commits apart); "
        f"medians of {args.repeat}", end="\n\n",
    )
    print(table(results, titles))


if __name__ == "__main__":
    main()
