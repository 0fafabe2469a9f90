"""Tests of the evaluator: python3 -m unittest discover -s evaluation/localization"""

import contextlib
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import ablate  # noqa: E402
import evaluate  # noqa: E402
from measures import compare, mcnemar, outcome, summarize, wilson  # noqa: E402
from rows import BadInput, both_sides, changed, load_lists, load_rows  # noqa: E402


def diff(path: str) -> str:
    return f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-a\n+b\n"


class Statistics(unittest.TestCase):
    def test_wilson_gives_published_values(self):
        # Newcombe 1998, table I, method 3: 81/263, 15/148, 0/20, 1/29.
        for successes, n, low, high in [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611), (1, 29, 0.0061, 0.1718)]:
            got = wilson(successes, n)
            self.assertAlmostEqual(got[0], low, places=4)
            self.assertAlmostEqual(got[1], high, places=4)
        # The design study's interval: 85.6% of 500 instances.
        self.assertEqual([round(100 * end, 1) for end in wilson(428, 500)], [82.3, 88.4])
        self.assertEqual(wilson(20, 20)[1], 1.0)
        self.assertAlmostEqual(wilson(20, 20)[0], 1 - 0.1611, places=4)
        self.assertEqual(wilson(0, 0), (0.0, 1.0))

    def test_mcnemar_is_the_two_sided_binomial(self):
        # By hand: 2 * (C(10,0) + C(10,1)) / 2^10 = 22/1024; 2 * 1/2^5; 2 * (1 + 6 + 15) / 2^6.
        for wins, losses, p in [(9, 1, 22 / 1024), (5, 0, 1 / 16), (4, 2, 44 / 64), (3, 3, 1.0), (0, 0, 1.0), (1, 0, 1.0)]:
            self.assertAlmostEqual(mcnemar(wins, losses), p, places=12)
            self.assertEqual(mcnemar(wins, losses), mcnemar(losses, wins))
        # Figures of the design study: 52 wins against 9 losses, 95 against 15.
        self.assertEqual(f"{mcnemar(52, 9):.0e}", "2e-08")
        self.assertEqual(f"{mcnemar(95, 15):.0e}", "2e-15")

    def test_mcnemar_does_not_overflow(self):
        self.assertTrue(0 < mcnemar(30_000, 29_000) < 1)


class Measures(unittest.TestCase):
    def test_strict_any_recall_and_mrr_by_hand(self):
        outcomes = [
            outcome("r-1", "o/r", ["a", "b"], ["b", "x", "y", "a"]),  # places 4 and 1
            outcome("r-2", "o/r", ["c"], ["x", "c"]),  # place 2
            outcome("q-1", "o/q", ["d"], ["x"]),  # not listed at all
            outcome("q-2", "o/q", ["e", "f", "g"], None),  # no list
        ]
        self.assertEqual(outcomes[0].places, (4, 1))
        s = summarize(outcomes)  # k = 1, 3, 5, 10, ...
        self.assertEqual(s.strict[:4], (0, 0.25, 0.5, 0.5))
        self.assertEqual(s.any_hit[:4], (0.25, 0.5, 0.5, 0.5))
        self.assertEqual(s.recall[:4], (0.125, 0.375, 0.5, 0.5))
        self.assertEqual(s.mrr, (1 + 1 / 2) / 4)
        self.assertEqual((s.n, s.listed, s.gold_files), (4, 3, 7))
        self.assertEqual(s.interval[2], wilson(2, 4))

    def test_ties_between_runs_decide_nothing(self):
        def run(*lists):
            return [outcome(str(at), "o/r", ["g"], ranked) for at, ranked in enumerate(lists)]

        base = run(["g"], ["x", "g"], ["x"], ["x", "y", "g"], None)
        other = run(["x", "g"], ["g"], ["y"], ["g"], ["g"])
        at = {pair.k: pair for pair in compare(base, other)}
        self.assertEqual((at[1].wins, at[1].losses, at[1].p), (3, 1, 0.625))
        # At 3 both have the first, second and fourth, neither the third.
        self.assertEqual((at[3].wins, at[3].losses, at[3].p), (1, 0, 1.0))
        with self.assertRaises(ValueError):
            compare(base, other[:-1])

    def test_places_behind_the_deepest_k_count_nowhere(self):
        ranked = [str(at) for at in range(150)]
        s = summarize([outcome("i", "o/r", ["99"], ranked), outcome("j", "o/r", ["100"], ranked)])
        self.assertEqual((s.strict[-1], s.any_hit[-1], s.recall[-1], s.mrr), (0.5, 0.5, 0.5, 0.01 / 2))

    def test_only_the_first_place_of_a_path_counts(self):
        self.assertEqual(outcome("i", "o/r", ["g"], ["x", "g", "g"]).places, (2,))


