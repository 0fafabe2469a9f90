"""What runs on the nodes: one chunk, as one `agent run`. It is sent there by value, so nodes need
nothing of this folder."""

import asyncio
import io
import json
import os
import select
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Task:
    """A chunk as a node gets it."""

    argv: list  # the command, without the run directory
    ids: tuple
    run: str  # the run directory; in node mode the name of the chunk's own below `place`
    env: dict
    cwd: str
    leash: str  # source of leash.py
    token: str = ""  # file that every node must see, in shared mode
    place: str = ""  # directory of the node's own, in node mode
    ignored: list = field(default_factory=list)


def pack(directory, names):
    """The named entries of a directory as a compressed archive."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz", compresslevel=1) as archive:
        for name in names:
            path = Path(directory, name)
            if path.exists():
                archive.add(path, name, filter=lambda info: None if is_private(info) else info)
    return made.getvalue()


def is_private(info):
    name = info.name.rsplit("/", 1)[-1]
    return name == ".lock" or name.startswith(".tmp-")


def unpack(packed, directory):
    """The reverse of `pack`."""
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
        archive.extractall(directory, filter="data")


class Switch:
    """An actor that says when to stop. A task that Ray cancels brings nothing back."""

    def __init__(self):
        self.event = asyncio.Event()

    async def flip(self):
        self.event.set()

    async def wait(self):
        await self.event.wait()


def run_chunk(task, seed, switch):
    """A generator of messages: `start`, `outcome` of an instance, and `end` with the exit code. `seed`
    is what earlier attempts have left, in node mode."""
    stopped = _stopped(switch)
    name = f"{os.uname().nodename}:{os.getpid()}"
    yield {"is": "start", "node": name}
    if task.token and not os.path.exists(task.token):
        yield {"is": "end", "code": 2, "said": f"{name} does not see {os.path.dirname(task.token)}"}
        return
    if not shutil.which(task.argv[0]):
        yield {"is": "end", "code": 2, "said": f"{name} has no {task.argv[0]}"}
        return
    if not task.place:
        yield from _agent(task, task.run, stopped)
        return
    os.makedirs(task.place, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=task.run + "-", dir=task.place) as directory:
        if seed:
            unpack(seed, directory)
        for message in _agent(task, directory, stopped):
            if message["is"] == "end":
                message["made"] = pack(directory, sorted(os.listdir(directory)))
            yield message


def _stopped(switch):
    """A function that says whether the run is to stop."""
    import ray

    pending = [switch.wait.remote()]

    def stopped():
        if not pending or not ray.wait(pending, timeout=0)[0]:
            return False
        try:
            ray.get(pending[0])
        except ray.exceptions.RayError:
            pending.clear()  # its node is lost; the driver is not
            return False
        return True

    return stopped


def _agent(task, run, stopped):
    argv = [*task.argv, "--json", "--run", run]
    for id in task.ids:
        argv += ["--instance", id]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", task.leash, *argv],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            env={**os.environ, **task.env},
            cwd=task.cwd if os.path.isdir(task.cwd) else None,
        )
        try:
            for line in _lines(process.stdout, stopped, process.stdin.close):
                event = json.loads(line)
                if event.get("event") == "instance_finished":
                    yield {"is": "outcome", "id": event["instance"], "outcome": event["outcome"]}
            code = process.wait()
        finally:
            # The leash gives an agent that is still there time to end by itself.
            process.stdin.close()
            process.wait()
            process.stdout.close()
        errors.seek(max(0, errors.tell() - 2000))
        said = errors.read().decode(errors="replace")
        yield {"is": "end", "code": code, "said": said}


def _lines(stream, stopped, end):
    """Whole lines as they come; `end` is called when the run is to stop, which closes the stream in
    time. Never blocks for long: a cancellation is seen between two calls."""
    rest = b""
    while True:
        if end and stopped():
            end()
            end = None
        if not select.select([stream], [], [], 0.5)[0]:
            continue
        data = os.read(stream.fileno(), 1 << 16)
        if not data:
            return
        *lines, rest = (rest + data).split(b"\n")
        yield from lines
