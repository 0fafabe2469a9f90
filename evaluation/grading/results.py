#!/usr/bin/env python3
"""Puts the verdicts of three gradings side by side: `agent evaluate`, with --compat, and the official harness.

    python3 evaluation/grading/results.py OUT [-o results.jsonl]

OUT is what measure.sh leaves: predictions/KIND.jsonl, agent/KIND, compat/KIND, and the official harness's
official/KIND.KIND.json with its logs. Written is one line an instance and kind, without names of tests and
without patches; printed are tables in Markdown. Exit code 1 if --compat and the harness differ anywhere.
"""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

import compare

KINDS = ("gold", "empty", "partial", "broken", "malicious")
SIDES = ("agent", "compat", "official")


def sides(out, kind):
    """The three gradings of a kind."""
    paths = {"agent": out / "agent" / kind, "compat": out / "compat" / kind}
    graded = {name: compare.load(path, None) for name, path in paths.items()}
    summary = out / "official" / f"{kind}.{kind}.json"
    if (out / "official" / "logs" / "run_evaluation" / kind / kind).is_dir():
        graded["official"] = compare.load(summary, None)
    else:  # Empty patches alone: nothing ran, nothing was logged.
        graded["official"] = compare.Grading(summary, summary)
        compare.read_summary(graded["official"], compare.read_json(summary), summary)
    return graded


def reasons(out, kind):
    """Why `agent evaluate` gives no verdict, by instance."""
    report = json.loads((out / "agent" / kind / "report.json").read_text())
    return {name: error["kind"] for name, error in report.get("errors", {}).items()}


def collect(out, kind, predictions):
    """One record for each prediction of a kind."""
    graded = sides(out, kind)
    differing = {}
    for difference in compare.differences(graded["compat"], graded["official"]):
        differing.setdefault(difference.instance, []).append(difference.field)
    why = reasons(out, kind)
    for prediction in predictions:
        name = prediction["instance_id"]
        record = {"instance_id": name, "kind": kind, "variant": prediction["variant"]}
        for side in SIDES:
            record[side] = graded[side].instances.get(name, {}).get("class", "absent")
        if name in why:
            record["agent_error"] = why[name]
        record["compat_differs_in"] = differing.get(name, [])
        yield record


def counts(records, side):
    """`31 resolved, 2 unresolved`."""
    found = Counter(record[side] for record in records)
    return ", ".join(f"{found[name]} {name}" for name in sorted(found))


def tables(records):
    """Markdown: counts by kind, counts by repository, and the predictions that ours judges otherwise."""
    yield "| kind | predictions | `agent evaluate` | `--compat` | harness 5.0.2 | `--compat` differs |"
    yield "|---|---|---|---|---|---|"
    for kind in KINDS:
        of = [record for record in records if record["kind"] == kind]
        cells = [counts(of, side) for side in SIDES]
        differ = sum(1 for record in of if record["compat_differs_in"])
        yield f"| {kind} | {len(of)} | {' | '.join(cells)} | {differ} |"
    yield ""
    yield "| repository | rows | gold resolved (ours / `--compat` / harness) | `--compat` differs, all kinds |"
    yield "|---|---|---|---|"
    for repo in sorted({record["instance_id"].rsplit("-", 1)[0] for record in records}):
        of = [record for record in records if record["instance_id"].rsplit("-", 1)[0] == repo]
        gold = [record for record in of if record["kind"] == "gold"]
        resolved = " / ".join(str(sum(1 for r in gold if r[side] == "resolved")) for side in SIDES)
        differ = sum(1 for record in of if record["compat_differs_in"])
        yield f"| {repo} | {len(gold)} | {resolved} | {differ} |"
    yield ""
    yield "| instance | kind | variant | `agent evaluate` | `--compat` | harness 5.0.2 |"
    yield "|---|---|---|---|---|---|"
    for record in records:
        if len({record[side] for side in SIDES}) > 1 or record["compat_differs_in"]:
            ours = record["agent"] + (f" ({record['agent_error']})" if "agent_error" in record else "")
            cells = (record["instance_id"], record["kind"], record["variant"], ours, record["compat"], record["official"])
            yield f"| {' | '.join(cells)} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    records = []
    for kind in KINDS:
        with open(args.out / "predictions" / f"{kind}.jsonl", encoding="utf-8") as file:
            records += collect(args.out, kind, [json.loads(line) for line in file])
    if args.output:
        args.output.write_text("".join(json.dumps(record) + "\n" for record in records))
    print("\n".join(tables(records)))
    return 1 if any(record["compat_differs_in"] for record in records) else 0


if __name__ == "__main__":
    sys.exit(main())
