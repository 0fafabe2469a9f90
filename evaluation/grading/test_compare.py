"""Tests of the comparison: python3 -B -m unittest discover -s evaluation/grading"""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import compare  # noqa: E402

COMMAND = Path(__file__).resolve().parent.parent / "compare_grades"
PATCH = "diff --git a/x b/x\n"


def report(resolved, f2p=(("t::a",), ()), p2p=(("t::b", "t::c"), ()), **more):
    """A per-instance report of the harness."""
    lists = {name: {"success": list(pair[0]), "failure": list(pair[1])} for name, pair in [("FAIL_TO_PASS", f2p), ("PASS_TO_PASS", p2p), ("FAIL_TO_FAIL", ((), ())), ("PASS_TO_FAIL", ((), ()))]}
    return {"patch_is_None": False, "patch_exists": True, "patch_successfully_applied": True, "resolved": resolved, "infra_failure": False, "tests_status": lists, **more}


#: What the two sides of most tests say: instance, list of the summary, report.
USUAL = [
    ("o__n-1", "resolved", report(True)),
    ("o__n-2", "unresolved", report(False, f2p=((), ("t::a",)))),
    ("o__n-3", "error", None),
    ("o__n-4", "empty_patch", None),
    ("o__n-5", "incomplete", None),
]


def summary(rows, reasons=None, **more):
    """The summary of rows."""
    made = {"total_instances": len(rows), "schema_version": 2}
    for key in ["completed", "resolved", "unresolved", "empty_patch", "error", "incomplete", "infra_failure", "ambiguous_failure"]:
        ids = sorted(name for name, where, _ in rows if where == key or (key == "completed" and where in ("resolved", "unresolved")))
        made[f"{key}_ids"] = ids
        if key != "incomplete":
            made[f"{key}_instances"] = len(ids)
    made["submitted_ids"] = sorted(name for name, where, _ in rows if where != "incomplete")
    made["failure_reasons"] = reasons or {}
    made.update(more)
    return made


def instance(folder: Path, name, where, said):
    """An instance's folder."""
    if where in ("empty_patch", "incomplete"):
        return
    (folder / name).mkdir(parents=True)
    (folder / name / "patch.diff").write_text(PATCH)
    (folder / name / "run_instance.log").write_text("log")
    if said is not None:
        (folder / name / "report.json").write_text(json.dumps({name: said}))


def ours(root: Path, rows, **more):
    """The directory of `agent evaluate`."""
    graded = root / "graded"
    graded.mkdir(parents=True)
    for row in rows:
        instance(graded, *row)
    (graded / "report.json").write_text(json.dumps(summary(rows, **more)))
    return graded


def official(root: Path, rows, model="mo.del", run_id="run.1", **more):
    """What the harness leaves; its logs and its summary."""
    logs = root / "logs" / "run_evaluation" / run_id / model
    logs.mkdir(parents=True)
    for row in rows:
        instance(logs, *row)
    path = root / f"{model}.{run_id}.json"
    path.write_text(json.dumps(summary(rows, **more)))
    return logs, path


def changed(index, where=None, said=None):
    """The usual rows with one changed."""
    rows = list(USUAL)
    name, old_where, old_said = rows[index]
    rows[index] = (name, where or old_where, said if where or said else old_said)
    return rows


