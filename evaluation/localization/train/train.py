"""Trains the ranker of files and judges it on repositories that it has not seen.

Needs numpy, scipy and lightgbm. README.md in this folder says what to type.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import lightgbm
import numpy as np
from scipy.optimize import minimize

CUTS = (1, 3, 5, 10, 20, 50)
# Deep candidates are hardly ever right; leaving them out of the training changes nothing but its time.
TRAINED_ON = 80
# How strongly weights are drawn to where they start: EQUAL for the lists that equal weights fuse, else 0.
L2 = 0.01
EQUAL = 1.2
# What the trees' sum counts beside the weighted sum.
SCALE = 0.5
ROUNDS = 150
TREES = {
    "objective": "lambdarank", "learning_rate": 0.05, "num_leaves": 7, "min_data_in_leaf": 20,
    "feature_fraction": 0.3, "bagging_fraction": 0.7, "bagging_freq": 1, "lambda_l2": 5.0,
    "lambdarank_truncation_level": 20, "max_bin": 63, "label_gain": [0, 1], "verbosity": -1,
    "num_threads": 1, "deterministic": True, "force_row_wise": True,
}
# Repositories with fewer rows are left out together.
FEW = 10


@dataclass(frozen=True)
class Query:
    """One instance: its candidates in the order of equal weights."""

    id: str
    repo: str
    rows: np.ndarray
    right: np.ndarray
    # Files of the gold patch, candidates or not.
    gold: int


def gold_files(row: dict) -> set[str]:
    lines = row["patch"].splitlines()
    return {line.removeprefix("+++ b/").strip() for line in lines if line.startswith("+++ b/")}


@dataclass(frozen=True)
class Feature:
    """As the Rust code describes it."""

    name: str
    group: str
    fused: bool


def load(features: Path, dataset: Path) -> tuple[list[Feature], list[Query]]:
    with dataset.open() as lines:
        gold = {row["instance_id"]: gold_files(row) for row in map(json.loads, lines)}
    with features.open() as lines:
        head = json.loads(next(lines))
        queries = []
        for line in map(json.loads, lines):
            wanted = gold[line["instance_id"]]
            rows = np.array(line["rows"], dtype=np.float32).reshape(-1, len(head["features"]))
            right = np.array([path in wanted for path in line["paths"]], dtype=int)
            queries.append(Query(line["instance_id"], line["repo"], rows, right, len(wanted)))
    queries.sort(key=lambda query: query.id)
    return [Feature(**feature) for feature in head["features"]], queries


def rising(features: list[Feature]) -> list[int]:
    """Features whose larger values can only speak for a file."""
    return [at for at, feature in enumerate(features)
            if feature.name.endswith((" share", " place")) and feature.group != "overall"]


def places(features: list[Feature]) -> list[int]:
    return [at for at in rising(features) if features[at].name.endswith(" place")]


def fit_weights(queries: list[Query], columns: list[int], equal: np.ndarray) -> np.ndarray:
    """Weights of a softmax over the candidates, none negative, near to `equal`."""
    parts = [query.rows[:, columns].astype(np.float64) for query in queries]
    features = np.concatenate(parts)
    target = np.concatenate([query.right / query.right.sum() for query in queries]) / len(queries)
    starts = np.cumsum([0] + [len(part) for part in parts])[:-1]
    owner = np.repeat(np.arange(len(parts)), [len(part) for part in parts])

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        score = features @ weights
        score = score - np.maximum.reduceat(score, starts)[owner]
        total = np.add.reduceat(np.exp(score), starts)
        value = -(target * (score - np.log(total)[owner])).sum() + L2 * ((weights - equal) ** 2).sum()
        probability = np.exp(score) / total[owner] / len(parts)
        return value, features.T @ (probability - target) + 2 * L2 * (weights - equal)

    found = minimize(loss, equal + 0.05, jac=True, method="L-BFGS-B",
                     bounds=[(0, None)] * len(columns), options={"maxiter": 300})
    return found.x


def fit_trees(queries: list[Query], monotone: list[int], seed: int) -> lightgbm.Booster:
    data = lightgbm.Dataset(
        np.concatenate([query.rows for query in queries]),
        label=np.concatenate([query.right for query in queries]),
        group=[len(query.right) for query in queries],
    )
    settings = {**TREES, "seed": seed, "monotone_constraints": monotone}
    return lightgbm.train(settings, data, num_boost_round=ROUNDS)


@dataclass(frozen=True)
class Model:
    features: list[Feature]
    columns: list[int]
    weights: np.ndarray
    trees: lightgbm.Booster

    @classmethod
    def fit(cls, features: list[Feature], queries: Iterable[Query], seed: int) -> Model:
        cut = [replace(query, rows=query.rows[:TRAINED_ON], right=query.right[:TRAINED_ON])
               for query in queries]
        cut = [query for query in cut if query.right.any()]
        columns = places(features)
        equal = np.array([EQUAL * features[at].fused for at in columns])
        monotone = [int(at in set(rising(features))) for at in range(len(features))]
        return cls(features, columns, fit_weights(cut, columns, equal), fit_trees(cut, monotone, seed))

    def linear(self, rows: np.ndarray) -> np.ndarray:
        return rows[:, self.columns].astype(np.float64) @ self.weights

    def score(self, rows: np.ndarray) -> np.ndarray:
        return self.linear(rows) + SCALE * self.trees.predict(rows)

    def written(self, about: str) -> dict:
        def tree(node: dict) -> float | dict:
            if "leaf_value" in node:
                return node["leaf_value"]
            if node["decision_type"] != "<=" or node["missing_type"] not in ("None", "NaN"):
                raise ValueError(f"a split that the reader does not know: {node}")
            return {"feature": self.features[node["split_feature"]].name, "at": node["threshold"],
                    "low": tree(node["left_child"]), "high": tree(node["right_child"])}

        weights = {self.features[at].name: round(float(weight), 6)
                   for at, weight in zip(self.columns, self.weights) if weight > 1e-6}
        trees = [tree(info["tree_structure"]) for info in self.trees.dump_model()["tree_info"]]
        return {"about": about, "features": [feature.name for feature in self.features], "weights": weights, "trees_scale": SCALE,
                "trees": trees}


def worst_rank(query: Query, score: np.ndarray) -> float:
    """Rank of the last gold file, from 1; infinite if one is no candidate."""
    if query.right.sum() < query.gold:
        return math.inf
    order = np.argsort(-score, kind="stable")
    return float(np.flatnonzero(query.right[order]).max() + 1)


def folds(queries: list[Query]) -> dict[str, str]:
    count: dict[str, int] = {}
    for query in queries:
        count[query.repo] = count.get(query.repo, 0) + 1
    return {repo: repo if number >= FEW else "small" for repo, number in count.items()}


def unseen(features: list[Feature], queries: list[Query], seeds: int,
           extra: list[Query]) -> list[list[float]]:
    """Ranks of each query, one list a seed, by models that saw nothing of its repository."""
    fold = folds(queries)
    ranks: dict[str, list[float]] = {query.id: [] for query in queries}
    for out in sorted(set(fold.values())):
        train = [query for query in queries if fold[query.repo] != out] + extra
        for seed in range(seeds):
            model = Model.fit(features, train, seed)
            for query in queries:
                if fold[query.repo] == out:
                    ranks[query.id].append(worst_rank(query, model.score(query.rows)))
    return [[ranks[query.id][seed] for query in queries] for seed in range(seeds)]


def line(label: str, ranks: list[list[float]], of: Callable[[int], bool] = lambda _: True) -> str:
    kept = [[rank for at, rank in enumerate(run) if of(at)] for run in ranks]
    shares = [np.mean([np.mean([rank <= cut for rank in run]) for run in kept]) for cut in CUTS]
    return f"{label:28} {len(kept[0]):4}  " + " ".join(f"{100 * share:5.1f}" for share in shares)


def mcnemar(first: list[float], second: list[float], cut: int) -> tuple[int, int, float]:
    """Wins of the second, its losses, and the exact two-sided probability."""
    wins = sum(a > cut >= b for a, b in zip(first, second))
    losses = sum(b > cut >= a for a, b in zip(first, second))
    number = wins + losses
    tail = sum(math.comb(number, at) for at in range(min(wins, losses) + 1)) / 2**number
    return wins, losses, min(1.0, 2 * tail)


def without(features: list[Feature], queries: list[Query], group: str) -> list[Query]:
    """The queries as if a group's lists said nothing; the candidates stay."""
    gone = [at for at, feature in enumerate(features) if feature.group == group]

    def blank(query: Query) -> Query:
        rows = query.rows.copy()
        rows[:, gone] = 0
        return replace(query, rows=rows)

    return [blank(query) for query in queries]


