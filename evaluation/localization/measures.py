"""Measures of ranked file lists: accuracy at k, Wilson's interval, McNemar's exact test. No input or output."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Callable, Optional
from collections.abc import Sequence

KS: tuple[int, ...] = (1, 3, 5, 10, 20, 50, 100)
DEPTH = KS[-1]
# Two-sided 95% of the normal distribution.
Z95 = 1.959963984540054


@dataclass(frozen=True)
class Outcome:
    """Places of one instance's gold files in its ranked list: from 1, None where the list lacks the file."""

    instance_id: str
    repo: str
    gold: tuple[str, ...]
    places: tuple[Optional[int], ...]
    listed: bool

    def strict(self, k: int) -> bool:
        """Every gold file is among the first k."""
        return all(place is not None and place <= k for place in self.places)

    def any_hit(self, k: int) -> bool:
        """At least one gold file is among the first k."""
        return any(place is not None and place <= k for place in self.places)

    def recall(self, k: int) -> float:
        """Share of the gold files that are among the first k."""
        return sum(place is not None and place <= k for place in self.places) / len(self.places)

    def reciprocal(self) -> float:
        """1 / place of the first gold file, 0 where the first `DEPTH` have none: longer lists gain nothing."""
        found = [place for place in self.places if place is not None and place <= DEPTH]
        return 1 / min(found) if found else 0.0


def outcome(instance_id: str, repo: str, gold: Sequence[str], ranked: Optional[Sequence[str]]) -> Outcome:
    """Looks up the gold files in a list; no list (None) is a list without any file."""
    if not gold:
        raise ValueError(f"{instance_id}: no gold files")
    place = {path: at for at, path in reversed(list(enumerate(ranked or (), 1)))}
    return Outcome(instance_id, repo, tuple(gold), tuple(place.get(path) for path in gold), ranked is not None)


def wilson(successes: int, n: int, z: float = Z95) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927), as two shares; (0, 1) where n is 0."""
    if n == 0:
        return 0.0, 1.0
    share = successes / n
    middle = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    low, high = (middle - half) / scale, (middle + half) / scale
    # At the ends the formula gives 0 and 1 exactly; rounding need not.
    return (0.0 if successes == 0 else low), (1.0 if successes == n else high)


def mcnemar(wins: int, losses: int) -> float:
    """Two-sided p of McNemar's exact test: under no difference each discordant pair is a fair coin."""
    n = wins + losses
    term = tail = 1
    for i in range(min(wins, losses)):
        # C(n, i + 1) from C(n, i): exact, and no binomial is computed from the start.
        term = term * (n - i) // (i + 1)
        tail += term
    return min(1.0, 2 * tail / 2**n)


@dataclass(frozen=True)
class Summary:
    """Measures over some instances; shares from 0 to 1, in the order of `KS`."""

    n: int
    gold_files: int
    listed: int
    strict: tuple[float, ...]
    interval: tuple[tuple[float, float], ...]
    any_hit: tuple[float, ...]
    recall: tuple[float, ...]
    mrr: float

    def json(self) -> dict[str, object]:
        """With k as the key."""
        def by_k(values: Sequence[object]) -> dict[str, object]:
            return {str(k): value for k, value in zip(KS, values)}

        return {
            "n": self.n,
            "gold_files": self.gold_files,
            "listed": self.listed,
            "strict": by_k(self.strict),
            "strict_wilson95": by_k([list(pair) for pair in self.interval]),
            "any": by_k(self.any_hit),
            "recall": by_k(self.recall),
            "mrr": self.mrr,
        }


def summarize(outcomes: Sequence[Outcome]) -> Summary:
    """Means over instances, each with the same weight."""
    n = len(outcomes)

    def mean(value: Callable[[Outcome], float]) -> float:
        return sum(value(one) for one in outcomes) / n if n else 0.0

    return Summary(
        n=n,
        gold_files=sum(len(one.gold) for one in outcomes),
        listed=sum(one.listed for one in outcomes),
        strict=tuple(mean(lambda one: one.strict(k)) for k in KS),
        interval=tuple(wilson(sum(one.strict(k) for one in outcomes), n) for k in KS),
        any_hit=tuple(mean(lambda one: one.any_hit(k)) for k in KS),
        recall=tuple(mean(lambda one: one.recall(k)) for k in KS),
        mrr=mean(Outcome.reciprocal),
    )


@dataclass(frozen=True)
class Pair:
    """One run against another at one k, strict: instances that only the one or only the other has right."""

    k: int
    wins: int
    losses: int
    p: float


def compare(base: Sequence[Outcome], other: Sequence[Outcome]) -> list[Pair]:
    """`other` against `base` at each k; both hold the same instances in the same order."""
    if [one.instance_id for one in base] != [one.instance_id for one in other]:
        raise ValueError("the runs do not hold the same instances")
    pairs = []
    for k in KS:
        wins = sum(b.strict(k) and not a.strict(k) for a, b in zip(base, other))
        losses = sum(a.strict(k) and not b.strict(k) for a, b in zip(base, other))
        pairs.append(Pair(k, wins, losses, mcnemar(wins, losses)))
    return pairs


def gold_group(one: Outcome) -> str:
    """By how many files the gold patch changes: "1", "2" or "3+"."""
    return str(len(one.gold)) if len(one.gold) < 3 else "3+"


def grouped(outcomes: Sequence[Outcome], by: str) -> dict[str, list[Outcome]]:
    """Outcomes by "repo" or "gold-files", keys in order."""
    key: Callable[[Outcome], str] = gold_group if by == "gold-files" else lambda one: one.repo
    groups: dict[str, list[Outcome]] = {}
    for one in sorted(outcomes, key=key):
        groups.setdefault(key(one), []).append(one)
    return groups
