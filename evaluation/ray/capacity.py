#!/usr/bin/env python3
"""Room of this node for sandbox sessions, as a resource of Ray:

    ray start --address=HEAD:6379 --resources="$(python3 evaluation/ray/capacity.py)"

The engine that DOCKER_HOST names is asked, as `agent` does, and the rule is the same: as many sessions
as it has cores and times the memory of a session. `--local` looks at this machine instead.
"""

import argparse
import json
import os
import subprocess
import sys

RESOURCE = "docker_sessions"


def of_engine():
    """Cores and bytes of memory of the container engine; None if none answers."""
    command = ["docker", "info", "--format", "{{.NCPU}} {{.MemTotal}}"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=60)
        cores, memory = told.stdout.split()
        return (int(cores), int(memory)) if int(cores) > 0 else None
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None


def of_machine():
    """Cores that this process may use, and bytes of memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return len(os.sched_getaffinity(0)), memory


def sessions(cores, memory, memory_mib):
    """Sessions that may work at the same time; at least 1."""
    return max(1, min(cores, memory // (memory_mib << 20)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--memory-mib", type=int, default=4096, metavar="MIB",
                        help="memory of a session, as sandbox.memory_mib says")
    parser.add_argument("--local", action="store_true",
                        help="this machine's room, for --sandbox local")
    args = parser.parse_args()
    room = of_machine() if args.local else of_engine()
    if room is None:
        sys.exit("error: `docker info` gives no answer\nhint: start the engine, name it in "
                 "DOCKER_HOST, or say --local for --sandbox local")
    print(json.dumps({RESOURCE: sessions(*room, args.memory_mib)}))


if __name__ == "__main__":
    main()
