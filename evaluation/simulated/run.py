"""A whole benchmark in simulation: as many instances as SWE-bench Verified has, from endpoint to submission.

    agent images build packages
    cargo build --release --bin agent --example standin
    python3 evaluation/simulated/run.py target/release/agent target/release/examples/standin OUT

The instances are the real packages of the dataset `packages`, each many times under names of their own;
a stand-in server of chosen quality plays the model and, if asked, fails now and then. The commands are
those of README's recipe. It prints one table. Run it again with the same OUT and it goes on.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def rows(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def multiply(source, scripts, count, out):
    """`count` rows with ids of their own, and the stand-in's scripts under the same ids."""
    templates = rows(source)
    os.makedirs(os.path.join(out, "scripts"), exist_ok=True)
    with open(os.path.join(out, "rows.jsonl"), "w", encoding="utf-8") as file:
        for number in range(count):
            row = dict(templates[number % len(templates)])
            link = os.path.join(out, "scripts", f"{row['instance_id']}.{number:04}")
            if not os.path.lexists(link):
                os.symlink(os.path.join(scripts, row["instance_id"]), link)
            row["instance_id"] = f"{row['instance_id']}.{number:04}"
            file.write(json.dumps(row) + "\n")
    return os.path.join(out, "rows.jsonl")


def on_disk(folder):
    total = 0
    for path, _, names in os.walk(folder):
        total += sum(os.lstat(os.path.join(path, name)).st_blocks * 512 for name in names)
    return total


class Commands:
    """Runs commands one after the other and keeps what each took."""

    def __init__(self, environment):
        self.environment, self.taken = environment, []

    def run(self, name, command, codes=(0,)):
        print("$", shlex.join(command), file=sys.stderr, flush=True)
        start = time.monotonic()
        process = subprocess.Popen(command, env=self.environment, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if code not in codes:
            sys.exit(f"{name}: exit code {code}")
        self.taken.append((name, time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024))


def table(commands, run, graded, submission):
    report = json.load(open(os.path.join(graded, "report.json"), encoding="utf-8"))
    ids = [name for name in os.listdir(run) if os.path.isfile(os.path.join(run, name, "outcome.json"))]
    candidates = tests = executions = 0
    outcomes = {}
    for name in ids:
        folder = os.path.join(run, name)
        candidates += len(rows(os.path.join(folder, "candidates.jsonl")))
        tests += len(rows(os.path.join(folder, "tests.jsonl")))
        executions += len(rows(os.path.join(folder, "executions.jsonl")))
        outcome = json.load(open(os.path.join(folder, "outcome.json"), encoding="utf-8"))
        word = outcome if isinstance(outcome, str) else outcome.get("status") or next(iter(outcome))
        outcomes[word] = outcomes.get(word, 0) + 1
    print("| what | figure |\n|---|---|")
    print(f"| instances | {len(ids):,} ({', '.join(f'{n} {word}' for word, n in sorted(outcomes.items()))}) |")
    print(f"| repair samples, scripts, executions | {candidates:,}, {tests:,}, {executions:,} |")
    print(f"| resolved by `agent evaluate` | {report['resolved_instances']:,} of {report['submitted_instances']:,} |")
    print(f"| files of the run, of the submission | {on_disk(run) / 1e6:,.0f} MB, {on_disk(submission) / 1e6:,.0f} MB |")
    for name, wall, cpu, peak in commands.taken:
        print(f"| `agent {name}` | {wall / 60:.1f} min wall, {cpu / 60:.2f} min of its own CPU, {peak:,.0f} MiB at most |")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("agent")
    parser.add_argument("standin")
    parser.add_argument("out")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--samples", type=int, default=10)
    parser.add_argument("--tests", type=int, default=6)
    parser.add_argument("--fault-rate", action="append", default=[], help="KIND=RATE, as the stand-in has it")
    parser.add_argument("--set", action="append", default=[], help="a setting of the run, as `agent run --set`")
    parser.add_argument("--packages", default=os.path.join(
        os.environ.get("AGENT_CACHE", os.path.expanduser("~/.cache/agent")), "packages", "packages.jsonl"))
    args = parser.parse_args()
    if not os.path.exists(args.packages):
        sys.exit(f"{args.packages} is missing: build it with `agent images build packages`")
    out = os.path.abspath(args.out)
    os.makedirs(out, exist_ok=True)
    dataset = multiply(args.packages, os.path.join(HERE, "..", "packages"), args.count, out)
    serve = [args.standin, "--dataset", dataset, "--scripts", os.path.join(out, "scripts"), "--listen", "127.0.0.1:0",
             "--right", "0.2", "--mutated", "0.2", "--malformed", "0.2"]
    for fault in args.fault_rate:
        serve += ["--fault-rate", fault]
    server = subprocess.Popen(serve, stdout=subprocess.PIPE, text=True)
    try:
        url = server.stdout.readline().split("=", 1)[1].split()[0]
        commands = Commands({**os.environ, "OPENAI_BASE_URL": url})
        run = os.path.join(out, "run")
        commands.run("doctor", [args.agent, "doctor", dataset])
        commands.run("images pull", [args.agent, "images", "pull", dataset])
        commands.run("run", [args.agent, "run", dataset, "-o", run, "--samples", str(args.samples),
                             "--tests", str(args.tests), *(part for value in args.set for part in ("--set", value))],
                     codes=(0, 1))
        commands.run("evaluate", [args.agent, "evaluate", dataset, "-p", os.path.join(run, "predictions.jsonl")],
                     codes=(0, 1))
        submission = os.path.join(out, "submission")
        subprocess.run(["rm", "-rf", submission], check=True)
        commands.run("pack", [args.agent, "pack", run, "-o", submission, "--draft"], codes=(0, 1))
        table(commands, run, os.path.join(run, "graded"), submission)
    finally:
        server.kill()


main()
