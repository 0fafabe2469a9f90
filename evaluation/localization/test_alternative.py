"""Tests of the Python alternative and of the benchmark's arithmetic; the former need requirements.txt."""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import bench  # noqa: E402

INSTALLED = all(importlib.util.find_spec(name) for name in ("bm25s", "numpy"))


class Arithmetic(unittest.TestCase):
    def test_a_part_is_scaled_by_repository(self):
        rows = [{"repo": "a"}] * 10 + [{"repo": "b"}] * 1
        lines = [("a", 8.0), ("a", 1.0), ("a", 3.0), ("b", 5.0)]
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder, "out.jsonl")
            out.write_text("".join(json.dumps({"repo": repo, "seconds": {"cpu": cpu, "wall": 2 * cpu}}) + "\n" for repo, cpu in lines))
            # The first of `a` once, its others' mean nine times; `b` as it is.
            self.assertEqual(bench.scaled(out, rows), (8 + 9 * 2 + 5, 2 * (8 + 9 * 2 + 5), 4))

    def test_what_a_process_took_includes_its_children(self):
        burn = "sum(i * i for i in range(3_000_000)); b'x' * (60 << 20)"
        inner = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}], check=True)"
        with tempfile.TemporaryDirectory() as folder:
            spent = bench.run([sys.executable, "-c", inner], Path(folder, "side", "cache"))
            self.assertGreater(spent.cpu, 0.05)
            self.assertGreater(spent.rss_mib, 60)
            with self.assertRaisesRegex(SystemExit, "status 3.*\nwhy"):
                bench.run([sys.executable, "-c", "import sys; print('why', file=sys.stderr); sys.exit(3)"], Path(folder, "side", "cache"))

    def test_seconds(self):
        self.assertEqual([bench.seconds(value) for value in (0.00042, 0.0123, 0.5, 59.4)], ["0.42 ms", "12 ms", "0.50 s", "59 s"])


@unittest.skipUnless(INSTALLED, "needs requirements.txt")
class Alternative(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.folder = Path(place.name)
        self.repo = self.folder / "repo"
        self.repo.mkdir()
        self.git("init", "-q")
        self.commit("Parse dates with a time zone", {
            "pkg/dates.py": "class DateParser:\n    def parse_zone(self, text):\n        return text\n",
            "pkg/money.py": "def round_half(amount):\n    return round(amount)\n",
            "pkg/broken.py": "def half_open(:\n    pass\n",
            "tests/test_dates.py": "from pkg.dates import DateParser\n\ndef test_parse_zone():\n    assert DateParser\n",
            "data.txt": "parse_zone",
        })
        (self.repo / "pkg" / "link.py").symlink_to("dates.py")
        self.commit("A link", {})

    def git(self, *args):
        who = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
        return subprocess.run(["git", "-C", str(self.repo), *who, *args], check=True, stdout=subprocess.PIPE, text=True).stdout

    def commit(self, message, files):
        for name, text in files.items():
            path = self.repo / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-qm", message)
        return self.git("rev-parse", "HEAD").strip()

    def ranked(self, cache, **options):
        from alternative import Index
        from bm25 import Tokenizer

        args = argparse.Namespace(**{"recipe": False, "all_files": True, "engine": "bm25s", **options})
        issue = "parse_zone loses the time zone\r\n\r\nCalling `DateParser.parse_zone` drops it."
        index = Index.build(self.repo, "HEAD", cache, Tokenizer(), args)
        folder = self.folder / "saved"
        index.save(folder)
        paths = index.ranked(issue, Tokenizer())
        self.assertEqual(Index.load(folder).ranked(issue, Tokenizer()), paths)
        return paths

    def test_tokens_are_parts_and_the_whole(self):
        from bm25 import Tokenizer

        terms = Tokenizer().text("HTTPServer2.parse_zone for x in zone")
        self.assertEqual(terms, {"http": 1, "server": 1, "=httpserver2": 1, "parse": 1, "zone": 2, "=parse_zone": 1})

    def test_every_kind_finds_the_file_and_a_warm_cache_changes_nothing(self):
        cache = self.folder / "cache"
        for number, options in enumerate(({}, {"recipe": True}, {"engine": "rank_bm25"})):
            if "engine" in options and not importlib.util.find_spec("rank_bm25"):
                continue
            cold = self.ranked(cache, **options)
            self.assertEqual(cold[0], "pkg/dates.py", options)
            self.assertNotIn("pkg/link.py", cold)
            self.assertEqual(self.ranked(cache, **options), cold)
            self.commit("Round money", {"pkg/money.py": f"def parse_zone():\n    return {number}\n"})
            self.assertEqual(self.ranked(cache, **options), self.ranked(None, **options))

    def test_tests_stand_behind_sources(self):
        self.assertEqual(self.ranked(None)[-1], "tests/test_dates.py")
        self.assertNotIn("tests/test_dates.py", self.ranked(None, all_files=False))

    def test_history_holds_ancestors_only(self):
        from bm25 import Tokenizer
        from recipe import history

        base = self.git("rev-parse", "HEAD").strip()
        later = self.commit("Later", {"pkg/later.py": ""})
        cache = self.folder / "history"
        cache.mkdir()
        self.assertEqual(len(history(self.repo, later, cache, Tokenizer())), 3)
        self.assertEqual(len(history(self.repo, base, cache, Tokenizer())), 2)
        first = history(self.repo, base, None, Tokenizer())[-1]
        self.assertEqual(first[3], ["pkg/broken.py", "pkg/dates.py", "pkg/money.py", "tests/test_dates.py"])


if __name__ == "__main__":
    unittest.main()
