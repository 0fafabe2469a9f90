"""Holds our grading of logs against the official harness's own functions, on generated logs.

    cargo build --example regrade
    pip download --no-deps -d WHEELS swebench==5.0.2 swebench==4.1.0     # one after the other
    python3 evaluation/grading/parity.py target/debug/examples/regrade WHEELS [--cases N] [--seed S]

The wheels are unpacked beside themselves and imported module by module, so that none of their dependencies
is needed. Exit code 0 only if every report is equal.
"""

from __future__ import annotations

import argparse
import importlib
import json
import random
import subprocess
import sys
import tempfile
import types
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any, Optional

START, END, EXIT = ">>>>> Start Test Output", ">>>>> End Test Output", ">>>>> Test Exit Code"
#: Log parser and the repository by which 4.1.0 knows it.
PARSERS = [
    ("parse_log_flask", "pallets/flask"),
    ("parse_log_requests", "psf/requests"),
    ("parse_log_sphinx", "sphinx-doc/sphinx"),
    ("parse_log_matplotlib", "matplotlib/matplotlib"),
    ("parse_log_seaborn", "mwaskom/seaborn"),
    ("parse_log_django", "django/django"),
    ("parse_log_sympy", "sympy/sympy"),
]
IDS = ["t::a", "t::b[x", "t::b[x y]", "t::b[x - z]", "t::c[/home/u/v.py]", "t::d[x]", "test_e", "test_f (m.C)", "test_g (m.C.test_g)", "Doc line.", "[1]", "[100%]", "t[1-3]", "p/test_y.py:test_z", "3"]
WORDS = ["PASSED", "FAILED", "ERROR", "SKIPPED", "XFAIL", "XPASS", "PASSEDx", "FAILED_x"]
TAILS = ["", " ", " - boom", " - a - b", "\t", "\r", " ok", " F", " E", " ... ok", " ... OK", " ...  OK", " ... FAIL", " ... ERROR", " ... skipped 'x'", " ... noise", " ... expected failure", " PASSED", " FAILED", " PASSED [ 5%]", " ERROR", "      [OK]"]
LINES = ["ok", "okay then", "FAIL:", "ERROR:", "FAIL: test_f (m.C)", "ERROR: m (x)", "FAILED", "PASSED", " PASSED ", "--version is equivalent to version", "Killed", "collected 0 items", "5 passing", "0 passing", "# tests 3", "ModuleNotFoundError: x", "Could not resolve host: x", "Timeout error: 9 seconds exceeded.", "____ p/test_y.py:test_z ____", "see a.py:3 and b.py:4 there", "SKIPPED [1] a.py:2: why", "\x1b[32mPASSED\x1b[0m t::a", "t ... System check identified no issues (0 silenced).", "t ... Internal Server Error: /x/", "t ... Testing against Django installed in 'x'", "(0 silenced).", "MouseButton.LEFT", "PASSED t[MouseButton.LEFT-MouseButton.RIGHT]", "ä \x85 ü", "test_x (m.C) ... Applying sites.0002_alter_domain_unique...test_no_migrations (m.C) ... ok"]
RARE = [">>>>> Tests Timed Out", ">>>>> Some Tests Failed", ">>>>> Patch Apply Failed", f"+ : '{START}'", f"+ : '{END}'", f"{EXIT}: 0", f"{EXIT}: 1", f"{EXIT}:", f"{EXIT}: -2"]


def line(rng: random.Random) -> str:
    """A line that a parser may react to."""
    kind = rng.random()
    if kind < 0.45:
        return f"{rng.choice(WORDS)} {rng.choice(IDS)}{rng.choice(TAILS)}"
    if kind < 0.75:
        return f"{rng.choice(['', '', '', '  '])}{rng.choice(IDS)}{rng.choice(TAILS)}"
    return rng.choice(LINES) if kind < 0.97 else rng.choice(RARE)


def case(rng: random.Random) -> dict[str, Any]:
    """A row's lists and the log of its tests."""
    def some(least: int, most: int) -> list[str]:
        return [line(rng) for _ in range(rng.randint(least, most))]

    before, inside, after = some(0, 2), some(0, 8), some(0, 2)
    parts = before + [f"+ : '{START}'"] + inside + [f"+ : '{END}'"]
    if rng.random() < 0.7:
        parts.append(f"{EXIT}: {rng.choice([0, 0, 0, 1, 5, 137])}")
    parts += after
    if rng.random() < 0.05:
        parts.remove(rng.choice(parts))
    parser, repo = rng.choice(PARSERS)
    return {
        "log_parser": parser,
        "repo": repo,
        "eval_type": "fail_only" if rng.random() < 0.1 else "pass_and_fail",
        "FAIL_TO_PASS": rng.sample(IDS, rng.randint(0, 2)),
        "PASS_TO_PASS": rng.sample(IDS, rng.randint(0, 2)),
        "log": rng.choice(["\n", "\n", "\n", "\r\n"]).join(parts),
    }