class Patches(unittest.TestCase):
    def test_new_renamed_copied_deleted_and_mode_changes(self):
        patch = (
            "diff --git a/new.py b/new.py\nnew file mode 100644\nindex 0..1\n--- /dev/null\n+++ b/new.py\n@@ -0,0 +1 @@\n+x\n"
            "diff --git a/gone.py b/gone.py\ndeleted file mode 100644\n--- a/gone.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n"
            "diff --git a/old.py b/moved.py\nsimilarity index 90%\nrename from old.py\nrename to moved.py\n"
            "--- a/old.py\n+++ b/moved.py\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"
            "diff --git a/pure.py b/pure2.py\nsimilarity index 100%\nrename from pure.py\nrename to pure2.py\n"
            "diff --git a/kept.py b/copy.py\nsimilarity index 95%\ncopy from kept.py\ncopy to copy.py\n"
            "--- a/kept.py\n+++ b/copy.py\n@@ -1 +1 @@\n-a\n+b\n"
            "diff --git a/run me.sh b/run me.sh\nold mode 100644\nnew mode 100755\n"
            "diff --git a/empty.py b/empty.py\nnew file mode 100644\nindex 0000000..e69de29\n"
            "diff --git a/x.png b/x.png\nindex 1..2 100644\nBinary files a/x.png and b/x.png differ\n"
        )
        files = changed(patch)
        self.assertEqual(files.old, ("gone.py", "old.py", "pure.py", "run me.sh", "x.png"))
        self.assertEqual(files.created, ("new.py", "copy.py", "empty.py"))

    def test_quoted_paths(self):
        patch = (
            'diff --git "a/\\303\\251.py" "b/\\303\\251.py"\n--- "a/\\303\\251.py"\n+++ "b/\\303\\251.py"\n@@ -1 +1 @@\n-a\n+b\n'
            'diff --git "a/tab\\there \\"q\\"" "b/tab\\there \\"q\\""\nold mode 100644\nnew mode 100755\n'
            'diff --git a/plain.py "b/\\303\\251\\\\2.py"\nsimilarity index 100%\nrename from plain.py\nrename to "\\303\\251\\\\2.py"\n'
        )
        self.assertEqual(changed(patch).old, ("é.py", 'tab\there "q"', "plain.py"))
        self.assertEqual(both_sides('a/plain.py "b/\\303\\251\\\\2.py"'), ("a/plain.py", "b/é\\2.py"))

    def test_hunk_lines_that_look_like_headers(self):
        patch = (
            "diff --git a/q.sql b/q.sql\n--- a/q.sql\n+++ b/q.sql\n@@ -1,3 +1,3 @@\n--- a/no.py\n+++ b/no.py\n context\n\n"
            + diff("next.py")
        )
        self.assertEqual(changed(patch).old, ("q.sql", "next.py"))

    def test_diffs_without_git_header_prefix_or_with_time_stamps(self):
        self.assertEqual(changed("--- a/m.py\t2020-01-01 00:00\n+++ b/m.py\t2020\n@@ -1 +1 @@\n-a\n+b\n").old, ("m.py",))
        two = "--- m.py\n+++ m.py\n@@ -1 +1 @@\n-a\n+b\n--- a/n.py\n+++ a/n.py\n@@ -1 +1 @@\n-a\n+b\n"
        self.assertEqual(changed(two).old, ("m.py", "a/n.py"))
        self.assertEqual(changed("diff --git a.py a.py\r\n--- a.py\r\n+++ a.py\r\n@@ -1 +1 @@\r\n-a\r\n+b\r\n").old, ("a.py",))
        self.assertEqual(changed(diff("a/b.py")).old, ("a/b.py",))

    def test_git_itself_agrees(self):
        """Random changes in a real repository: the old side is what `git diff --name-status` says."""
        chance = random.Random(5)
        names = ["a.py", "b c.py", "dir/é.py", 'dir/q"uote.py', "x/y/z.py", "-- d.py", "tab\t.py", "e.py"]
        with tempfile.TemporaryDirectory() as folder:
            def git(*args: str) -> bytes:
                who = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "core.autocrlf=false"]
                return subprocess.run(["git", "-C", folder, *who, *args], check=True, stdout=subprocess.PIPE).stdout

            def write(name: str) -> None:
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("".join(chance.choice(["-- x\n", "++ y\n", "\n", "z\n", "@@ -1 +1 @@\n"]) for _ in range(12)))

            git("init", "-q")
            for name in names:
                write(name)
            git("add", "-A")
            git("commit", "-qm", "base")
            for _ in range(20):
                git("reset", "-q", "--hard")
                for name in names:
                    what = chance.randrange(5)
                    if what == 0:
                        Path(folder, name).unlink()
                    elif what == 1:
                        git("mv", "--", name, f"moved {name.replace('/', ' ')}")
                    elif what == 2:
                        write(name)
                    elif what == 3:
                        write(f"new {name.replace('/', ' ')}")
                git("add", "-A")
                fields = git("diff", "--cached", "-M", "--name-status", "-z", "HEAD").decode().split("\0")
                old: set[str] = set()
                created: set[str] = set()
                while fields and fields[0]:
                    kind = fields.pop(0)
                    path = fields.pop(0)
                    (created if kind == "A" else old).add(path)
                    if kind[0] == "R":
                        fields.pop(0)
                files = changed(git("diff", "--cached", "-M", "HEAD").decode())
                self.assertEqual((set(files.old), set(files.created)), (old, created))


