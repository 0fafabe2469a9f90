"""Processor time for one similarity: `agent reward` against CPython's difflib and cydifflib, same cases.

    pip install cydifflib unidiff
    python evaluation/reward/bench.py target/release/agent

Each case compares two change texts of about N characters: unrelated ones (pieces of different
Python files) and related ones (the same piece, changed in places). All three run on one thread.
`agent` reads the cases as JSON lines, so that reading, diffing lines and writing is in its time, all
threads together; starting the process is not (the time of an empty run is taken off). The others get
the finished change texts and only match. Processor time, so that a busy machine does not disturb.
"""

import argparse
import difflib
import json
import os
import platform
import resource
import statistics
import subprocess
import time

from cases import Cases
from reference import change

SIZES = [400, 1000, 2000, 4000, 8000, 13000]


def texts(made, size):
    """Three contents without common context: before, and two ways after it of `size` characters."""
    def code():
        text = ""
        while len(text) < size:
            text += made.real()
        return text[:size]

    one = code()
    lines = one.split("\n")
    for _ in range(max(1, len(lines) // 12)):
        at = made.random.randrange(len(lines))
        lines[at : at + 1] = made.random.choice([[], [lines[at] + "  # note"], made.real().split("\n")[:2]])
    return one, code(), "\n".join(lines)


def timed(function, least=0.2):
    """Seconds of one call; the best of several where that is quick."""
    best, spent = float("inf"), 0.0
    while spent < least:
        start = time.process_time()
        value = function()
        seconds = time.process_time() - start
        best, spent = min(best, seconds), spent + seconds
    return best, value


def agent_seconds(agent, lines, repeat):
    """Seconds for one case, and the values."""
    def spent():
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    def run(text):
        start = spent()
        done = subprocess.run([agent, "reward", "-", "-j", "1"], input=text, stdout=subprocess.PIPE, check=True)
        return spent() - start, done.stdout

    empty = min(run(b"")[0] for _ in range(5))
    seconds, out = min((run(lines * repeat) for _ in range(3)), key=lambda pair: pair[0])
    return max(seconds - empty, 1e-9) / repeat, [json.loads(line)["reward"] for line in out.splitlines()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("agent", nargs="?", default="target/release/agent")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=4, help="cases of each size and kind")
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    args = parser.parse_args()
    import cydifflib

    made = Cases(args.seed)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    print("| characters | kind | difflib ms | cydifflib ms | agent ms | difflib / agent | cydifflib / agent |")
    print("|---|---|---|---|---|---|---|")
    for size in args.sizes:
        for kind in ("unrelated", "related"):
            rows = []
            for _ in range(args.pairs):
                one, other, near = texts(made, size)
                pred, oracle = one, other if kind == "unrelated" else near
                case = {"code_context": {}, "oracle_new_content": {"a.py": oracle}, "pred_new_content": {"a.py": pred}}
                a, b = change("", pred), change("", oracle)
                slow = timed(lambda: difflib.SequenceMatcher(None, a, b, autojunk=False).ratio())
                cython = timed(lambda: cydifflib.SequenceMatcher(None, a, b, autojunk=False).ratio())
                line = json.dumps(case).encode() + b"\n"
                fast, values = agent_seconds(args.agent, line, max(100, 4_000_000 // size))
                assert all(abs(value - slow[1]) <= 1e-12 for value in values), (values[0], slow[1])
                rows.append((slow[0], cython[0], fast))
            slow, cython, fast = (statistics.mean(column) for column in zip(*rows))
            print(
                f"| {size:,} | {kind} | {slow * 1e3:.1f} | {cython * 1e3:.2f} | {fast * 1e3:.3f} "
                f"| {slow / fast:,.0f} | {cython / fast:,.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
