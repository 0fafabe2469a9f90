"""How much of the changed files and lines a context of N tokens holds.

    agent localize ROWS --no-model --repos DIR -o lists.jsonl
    cargo run --release --example contexts -- curve ROWS --repos DIR --lists lists.jsonl > shown.jsonl
    python evaluation/localization/context_recall.py ROWS shown.jsonl [--json FILE] [--svg FILE]

A row counts as hit only if all of its changed files (lines) are shown; `share` is the mean share of
changed lines. Changed lines are those of the base commit that the reference patch removes or
replaces, and for mere insertions the two lines between which they stand. Standard library only.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import gold as G
import measures


@dataclass
class Cell:
    """One strategy at one budget, over all rows."""

    rows: int = 0
    files: int = 0
    lines: int = 0
    share: float = 0.0
    tokens: int = 0
    hits: dict[str, bool] = field(default_factory=dict)


def measure(gold: dict[str, dict[str, set[int]]], path: str) -> dict[tuple[str, int], Cell]:
    cells: dict[tuple[str, int], Cell] = defaultdict(Cell)
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
                instance, shown = row["instance_id"], row["shown"]
                cell = cells[row["strategy"], row["budget"]]
                tokens = row["tokens"]
            except (ValueError, KeyError, TypeError) as error:
                sys.exit(f"{path}:{number}: not a line of `contexts curve`: {error!r}")
            changed = gold.get(instance)
            if not changed:
                continue
            if tokens > row["budget"]:
                sys.exit(f"{path}:{number}: {tokens} tokens exceed the budget of {row['budget']}")
            wanted = [(file, n) for file, numbers in changed.items() for n in numbers]
            seen = sum(
                1
                for file, n in wanted
                if any(first <= n <= last for first, last in shown.get(file, ()))
            )
            cell.rows += 1
            cell.tokens += tokens
            cell.files += all(file in shown for file in changed)
            cell.hits[instance] = seen == len(wanted)
            cell.lines += cell.hits[instance]
            cell.share += seen / len(wanted) if wanted else 1.0
    return cells


def paired(a: Cell, b: Cell) -> tuple[int, int, float]:
    """Rows that only a, only b holds completely, and the exact two-sided p."""
    both = a.hits.keys() & b.hits.keys()
    only_a = sum(1 for one in both if a.hits[one] and not b.hits[one])
    only_b = sum(1 for one in both if b.hits[one] and not a.hits[one])
    return only_a, only_b, measures.mcnemar(only_a, only_b)


def percent(hits: int, of: int) -> str:
    low, high = measures.wilson(hits, of)
    return f"{100 * hits / of:.1f} ({100 * low:.1f}-{100 * high:.1f})"


def markdown(cells: dict[tuple[str, int], Cell]) -> str:
    out = ["| strategy | budget | all changed files | all changed lines | share of lines | tokens used |",
           "|---|---|---|---|---|---|"]
    for (strategy, budget), cell in sorted(cells.items(), key=lambda one: (one[0][1], one[0][0])):
        if cell.rows:
            out.append(f"| {strategy} | {budget} | {percent(cell.files, cell.rows)} | "
                       f"{percent(cell.lines, cell.rows)} | {100 * cell.share / cell.rows:.1f} | "
                       f"{cell.tokens / cell.rows:.0f} |")
    return "\n".join(out)


COLOURS = ["#0b6e99", "#c04f15", "#4b8b3b", "#7a4fa3", "#8a6d1f", "#444444"]


def svg(cells: dict[tuple[str, int], Cell]) -> str:
    """Changed lines (solid) and files (dashed) against the budget, on a logarithmic axis."""
    strategies = sorted({strategy for strategy, _ in cells})
    budgets = sorted({budget for _, budget in cells})
    width, height, left, top, right, bottom = 720, 420, 60, 20, 150, 50
    low, high = math.log2(budgets[0]), math.log2(budgets[-1])

    def x(budget: int) -> float:
        return left + (math.log2(budget) - low) / max(1e-9, high - low) * (width - left - right)

    def y(value: float) -> float:
        return top + (100 - value) / 100 * (height - top - bottom)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
           'font-family="sans-serif" font-size="12">',
           f'<rect width="{width}" height="{height}" fill="white"/>']
    for value in range(0, 101, 20):
        out.append(f'<line x1="{left}" y1="{y(value)}" x2="{width - right}" y2="{y(value)}" stroke="#ddd"/>'
                   f'<text x="{left - 8}" y="{y(value) + 4}" text-anchor="end">{value}</text>')
    for budget in budgets:
        name = f"{budget // 1000}k" if budget >= 1000 else str(budget)
        out.append(f'<text x="{x(budget):.1f}" y="{height - bottom + 18}" text-anchor="middle">{name}</text>')
    out.append(f'<text x="{(left + width - right) / 2}" y="{height - 10}" text-anchor="middle">tokens</text>')
    out.append(f'<text x="14" y="{top + 150}" transform="rotate(-90 14 {top + 150})" text-anchor="middle">'
               'rows with everything shown, percent</text>')
    for number, strategy in enumerate(strategies):
        colour = COLOURS[number % len(COLOURS)]
        for dashed, value in ((False, lambda c: c.lines), (True, lambda c: c.files)):
            points = [(x(b), y(100 * value(cells[strategy, b]) / cells[strategy, b].rows))
                      for b in budgets if cells.get((strategy, b), Cell()).rows]
            path = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
            dash = ' stroke-dasharray="5 4"' if dashed else ""
            out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        at = top + 14 + 34 * number
        out.append(f'<text x="{width - right + 12}" y="{at}" fill="{colour}">{strategy} lines</text>'
                   f'<text x="{width - right + 12}" y="{at + 14}" fill="{colour}">{strategy} files (dashed)</text>')
    out.append("</svg>")
    return "\n".join(out) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("rows", help="SWE-bench rows with reference patches, .jsonl or .json")
    parser.add_argument("shown", help="output of `contexts curve`")
    parser.add_argument("--json", metavar="FILE", help="write the numbers here too")
    parser.add_argument("--svg", metavar="FILE", help="draw the curves")
    parser.add_argument("--compare", nargs=2, metavar=("A", "B"), help="paired test of two strategies")
    args = parser.parse_args()
    gold = {row["instance_id"]: G.gold_lines(row["patch"]) for row in G.rows(args.rows)}
    cells = {key: cell for key, cell in measure(gold, args.shown).items() if cell.rows}
    if not cells:
        sys.exit("no line of SHOWN belongs to a row of ROWS")
    print(markdown(cells))
    if args.compare:
        a, b = args.compare
        print(f"\nAll changed lines, rows that only {a} / only {b} shows, exact McNemar p:\n")
        for budget in sorted({budget for _, budget in cells}):
            if (a, budget) in cells and (b, budget) in cells:
                only_a, only_b, p = paired(cells[a, budget], cells[b, budget])
                print(f"- {budget}: {only_a} / {only_b}, p = {p:.2g}")
    if args.json:
        numbers = [{"strategy": strategy, "budget": budget, "rows": cell.rows,
                    "files": cell.files, "lines": cell.lines,
                    "files_share": cell.files / cell.rows,
                    "files_interval": measures.wilson(cell.files, cell.rows),
                    "lines_share": cell.lines / cell.rows,
                    "lines_interval": measures.wilson(cell.lines, cell.rows),
                    "mean_share_of_lines": cell.share / cell.rows,
                    "tokens": cell.tokens / cell.rows}
                   for (strategy, budget), cell in sorted(cells.items())]
        Path(args.json).write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    if args.svg:
        Path(args.svg).write_text(svg(cells), encoding="utf-8")


if __name__ == "__main__":
    main()