def unpacked(wheels: Path, version: str) -> Path:
    """A wheel's content."""
    found = list(wheels.glob(f"swebench-{version}-*.whl"))
    if not found:
        sys.exit(f"no swebench {version} in {wheels}; pip download --no-deps -d {wheels} swebench=={version}")
    into = wheels / f"swebench-{version}"
    if not into.is_dir():
        with zipfile.ZipFile(found[0]) as archive:
            archive.extractall(into)
    return into


class Harness:
    """One version's own grading functions."""

    def __init__(self, wheels: Path, version: str) -> None:
        for name in [name for name in sys.modules if name.split(".")[0] == "swebench"]:
            del sys.modules[name]
        root = unpacked(wheels, version) / "swebench"
        # The packages' own __init__ would import Docker and more.
        for name in ("swebench", "swebench.harness"):
            module = types.ModuleType(name)
            module.__path__ = [str(root.joinpath(*name.split(".")[1:]))]  # type: ignore[attr-defined]
            sys.modules[name] = module
        if version.startswith("4"):
            package, spec = types.ModuleType("swebench.harness.test_spec"), types.ModuleType("swebench.harness.test_spec.test_spec")
            package.__path__ = []  # type: ignore[attr-defined]
            spec.TestSpec = object  # type: ignore[attr-defined]
            sys.modules[package.__name__], sys.modules[spec.__name__] = package, spec
        self.grading = self.imported()
        self.old = version.startswith("4")

    @staticmethod
    def imported() -> Any:
        """The module; dependencies of functions that are not called here are replaced by nothing."""
        while True:
            try:
                return importlib.import_module("swebench.harness.grading")
            except ModuleNotFoundError as error:
                if not error.name or error.name.split(".")[0] == "swebench":
                    raise
                missing = types.ModuleType(error.name)
                missing.__path__ = []  # type: ignore[attr-defined]
                missing.__getattr__ = lambda name: lambda *_: None  # type: ignore[method-assign]
                sys.modules[error.name] = missing

    def grade(self, row: dict[str, Any], path: Path) -> Optional[dict[str, Any]]:
        """The report; None where an exception loses the instance."""
        spec = types.SimpleNamespace(instance_id="i", **{key: row[key] for key in ("repo", "log_parser", "eval_type", "FAIL_TO_PASS", "PASS_TO_PASS")})
        if self.old:
            spec.version = next(iter(self.grading.MAP_REPO_VERSION_TO_SPECS[row["repo"]]))
        prediction = {"instance_id": "i", "model_patch": "x", "model_name_or_path": "m"}
        # As run_instance writes the log; reading it turns every line end into LF.
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(row["log"])
        try:
            return self.grading.get_eval_report(spec, prediction, str(path), True)["i"]
        except IndexError:
            return None


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("regrade", type=Path)
    parser.add_argument("wheels", type=Path)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    cases = [case(rng) for _ in range(options.cases)]
    wrong = 0
    with tempfile.TemporaryDirectory() as scratch:
        for version, rules in [("5.0.2", "harness-5.0.2"), ("4.1.0", "harness-4.1")]:
            harness = Harness(options.wheels, version)
            rows = [row for row in cases if not (harness.old and row["eval_type"] == "fail_only")]
            theirs = [harness.grade(row, Path(scratch) / "log") for row in rows]
            lines = "".join(json.dumps({**row, "rules": rules}) + "\n" for row in rows)
            done = subprocess.run([options.regrade], input=lines, capture_output=True, text=True, check=True)
            ours = [json.loads(text) for text in done.stdout.split("\n")[:-1]]
            outcomes = Counter("lost" if report is None else "resolved" if report["resolved"] else "unresolved" if "tests_status" in report else "not graded" for report in theirs)
            differing = [index for index in range(len(rows)) if json.dumps(ours[index]) != json.dumps(theirs[index])]
            wrong += len(differing)
            print(f"{version}: {len(rows)} logs, {len(differing)} differ; {dict(sorted(outcomes.items()))}")
            for index in differing[:3]:
                print(json.dumps(rows[index], indent=1), "\n  ours  ", json.dumps(ours[index]), "\n  theirs", json.dumps(theirs[index]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