class Comparison(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.root = Path(holder.name)
        self.count = 0

    def fresh(self):
        self.count += 1
        return self.root / str(self.count)

    def run_command(self, *arguments):
        done = subprocess.run([str(COMMAND), *map(str, arguments)], capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    def found(self, left, right, *arguments, left_more=None, right_more=None):
        """Differences as (instance, field) between our directory and the harness's summary."""
        a = ours(self.fresh(), left, **(left_more or {}))
        _, b = official(self.fresh(), right, **(right_more or {}))
        code, out, err = self.run_command(a, b, "--json", *arguments)
        self.assertIn(code, (0, 1), err)
        document = json.loads(out)
        self.assertEqual(code, 1 if document["differences"] else 0)
        return [(each["instance"], each["field"]) for each in document["differences"]]

    def test_equal_gradings_differ_in_nothing_however_they_are_named(self):
        a = ours(self.fresh(), changed(1, said=report(False, f2p=((), ("t::a",)), not_graded="a field of ours")))
        logs, path = official(self.fresh(), USUAL)
        for b in (path, logs, logs.parent, a, a / "report.json"):
            code, out, err = self.run_command(a, b)
            self.assertEqual(code, 0, f"{b}: {out}{err}")
            self.assertIn("5 instances compared, none differs", out)

    def test_of_a_run_in_which_nothing_ran_the_summary_is_enough(self):
        rows = [("o__n-1", "empty_patch", None), ("o__n-2", "incomplete", None)]
        a = ours(self.fresh(), rows)
        logs, b = official(self.fresh(), rows)
        logs.rmdir()
        self.assertEqual(self.run_command(a, b)[0], 0)
        logs, b = official(self.fresh(), [("o__n-1", "error", None), rows[1]])
        for path in sorted(logs.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        logs.rmdir()
        code, _, err = self.run_command(a, b)
        self.assertEqual((code, "no logs beside it" in err), (2, True))

    def test_a_class_that_differs_is_shown(self):
        for index, where, said in [(0, "unresolved", report(False)), (0, "error", None), (2, "resolved", report(True)), (3, "error", None), (4, "empty_patch", None)]:
            name = USUAL[index][0]
            self.assertIn((name, "class"), self.found(changed(index, where, said), USUAL), (index, where))

    def test_any_field_of_a_report_counts(self):
        said = [
            (report(True, p2p=(("t::b",), ("t::c",))), "tests_status.PASS_TO_PASS.success"),
            (report(True, p2p=(("t::c", "t::b"), ())), "tests_status.PASS_TO_PASS.success"),
            (report(True, p2p=(("t::b", "t::b", "t::c"), ())), "tests_status.PASS_TO_PASS.success"),
            (report(True, patch_successfully_applied=False), "patch_successfully_applied"),
            (report(True, infra_failure=True), "infra_failure"),
            (report(True, infra_failure_reason="out_of_memory"), "infra_failure_reason"),
        ]
        for value, expected in said:
            found = self.found(changed(0, said=value), USUAL)
            self.assertIn(("o__n-1", expected), found)
            self.assertNotIn(("o__n-1", "class"), found)
            self.assertEqual({name for name, _ in found}, {"o__n-1"})
        without = report(True)
        del without["tests_status"]
        self.assertIn(("o__n-1", "tests_status.FAIL_TO_PASS.success"), self.found(changed(0, said=without), USUAL))

    def test_a_list_that_differs_is_told_in_words(self):
        a = ours(self.fresh(), changed(0, said=report(True, p2p=(("t::b",), ("t::c",)))))
        _, b = official(self.fresh(), USUAL)
        code, out, _ = self.run_command(a, b)
        self.assertEqual(code, 1)
        self.assertIn("o__n-1: tests_status.PASS_TO_PASS.success: only in B: t::c\n", out)
        self.assertIn("o__n-1: tests_status.PASS_TO_PASS.failure: only in A: t::c\n", out)
        self.assertIn("5 instances compared, 1 differ", out)
        self.assertEqual(compare.list_difference(["a", "b"], ["b", "a"]), "same members in another order")
        self.assertEqual(compare.list_difference(["a", "a"], ["a"]), "only in A: a")

    def test_reasons_tiers_and_totals_count(self):
        self.assertEqual(self.found(USUAL, USUAL, right_more={"reasons": {"o__n-2": "missing_module"}}), [("o__n-2", "failure_reason")])
        tier = {"infra_failure_ids": ["o__n-2"], "infra_failure_instances": 1}
        self.assertEqual(self.found(USUAL, USUAL, left_more=tier), [("o__n-2", "failure_tier")])
        self.assertEqual(self.found(USUAL, USUAL, right_more={"total_instances": 9}), [(None, "total_instances")])
        submitted = {"submitted_ids": ["o__n-1", "o__n-2", "o__n-3"]}
        self.assertEqual(self.found(USUAL, USUAL, right_more=submitted), [("o__n-4", "submitted")])

    def test_an_instance_of_one_side_only_is_a_difference(self):
        self.assertIn(("o__n-1", "class"), self.found(USUAL[1:], USUAL))
        self.assertIn(("o__n-1", "class"), self.found(USUAL, USUAL[1:]))

    def test_another_patch_is_a_difference(self):
        a = ours(self.fresh(), USUAL)
        _, b = official(self.fresh(), USUAL)
        (a / "o__n-3" / "patch.diff").write_text("another\n")
        code, out, _ = self.run_command(a, b)
        self.assertEqual(code, 1)
        self.assertIn("o__n-3: patch.diff:", out)

    def test_a_side_without_a_summary_is_judged_by_its_folders(self):
        a = ours(self.fresh(), USUAL)
        logs, path = official(self.fresh(), changed(0, "unresolved", report(False)))
        path.unlink()
        code, out, _ = self.run_command(a, logs, "--json")
        found = [(each["instance"], each["field"]) for each in json.loads(out)["differences"]]
        self.assertEqual((code, sorted(set(found))), (1, [("o__n-1", "class"), ("o__n-1", "resolved")]))
        elsewhere = self.root / "summary.json"
        elsewhere.write_text(json.dumps(summary(USUAL[1:])))
        self.assertEqual(self.run_command(a, logs, "--summary-b", elsewhere)[0], 1)

    def test_a_run_in_parts_is_compared_by_its_folders(self):
        a = ours(self.fresh(), USUAL)
        logs, path = official(self.fresh(), USUAL)
        # The summary of the last part alone.
        path.write_text(json.dumps(summary(USUAL[1:2])))
        self.assertEqual(self.run_command(a, path)[0], 1)
        self.assertEqual(self.run_command(a, path, "--folders")[0], 0)
        (logs / "o__n-1" / "report.json").write_text(json.dumps({"o__n-1": report(False)}))
        code, out, _ = self.run_command(a, path, "--folders")
        self.assertEqual(code, 1)
        self.assertIn("o__n-1: class: resolved / unresolved", out)

    def test_of_a_report_that_one_side_lacks_the_class_alone_is_shown(self):
        self.assertEqual([pair for pair in self.found(changed(0, "error", None), USUAL) if pair[0] == "o__n-1"], [("o__n-1", "class"), ("o__n-1", "report")])
        self.assertEqual(self.found(changed(4, "resolved", report(True)), USUAL, "--instance", "o__n-5"), [("o__n-5", "class"), ("o__n-5", "submitted")])

    def test_older_harnesses_lack_fields_and_each_lack_is_said_once(self):
        old_rows = []
        for name, where, said in USUAL:
            old = {key: value for key, value in (said or {}).items() if key != "infra_failure"}
            old_rows.append((name, where, old or None))
        a = ours(self.fresh(), USUAL, reasons={"o__n-2": "missing_module"})
        _, b = official(self.fresh(), old_rows)
        old = json.loads(b.read_text())
        for key in list(old):
            if key.startswith(("infra", "ambiguous", "failure")):
                del old[key]
        b.write_text(json.dumps(old))
        _, out, _ = self.run_command(a, b, "--json")
        found = [(each["instance"], each["field"]) for each in json.loads(out)["differences"]]
        run = [(None, "infra_failure_ids"), (None, "ambiguous_failure_ids"), (None, "failure_reasons")]
        self.assertEqual(found, run + [("o__n-1", "infra_failure"), ("o__n-2", "infra_failure")])
        ignored = ["--ignore", "infra_failure", "--ignore", "infra_failure_ids", "--ignore", "ambiguous_failure_ids", "--ignore", "failure_reasons"]
        self.assertEqual(self.run_command(a, b, *ignored)[0], 0)

    def test_some_instances_alone(self):
        rows = changed(0, "unresolved", report(False))
        self.assertEqual(self.found(rows, USUAL, "--instance", "o__n-2"), [])
        self.assertIn(("o__n-1", "class"), self.found(rows, USUAL, "--instance", "o__n-1"))

    def test_folders_that_the_summary_does_not_count_are_left_out(self):
        a = ours(self.fresh(), USUAL)
        instance(a, "o__n-9", "error", None)
        instance(a, "o__n-5", "error", None)
        _, b = official(self.fresh(), USUAL)
        self.assertEqual(self.run_command(a, b)[0], 0)

    def test_bad_input_is_refused_with_what_was_tried(self):
        a = ours(self.fresh(), USUAL)
        logs, path = official(self.fresh(), USUAL)
        empty = self.root / "empty"
        empty.mkdir()
        other = self.root / "other.json"
        other.write_text("{}")
        lonely = self.root / "m.r.json"
        lonely.write_text(path.read_text())
        twice = self.fresh()
        for model in ("one", "two"):
            official(twice, USUAL[:1], model=model, run_id="r")
        miscounted = self.fresh()
        ours(miscounted, USUAL, resolved_instances=7)
        cases = [
            ((a, self.root / "missing"), "does not exist"),
            ((a, empty), "holds no graded instance"),
            ((a, other), "no summary of an evaluation"),
            ((a, lonely), "no logs beside it"),
            ((a, twice / "logs" / "run_evaluation" / "r"), "was graded twice"),
            ((a, miscounted / "graded"), "resolved_instances is 7"),
            ((a, path, "--instance", "nobody"), "neither side knows nobody"),
            ((a, path, "--summary-b", path), "is a summary itself"),
        ]
        for arguments, words in cases:
            code, _, err = self.run_command(*arguments)
            self.assertEqual(code, 2, arguments)
            self.assertIn(words, err)
        (logs / "o__n-1" / "report.json").write_text("{")
        self.assertEqual(self.run_command(a, logs)[0], 2)


if __name__ == "__main__":
    unittest.main()