def report(features: list[Feature], queries: list[Query], seeds: int, ablation: bool,
           extra: list[Query]) -> None:
    equal = [[worst_rank(query, -np.arange(len(query.rows))) for query in queries]]
    trained = unseen(features, queries, seeds, extra)
    print(f"{'strict, percent':28} {'n':>4}  " + " ".join(f"{'@' + str(cut):>5}" for cut in CUTS))
    print(line("equal weights", equal))
    print(line("trained, unseen repository", trained))
    for repo in sorted({query.repo for query in queries}):
        of = lambda at, repo=repo: queries[at].repo == repo
        print(line(f"{repo} equal", equal, of))
        print(line(f"{repo} trained", trained, of))
    middle = [float(np.median([run[at] for run in trained])) for at in range(len(queries))]
    for cut in CUTS:
        wins, losses, chance = mcnemar(equal[0], middle, cut)
        print(f"McNemar @{cut}: {wins} won, {losses} lost, p = {chance:.3f}")
    if ablation:
        for group in sorted({feature.group for feature in features}):
            blanked = without(features, queries, group)
            print(line(f"without {group}", unseen(features, blanked, seeds, extra)), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("features", type=Path, help="what the example `features` wrote")
    parser.add_argument("dataset", type=Path, help="the rows, with their patches")
    parser.add_argument("--extra", nargs=2, type=Path, metavar=("FEATURES", "DATASET"),
                        help="trained on too, never judged")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ablation", action="store_true", help="also without each group of lists")
    parser.add_argument("--write", type=Path, help="folder for ranker.json and ranker_cases.json")
    arguments = parser.parse_args()
    features, queries = load(arguments.features, arguments.dataset)
    extra = load(*arguments.extra)[1] if arguments.extra else []
    if not arguments.write:
        report(features, queries, arguments.seeds, arguments.ablation, extra)
        return
    model = Model.fit(features, queries + extra, 0)
    print(line("trained on these very rows",
               [[worst_rank(query, model.score(query.rows)) for query in queries]]))
    about = (f"weights: softmax, l2 {L2} around {EQUAL} for fused lists; trees: lightgbm {lightgbm.__version__} lambdarank, "
             f"{ROUNDS} rounds; {len(queries)} issues")
    written = model.written(about)
    write(arguments.write / "ranker.json", written)
    rounded = np.array([written["weights"].get(feature.name, 0.0) for feature in features])
    chosen = np.concatenate([query.rows[:60:30] for query in queries[:: max(1, len(queries) // 4)]])
    cases = [{"linear": float(row.astype(np.float64) @ rounded), "trees": float(trees),
              "row": [float(str(value)) for value in row]}
             for row, trees in zip(chosen, model.trees.predict(chosen))]
    text = ",\n".join(json.dumps(case) for case in cases)
    (arguments.write / "ranker_cases.json").write_text(f"[\n{text}\n]\n")


def write(path: Path, model: dict) -> None:
    """One line a weight and a tree, so that differences can be read."""
    parts = []
    for key, value in model.items():
        if key == "weights":
            rows = [f"    {json.dumps(name)}: {weight}" for name, weight in
                    sorted(value.items(), key=lambda item: -item[1])]
            parts.append(f"  {json.dumps(key)}: {{\n" + ",\n".join(rows) + "\n  }")
        elif isinstance(value, list):
            rows = [f"    {json.dumps(item)}" for item in value]
            parts.append(f"  {json.dumps(key)}: [\n" + ",\n".join(rows) + "\n  ]")
        else:
            parts.append(f"  {json.dumps(key)}: {json.dumps(value)}")
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n")


if __name__ == "__main__":
    main()
