"""Shows every difference between two gradings of the same predictions, instance by instance.

    evaluation/compare_grades GRADED OFFICIAL [--json] [--instance ID]... [--ignore FIELD]...

Each side is one of:
  - the output directory of `agent evaluate` (report.json and one folder an instance);
  - the official harness's summary, MODEL.RUN_ID.json; its logs are looked for beside it, in
    logs/run_evaluation/RUN_ID/MODEL;
  - a folder of the official harness, logs/run_evaluation/RUN_ID or .../RUN_ID/MODEL; its summary is looked
    for in the directory that holds `logs`. --summary-a and --summary-b name it where it lies elsewhere.

Compared are the class (resolved, unresolved, error, empty, incomplete, cancelled), the per-instance report
with the order of its lists, the signs of a broken environment, and the patch that was graded.
Exit code 0: nothing differs. 1: something does. 2: bad input, or nothing to compare.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional
from collections.abc import Iterable, Sequence

#: Lists of a summary that decide the class; the first that holds an instance wins. The harness may list an
#: instance as completed and as an error; it is an error then.
CLASSES = [
    ("error_ids", "error"),
    ("resolved_ids", "resolved"),
    ("unresolved_ids", "unresolved"),
    ("empty_patch_ids", "empty"),
    ("incomplete_ids", "incomplete"),
    ("cancelled_ids", "cancelled"),
]
#: Files that only an instance's folder holds.
INSTANCE_FILES = ("report.json", "test_output.txt", "run_instance.log", "patch.diff", "evaluation.json")
#: Fields that `agent evaluate` adds to a per-instance report.
OURS = {"not_graded"}
ABSENT = "(absent)"
LISTED = 5


class BadInput(Exception):
    """An argument that cannot be read; the message says what was tried."""


@dataclass
class Grading:
    """One side: what is known of each instance, field by field."""

    path: Path
    summary: Optional[Path] = None
    #: Fields of the whole run.
    run: dict[str, Any] = field(default_factory=dict)
    #: Fields of each instance.
    instances: dict[str, dict[str, Any]] = field(default_factory=dict)

    def of(self, instance: str) -> dict[str, Any]:
        """An instance's fields, made where missing."""
        return self.instances.setdefault(instance, {})


@dataclass
class Difference:
    """One field that differs; `instance` is None for the whole run."""

    instance: Optional[str]
    field: str
    a: Any
    b: Any

    def line(self) -> str:
        """For people."""
        where = self.instance or "the whole run"
        if isinstance(self.a, list) and isinstance(self.b, list):
            return f"{where}: {self.field}: {list_difference(self.a, self.b)}"
        return f"{where}: {self.field}: {short(self.a)} / {short(self.b)}"


def short(value: Any) -> str:
    """A value in at most a line."""
    text = value if isinstance(value, str) else json.dumps(value)
    text = text.replace("\n", "\\n")
    return text if len(text) <= 120 else text[:117] + "..."


def some(values: Sequence[Any]) -> str:
    """The first few values, and how many more."""
    shown = ", ".join(short(value) for value in values[:LISTED])
    return shown if len(values) <= LISTED else f"{shown} and {len(values) - LISTED} more"


def list_difference(a: Sequence[Any], b: Sequence[Any]) -> str:
    """What only one of two lists of strings holds; repeated values count."""
    count_a, count_b = Counter(a), Counter(b)
    only_a = list((count_a - count_b).elements())
    only_b = list((count_b - count_a).elements())
    parts = [f"only in A: {some(only_a)}"] if only_a else []
    parts += [f"only in B: {some(only_b)}"] if only_b else []
    return "; ".join(parts) or "same members in another order"


def read_json(path: Path) -> Any:
    """A JSON file's content."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"cannot read {path}: {error}") from error


def is_summary(value: Any) -> bool:
    """Whether a JSON value is a summary of either program."""
    return isinstance(value, dict) and "resolved_ids" in value and "error_ids" in value


def is_instance_folder(path: Path) -> bool:
    """Whether a directory holds what a harness leaves of one instance."""
    return path.is_dir() and any((path / name).is_file() for name in INSTANCE_FILES)


def children(path: Path) -> list[Path]:
    """A directory's subdirectories, by name."""
    return sorted(child for child in path.iterdir() if child.is_dir())


def instance_folders(path: Path) -> list[Path]:
    """Folders of instances in a model's folder, or in those of all models of a run."""
    direct = [child for child in children(path) if is_instance_folder(child)]
    if direct:
        return direct
    return [folder for model in children(path) for folder in children(model) if is_instance_folder(folder)]


