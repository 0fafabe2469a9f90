"""Tests of the driver. Those of the cluster need Ray and the binary, and say so where they are skipped:

    python -B -m unittest discover -s evaluation/ray          AGENT=PATH names another binary
"""

import collections
import http.server
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

import capacity
import chunks
import node
import run

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SAMPLES = sorted(path for path in (ROOT / "evaluation/sample").iterdir() if path.is_dir())
COPIES = 2

try:
    import ray
    from ray.cluster_utils import Cluster
except ImportError:
    ray = None


def binary():
    given = os.environ.get("AGENT")
    found = [Path(given)] if given else [ROOT / f"target/{kind}/agent" for kind in ("release", "debug")]
    found = [path for path in found if path.exists()]
    return str(max(found, key=lambda path: path.stat().st_mtime)) if found else None


SOLVED = {"status": "solved"}
MODEL = {"status": "failed", "stage": "repair", "cause": "model", "message": "m"}
INFRA = {"status": "failed", "stage": "repair", "cause": "infra", "message": "i"}


class QueueTest(unittest.TestCase):
    def test_only_what_the_infrastructure_kept_from_being_done_is_tried_again(self):
        def again(code, seen):
            return chunks.judge(("a", "b"), code, seen).again

        self.assertEqual(again(0, {"a": SOLVED, "b": SOLVED}), [])
        self.assertEqual(again(1, {"a": MODEL, "b": SOLVED}), [])
        self.assertEqual(again(1, {"a": INFRA, "b": MODEL}), ["a"])
        # `b` was finished before and is not told of.
        self.assertEqual(again(1, {"a": MODEL}), [])
        for code in (3, 130, 137, None):
            self.assertEqual(again(code, {"a": MODEL}), ["b"], code)
            self.assertEqual(again(code, {"a": INFRA}), ["a", "b"], code)
        self.assertTrue(chunks.judge(("a",), 2, {}).fatal)

    def test_tries_wait_longer_each_time_and_end(self):
        queue = chunks.Chunks(list("abcde"), 2, retries=3, pause=10)
        first = queue.take(0)
        self.assertEqual([first.ids, queue.take(0).ids, queue.take(0).ids],
                         [("a", "b"), ("c", "d"), ("e",)])
        now, waits, chunk = 0, [], first
        while (wait := queue.again(chunk, ["b"], now, lost=False)) is not None:
            waits.append(wait)
            self.assertIsNone(queue.take(now + wait - 1))
            now += wait
            chunk = queue.take(now)
            self.assertEqual(chunk.ids, ("b",))
        self.assertEqual(waits, [10, 20, 40])
        self.assertEqual(queue.again(first, ["a"], now, lost=True), 0)
        self.assertEqual(queue.take(now).ids, ("a",))
        self.assertEqual(len(queue), 0)

    def test_processes_never_have_more_requests_than_the_endpoint_allows(self):
        for limit in (1, 3, 16, 17):
            for slots in (1, 4, 9):
                used, free = 0, slots
                while free and (one := chunks.share(limit, used, free)) is not None:
                    used, free = used + one, free - 1
                self.assertEqual(used, limit, (limit, slots))

    def test_exit_codes_are_those_of_one_run(self):
        self.assertEqual(chunks.exit_code([SOLVED, SOLVED]), 0)
        self.assertEqual(chunks.exit_code([SOLVED, {"status": "no_candidate"}]), 1)
        self.assertEqual(chunks.exit_code([SOLVED, INFRA]), 1)
        self.assertEqual(chunks.exit_code([INFRA, None]), 3)
        self.assertEqual(chunks.exit_code([SOLVED, {"status": "cancelled"}]), 130)

    def test_room_is_bounded_by_cores_and_by_memory(self):
        self.assertEqual(capacity.sessions(8, 22 << 30, 4096), 5)
        self.assertEqual(capacity.sessions(8, 220 << 30, 4096), 8)
        self.assertEqual(capacity.sessions(8, 1 << 30, 4096), 1)

    def test_flags_of_every_process_are_refused(self):
        for flag in ("--json", "--dry-run"):
            with self.assertRaises(SystemExit), open(os.devnull, "w") as sys.stderr:
                run.parse(["sample", "-o", "x", flag])
        sys.stderr = sys.__stderr__
        args, rest = run.parse(["sample", "-o", "x", "-j", "2", "--samples", "4", "-i", "a"])
        self.assertEqual((args.jobs, args.instance, rest), (2, ["a"], ["--samples", "4"]))

    def test_what_comes_back_holds_no_locks(self):
        with tempfile.TemporaryDirectory() as place:
            for name in ("one/.lock", "one/a.json", "one/.tmp-x", "run.json"):
                path = Path(place, "from", name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(name)
            packed = node.pack(f"{place}/from", ["one", "run.json", "missing"])
            node.unpack(packed, f"{place}/to")
            found = sorted(str(p.relative_to(f"{place}/to")) for p in Path(place, "to").rglob("*"))
            self.assertEqual(found, ["one", "one/a.json", "run.json"])


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def until(what, seconds=120):
    """Waits for something to become true; the bound only ends a test that hangs."""
    end = time.monotonic() + seconds
    while not (found := what()):
        if time.monotonic() > end:
            raise AssertionError("it did not come")
        time.sleep(0.1)
    return found


class LeashTest(unittest.TestCase):
    """Whoever dies takes the command along."""

    def start(self):
        code = ("import subprocess, sys; p = subprocess.Popen([sys.executable, sys.argv[1], 'sh', '-c',"
                " 'echo $$; exec sleep 600'], stdin=subprocess.PIPE); print(p.pid, flush=True); p.wait()")
        starter = subprocess.Popen([sys.executable, "-c", code, str(HERE / "leash.py")],
                                   stdout=subprocess.PIPE, text=True)
        pids = sorted(int(starter.stdout.readline()) for _ in range(2))
        self.addCleanup(starter.stdout.close)
        self.addCleanup(starter.wait)
        self.addCleanup(starter.kill)
        return starter, pids

    def test_the_starter_is_killed(self):
        starter, pids = self.start()
        starter.kill()
        until(lambda: not any(map(is_alive, pids)))

    def test_the_leash_is_killed(self):
        starter, pids = self.start()
        leash = next(p for p in pids if b"leash.py" in Path(f"/proc/{p}/cmdline").read_bytes())
        os.kill(leash, signal.SIGKILL)
        until(lambda: not any(map(is_alive, pids)))

    def test_the_exit_code_is_the_commands(self):
        for script, code in (("exit 3", 3), ("kill -9 $$", 137)):
            with subprocess.Popen([sys.executable, HERE / "leash.py", "sh", "-c", script],
                                  stdin=subprocess.PIPE) as done:
                self.assertEqual(done.wait(), code)


class Standin:
    """Gives the recorded replies of `sample`, slowly, and remembers who asked for what."""

    def __init__(self, seconds):
        self.asked, self.lock = collections.Counter(), threading.Lock()
        self.atonce = self.most = 0
        replies = {}
        for sample in SAMPLES:
            for line in (sample / "replies.jsonl").read_text().splitlines():
                row = json.loads(line)
                replies[sample.name, row["call"], row["sample"]] = row["content"]
        standin = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def answer(self, value):
                body = json.dumps(value).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                try:
                    self.wfile.write(body)
                except ConnectionError:
                    pass  # whoever asked was killed

            def do_GET(self):
                self.answer({"object": "list", "data": [{"id": "standin", "object": "model"}]})

            def do_POST(self):
                self.rfile.read(int(self.headers["content-length"]))
                id, stage = self.headers["x-agent-instance"], self.headers["x-agent-stage"]
                sample = int(self.headers["x-agent-sample"] or 0)
                with standin.lock:
                    standin.asked[id, stage, sample] += 1
                    standin.atonce += 1
                    standin.most = max(standin.most, standin.atonce)
                time.sleep(seconds)
                with standin.lock:
                    standin.atonce -= 1
                text = replies.get((id.rsplit("-copy", 1)[0], stage, sample), "")
                self.answer({
                    "id": "x", "object": "chat.completion", "created": 0, "model": "standin",
                    "choices": [{"index": 0, "finish_reason": "stop",
                                 "message": {"role": "assistant", "content": text}}],
                    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}})

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"

    def of(self, id):
        with self.lock:
            return {key: count for key, count in self.asked.items() if key[0] == id}


