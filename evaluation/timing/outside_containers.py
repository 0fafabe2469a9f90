#!/usr/bin/env python3
"""How much of `agent solve`'s wall time is spent outside containers.

usage: outside_containers.py AGENT [INSTANCE ...]

Solves bundled instances in Docker by replay, listens to the daemon's events meanwhile, and prints
for each: wall time, the time in which at least one container of the run existed (from the engine's
`create` to its `destroy`) and in which one was running (`start` to `die`), and the shares that are
left: what `agent` itself costs, and that plus the engine's work of making and removing containers.
The image of the instance is made by a first run that is not counted.
"""

import json
import os
import subprocess
import sys
import tempfile
import time

SAMPLES = ["sample__cadence-2", "sample__ledgerly-1", "sample__quillet-3", "sample__stowage-4"]


def solve(agent, instance, cache, run):
    command = [agent, "solve", "--instance", instance, "--sandbox", "docker", "-o", run, "-q", "--replay"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "AGENT_CACHE": cache})


class Watch:
    """The engine's events of one instance's containers, listened to live: it remembers few."""

    def __init__(self, instance):
        command = ["docker", "events", "--filter", "type=container", "--format", "{{json .}}"]
        command += ["--filter", f"label=agent.instance={instance}"]
        # Few enough to fit into the pipe, which is read only at the end.
        for action in ["create", "start", "die", "destroy"]:
            command += ["--filter", f"event={action}"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        time.sleep(0.5)

    def stop(self):
        time.sleep(1)
        self.process.terminate()
        self.events = [json.loads(line) for line in self.process.communicate()[0].splitlines()]

    def spans(self, first, last):
        """(first, last) of each container, in seconds."""
        started, spans = {}, []
        for event in self.events:
            at, container = event["timeNano"] / 1e9, event["Actor"]["ID"]
            if event["Action"] == first:
                started[container] = at
            elif event["Action"] == last and container in started:
                spans.append((started.pop(container), at))
        return spans


def covered(spans):
    total, end = 0.0, float("-inf")
    for start, stop in sorted(spans):
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return total


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    agent, instances = os.path.abspath(sys.argv[1]), sys.argv[2:] or SAMPLES
    print("| instance | wall s | containers | existing s | outside % | running s | outside % |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as work:
        os.chdir(work)
        cache = os.path.join(work, "cache")
        for instance in instances:
            solve(agent, instance, cache, f"warm-{instance}")
            watch = Watch(instance)
            begin = time.time()
            solve(agent, instance, cache, f"run-{instance}")
            wall, row = time.time() - begin, ""
            watch.stop()
            for first, last in [("create", "destroy"), ("start", "die")]:
                spans = watch.spans(first, last)
                inside = min(wall, covered(spans))
                row += f" {inside:.2f} | {100 * (1 - inside / wall):.1f} |"
            print(f"| {instance} | {wall:.2f} | {len(spans)} |{row}", flush=True)


main()