def logs_of(summary: Path, said: Any) -> Optional[Path]:
    """The logs that belong to `MODEL.RUN_ID.json`; both names may hold dots. None where nothing ran."""
    parts = summary.name[: -len(".json")].split(".")
    tried = []
    for cut in range(1, len(parts)):
        model, run_id = ".".join(parts[:cut]), ".".join(parts[cut:])
        logs = summary.parent / "logs" / "run_evaluation" / run_id / model
        if logs.is_dir():
            # A run may hold predictions of several models; the summary is named after the first.
            return logs.parent
        tried.append(str(logs))
    if not said.get("completed_ids") and not said.get("error_ids"):
        return None
    raise BadInput(f"{summary}: no logs beside it; tried {some(tried) or 'none'}; give the logs' folder and --summary-a or --summary-b")


def summary_beside(logs: Path) -> Optional[Path]:
    """The official summary of a run's folder, if it lies where the harness writes it by default."""
    parts = logs.resolve().parts
    for index in range(len(parts) - 2):
        if parts[index : index + 2] == ("logs", "run_evaluation"):
            run_id = parts[index + 2]
            models = parts[index + 3 : index + 4] or [child.name for child in children(logs)]
            candidates = [Path(*parts[:index]) / f"{model}.{run_id}.json" for model in models]
            return next((path for path in candidates if path.is_file()), None)
    return None


def load(path: Path, summary: Optional[Path], folders: bool = False) -> Grading:
    """Reads one side; with `folders` by the folders of its instances alone."""
    if path.is_file():
        if summary is not None:
            raise BadInput(f"{path} is a summary itself; give the folder of its logs beside another summary")
        said = read_json(path)
        if not is_summary(said):
            raise BadInput(f"{path} is no summary of an evaluation: it lacks resolved_ids or error_ids")
        # `agent evaluate` writes its summary among the folders of instances.
        logs = path.parent if path.name == "report.json" else logs_of(path, said)
        summary = path
    elif path.is_dir():
        logs = path
        own = path / "report.json"
        if summary is None and own.is_file() and is_summary(read_json(own)):
            summary = own
        summary = summary or summary_beside(path)
    else:
        raise BadInput(f"{path} does not exist")
    summary = None if folders else summary
    grading = Grading(path, summary)
    if summary is not None:
        read_summary(grading, read_json(summary), summary)
    for folder in instance_folders(logs) if logs else []:
        read_instance(grading, folder, known_class=summary is not None)
    if not grading.instances:
        raise BadInput(f"{path} holds no graded instance")
    return grading


def read_summary(grading: Grading, summary: Any, path: Path) -> None:
    """Takes over what a summary says of each instance."""
    if not is_summary(summary):
        raise BadInput(f"{path} is no summary of an evaluation: it lacks resolved_ids or error_ids")
    grading.run["total_instances"] = summary.get("total_instances")
    for key, name in reversed(CLASSES):
        for instance in summary.get(key, []):
            grading.of(instance)["class"] = name
        count = key[: -len("_ids")] + "_instances"
        if count in summary and summary[count] != len(summary.get(key, [])):
            raise BadInput(f"{path}: {count} is {summary[count]}, but {key} holds {len(summary.get(key, []))}")
    for instance in summary.get("submitted_ids", []):
        grading.of(instance)["submitted"] = True
    # 4.1.0 knows none of these; the fields are absent then.
    for key, tier in [("infra_failure_ids", "environment"), ("ambiguous_failure_ids", "ambiguous")]:
        if key in summary:
            grading.run[key] = "present"
            for instance in summary[key]:
                grading.of(instance)["failure_tier"] = tier
    if "failure_reasons" in summary:
        grading.run["failure_reasons"] = "present"
        for instance, reason in summary["failure_reasons"].items():
            grading.of(instance)["failure_reason"] = reason


def read_instance(grading: Grading, folder: Path, known_class: bool) -> None:
    """Takes over an instance's folder. Without a summary its files decide the class."""
    known = grading.of(folder.name)
    if "report" in known:
        raise BadInput(f"{folder.name} was graded twice under {grading.path}; give one model's folder")
    # A folder of an instance that the summary does not count was left by another run of the same name.
    if known_class and known.get("class") in ("empty", "incomplete", None):
        if known.get("class") is None:
            del grading.instances[folder.name]
        return
    path = folder / "report.json"
    known["report"] = "present" if path.is_file() else ABSENT
    outcome = "error"
    if path.is_file():
        document = read_json(path)
        report = document.get(folder.name) if isinstance(document, dict) else None
        if not isinstance(report, dict):
            raise BadInput(f"{path} says nothing of {folder.name}")
        outcome = "resolved" if report.get("resolved") else "unresolved"
        flatten(known, "", {key: value for key, value in report.items() if key not in OURS})
    if not known_class:
        known["class"] = outcome
    patch = folder / "patch.diff"
    if patch.is_file():
        known["patch.diff"] = patch.read_bytes().decode("utf-8", "backslashreplace")


