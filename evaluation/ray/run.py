#!/usr/bin/env python3
"""`agent run` over the nodes of a Ray cluster.

    python evaluation/ray/run.py DATASET -o RUN --agent PATH [flags of `agent run` ...]

README.md beside this file says how nodes declare their room, and what becomes of lost ones.
"""

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import chunks
import node
from capacity import RESOURCE

HERE = Path(__file__).resolve().parent

# Variables of the driver that the processes on the nodes get. A node's own DOCKER_HOST stays.
PASSED = ("OPENAI_", "AGENT_", "HF_")
PASSED_WHOLE = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")

# Flags that this driver sets itself for every process.
OWN_FLAGS = ("--run", "-o", "--jobs", "-j", "--json", "--instance", "-i", "--dry-run")

# Seconds that the processes have to end after Ctrl-C, and to bring back what they have; the end of the
# driver ends them after that.
GRACE = 75

# Seconds between two lines about the whole run.
BEAT = 60


class Stop(Exception):
    """The run cannot go on; a message, a hint and the exit code."""

    def __init__(self, message, hint="", code=chunks.USAGE):
        super().__init__(message)
        self.hint, self.code = hint, code


def parse(argv):
    parser = argparse.ArgumentParser(
        usage="%(prog)s DATASET -o RUN --agent PATH [options] [flags of `agent run` ...]",
        description="Runs `agent run` over the nodes of a Ray cluster. Flags that are not listed here "
                    "go to `agent run` as they are.",
        epilog="Exit codes are those of `agent run`.", allow_abbrev=False)
    parser.add_argument("dataset", metavar="DATASET")
    parser.add_argument("-o", "--run", type=Path, required=True, metavar="RUN",
                        help="run directory, on a file system that all nodes share")
    parser.add_argument("--agent", default="agent", metavar="PATH",
                        help="the binary, at the same path on every node [default: agent]")
    parser.add_argument("--address", default="auto", help="of the cluster [default: auto]")
    parser.add_argument("-j", "--jobs", type=int, metavar="N",
                        help=f"sessions, and instances at the same time, of one process; it takes as "
                             f"many {RESOURCE} of its node [default: 4, less where a node has less]")
    parser.add_argument("--chunk", type=int, metavar="N",
                        help="instances of one process [default: as many as its sessions]")
    parser.add_argument("--shards", type=int, metavar="N",
                        help="deal the dataset out into N chunks instead")
    parser.add_argument("--node-dirs", metavar="DIR",
                        help="nothing is shared: each process works in a directory of its own below "
                             "DIR on its node, and results are brought back at the end of a chunk")
    parser.add_argument("--endpoint-concurrency", type=int, metavar="N",
                        help="model requests at the same time, over all nodes")
    parser.add_argument("--retries", type=int, default=6, metavar="N",
                        help="how often work is tried again that the infrastructure kept from being "
                             "done [default: 6]")
    parser.add_argument("--pause", type=float, default=10, metavar="SECONDS",
                        help="before the first of these tries; it doubles each time [default: 10]")
    parser.add_argument("-i", "--instance", action="append", default=[], metavar="ID")
    parser.add_argument("--filter", metavar="REGEX")
    parser.add_argument("--shard", metavar="K/N")
    parser.add_argument("-q", "--quiet", action="store_true", help="print failures only")
    args, rest = parser.parse_known_args(argv)
    for flag in rest:
        if flag.split("=")[0] in OWN_FLAGS:
            parser.error(f"{flag} is set for every process by this driver")
    if args.chunk and args.shards:
        parser.error("--chunk and --shards both say how large a chunk is; give one of them")
    for name in ("jobs", "chunk", "shards", "endpoint_concurrency"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    return args, rest


def instances(args, rest):
    """The selected instances in the dataset's order, as the binary sees them."""
    command = [args.agent, "run", args.dataset, "--dry-run", *rest]
    for id in args.instance:
        command += ["--instance", id]
    for flag in ("filter", "shard"):
        if getattr(args, flag):
            command += [f"--{flag}", getattr(args, flag)]
    try:
        told = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise Stop(f"cannot run {args.agent}: {error.strerror}", "name the binary with --agent")
    if told.returncode:
        raise Stop(told.stderr.strip(), code=told.returncode)
    return told.stdout.split()


def read_outcome(directory, id):
    try:
        return json.loads(Path(directory, id, "outcome.json").read_text())
    except (OSError, ValueError):
        return None


@dataclass
class Flight:
    """A chunk under way."""

    chunk: chunks.Chunk
    requests: int
    seen: dict
    node: str = "?"
    code: object = None
    said: str = ""
    made: object = None


class Driver:
    def __init__(self, args, rest):
        self.args, self.rest = args, rest
        self.run = args.run.absolute()
        self.parts = Path(f"{self.run}.parts")
        self.flying, self.final, self.failed = {}, {}, {}
        self.kept = set()  # finished before this run
        self.strikes, self.lost, self.retried = 0, 0, 0

    def say(self, text, always=False):
        if always or not self.args.quiet:
            print(text, file=sys.stderr, flush=True)

    # The cluster.

    def connect(self):
        import ray
        import ray.cloudpickle
        import ray.util.scheduling_strategies

        self.ray = ray
        ray.cloudpickle.register_pickle_by_value(node)
        if not ray.is_initialized():
            try:
                ray.init(address=self.args.address, log_to_driver=False, logging_level="error")
            except ConnectionError as error:
                raise Stop(f"no Ray cluster at {self.args.address}: {error}",
                           "start one with `ray start --head`, or name it with --address",
                           chunks.ENVIRONMENT)

        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=True)
        self.switch = ray.remote(node.Switch).options(
            num_cpus=0, scheduling_strategy=here).remote()

    def room(self):
        """Room of each node that is there."""
        nodes = [n["Resources"].get(RESOURCE, 0) for n in self.ray.nodes() if n["Alive"]]
        return [int(room) for room in nodes if room >= 1]

    def slots(self):
        """Processes that there is room for. One at least: a cluster may grow when work waits."""
        return max(1, sum(room // self.jobs for room in self.room()))

    # Chunks.

    def task(self, chunk, requests):
        args = self.args
        dataset = args.dataset
        if os.path.exists(dataset):
            dataset = os.path.abspath(dataset)
        argv = [args.agent, "run", dataset, "--jobs", str(self.jobs), *self.rest]
        if requests:
            argv += ["--set", f"model.concurrency={requests}"]
        env = {k: v for k, v in os.environ.items() if k.startswith(PASSED) or k in PASSED_WHOLE}
        return node.Task(
            argv=argv, ids=chunk.ids, env=env, cwd=os.getcwd(),
            run=self.part(chunk).name if args.node_dirs else str(self.run),
            leash=(HERE / "leash.py").read_text(),
            token="" if args.node_dirs else str(self.token), place=args.node_dirs or "")

    def part(self, chunk):
        """Where a chunk's results lie in node mode. The ids name it: another division of the dataset
        must not write over these."""
        digest = hashlib.sha256("\n".join(chunk.ids).encode()).hexdigest()[:12]
        return self.parts / f"part-{digest}"

    def seed(self, chunk):
        """What earlier attempts at a chunk's instances have left, the newest of each."""
        found = []
        for id in chunk.ids:
            places = [p for p in [*self.parts.glob("part-*"), self.run] if (p / id).is_dir()]
            if places:
                newest = max(places, key=lambda place: (place / id).stat().st_mtime)
                found.append((newest, id))
        if not found:
            return None
        scratch = self.parts / f".seed-{uuid.uuid4().hex}"
        try:
            for place, id in found:
                shutil.copytree(place / id, scratch / id)
            return node.pack(scratch, sorted(os.listdir(scratch)))
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def launch(self, chunk):
        """Sends a chunk off; whether the endpoint leaves room for it."""
        requests = 0
        if self.args.endpoint_concurrency:
            used = sum(flight.requests for flight in self.flying.values())
            free = min(self.slots() - len(self.flying), len(self.queue) + 1)
            requests = chunks.share(self.args.endpoint_concurrency, used, free)
            if requests is None:
                return False
        work = self.ray.remote(node.run_chunk).options(
            num_cpus=0, resources={RESOURCE: self.jobs}, max_retries=0, num_returns="streaming",
            scheduling_strategy="SPREAD", name=f"agent {chunk.ids[0]}")
        seed = self.seed(chunk) if self.args.node_dirs else None
        made = work.remote(self.task(chunk, requests), seed, self.switch)
        self.flying[made] = Flight(chunk, requests, {})
        return True

    def fill(self):
        now = time.monotonic()
        while len(self.flying) < self.slots() and not self.strikes:
            chunk = self.queue.take(now)
            if chunk is None:
                return
            if not self.launch(chunk):
                self.queue.ready.append(chunk)
                return

    def step(self, made):
        """Takes the next message of a chunk under way."""
        flight = self.flying[made]
        try:
            message = self.ray.get(next(made))
        except StopIteration:
            del self.flying[made]
            self.settle(flight)
        except self.ray.exceptions.RayError as error:
            del self.flying[made]
            flight.code, flight.said = None, str(error).strip().split("\n")[0]
            self.settle(flight)
        else:
            self.hear(flight, message)

    def hear(self, flight, message):
        if message["is"] == "start":
            flight.node = message["node"]
        elif message["is"] == "outcome":
            id, outcome = message["id"], message["outcome"]
            flight.seen[id] = outcome
            if not chunks.is_infra(outcome):
                self.final[id] = outcome
                self.failed.pop(id, None)
                self.tell(flight, id, outcome)
        else:
            flight.code, flight.said = message["code"], message["said"]
            flight.made = message.get("made")

    def done(self):
        return len(self.final) + len(self.kept)

    def tell(self, flight, id, outcome):
        done = f"[{self.done():>{len(str(self.total))}}/{self.total}]"
        why = f": {outcome['stage']}: {outcome['message']}" if outcome["status"] == "failed" else ""
        self.say(f"{done} {outcome['status']:<12} {id}  {flight.node}{why}")

    def settle(self, flight):
        """Says what becomes of a chunk that has ended."""
        chunk = flight.chunk
        if flight.made:
            self.keep(chunk, flight.made)
        elif self.args.node_dirs:
            # The node is lost with what it had made, whatever it told.
            for id in flight.seen:
                self.final.pop(id, None)
            flight.seen = {}
        if self.strikes:
            return
        verdict = chunks.judge(chunk.ids, flight.code, flight.seen)
        if verdict.fatal:
            raise Stop(flight.said.strip(), "every node must see the run directory and the binary at "
                       "the same path; --node-dirs does without a shared directory")
        for id in chunk.ids:
            if id not in verdict.again and id not in verdict.final:
                self.kept.add(id)
        if not verdict.again:
            return
        lost = flight.code is None or flight.code > 128
        wait = self.queue.again(chunk, verdict.again, time.monotonic(), lost)
        what = "was lost" if lost else f"ended with {flight.code}"
        why = self.reason(flight, verdict.again)
        names = f"{verdict.again[0]}" + (
            f" and {len(verdict.again) - 1} more" if len(verdict.again) > 1 else "")
        self.lost += lost
        if wait is None:
            for id in verdict.again:
                self.failed[id] = flight.seen.get(id)
            self.say(f"given up for now: {names}: the process on {flight.node} {what}: {why}", True)
        else:
            self.retried += 1
            when = "at once" if wait == 0 else f"in {wait:.0f} s"
            self.say(f"again {when}: {names}: the process on {flight.node} {what}: {why}", True)

    def reason(self, flight, again):
        for id in again:
            outcome = flight.seen.get(id)
            if outcome and outcome.get("message"):
                return outcome["message"]
        lines = [line for line in flight.said.strip().split("\n") if line]
        errors = [line for line in lines if line.startswith("error:")]
        return (errors or lines or ["nothing was said"])[-1]

    def keep(self, chunk, made):
        """Puts what a node brought back in its place, whole or not at all."""
        place = self.part(chunk)
        new = place.with_name(f".new-{uuid.uuid4().hex}")
        node.unpack(made, new)
        shutil.rmtree(place, ignore_errors=True)
        new.rename(place)

    # The whole.

    def strike(self, *_):
        self.strikes += 1
        if self.strikes == 1:
            self.say("stopping: what is finished is kept, the same command goes on "
                     "(again to stop at once)", True)
        else:
            os._exit(chunks.INTERRUPTED)

    def loop(self):
        self.queue = chunks.Chunks(self.ids, self.size, self.args.retries, self.args.pause)
        beat = time.monotonic() + BEAT
        try:
            while (self.queue or self.flying) and not self.strikes:
                self.fill()
                self.wait()
                if time.monotonic() >= beat:
                    beat += BEAT
                    self.say(self.state())
        finally:
            self.cancel()

    def state(self):
        return (f"{self.done()} of {self.total} done, {len(self.flying)} processes at work, "
                f"{len(self.queue)} chunks wait; {self.retried} tried again, {self.lost} lost")

    def wait(self):
        if not self.flying:
            time.sleep(0.2)
            return
        ready, _ = self.ray.wait(list(self.flying), num_returns=1, timeout=0.5)
        for made in ready:
            self.step(made)

    def cancel(self):
        if not self.flying:
            return
        self.strikes = max(1, self.strikes)
        self.switch.flip.remote()
        end = time.monotonic() + GRACE
        while self.flying and time.monotonic() < end:
            self.wait()

    def join(self):
        """In node mode: all that came back as one run directory."""
        parts = sorted(p for p in self.parts.glob("part-*") if (p / "run.json").exists())
        if not parts:
            return
        new = self.run.with_name(f".{self.run.name}-{uuid.uuid4().hex}")
        old = self.run.with_name(f"{self.run.name}.old-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
        # An earlier join, perhaps graded since. It was made under other settings if it does not fit,
        # and is put aside.
        earlier = (self.run / "run.json").exists()
        fits = earlier and not self.merge([self.run, *parts], new)
        if not fits and (error := self.merge(parts, new)):
            raise Stop(f"the parts in {self.parts} cannot be joined: {error}",
                       "finish or remove those of other settings")
        if earlier:
            self.run.rename(old)
        new.rename(self.run)
        if fits:
            # What is no part of a run, such as a report.
            for entry in old.iterdir():
                if not (self.run / entry.name).exists():
                    entry.rename(self.run / entry.name)
            shutil.rmtree(old)
        elif earlier:
            self.say(f"{old}: the run under other settings", True)
        shutil.rmtree(self.parts)

    def merge(self, runs, out):
        """Joins runs; what went wrong, if something did."""
        if len(runs) == 1:
            shutil.copytree(runs[0], out)
            return None
        command = [self.args.agent, "merge", *map(str, runs), "--prefer", "last", "-o", str(out)]
        told = subprocess.run(command, capture_output=True, text=True)
        return told.stderr.strip() or "agent merge failed" if told.returncode else None

    def go(self):
        args = self.args
        self.ids = instances(args, self.rest)
        self.total = len(self.ids)
        self.connect()
        room = self.room()
        if not room:
            raise Stop(f"no node of the cluster declares {RESOURCE}",
                       "start nodes with `ray start --resources=\"$(python3 "
                       "evaluation/ray/capacity.py)\"`", chunks.ENVIRONMENT)
        self.jobs = args.jobs or min(4, *room)
        if max(room) < self.jobs:
            raise Stop(f"no node has room for {self.jobs} sessions: the largest declares {max(room)} "
                       f"{RESOURCE}", "name fewer with -j")
        self.size = args.chunk or self.jobs
        if args.shards:
            self.size = -(-self.total // args.shards)
        self.say(f"{self.total} instances, {len(room)} nodes with room for {sum(room)} sessions: "
                 f"{self.slots()} processes of {self.jobs}")
        signal.signal(signal.SIGINT, self.strike)
        signal.signal(signal.SIGTERM, self.strike)
        if args.node_dirs:
            if self.run.is_dir() and any(self.run.iterdir()) and not (self.run / "run.json").exists():
                raise Stop(f"{self.run} is not empty and no run directory", "name another with -o")
            self.parts.mkdir(parents=True, exist_ok=True)
            self.loop()
            self.join()
        else:
            self.run.mkdir(parents=True, exist_ok=True)
            self.token = self.run / f".tmp-ray-{uuid.uuid4().hex}"
            self.token.touch()
            try:
                self.loop()
            finally:
                self.token.unlink(missing_ok=True)
        return self.end()

    def end(self):
        outcomes = {}
        for id in self.ids:
            outcomes[id] = self.final.get(id) or self.failed.get(id) or read_outcome(self.run, id)
        told = [("infra" if chunks.is_infra(o) else o["status"]) if o else "open"
                for o in outcomes.values()]
        counts = {status: told.count(status) for status in dict.fromkeys(told)}
        self.say("; ".join(f"{count} {status}" for status, count in counts.items())
                 + f"; {self.retried} tried again, {self.lost} lost")
        self.say(f"predictions: {self.run / 'predictions.jsonl'}")
        if self.strikes:
            return chunks.INTERRUPTED
        return chunks.exit_code(outcomes.values())


def main(argv=None):
    args, rest = parse(argv)
    if os.sep in args.agent:
        args.agent = os.path.abspath(args.agent)
    try:
        return Driver(args, rest).go()
    except ImportError as error:
        print(f"error: {error}\nhint: pip install ray", file=sys.stderr)
        return chunks.ENVIRONMENT
    except Stop as stop:
        print(str(stop) if str(stop).startswith("error:") else f"error: {stop}", file=sys.stderr)
        if stop.hint:
            print(f"hint: {stop.hint}", file=sys.stderr)
        return stop.code


if __name__ == "__main__":
    sys.exit(main())
