"""Measures ranked file lists against the files that the gold patches of SWE-bench rows change.

    python3 evaluation/localization/evaluate.py rows.jsonl ranked.jsonl [other.jsonl ...]

Lists are `agent localize D --no-model -o FILE`, one {"instance_id", "ranked": [path, ...]} a line, or run
directories with */localization.json. Further lists are compared with the first (McNemar's exact test).
Exit code 1: some instances had no list, and counted as misses. 2: bad input.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Callable
from collections.abc import Sequence

from measures import KS, Outcome, Pair, Summary, compare, grouped, outcome, summarize
from rows import BadInput, Lists, Row, load_lists, load_rows

GROUP_TITLES = {"repo": "Repository", "gold-files": "Gold files"}


@dataclass
class Evaluation:
    """One run's outcomes, in the dataset's order."""

    name: str
    outcomes: list[Outcome]
    missing: list[str]

    @property
    def summary(self) -> Summary:
        """Over all instances."""
        return summarize(self.outcomes)


@dataclass
class Selection:
    """The rows that are judged, with what is said about those that are not."""

    rows: list[Row]
    notes: list[str]


def some(names: Sequence[str]) -> str:
    """The first few names, and how many more."""
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"


def select(rows: Sequence[Row], runs: Sequence[Lists], listed_only: bool) -> Selection:
    """Rows with gold files; with `listed_only` those that every run has a list for."""
    notes: list[str] = []
    created = sum(len(row.created) for row in rows)
    if created:
        notes.append(f"{created} files that gold patches create are left out: they do not exist at the base commit")
    bare = [row.instance_id for row in rows if not row.gold]
    if bare:
        notes.append(f"{len(bare)} instances change no file of the base commit and are left out: {some(bare)}")
    kept = [row for row in rows if row.gold]
    if listed_only:
        before = len(kept)
        kept = [row for row in kept if all(row.instance_id in run.ranked for run in runs)]
        notes.append(f"--listed-only: {len(kept)} of {before} instances have a list in every run; only these are judged")
    if not kept:
        raise BadInput("no instances are left to judge")
    return Selection(kept, notes)


def check_known(rows: Sequence[Row], runs: Sequence[Lists], ignore: bool) -> list[str]:
    """Lists for instances that the dataset does not have."""
    known = {row.instance_id for row in rows}
    notes: list[str] = []
    for run in runs:
        unknown = [name for name in run.ranked if name not in known]
        if unknown and not ignore:
            raise BadInput(
                f"{run.where[unknown[0]]}: instance {unknown[0]} is not in the dataset "
                f"({len(unknown)} such lists; --ignore-unknown leaves them out)"
            )
        if unknown:
            notes.append(f"{run.path}: {len(unknown)} lists of instances that are not in the dataset are left out: {some(unknown)}")
    return notes


def evaluate(rows: Sequence[Row], run: Lists) -> Evaluation:
    """Places of the gold files in one run's lists."""
    outcomes = [outcome(row.instance_id, row.repo, row.gold, run.ranked.get(row.instance_id)) for row in rows]
    return Evaluation(run.name, outcomes, [one.instance_id for one in outcomes if not one.listed])


def percent(share: float) -> str:
    """One decimal, without the sign."""
    return f"{100 * share:.1f}"


def p_value(p: float) -> str:
    """Three digits; small ones as a power."""
    return f"{p:.3f}" if p >= 0.001 else f"{p:.0e}"


Table = tuple[list[str], list[list[str]]]


def overall(runs: Sequence[Evaluation]) -> Table:
    """One line a run and measure."""
    table: list[list[str]] = []
    for run in runs:
        s = run.summary
        table.append([run.name, "strict Acc@k", *map(percent, s.strict), f"{s.mrr:.3f}"])
        table.append(["", "  95% interval", *(f"{percent(low)}-{percent(high)}" for low, high in s.interval), ""])
        table.append(["", "any-hit@k", *map(percent, s.any_hit), ""])
        table.append(["", "recall@k", *map(percent, s.recall), ""])
    return ["Run", "Measure", *(f"@{k}" for k in KS), "MRR"], table


def groups(runs: Sequence[Evaluation], by: str) -> Table:
    """Strict accuracy of each run in each group, with the interval at 5."""
    table: list[list[str]] = []
    members = [grouped(run.outcomes, by) for run in runs]
    for key in members[0]:
        for run, parts in zip(runs, members):
            s = summarize(parts[key])
            low, high = s.interval[KS.index(5)]
            cells = [*map(percent, s.strict), f"{s.mrr:.3f}", f"{percent(low)}-{percent(high)}"]
            table.append([key, str(s.n), *([run.name] if len(runs) > 1 else []), *cells])
    name = ["Run"] if len(runs) > 1 else []
    return [GROUP_TITLES[by], "n", *name, *(f"@{k}" for k in KS), "MRR", "95% @5"], table


def pairs(runs: Sequence[Evaluation]) -> Table:
    """Each further run against the first: wins-losses (p) at each k."""
    table: list[list[str]] = []
    for run in runs[1:]:
        cells = [f"+{one.wins} -{one.losses} (p {p_value(one.p)})" for one in compare(runs[0].outcomes, run.outcomes)]
        table.append([run.name, *cells])
    return [f"against {runs[0].name}", *(f"@{k}" for k in KS)], table