def flatten(known: dict[str, Any], prefix: str, value: Any) -> None:
    """`{"a": {"b": []}}` as the field `a.b`."""
    if isinstance(value, dict):
        for key, inner in value.items():
            flatten(known, f"{prefix}.{key}" if prefix else key, inner)
    else:
        known[prefix] = value


def differences(a: Grading, b: Grading, wanted: Optional[Iterable[str]] = None, ignored: Iterable[str] = ()) -> list[Difference]:
    """All fields that differ, the run's first, then by instance."""
    ignored = set(ignored)
    found: list[Difference] = []

    def fields(instance: Optional[str], left: dict[str, Any], right: dict[str, Any], skipped: Iterable[str] = ()) -> None:
        for name in list(left) + [name for name in right if name not in left]:
            if name in ignored or name in skipped:
                continue
            pair = (left.get(name, ABSENT), right.get(name, ABSENT))
            if pair[0] != pair[1]:
                found.append(Difference(instance, name, *pair))

    # Where one side has no summary, or an older one, the run's difference says so once.
    both = a.summary is not None and b.summary is not None
    skipped: list[str] = [] if both else ["submitted", "failure_tier", "failure_reason"]
    if both:
        fields(None, a.run, b.run)
        lacks = [key for key in ("infra_failure_ids", "failure_reasons") if (key in a.run) != (key in b.run)]
        skipped += ["failure_tier"] if "infra_failure_ids" in lacks else []
        skipped += ["failure_reason"] if "failure_reasons" in lacks else []
    names = sorted(a.instances.keys() | b.instances.keys())
    if wanted is not None:
        chosen = set(wanted)
        unknown = sorted(chosen - set(names))
        if unknown:
            raise BadInput(f"neither side knows {some(unknown)}")
        names = [name for name in names if name in chosen]
    for name in names:
        left, right = a.instances.get(name), b.instances.get(name)
        # A side without a summary says nothing of instances that were never run.
        unrun = {"empty", "incomplete"}
        if left is None or right is None:
            known, other = (left, b) if right is None else (right, a)
            if other.summary is None and known is not None and known.get("class") in unrun:
                continue
            shown = [(side or {}).get("class", ABSENT) for side in (left, right)]
            if "class" not in ignored:
                found.append(Difference(name, "class", *shown))
            continue
        # A folder that says nothing: the class tells enough.
        quiet = [] if "report" in left and "report" in right else ["report", "patch.diff"]
        # An error may come before the patch is saved.
        if ("patch.diff" in left) != ("patch.diff" in right):
            quiet.append("patch.diff")
        # Of a report that one side lacks the class tells enough.
        if left.get("report", ABSENT) != right.get("report", ABSENT) and left.get("class") != right.get("class"):
            quiet += [field for field in left.keys() ^ right.keys() if field != "submitted"]
        fields(name, left, right, [*skipped, *quiet])
    return found


def main(arguments: Sequence[str]) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="compare_grades", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("a", type=Path, metavar="A")
    parser.add_argument("b", type=Path, metavar="B")
    parser.add_argument("--summary-a", type=Path, metavar="FILE", help="A's summary")
    parser.add_argument("--summary-b", type=Path, metavar="FILE", help="B's summary")
    parser.add_argument("--folders", action="store_true", help="look at the folders of instances alone, not at summaries (of a run in parts the last one's is left)")
    parser.add_argument("--instance", action="append", metavar="ID", help="compare this one (repeatable)")
    parser.add_argument("--ignore", action="append", default=[], metavar="FIELD", help="leave a field out, such as infra_failure (repeatable)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    try:
        a, b = (load(path, summary, options.folders) for path, summary in [(options.a, options.summary_a), (options.b, options.summary_b)])
        found = differences(a, b, options.instance, options.ignore)
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    compared = sorted(set(options.instance or a.instances.keys() | b.instances.keys()))
    differing = sorted({difference.instance for difference in found if difference.instance})
    if options.json:
        document = {
            "a": {"path": str(a.path), "summary": a.summary and str(a.summary)},
            "b": {"path": str(b.path), "summary": b.summary and str(b.summary)},
            "instances": compared,
            "differing": differing,
            "differences": [vars(difference) for difference in found],
        }
        print(json.dumps(document, indent=2))
        return 1 if found else 0
    for name, side in [("A", a), ("B", b)]:
        classes = Counter(known.get("class", ABSENT) for known in side.instances.values())
        counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(classes.items()))
        print(f"{name}: {side.path}: {counts}{'' if side.summary else ' (no summary)'}")
    for difference in found:
        print(difference.line())
    print(f"{len(compared)} instances compared, {len(differing)} differ" if found else f"{len(compared)} instances compared, none differs")
    return 1 if found else 0
