#!/usr/bin/env python3
"""Builds the images of SWE-bench rows from repositories, by `agent images build` and recipes.json.

    python3 evaluation/grading/build.py DATASET.jsonl --repos DIR [--agent FILE] [-i ID]... [--rows OUT.jsonl]

DIR holds repositories as <owner>__<name>.git or <owner>__<name>. Rows are those of instances.txt
unless -i names others. Images get the name that the row says, so both graders find them. What is
there already and equal is not built again. With --rows the rows whose image is there are written
to a dataset that the official harness can read.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent

# Where a grader runs the install command again there is no index: pip must fail at once, or do
# with what the environment has.
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def instances(path=HERE / "instances.txt"):
    """The ids that are measured."""
    return path.read_text().split()


def recipes(path=HERE / "recipes.json"):
    """Recipe by repository and version."""
    table = {}
    for recipe in json.loads(path.read_text()):
        for version in recipe["versions"]:
            key = (recipe["repo"], version)
            if key in table:
                raise ValueError(f"two recipes for {key}")
            table[key] = recipe
    return table


def read_rows(path, ids):
    """The rows of these ids, in the order of the ids."""
    rows = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            rows[row["instance_id"]] = row
    missing = [name for name in ids if name not in rows]
    if missing:
        raise SystemExit(f"build.py: {path} has no {', '.join(missing)}")
    return [rows[name] for name in ids]


def repository(directory, repo):
    """The repository of a row."""
    name = repo.replace("/", "__")
    for path in (Path(directory) / f"{name}.git", Path(directory) / name):
        if path.is_dir():
            return path
    raise SystemExit(f"build.py: {directory} has neither {name}.git nor {name}: clone the repository there")


def variables(recipe, version):
    """Environment variables of the image."""
    values = dict(OFFLINE)
    values.update(recipe.get("env", {}))
    if name := recipe.get("version_variable"):
        # The one commit of an image has no tags for the project to make its version from.
        values[name] = f"{version}.0" if version.count(".") == 1 else version
    return values


def command(agent, path, row, recipe):
    """The call that builds a row's image."""
    call = [agent, "images", "build", str(path), "--rev", row["base_commit"], "--tag", row["image"]]
    call += ["--base", recipe["base"], "--install", recipe["install"], "--json"]
    for requirement in recipe["require"]:
        call += ["--require", requirement]
    for name, value in variables(recipe, row["version"]).items():
        call += ["--env", f"{name}={value}"]
    return call


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--repos", required=True)
    parser.add_argument("--agent", default="agent")
    parser.add_argument("-i", "--instance", action="append", default=[])
    parser.add_argument("--rows")
    args = parser.parse_args()
    table = recipes()
    built, failed = [], []
    for row in read_rows(args.dataset, args.instance or instances()):
        recipe = table.get((row["repo"], row["version"]))
        if recipe is None:
            failed.append(row["instance_id"])
            print(f"{row['instance_id']}: no recipe for {row['repo']} {row['version']}", file=sys.stderr)
            continue
        begin = time.monotonic()
        call = command(args.agent, repository(args.repos, row["repo"]), row, recipe)
        run = subprocess.run(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        seconds = time.monotonic() - begin
        if run.returncode:
            failed.append(row["instance_id"])
            print(f"{row['instance_id']}: not built ({seconds:.0f} s)\n{run.stderr}", file=sys.stderr)
            continue
        built.append(row)
        print(f"{row['instance_id']}: {row['image']} ({seconds:.0f} s)", flush=True)
        if args.rows:
            # ASCII only: the harness splits lines at U+2028 too.
            lines = "".join(json.dumps(row) + "\n" for row in built)
            Path(args.rows).write_text(lines, encoding="ascii")
    print(f"{len(built)} built, {len(failed)} failed", file=sys.stderr)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