@unittest.skipIf(ray is None, "Ray is not installed: pip install ray")
@unittest.skipIf(binary() is None, "no binary: cargo build, or AGENT=PATH")
class ClusterTest(unittest.TestCase):
    """Two nodes, that is two raylets with workers of their own, on this machine."""

    @classmethod
    def setUpClass(cls):
        place = tempfile.TemporaryDirectory(prefix="agent-ray-")
        cls.addClassCleanup(place.cleanup)
        cls.place = Path(place.name)
        (cls.place / "work").mkdir()
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("AGENT_", "OPENAI_"))}
        cls.env = {**keep, "AGENT_CACHE": str(cls.place / "cache")}
        cls.dataset, cls.ids = cls.rows()
        # An uninterrupted run of one process.
        done = cls.agent("run", str(cls.dataset), "-o", "whole", *cls.flags(Standin(0)))
        assert done.returncode == 0, done.stderr
        cls.whole = cls.place / "work/whole"

    def setUp(self):
        self.out = self.place / f"work/{self.id().rsplit('.', 1)[1]}"

    @classmethod
    def agent(cls, *args):
        return subprocess.run([binary(), *args], cwd=cls.place / "work", env=cls.env,
                              capture_output=True, text=True)

    @classmethod
    def rows(cls):
        """Each sample several times, under names of their own, in an order that is not sorted."""
        laid = cls.agent("run", "sample", "-o", "laid", "--sandbox", "local", "--samples", "1",
                          "--tests", "1")
        assert laid.returncode in (0, 1), laid.stderr
        rows = []
        for sample in SAMPLES:
            work = cls.place / "work/laid" / sample.name
            base = json.loads((work / "instance.json").read_text())
            given = json.loads((sample / "instance.json").read_text())
            for copy in range(COPIES):
                rows.append({
                    **given, "instance_id": f"{sample.name}-copy{copy}",
                    "base_commit": base["base_commit"], "patch": (sample / "gold.patch").read_text(),
                    "test_patch": (sample / "test.patch").read_text(),
                    "problem_statement": (sample / "issue.md").read_text()})
        rows.sort(key=lambda row: row["instance_id"][::-1])
        path = cls.place / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path, [row["instance_id"] for row in rows]

    @classmethod
    def flags(cls, standin):
        return ["--base-url", standin.url, "--sandbox", "local",
                "--repos", str(cls.place / "cache/repos"), "--samples", "4", "--tests", "2"]

    def cluster(self, *rooms):
        cluster = Cluster(initialize_head=True, head_node_args={
            "num_cpus": 0, "include_dashboard": False,
            "_system_config": {"health_check_period_ms": 1000, "health_check_failure_threshold": 3}})
        self.addCleanup(cluster.shutdown)
        nodes = [cluster.add_node(num_cpus=2, resources={capacity.RESOURCE: n}) for n in rooms]
        cluster.wait_for_nodes()
        return cluster, nodes

    def drive(self, cluster, *more):
        """The driver as its users start it."""
        log = open(self.place / f"driver-{time.monotonic_ns()}.log", "w+")
        self.addCleanup(log.close)
        process = subprocess.Popen(
            [sys.executable, "-B", HERE / "run.py", self.dataset, "-o", self.out, "--agent", binary(),
             "--address", cluster.address, "--pause", "1", *map(str, more)],
            cwd=self.place / "work", env=self.env, stderr=log)
        self.addCleanup(process.kill)
        return process, log

    def told(self, log):
        log.seek(0)
        return log.read()

    def ended(self):
        """How often each instance came to an end in the shared directory."""
        path = self.out / "events.jsonl"
        text = path.read_text() if path.exists() else ""
        events = [json.loads(line) for line in text.splitlines()]
        return collections.Counter(
            e["instance"] for e in events
            if e["event"] == "instance_finished" and e["outcome"]["status"] == "solved")

    def kill(self, node):
        """The node as if its power were cut: raylet, workers and all that these have started."""
        raylet = node.all_processes["raylet"][0].process.pid
        parents = collections.defaultdict(list)
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            parents[int(fields[1])].append(int(stat.parent.name))
        doomed = [raylet]
        for pid in doomed:
            doomed += parents[pid]
        agents = 0
        for pid in doomed:
            try:
                agents += b"\0run\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        return agents

    def same_predictions(self):
        for name in ("predictions.jsonl", "predictions.json"):
            self.assertEqual((self.whole / name).read_bytes(), (self.out / name).read_bytes(), name)
        rows = (self.whole / "predictions.jsonl").read_text().splitlines()
        self.assertEqual([json.loads(row)["instance_id"] for row in rows], self.ids)

    def test_a_lost_nodes_work_is_taken_up_elsewhere_and_nothing_finished_is_repeated(self):
        standin = Standin(0.4)
        cluster, (first, second) = self.cluster(2, 2)
        process, log = self.drive(cluster, "-j", 1, "--chunk", 2, *self.flags(standin),
                                  "--endpoint-concurrency", 6)
        until(lambda: len(self.ended()) >= 4 or process.poll() is not None)
        before = self.ended()
        self.assertIsNone(process.poll(), self.told(log))
        self.assertGreater(self.kill(second), 0, "nothing ran there")
        self.assertEqual(process.wait(), 0, self.told(log))
        said = self.told(log)
        self.assertIn("was lost", said)
        self.assertNotIn("given up", said)
        self.same_predictions()
        self.assertEqual(self.ended(), collections.Counter(self.ids), said)
        for id in before:
            again = {key: n for key, n in standin.of(id).items() if n > 1}
            self.assertEqual(again, {}, "finished before the kill, and asked for again")
        self.assertLessEqual(standin.most, 6)
        # The same command finds everything done.
        asked = sum(standin.asked.values())
        process, log = self.drive(cluster, "-j", 1, *self.flags(standin))
        self.assertEqual(process.wait(), 0, self.told(log))
        self.assertEqual(sum(standin.asked.values()), asked)
        self.same_predictions()

    def test_directories_of_the_nodes_own_come_back_and_a_stopped_run_goes_on(self):
        standin = Standin(0.3)
        cluster, nodes = self.cluster(2, 2)
        flags = ["-j", 1, "--chunk", 2, "--node-dirs", self.place / "node", *self.flags(standin)]
        process, log = self.drive(cluster, *flags)
        until(lambda: self.told(log).count(" solved ") >= 3 or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(), 130, self.told(log))
        until(lambda: not list((self.place / "node").iterdir()))
        finished = [id for id in self.ids if run.read_outcome(self.out, id) == SOLVED]
        self.assertGreaterEqual(len(finished), 3, self.told(log))
        asked = {id: standin.of(id) for id in finished}
        process, log = self.drive(cluster, *flags)
        self.assertEqual(process.wait(), 0, self.told(log))
        self.same_predictions()
        for id in finished:
            self.assertEqual(standin.of(id), asked[id], "finished before the stop")
        self.assertFalse(Path(f"{self.out}.parts").exists())


if __name__ == "__main__":
    unittest.main()
