"""Prints the table of README.md from the findings in DIR: `python table.py DIR`."""

import json
import pathlib
import sys

NAMES = [
    "server", "models", "chat", "max_tokens", "streaming", "usage", "usage in streams", "n", "seed",
    "stop", "context overflow", "reasoning", "embeddings",
]  # fmt: skip


def cell(check):
    if check is None:
        return ""
    word = {True: "yes", False: "no", None: "not told"}[check.get("can")]
    found = " ".join(check["found"].replace("|", "/").split())
    found = found if len(found) < 90 else found[:87] + "..."
    instead = f" → {check['instead']}" if check.get("instead") else ""
    return found if check["what"] == "server" else f"{word}: {found}{instead}"


def main():
    files = sorted(pathlib.Path(sys.argv[1]).glob("*/doctor.json"))
    servers = {file.parent.name: json.loads(file.read_text()) for file in files}
    print("| | " + " | ".join(servers) + " |")
    print("|---" * (len(servers) + 1) + "|")
    for name in NAMES:
        rows = [
            cell(next((c for c in checks if c["what"] == name and c.get("of")), None))
            for checks in servers.values()
        ]
        print(f"| {name} | " + " | ".join(rows) + " |")


main()