class Files(unittest.TestCase):
    def setUp(self):
        self.place = tempfile.TemporaryDirectory()
        self.addCleanup(self.place.cleanup)
        self.folder = Path(self.place.name)
        self.rows = self.write(
            "rows.jsonl",
            {"instance_id": "o__r-1", "repo": "o/r", "patch": diff("a.py") + diff("b.py")},
            {"instance_id": "o__r-2", "repo": "o/r", "patch": diff("c.py")},
            {"instance_id": "o__q-1", "repo": "o/q", "patch": diff("d.py")},
        )

    def write(self, name, *items):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join((item if isinstance(item, str) else json.dumps(item)) + "\n" for item in items))
        return path

    def run_main(self, *args, main=evaluate.main):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([str(arg) for arg in args])
        return code, out.getvalue(), err.getvalue()

    def ranked(self, name, **lists):
        return self.write(name, *({"instance_id": key.replace("_1", "-1").replace("_2", "-2"), "ranked": value} for key, value in lists.items()))

    def test_lists_and_run_directories_give_the_same(self):
        first = self.ranked("first.jsonl", o__r_1=["b.py", "a.py"], o__r_2=["c.py"], o__q_1=["x", "d.py"])
        for name, paths in [("o__r-1", ["b.py", "a.py"]), ("o__r-2", ["c.py"]), ("o__q-1", ["x", "d.py"])]:
            self.write(f"run/{name}/localization.json", {"ranked": [{"path": path, "score": 1.0, "reasons": []} for path in paths]})
        code, out, err = self.run_main(self.rows, first, self.folder / "run", "--json")
        self.assertEqual((code, err), (0, ""))
        said = json.loads(out)
        one, other = said["runs"]
        self.assertEqual(one["overall"], other["overall"])
        self.assertEqual((one["overall"]["strict"]["1"], one["overall"]["strict"]["3"]), (1 / 3, 1.0))
        self.assertEqual(one["by"]["gold-files"]["2"]["any"]["1"], 1.0)
        self.assertEqual(one["by"]["repo"]["o/q"]["mrr"], 0.5)
        self.assertEqual(one["instances"]["o__r-1"], {"a.py": 2, "b.py": 1})
        self.assertEqual(said["mcnemar"][0]["strict"][0], {"k": 1, "wins": 0, "losses": 0, "p": 1.0})

    def test_missing_and_empty_lists_are_misses_and_said(self):
        first = self.ranked("first.jsonl", o__r_1=["a.py", "b.py"], o__r_2=[])
        code, out, err = self.run_main(self.rows, first, "--json")
        self.assertEqual(code, 1)
        self.assertIn("1 instances without a list count as misses: o__q-1", err)
        self.assertIn("1 empty lists count as misses: o__r-2", err)
        self.assertEqual(json.loads(out)["runs"][0]["overall"]["strict"]["100"], 1 / 3)
        code, out, err = self.run_main(self.rows, first, "--json", "--listed-only")
        self.assertEqual((code, json.loads(out)["runs"][0]["overall"]["n"]), (0, 2))
        self.assertIn("2 of 3 instances", err)

    def test_bad_input_names_file_and_line(self):
        good = '{"instance_id": "o__r-1", "ranked": ["a.py"]}'
        for lines, said in [
            ([good, "{"], "x.jsonl:2: no JSON"),
            ([good, "", "[]"], "x.jsonl:3: expected an object, found list"),
            ([good, good], "x.jsonl:2: instance o__r-1 again, first in"),
            (['{"ranked": []}'], 'x.jsonl:1: no "instance_id"'),
            (['{"instance_id": "o__r-1"}'], 'x.jsonl:1: no "ranked"'),
            (['{"instance_id": "o__r-1", "ranked": {}}'], 'x.jsonl:1: "ranked" is not a list'),
            (['{"instance_id": "o__r-1", "ranked": ["a", 1]}'], '"ranked" entry 2 is neither'),
            ([good, '{"instance_id": "z", "ranked": []}'], "x.jsonl:2: instance z is not in the dataset"),
            ([""], "x.jsonl: no lists"),
        ]:
            code, out, err = self.run_main(self.rows, self.write("x.jsonl", *lines))
            self.assertEqual((code, out), (2, ""), lines)
            self.assertIn(said, err)
        for path, said in [(self.folder / "none.jsonl", "No such file"), (self.folder, "is it a run?")]:
            code, _, err = self.run_main(self.rows, path)
            self.assertEqual(code, 2)
            self.assertIn(said, err)
        (self.folder / "latin.jsonl").write_bytes(b'{"instance_id": "\xe9"}')
        with self.assertRaisesRegex(BadInput, "not UTF-8 at byte 17"):
            load_lists(self.folder / "latin.jsonl")

    def test_bad_datasets(self):
        row = {"instance_id": "o__r-1", "patch": diff("a.py")}
        for items, said in [
            ([row, row], "d.jsonl:2: instance o__r-1 again"),
            ([{"instance_id": "i"}], 'd.jsonl:1: no "patch"'),
            ([{"instance_id": "i", "patch": "nothing"}], "names no file"),
            ([], "no rows"),
        ]:
            with self.assertRaisesRegex(BadInput, said):
                load_rows(self.write("d.jsonl", *items))
        with self.assertRaisesRegex(BadInput, "parquet"):
            load_rows(Path("rows.parquet"))

    def test_json_datasets_and_rows_without_repo(self):
        row = {"instance_id": "o__r-x-1", "patch": diff("a.py")}
        for value in ([row], {"o__r-x-1": row}):
            path = self.folder / "rows.json"
            path.write_text(json.dumps(value, indent=1))
            self.assertEqual([(one.repo, one.gold) for one in load_rows(path)], [("o/r-x", ("a.py",))])

    def test_line_separators_inside_strings_end_no_line(self):
        path = self.folder / "u.jsonl"
        path.write_text(json.dumps({"instance_id": "o__r-1", "ranked": ["a\u2028.py"]}, ensure_ascii=False) + "\r\n", encoding="utf-8")
        self.assertEqual(load_lists(path).ranked, {"o__r-1": ["a\u2028.py"]})

    def test_created_files_are_counted_and_left_out(self):
        new = "diff --git a/n.py b/n.py\nnew file mode 100644\n--- /dev/null\n+++ b/n.py\n@@ -0,0 +1 @@\n+x\n"
        rows = self.write(
            "new.jsonl",
            {"instance_id": "o__r-1", "patch": new + diff("a.py")},
            {"instance_id": "o__r-2", "patch": new},
        )
        code, out, err = self.run_main(rows, self.ranked("l.jsonl", o__r_1=["a.py"], o__r_2=[]), "--json")
        self.assertEqual(code, 0)
        self.assertIn("2 files that gold patches create are left out", err)
        self.assertIn("1 instances change no file of the base commit and are left out: o__r-2", err)
        self.assertEqual(json.loads(out)["runs"][0]["overall"]["strict"]["1"], 1.0)

    def test_tables(self):
        first = self.ranked("first.jsonl", o__r_1=["b.py", "a.py"], o__r_2=["c.py"], o__q_1=["x", "d.py", "d.py"])
        other = self.ranked("other.jsonl", o__r_1=["x"], o__r_2=["c.py"], o__q_1=["d.py"])
        code, out, err = self.run_main(self.rows, first, other, "--markdown", "--by", "repo", "--by", "gold-files", "--misses", "1")
        self.assertEqual(code, 0)
        self.assertIn("1 paths came again", err)
        self.assertIn("| first | strict Acc@k | 33.3 | 100.0 |", out)
        self.assertIn("| other | +1 -0 (p 1.000) | +0 -1 (p 1.000) |", out)
        self.assertIn("| o/q | 1 | first | 0.0 | 100.0 |", out)
        self.assertIn("| 2 | 1 | other | 0.0 |", out)
        self.assertIn("| first | o__r-1 | a.py | 2 |", out)
        widths = {line.count(" | ") for line in out.split("\n\n")[1].splitlines()}
        self.assertEqual(len(widths), 1)

    def test_ablation_puts_the_costliest_first(self):
        right = dict(o__r_1=["a.py", "b.py"], o__r_2=["c.py"], o__q_1=["d.py"])
        self.ranked("lists/full.jsonl", **right)
        self.ranked("lists/without-path.jsonl", **right)
        self.ranked("lists/without-history.jsonl", **{**right, "o__r_2": ["x"], "o__q_1": ["x", "d.py"]})
        code, out, _ = self.run_main(self.rows, self.folder / "lists", "--markdown", main=ablate.main)
        self.assertEqual(code, 0)
        lines = out.splitlines()
        self.assertEqual([line.split(" | ")[0] for line in lines[2:]], ["| nothing", "| history", "| path"])
        self.assertIn("| -66.7 | +2 -0 (p 0.500) | -33.3 | +1 -0 (p 1.000) |", lines[3])
        code, out, _ = self.run_main(self.rows, self.folder / "lists", "--json", main=ablate.main)
        self.assertEqual(json.loads(out)["without"][0]["against_base"]["5"]["losses"], 0)
        code, _, err = self.run_main(self.rows, self.folder / "lists", "--base", "nothing", main=ablate.main)
        self.assertEqual(code, 2)
        self.assertIn("no nothing.jsonl", err)


if __name__ == "__main__":
    unittest.main()
