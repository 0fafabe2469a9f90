"""The ablation table: one ranked list with everything against lists with something left out.

    python3 evaluation/localization/ablate.py rows.jsonl DIR [--base full]

DIR holds DIR/full.jsonl and one file for each thing left out, such as DIR/without-history.jsonl;
`ablation.sh` writes them. Wins and losses are instances right only with and only without what was
left out; p is McNemar's exact test, not corrected for the number of lines.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Callable
from collections.abc import Sequence

from evaluate import Evaluation, Table, arguments, judge, markdown, p_value, percent, plain
from measures import KS, compare
from rows import BadInput

SHOWN = (1, 5, 10, 50)


def label(name: str) -> str:
    """What was left out, from the file's name."""
    return name.removeprefix("without-")


def files(folder: Path, base: str) -> list[Path]:
    """The base first, the others by name."""
    found = sorted(folder.glob("*.jsonl"))
    first = folder / f"{base}.jsonl"
    if first not in found:
        raise BadInput(f"{folder}: no {base}.jsonl, the list that the others are compared with (--base NAME takes another)")
    if len(found) == 1:
        raise BadInput(f"{folder}: nothing but {base}.jsonl; ablation.sh writes the lists with something left out")
    return [first, *(path for path in found if path != first)]


def changes(base: Evaluation, run: Evaluation) -> dict[int, tuple[float, int, int, float]]:
    """By k: what leaving it out changes in points, instances lost and gained by that, p."""
    before, after = base.summary.strict, run.summary.strict
    return {
        pair.k: (100 * (after[at] - before[at]), pair.losses, pair.wins, pair.p)
        for at, pair in enumerate(compare(base.outcomes, run.outcomes))
    }


def table(runs: Sequence[Evaluation]) -> Table:
    """The costliest omission first, judged at 5 and then at 1."""
    base, others = runs[0], list(runs[1:])
    changed = {run.name: changes(base, run) for run in others}
    others.sort(key=lambda run: (changed[run.name][5][0], changed[run.name][1][0], run.name))

    def shares(run: Evaluation) -> list[str]:
        return [*(percent(run.summary.strict[KS.index(k)]) for k in SHOWN), f"{run.summary.mrr:.3f}"]

    rows = [["nothing", *shares(base), *[""] * 4]]
    for run in others:
        cells: list[str] = []
        for k in (1, 5):
            points, wins, losses, p = changed[run.name][k]
            cells += [f"{points:+.1f}", f"+{wins} -{losses} (p {p_value(p)})"]
        rows.append([label(run.name), *shares(run), *cells])
    return ["Left out", *(f"@{k}" for k in SHOWN), "MRR", "change @1", "worth @1", "change @5", "worth @5"], rows


def document(runs: Sequence[Evaluation], notes: Sequence[str]) -> dict[str, object]:
    """The same for programs. Shares from 0 to 1, changes in points."""
    def line(run: Evaluation) -> dict[str, object]:
        by_k = {
            str(k): {"points": points, "wins": wins, "losses": losses, "p": p}
            for k, (points, wins, losses, p) in changes(runs[0], run).items()
        }
        return {"left_out": label(run.name), "overall": run.summary.json(), "against_base": by_k}

    return {"notes": list(notes), "base": runs[0].summary.json(), "without": [line(run) for run in runs[1:]]}


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="SWE-bench rows with gold patches, .jsonl or .json")
    parser.add_argument("lists", type=Path, metavar="DIR", help="full.jsonl and without-*.jsonl")
    parser.add_argument("--base", default="full", metavar="NAME", help="the list with everything [default: full]")
    arguments(parser)
    args = parser.parse_args(argv)
    try:
        runs, notes = judge(args.dataset, files(args.lists, args.base), args.listed_only, args.ignore_unknown)
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    form: Callable[[Table], str] = markdown if args.markdown else plain
    print(json.dumps(document(runs, notes), indent=1) if args.json else form(table(runs)))
    return 1 if any(run.missing for run in runs) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
