"""What can be checked of the measurement without rows: predictions, recipes and their calls."""

import json
import subprocess
import tempfile
import unittest
from pathlib import Path

import build
import predictions

OLD = "import os\n\n\ndef add(a, b):\n    return a - b\n\n\ndef zero():\n    x = 1\n    y = 2\n    return x\n"
NEW = OLD.replace("a - b", "a + b").replace("return x", "return 0")
TEST = "from tool import add\n\n\ndef test_add():\n    assert add(0, 0) == 0\n"


def git(folder, *args, check=True, **more):
    return subprocess.run(["git", *args], cwd=folder, check=check, capture_output=True, **more)


def row(new=NEW, parser="parse_log_pytest"):
    return {
        "repo": "a/tool", "instance_id": "a__tool-1", "base_commit": "HEAD", "log_parser": parser,
        "FAIL_TO_PASS": '["t::a"]', "PASS_TO_PASS": '["t::b"]',
        "patch": predictions.changing("tool.py", OLD, new),
        "test_patch": predictions.changing("test_tool.py", TEST, TEST + "\n\ndef test_more():\n    pass\n"),
    }


def made(rows):
    return predictions.predictions(rows, lambda row, path: {"tool.py": OLD, "test_tool.py": TEST}[path])


class Predictions(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.tree = Path(self.folder.name)
        git(self.tree, "init", "-q")
        (self.tree / "tool.py").write_text(OLD)
        (self.tree / "test_tool.py").write_text(TEST)
        git(self.tree, "add", "-A")

    def applied(self, patch):
        """The text of tool.py with the patch, or None if git refuses it."""
        git(self.tree, "checkout", "-q", "--", ".")
        done = git(self.tree, "apply", "-", input=patch.encode(), check=False)
        text = (self.tree / "tool.py").read_text() if done.returncode == 0 else None
        git(self.tree, "clean", "-fdq")
        return text

    def test_gold_is_the_reference_and_empty_is_nothing(self):
        kinds = made([row()])
        self.assertEqual(self.applied(kinds["gold"][0]["model_patch"]), NEW)
        self.assertEqual(kinds["empty"][0]["model_patch"], "")

    def test_partial_applies_and_is_no_fix(self):
        for new in (NEW, OLD.replace("a - b", "a + b")):
            patch = predictions.partial(row(new)["patch"])[1]
            text = self.applied(patch)
            self.assertIsNotNone(text, patch)
            self.assertIn("a - b", text)
            self.assertNotEqual(text, OLD)
            compile(text, "tool.py", "exec")

    def test_partial_keeps_the_first_of_two_hunks(self):
        far = OLD + "\n" * 20 + "END = 1\n"
        patch = predictions.changing("tool.py", far, far.replace("a - b", "a + b").replace("END = 1", "END = 2"))
        (self.tree / "tool.py").write_text(far)
        git(self.tree, "add", "-A")
        self.assertEqual(self.applied(predictions.partial(patch)[1]), far.replace("a - b", "a + b"))

    def test_every_damage_damages(self):
        patch = row()["patch"]
        self.assertIsNotNone(self.applied(patch))
        for name, damage in predictions.BROKEN:
            self.assertNotEqual(damage(patch), patch, name)
            self.assertEqual(damage(patch), damage(patch))
            if name != "final newline missing":  # What git makes of that depends on the last line.
                self.assertIsNone(self.applied(damage(patch)), name)

    def test_malicious_patches_apply_except_those_that_must_not(self):
        rows = [row() for _ in predictions.MALICIOUS]
        for prediction in made(rows)["malicious"]:
            text = self.applied(prediction["model_patch"])
            if prediction["variant"] in ("gold, and a hook below .git", "gold, and a file through a symbolic link"):
                self.assertIsNone(text, prediction["variant"])
                continue
            self.assertIsNotNone(text, prediction["variant"])
            compile(text, "tool.py", "exec")
            if prediction["variant"].startswith("gold"):
                self.assertIn("a + b", text, prediction["variant"])

    def test_printed_results_have_the_runner_s_shape(self):
        self.assertEqual(predictions.report_lines(row()), "\nPASSED t::a\nPASSED t::b\n")
        self.assertEqual(predictions.report_lines(row(parser="parse_log_django")), "\nt::a ... ok\nt::b ... ok\n")
        code = predictions.say("one\n", "raise SystemExit(3)\n")
        run = subprocess.run(["python3", "-c", code], capture_output=True)
        self.assertEqual((run.stdout, run.returncode), (b"one\n", 3))

    def test_equal_rows_give_equal_predictions_in_the_harness_s_form(self):
        self.assertEqual(made([row(), row()]), made([row(), row()]))
        for kind, entries in made([row()]).items():
            self.assertEqual({entry["model_name_or_path"] for entry in entries}, {kind})
            for entry in entries:
                self.assertLessEqual({"instance_id", "model_name_or_path", "model_patch"}, set(entry))
                json.dumps(entry)


    def test_a_row_that_is_left_out_moves_no_variant(self):
        both = [{**row(), "instance_id": name} for name in build.instances()[3:5]]
        alone = made(both[1:])
        for kind, entries in made(both).items():
            self.assertEqual(entries[1:], alone[kind])


class Recipes(unittest.TestCase):
    def test_every_instance_has_one_recipe_for_its_repository(self):
        repos = {repo.replace("/", "__") for repo, _ in build.recipes()}
        names = build.instances()
        self.assertEqual(len(names), len(set(names)))
        self.assertGreaterEqual(len(names), 25)
        self.assertEqual({name.rsplit("-", 1)[0] for name in names} - repos, set())

    def test_requirements_are_pinned(self):
        for key, recipe in build.recipes().items():
            for requirement in recipe["require"]:
                self.assertRegex(requirement, r"^[A-Za-z0-9_.-]+==[0-9][0-9.]*$", key)

    def test_the_call_names_commit_image_and_variables(self):
        recipe = build.recipes()[("pytest-dev/pytest", "5.4")]
        call = build.command("agent", Path("r.git"), {"base_commit": "c1", "image": "i:latest", "version": "5.4"}, recipe)
        self.assertEqual(call[:8], ["agent", "images", "build", "r.git", "--rev", "c1", "--tag", "i:latest"])
        self.assertIn("SETUPTOOLS_SCM_PRETEND_VERSION=5.4.0", call)
        self.assertIn("PIP_NO_INDEX=1", call)

    def test_rows_that_are_not_there_are_named(self):
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
            file.write('{"instance_id": "a__b-1"}\n')
            file.flush()
            self.assertEqual(len(build.read_rows(file.name, ["a__b-1"])), 1)
            with self.assertRaisesRegex(SystemExit, "a__b-2"):
                build.read_rows(file.name, ["a__b-1", "a__b-2"])


class Official(unittest.TestCase):
    SCRIPT = Path(__file__).resolve().parent.parent / "official.sh"

    def run_script(self, *args, path=None):
        environment = {"PATH": path or "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent"}
        run = subprocess.run(["/bin/bash", str(self.SCRIPT), *args], capture_output=True, text=True, env=environment)
        return run.returncode, run.stderr

    def test_bad_calls_say_what_is_wrong(self):
        for args, word in [
            (["a", "b"], "four arguments"), (["--fast"], "--fast"), (["-j", "x"], "'x'"), (["-t"], "-t needs a value"),
        ]:
            status, text = self.run_script(*args)
            self.assertEqual(status, 2, text)
            self.assertIn(word, text)

    def test_missing_files_programs_and_daemon_are_named(self):
        with tempfile.TemporaryDirectory() as folder:
            status, text = self.run_script(f"{folder}/rows.jsonl", f"{folder}/p.jsonl", "r", folder)
            self.assertEqual(status, 1)
            self.assertIn("rows.jsonl", text)
            rows = Path(folder, "rows.jsonl")
            rows.write_text("")
            status, text = self.run_script(str(rows), str(rows), "a/b", folder)
            self.assertIn("run id", text)
            programs = Path(folder, "bin")
            programs.mkdir()
            for name in ("dirname", "realpath", "sed"):
                (programs / name).symlink_to(f"/usr/bin/{name}")
            status, text = self.run_script(str(rows), str(rows), "r", folder, path=str(programs))
            self.assertEqual(status, 1)
            self.assertIn("docker client is missing", text)
            client = programs / "docker"
            client.write_text("#!/bin/sh\nexit 1\n")
            client.chmod(0o755)
            status, text = self.run_script(str(rows), str(rows), "r", folder, path=str(programs))
            self.assertIn("no Docker daemon answers", text)
            client.write_text("#!/bin/sh\nexit 0\n")
            status, text = self.run_script(str(rows), str(rows), "r", folder, path=str(programs))
            self.assertIn("no python3", text)


if __name__ == "__main__":
    unittest.main()