def missed(runs: Sequence[Evaluation], k: int) -> Table:
    """Instances that are not right at k, with the places of their gold files."""
    table: list[list[str]] = []
    for run in runs:
        for one in run.outcomes:
            if not one.strict(k):
                table.extend(
                    [run.name, one.instance_id, path, "-" if place is None else str(place)]
                    for path, place in zip(one.gold, one.places)
                )
    return ["Run", f"Missed @{k}", "Gold file", "Place"], table


def plain(table: Table) -> str:
    """Columns padded with blanks; text to the left, the rest to the right."""
    head, body = table
    lines = [head, *body]
    widths = [max(len(line[at]) for line in lines) for at in range(len(head))]
    left = [not any(line[at][:1].isdigit() for line in body) for at in range(len(head))]
    left[0] = True
    return "\n".join(
        "  ".join(cell.ljust(w) if l else cell.rjust(w) for cell, w, l in zip(line, widths, left)).rstrip() for line in lines
    )


def markdown(table: Table) -> str:
    """A table for a README."""
    head, body = table
    rows = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(cell.strip().replace("|", "\\|") for cell in row) + " |" for row in rows)


def document(runs: Sequence[Evaluation], notes: Sequence[str], dataset: Path) -> dict[str, object]:
    """Everything, for programs. Shares from 0 to 1."""
    def pair(one: Pair) -> dict[str, object]:
        return {"k": one.k, "wins": one.wins, "losses": one.losses, "p": one.p}

    return {
        "dataset": str(dataset),
        "ks": list(KS),
        "notes": list(notes),
        "runs": [
            {
                "name": run.name,
                "missing": run.missing,
                "overall": run.summary.json(),
                "by": {
                    by: {key: summarize(part).json() for key, part in grouped(run.outcomes, by).items()}
                    for by in GROUP_TITLES
                },
                "instances": {one.instance_id: dict(zip(one.gold, one.places)) for one in run.outcomes},
            }
            for run in runs
        ],
        "mcnemar": [
            {"base": runs[0].name, "run": run.name, "strict": [pair(one) for one in compare(runs[0].outcomes, run.outcomes)]}
            for run in runs[1:]
        ],
    }


def named(runs: Sequence[Lists]) -> None:
    """Runs of one name (ranked.jsonl of two folders) go by their paths."""
    names = [run.name for run in runs]
    for run in runs:
        if names.count(run.name) > 1:
            run.name = str(run.path)


def judge(dataset: Path, paths: Sequence[Path], listed_only: bool, ignore_unknown: bool) -> tuple[list[Evaluation], list[str]]:
    """Loads and evaluates; the second value is what must be said beside the numbers."""
    rows = load_rows(dataset)
    runs = [load_lists(path) for path in paths]
    named(runs)
    notes = check_known(rows, runs, ignore_unknown)
    selection = select(rows, runs, listed_only)
    notes += selection.notes
    results = [evaluate(selection.rows, run) for run in runs]
    for run, result in zip(runs, results):
        notes += run.notes
        empty = [name for name, ranked in run.ranked.items() if not ranked]
        if empty:
            notes.append(f"{run.path}: {len(empty)} empty lists count as misses: {some(empty)}")
        if result.missing:
            notes.append(f"{run.path}: {len(result.missing)} instances without a list count as misses: {some(result.missing)}")
    return results, notes


def arguments(parser: argparse.ArgumentParser) -> None:
    """What `ablate.py` takes too."""
    parser.add_argument("--listed-only", action="store_true", help="judge only instances that every run has a list for")
    parser.add_argument("--ignore-unknown", action="store_true", help="leave out lists of instances that the dataset lacks")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON document")
    form.add_argument("--markdown", action="store_true", help="tables for a README")


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="SWE-bench rows with gold patches, .jsonl or .json")
    parser.add_argument("ranked", type=Path, nargs="+", help="lists, or run directories; the first is the base of comparisons")
    parser.add_argument("--by", action="append", choices=sorted(GROUP_TITLES), default=[], help="also by group; repeatable")
    parser.add_argument("--misses", type=int, metavar="K", help="also the instances that are not right at K")
    arguments(parser)
    args = parser.parse_args(argv)
    if args.misses is not None and args.misses < 1:
        parser.error("--misses: K counts from 1")
    try:
        runs, notes = judge(args.dataset, args.ranked, args.listed_only, args.ignore_unknown)
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    if args.json:
        print(json.dumps(document(runs, notes, args.dataset), indent=1))
    else:
        form: Callable[[Table], str] = markdown if args.markdown else plain
        tables = [overall(runs), *(groups(runs, by) for by in args.by)]
        tables += [pairs(runs)] if len(runs) > 1 else []
        tables += [missed(runs, args.misses)] if args.misses else []
        print(f"{len(runs[0].outcomes)} instances, {runs[0].summary.gold_files} gold files", end="\n\n")
        print("\n\n".join(form(table) for table in tables))
    return 1 if any(run.missing for run in runs) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
