"""Holds `agent reward` against CPython's difflib: generated cases, one run, largest difference.

    pip install unidiff
    python evaluation/reward/parity.py target/release/agent --cases 10000

`--corpus DIR` writes the cases and their expected values instead; `cargo test` reads a small set:

    python evaluation/reward/parity.py --cases 400 --longest 25 --source evaluation --corpus tests/fixtures/reward
"""

import argparse
import json
import subprocess
import sys
import time

from cases import Cases, named
from reference import reward


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("agent", nargs="?", default="target/release/agent")
    parser.add_argument("--cases", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--source", help="directory of Python files [default: the standard library]")
    parser.add_argument("--longest", type=int, default=120, help="most lines of one real text")
    parser.add_argument("--corpus", help="write cases and expected values to this directory and stop")
    args = parser.parse_args()

    made = Cases(args.seed, args.source, args.longest)
    cases = named()
    for number in range(args.cases - len(cases)):
        cases.append({"id": f"c{number:05}", **made.next()})
    # Through JSON, where a high and a low surrogate side by side become one character.
    cases = [json.loads(json.dumps(case)) for case in cases]
    start = time.perf_counter()
    expected = [reward(case) for case in cases]
    python_seconds = time.perf_counter() - start

    if args.corpus:
        with open(f"{args.corpus}/cases.jsonl", "w", encoding="ascii", newline="\n") as out:
            out.writelines(json.dumps(case) + "\n" for case in cases)
        with open(f"{args.corpus}/expected.jsonl", "w", encoding="ascii", newline="\n") as out:
            for case, (value, found) in zip(cases, expected):
                row = {"id": case["id"], "reward": value, "similarities": list(found.values())}
                out.write(json.dumps(row) + "\n")
        return 0

    lines = "".join(json.dumps(case) + "\n" for case in cases)
    start = time.perf_counter()
    done = subprocess.run([args.agent, "reward", "-"], input=lines.encode(), stdout=subprocess.PIPE)
    agent_seconds = time.perf_counter() - start
    results = [json.loads(line) for line in done.stdout.splitlines()]

    worst, wrong, kinds = 0.0, [], {}
    for case, (value, found), result in zip(cases, expected, results, strict=True):
        got = result.get("reward")
        pairs = [(got, value)] + list(zip((s["similarity"] for s in result.get("similarities", [])), found.values()))
        is_whole = got is not None and result["id"] == case["id"] and len(pairs) == 1 + len(found)
        delta = max(abs(a - b) for a, b in pairs) if is_whole else float("inf")
        worst = max(worst, delta)
        kind = next(k for k in ("output", "pred_new_content", "pred_patches") if k in case)
        bucket = "-1" if value < 0 else "0" if value == 0 else "1" if value == 1 else "between"
        kinds[kind, bucket] = kinds.get((kind, bucket), 0) + 1
        if delta > 1e-12:
            wrong.append((case, value, result))
    for (kind, bucket), count in sorted(kinds.items()):
        print(f"{kind:17} {bucket:>7}: {count}")
    print(f"{len(cases)} cases, exit code {done.returncode}, largest difference {worst:.3g}")
    print(f"python {python_seconds:.1f} s, agent {agent_seconds:.2f} s")
    for case, value, result in wrong[:5]:
        print(f"expected {value!r}, got {json.dumps(result)[:300]}\n  {json.dumps(case)[:4000]}")
    print(f"{len(wrong)} differ")
    return 1 if wrong or done.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
