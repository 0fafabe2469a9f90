"""The work queue: chunks of instances, and what the end of a chunk says of each. No Ray here."""

import heapq
import itertools
from dataclasses import dataclass, field

# Exit codes of `agent run`.
DONE, INCOMPLETE, USAGE, ENVIRONMENT, NOTHING, INTERRUPTED = 0, 1, 2, 3, 4, 130

# Longest wait before an instance is tried again, in seconds.
LONGEST = 600


@dataclass(order=True)
class Chunk:
    """Instances for one process, in the dataset's order."""

    ids: tuple = field(compare=False)
    attempt: int = field(default=1, compare=False)


@dataclass
class Verdict:
    """What became of a chunk's instances."""

    final: dict  # id -> outcome; those that an earlier process had finished are absent
    again: list  # ids whose work the infrastructure has kept from being done
    fatal: bool = False  # the command line is wrong: no other node does better


def is_infra(outcome):
    """Whether the next run works on it again: a failure of the infrastructure, or a stop."""
    return outcome["status"] == "cancelled" or (
        outcome["status"] == "failed" and outcome.get("cause") == "infra")


def judge(ids, code, seen):
    """`code` is the process's exit code, None if it was lost with its node or killed; `seen` are the
    outcomes that it told of. A failure of the model is final, whatever the exit code."""
    final = {id: seen[id] for id in ids if id in seen and not is_infra(seen[id])}
    if code in (DONE, INCOMPLETE):
        # Instances that were finished before are not told of.
        again = [id for id in ids if id in seen and is_infra(seen[id])]
    else:
        again = [id for id in ids if id not in final]
    return Verdict(final, again, fatal=code in (USAGE, NOTHING))


class Chunks:
    """Chunks in the dataset's order; those that are tried again wait longer each time."""

    def __init__(self, ids, size, retries, pause):
        self.retries, self.pause = retries, pause
        self.ready = [Chunk(tuple(ids[at:at + size])) for at in range(0, len(ids), size)]
        self.ready.reverse()
        self.waiting, self.order = [], itertools.count()

    def take(self, now):
        """The next chunk that may start at the time `now`, if there is one."""
        if self.waiting and self.waiting[0][0] <= now:
            return heapq.heappop(self.waiting)[2]
        return self.ready.pop() if self.ready else None

    def again(self, chunk, ids, now, lost):
        """Queues what is left of a chunk: at once if it was lost, else after a wait. The seconds, or
        None if it has been tried often enough."""
        if chunk.attempt > self.retries:
            return None
        wait = 0 if lost else min(LONGEST, self.pause * 2 ** (chunk.attempt - 1))
        left = Chunk(tuple(ids), chunk.attempt + 1)
        heapq.heappush(self.waiting, (now + wait, next(self.order), left))
        return wait

    def __len__(self):
        return len(self.ready) + len(self.waiting)


def share(limit, used, free):
    """Requests at the same time for one more process, where all together may have `limit`; None if
    nothing is left."""
    left = limit - used
    return None if left < 1 else max(1, left // max(1, free))


def exit_code(outcomes):
    """That of one `agent run` over all instances; None stands for no outcome."""
    outcomes = list(outcomes)
    infra = [o is None or is_infra(o) for o in outcomes]
    if any(o is not None and o["status"] == "cancelled" for o in outcomes):
        return INTERRUPTED
    if outcomes and all(infra):
        return ENVIRONMENT
    return DONE if all(o is not None and o["status"] == "solved" for o in outcomes) else INCOMPLETE
