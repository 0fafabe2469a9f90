"""The reference's way to compare patches, written anew from its description, for timing.

Per patch: a temporary git repository for the diff; then every file before and after through
`ast.parse` and `ast.unparse`, comments and docstrings removed by the tokenizer, parsed once more,
and a second temporary repository for the diff of the two, which is the key.

Usage: python3 reference.py DIR PATH. DIR holds `base` and `0`, `1`, ... Prints JSON: the key of each
file, wall and processor seconds of each (those of child processes included).
"""

import ast
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import tokenize
import uuid


def shell(command, cwd):
    return subprocess.run(command, shell=True, cwd=cwd, capture_output=True, text=True).stdout


def git_diff(path, old, new):
    root = os.path.join(tempfile.gettempdir(), str(uuid.uuid4()))
    shell(f"mkdir {root} && git init {root}", "/")
    file = os.path.join(root, path)
    shell(f"mkdir -p {os.path.dirname(file)}", root)
    with open(file, "w") as out:
        out.write(old)
    identity = "-c user.name=a -c user.email=a@example.com"
    shell(f"git add {path} && git {identity} commit -m base", root)
    with open(file, "w") as out:
        out.write(new)
    diff = shell("git diff .", root)
    shell(f"rm -rf {root}", "/")
    return diff


def strip(source):
    """Without comments, docstrings and blank lines."""
    parts, last_line, last_column, before = [], 1, 0, tokenize.INDENT
    for kind, text, (line, column), (end_line, end_column), _ in tokenize.generate_tokens(
        io.StringIO(source).readline
    ):
        if line > last_line:
            last_column = 0
        if column > last_column:
            parts.append(" " * (column - last_column))
        documents = kind == tokenize.STRING and (
            before in (tokenize.INDENT, tokenize.NEWLINE) or column == 0
        )
        if kind != tokenize.COMMENT and not documents:
            parts.append(text)
        before, last_line, last_column = kind, end_line, end_column
    lines = "".join(parts).split("\n")
    return "\n".join(line for line in lines if line.strip())


def functions(source):
    found = {}

    def walk(node, prefix):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                walk(child, child.name + ".")
            elif isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
                found[prefix + child.name] = ast.unparse(child)
                walk(child, prefix)
            else:
                walk(child, prefix)

    walk(ast.parse(source), "")
    return found


def unparsed(source):
    try:
        return ast.unparse(ast.parse(source))
    except (SyntaxError, ValueError):
        return source


def key(path, old, new):
    git_diff(path, old, new)
    before, after = unparsed(old), unparsed(new)
    try:
        stripped = strip(before), strip(after)
        for source in stripped:
            ast.parse(source)
        before, after = stripped
    except (SyntaxError, ValueError, tokenize.TokenError):
        pass
    diff = git_diff(path, before, after)
    try:
        one, two = functions(before), functions(after)
    except (SyntaxError, ValueError):
        return diff
    kept = all(two.get(name) == text for name, text in one.items())
    if kept and len(two) > len(one):
        lines = diff.splitlines(keepends=True)
        return "".join(line for line in lines if line.startswith(("+", "-")))
    return diff


def processor():
    both = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, both))


def main():
    root, path = sys.argv[1:]
    read = lambda name: open(os.path.join(root, name), encoding="utf-8").read()
    base = read("base")
    rows = []
    while os.path.exists(os.path.join(root, str(len(rows)))):
        new = read(str(len(rows)))
        wall, used = time.perf_counter(), processor()
        text = key(path, base, new)
        rows.append({"key": text, "wall": time.perf_counter() - wall, "cpu": processor() - used})
    json.dump(rows, sys.stdout)


if __name__ == "__main__":
    main()
