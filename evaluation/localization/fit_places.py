"""Fits the weights of `src/retrieval/places/weights.rs` on development rows.

    cargo run --release --example contexts -- describe ROWS --repos DIR --lists LISTS > blocks.jsonl
    python evaluation/localization/fit_places.py ROWS blocks.jsonl

Logistic regression with a small L2 penalty over the blocks of gold files: does the fix change the
block? Every file weighs the same, whatever its size. The report judges each repository by weights
fitted on the others; the table printed is fitted on all. Standard library only.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import gold as G


def solve(matrix: list[list[float]], vector: list[float]) -> list[float]:
    """Gaussian elimination with pivots."""
    n = len(vector)
    rows = [matrix[i][:] + [vector[i]] for i in range(n)]
    for i in range(n):
        pivot = max(range(i, n), key=lambda r: abs(rows[r][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        for r in range(i + 1, n):
            factor = rows[r][i] / rows[i][i]
            if factor:
                for c in range(i, n + 1):
                    rows[r][c] -= factor * rows[i][c]
    out = [0.0] * n
    for i in reversed(range(n)):
        out[i] = (rows[i][n] - sum(rows[i][c] * out[c] for c in range(i + 1, n))) / rows[i][i]
    return out


def probability(weights: list[float], features: list[float]) -> float:
    total = sum(w * x for w, x in zip(weights, features))
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, total))))


def fit(samples: list[tuple[list[float], int, float]], penalty: float, steps: int = 12) -> list[float]:
    """Newton's method; samples are (features, label, weight)."""
    n = len(samples[0][0])
    weights = [0.0] * n
    for _ in range(steps):
        gradient = [-penalty * w for w in weights]
        gradient[0] = 0.0
        hessian = [[0.0] * n for _ in range(n)]
        for features, label, weight in samples:
            p = probability(weights, features)
            error, curve = weight * (label - p), weight * p * (1 - p)
            used = [i for i in range(n) if features[i]]
            for i in used:
                gradient[i] += error * features[i]
                row, scaled = hessian[i], curve * features[i]
                for j in used:
                    row[j] += scaled * features[j]
        for i in range(n):
            hessian[i][i] += penalty if i else 1e-9
            hessian[i][i] += 1e-9
        step = solve(hessian, gradient)
        weights = [w + s for w, s in zip(weights, step)]
        if max(abs(s) for s in step) < 1e-6:
            break
    return weights


def load(rows_path: str, blocks_path: str) -> tuple[list[dict], list[str]]:
    """One entry a gold file: repository, blocks as (features, label, lines of the block)."""
    rows = {row["instance_id"]: row for row in G.rows(rows_path)}
    files, names = [], []
    with open(blocks_path, encoding="utf-8") as lines:
        for line in lines:
            described = json.loads(line)
            names = described.get("features", names)
            row = rows.get(described["instance_id"])
            if row is None:
                continue
            gold = G.gold_lines(row["patch"])
            for file in described["files"]:
                touched = gold.get(file["path"])
                if not touched or not file["blocks"]:
                    continue
                blocks = []
                for first, last, name, _, features in file["blocks"]:
                    hit = sum(1 for n in touched if first <= n <= last)
                    blocks.append((features, int(hit > 0), first, last, name))
                files.append({"id": row["instance_id"], "repo": row["repo"], "blocks": blocks,
                              "path": file["path"], "gold": touched})
    return files, names


def samples(files: list[dict]) -> list[tuple[list[float], int, float]]:
    return [(b[0], b[1], 1.0) for f in files for b in f["blocks"]]


def judge(files: list[dict], score) -> dict[str, float]:
    """How far down the list of a file's blocks its gold blocks stand, and how many lines that takes."""
    top = {1: 0, 3: 0, 5: 0, 10: 0}
    cover = {100: 0, 200: 0, 400: 0}
    loss = n = 0.0
    for f in files:
        scored = [(score(f, b), b) for b in f["blocks"]]
        scored.sort(key=lambda one: -one[0])
        last = max(i for i, (_, b) in enumerate(scored) if b[1])
        for k in top:
            top[k] += last < k
        lines, budget_at = 0, None
        for i, (_, b) in enumerate(scored):
            lines += b[3] - b[2] + 1
            if i == last:
                budget_at = lines
        for k in cover:
            cover[k] += budget_at <= k
        for p, b in scored:
            p = min(max(p, 1e-9), 1 - 1e-9)
            loss -= math.log(p if b[1] else 1 - p)
            n += 1
    total = len(files)
    out = {f"all @{k}": 100 * v / total for k, v in top.items()}
    out |= {f"in {k} lines": 100 * v / total for k, v in cover.items()}
    out["log loss a block"] = loss / n
    return out


def calibration(pairs: list[tuple[float, int]]) -> list[tuple[float, float, int]]:
    edges = [0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 1.01]
    out = []
    for low, high in zip(edges, edges[1:]):
        inside = [(p, y) for p, y in pairs if low <= p < high]
        if inside:
            out.append((sum(p for p, _ in inside) / len(inside),
                        sum(y for _, y in inside) / len(inside), len(inside)))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("rows", help="SWE-bench rows, .jsonl or .json")
    parser.add_argument("blocks", help="output of `contexts describe`")
    parser.add_argument("--penalty", type=float, default=1.0, help="L2 penalty of a weight")
    args = parser.parse_args()
    files, names = load(args.rows, args.blocks)
    if not files:
        sys.exit("no gold file of ROWS is in BLOCKS")
    names = names or [str(i) for i in range(len(files[0]["blocks"][0][0]))]
    held: dict[str, list[float]] = {}
    for repo in sorted({f["repo"] for f in files}):
        held[repo] = fit(samples([f for f in files if f["repo"] != repo]), args.penalty)
    weights = fit(samples(files), args.penalty)
    issue = names.index("issue") if "issue" in names else 5
    print(f"{len(files)} gold files, {sum(len(f['blocks']) for f in files)} blocks, "
          f"{sum(b[1] for f in files for b in f['blocks'])} changed\n")
    table = {
        "leave one repository out": judge(files, lambda f, b: probability(held[f["repo"]], b[0])),
        "fitted on all": judge(files, lambda f, b: probability(weights, b[0])),
        "BM25 of the issue alone": judge(files, lambda f, b: b[0][issue]),
    }
    keys = list(next(iter(table.values())))
    print("| weights | " + " | ".join(keys) + " |\n|---|" + "---|" * len(keys))
    for name, row in table.items():
        print(f"| {name} | " + " | ".join(f"{row[k]:.3f}" if "loss" in k else f"{row[k]:.1f}" for k in keys) + " |")
    pairs = [(probability(held[f["repo"]], b[0]), b[1]) for f in files for b in f["blocks"]]
    print("\n| predicted (left out) | observed | blocks |\n|---|---|---|")
    for mean, rate, count in calibration(pairs):
        print(f"| {mean:.3f} | {rate:.3f} | {count} |")
    print("\nweights for src/retrieval/places/weights.rs:\n")
    for name, weight in zip(names, weights):
        print(f'    {weight:.3f}, // {name}')


if __name__ == "__main__":
    main()
