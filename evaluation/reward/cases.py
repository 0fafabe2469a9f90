"""Cases for `parity.py`: seeded, of every kind that the description of SWE-RL's reward names.

Texts come from the Python files of a directory (the standard library by default) and from
generators of awkward text; changes are mutations of them; answers are broken in every way that
parsers are known to differ on.
"""

import difflib
import pathlib
import random
import string
import sysconfig

ENDS = ["\n", "\r\n", "\r", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
ODD = list("éßñ日本語Ωж") + ["e\u0301", "\U0001f600", "\U0001f468\u200d\U0001f469", "\x00", "\ud800",
      "\udfff", "\udc00\ud800", "\u200b", "\xa0", "\x1f", "\ufeff", "\u0130", "\x7f", "\t", "\\", '"']


class Cases:
    def __init__(self, seed, source=None, longest=120):
        self.random = random.Random(seed)
        root = pathlib.Path(source or sysconfig.get_paths()["stdlib"])
        self.sources = sorted(p for p in root.rglob("*.py") if "site-packages" not in p.parts)
        self.longest = longest

    # texts

    def real(self):
        while True:
            path = self.random.choice(self.sources)
            lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
            if lines:
                length = self.random.randint(1, self.longest)
                start = self.random.randrange(max(1, len(lines) - length))
                return "\n".join(lines[start : start + length]) + self.random.choice(["\n", "\n", ""])

    def odd(self):
        pool = self.random.sample(ODD, self.random.randint(1, 6)) + list("ab ()=")
        text = ""
        for _ in range(self.random.randint(0, 30)):
            line = "".join(self.random.choice(pool) for _ in range(self.random.randint(0, 12)))
            text += line + (self.random.choice(ENDS) if self.random.random() < 0.4 else "\n")
        return text

    def repetitive(self):
        few = [self.random.choice(["pass", "x = 1", "", "    }", "a", "b"]) for _ in range(3)]
        lines = [self.random.choice(few) for _ in range(self.random.randint(150, 420))]
        for _ in range(self.random.randint(0, 12)):
            lines.insert(self.random.randrange(len(lines)), f"unique {self.random.randint(0, 9)}")
        return "\n".join(lines) + "\n"

    def periodic(self):
        unit = "".join(self.random.choice("ab \n") for _ in range(self.random.randint(1, 5)))
        return unit * self.random.randint(1, 200)

    def text(self):
        kinds = [self.real, self.real, self.real, self.real, self.odd, self.odd, self.repetitive, self.periodic]
        return self.random.choice(kinds)()

    def mutated(self, text, strength=None):
        lines = text.split("\n")
        for _ in range(strength or self.random.choice([0, 1, 1, 2, 3, 5, 10])):
            at = self.random.randrange(len(lines) + 1)
            kind = self.random.randrange(8)
            if kind == 0:
                lines.insert(at, self.random.choice(lines or [""]))
            elif kind == 1 and at < len(lines):
                del lines[at]
            elif kind == 2 and at < len(lines):
                lines[at] = lines[at].replace("self", "this").replace("=", "==", 1)
            elif kind == 3 and at < len(lines):
                lines[at] = "    " + lines[at]
            elif kind == 4:
                lines[at:at] = self.real().split("\n")[: self.random.randint(1, 6)]
            elif kind == 5 and lines:
                at = self.random.randrange(len(lines))
                lines[at] += self.random.choice([" ", "\r", "  # " + self.random.choice(ODD), "\x0c"])
            elif kind == 6 and len(lines) > 3:
                at = self.random.randrange(len(lines) - 2)
                lines[at], lines[at + 1] = lines[at + 1], lines[at]
            elif kind == 7:
                del lines[at : at + self.random.randint(1, 8)]
        return "\n".join(lines)

    def path(self):
        name = "".join(self.random.choice(string.ascii_lowercase) for _ in range(2))
        return self.random.choice(["a/", "pkg/", "", "b/", "it's ", "dé/"]) + name + ".py"

    # cases

    def contents(self):
        context, oracle, pred = {}, {}, {}
        for _ in range(self.random.choice([0, 1, 1, 1, 1, 2, 3])):
            path, text = self.path(), self.text()
            if self.random.random() < 0.9:
                context[path] = text
            if self.random.random() < 0.9:
                oracle[path] = self.mutated(text)
            if self.random.random() < 0.9:
                base = self.random.choice([text, text, oracle.get(path, text)])
                pred[path] = self.mutated(base) if self.random.random() < 0.9 else self.text()
        return {"code_context": context, "oracle_new_content": oracle, "pred_new_content": pred}

    def edit(self, path, text):
        """A SEARCH/REPLACE pair for a piece of the text, often right."""
        lines = text.split("\n")
        start = self.random.randrange(len(lines))
        search = "\n".join(lines[start : start + self.random.randint(1, 6)])
        replace = self.mutated(search, self.random.choice([1, 2, 4]))
        roll = self.random.random() * 2
        if roll < 0.04:
            search = ""
        elif roll < 0.08:
            replace = ""
        elif roll < 0.12:
            search = search[: self.random.randint(0, len(search))]
        elif roll < 0.15:
            search = search.strip()
        elif roll < 0.17:
            replace = search
        elif roll < 0.19:
            search += "\n======="
        elif roll < 0.22:
            replace += "\n=======\nx"
        elif roll < 0.24:
            replace += "\n```\n"
        return path, search, replace

    def block(self, path, search, replace):
        fence = self.random.choice(["```python"] * 20 + ["```", "```py", "````python", "```diff", "``` x"])
        end = "```" if self.random.random() < 0.98 else self.random.choice(["", "````", "``", "``` "])
        return f"{fence}\n### {path}\n<<<<<<< SEARCH\n{search}\n=======\n{replace}\n>>>>>>> REPLACE\n{end}"

    def broken(self, output):
        swaps = [
            ("\n", "\r\n"), ("### ", ""), ("### ", "###"), ("### ", "# "), (">>>>>>> REPLACE", ""),
            (">>>>>>> REPLACE", ">>>>>>> REPLACE "), ("<<<<<<< SEARCH", "<<<< SEARCH"),
            ("\n<<<<<<< SEARCH", "\n\n<<<<<<< SEARCH"), ("```python\n", "```python\n\n"),
            ("```python\n", "```python\n# comment\n"), (".py\n", ".py \n"), ("\n=======\n", "\n"),
            ("### ", "### `"), ("REPLACE\n```\n", "REPLACE\n"), ("<think>", ""), ("</think>", ""),
            ("<solution>", ""), ("</solution>", ""), ("<think>", "<think><think>"),
            ("</solution>", "</solution></solution>"), ("think>", "Think>"),
            ("\n>>>>>>> REPLACE\n```", "\n>>>>>>> REPLACE"), ("```", "~~~"), ("\n=======\n", "\n=======\n\n"),
            ("======\n", "=====\n"), (" SEARCH\n", " SEARCH\n...\n"), ("\n\n>>>>>>> R", "\n>>>>>>> R"),
        ]
        old, new = self.random.choice(swaps)
        return output.replace(old, new, self.random.choice([1, 1, -1]))

    def answer(self):
        case = self.contents()
        context = case["code_context"]
        del case["pred_new_content"]
        edits = []
        for path, text in context.items():
            for _ in range(self.random.choice([0, 1, 1, 1, 1, 2])):
                edits.append(self.edit(path, text))
        for path, new in case["oracle_new_content"].items():
            if path in context and context[path] and self.random.random() < 0.25:
                edits.append((path, context[path], new))
        if self.random.random() < 0.1:
            edits.append((self.path(), "", self.text()))
        if not edits:
            edits.append((self.path(), "", self.text()))
        if self.random.random() < 0.05:
            edits.append(self.random.choice(edits))
        blocks = [self.block(*edit) for edit in edits]
        if len(blocks) > 1 and self.random.random() < 0.1:
            # Two edits in one fence.
            blocks[:2] = [blocks[0].removesuffix("\n```") + "\n" + blocks[1].split("\n", 1)[1]]
        glue = self.random.choice(["\n", "\n\n", "\nAnd now:\n", " "])
        thought = self.random.choice(["I see.", "x", "wörd", blocks[0] if blocks else "t"])
        if self.random.random() < 0.03:
            thought = self.random.choice(["", " \n", "\x1f\u2003"])
        parts = [f"<think>{thought}</think>", f"<solution>\n{glue.join(blocks)}\n</solution>"]
        roll = self.random.random()
        if roll < 0.05:
            parts.reverse()
        elif roll < 0.08:
            parts = [f"<think>{thought}{parts[1]}</think>"]
        elif roll < 0.1:
            parts = [f"</think>{thought}<think> {parts[1]}"]
        output = self.random.choice(["", "Well.\n"]) + "\n".join(parts) + self.random.choice(["", "\n", "bye"])
        if self.random.random() < 0.25:
            output = self.broken(output)
        if self.random.random() < 0.02:
            output = output[: self.random.randrange(len(output))]
        return {**case, "output": output}

    def diff(self, old_path, new_path, old, new):
        """A diff in one of the shapes that git and others write."""
        lines = list(
            difflib.unified_diff(
                old.split("\n"), new.split("\n"), f"a/{old_path}", f"b/{new_path}", lineterm="",
                n=self.random.choice([0, 1, 3, 3]),
            )
        )
        roll = self.random.random()
        if roll < 0.1:
            lines = [line.rstrip() if line == " " else line for line in lines]
        elif roll < 0.2 and lines:
            lines[:2] = [f"--- {old_path}", f"+++ {new_path}"]
        elif roll < 0.25 and lines:
            lines[0] = "--- /dev/null"
        elif roll < 0.3 and lines:
            lines[1] = "+++ /dev/null"
        elif roll < 0.33 and lines:
            lines[0] += "\t2020-01-01 00:00:00"
            lines[1] += "\t2020-01-01 00:00:00"
        head = []
        if self.random.random() < 0.7:
            head = [f"diff --git a/{old_path} b/{new_path}"]
            extra = self.random.random()
            if extra < 0.1:
                head += ["old mode 100644", "new mode 100755"]
            elif extra < 0.2:
                head += ["new file mode 100644"]
                lines[:1] = ["--- /dev/null"] if lines else []
            elif extra < 0.3:
                head += ["deleted file mode 100644"]
                lines[1:2] = ["+++ /dev/null"] if lines else []
            elif extra < 0.4:
                head += ["similarity index 90%", f"rename from {old_path}", f"rename to {new_path}"]
            if self.random.random() < 0.6:
                head += ["index 0123abc..4567def 100644"]
            if extra > 0.95:
                head += [self.random.choice([f"Binary files a/{old_path} and b/{new_path} differ", "GIT binary patch"])]
        return "\n".join(head + lines) + self.random.choice(["\n", "\n", "", "\n\n"])

    def garbled(self, diff):
        lines = diff.split("\n")
        at = self.random.randrange(len(lines))
        roll = self.random.randrange(12)
        if roll == 0:
            del lines[at]
        elif roll == 1:
            lines.insert(at, self.random.choice(["", "+x", "-x", " x", "x", "\\ No newline at end of file", "\r"]))
        elif roll == 2:
            lines.insert(at, "\\ No newline at end of file")
        elif roll == 3:
            return "\r\n".join(lines)
        elif roll == 4:
            return diff[: self.random.randrange(len(diff) + 1)]
        elif roll == 5:
            lines[at] = lines[at].replace("@@", "@@ -1 +1 @@", 1)
        elif roll == 6:
            return "From abc\nSubject: x\n---\n a.py | 2 +-\n\n" + diff + "-- \n2.30.0\n"
        elif roll == 7:
            lines.insert(at, self.random.choice(["--- a/x.py", "+++ b/x.py", "--- ", "+++ ", "diff --git x y", "Only in x: y"]))
        elif roll == 8:
            return self.text()
        elif roll == 9:
            lines.insert(at, self.random.choice(["@@ -0,0 +0,0 @@", "@@ -1 +1 @@ def f():", "@@ -1,0 +2 @@", "@@ -1,2 +3,4 @"]))
        elif roll == 10:
            return diff.replace("a/", self.random.choice(["i/", "", "x/", '"a/']))
        return "\n".join(lines)

    def diffs(self):
        oracle, pred = [], []
        for _ in range(self.random.choice([0, 1, 1, 1, 2, 3])):
            path, text = self.path(), self.text()
            new_path = self.path() if self.random.random() < 0.15 else path
            new = self.mutated(text)
            guess = new if self.random.random() < 0.15 else self.mutated(self.random.choice([text, new]))
            for side, content in ((oracle, new), (pred, guess)):
                if self.random.random() < 0.93:
                    side.append(self.diff(path, new_path, text, content))
        for side in (oracle, pred):
            for index, diff in enumerate(side):
                if self.random.random() < 0.3:
                    side[index] = self.garbled(diff)
            if len(side) > 1 and self.random.random() < 0.5:
                side[:] = ["".join(side)]
        if self.random.random() < 0.03:
            oracle, pred = [self.odd()], [self.odd()]
        return {"oracle_patches": oracle, "pred_patches": pred}

    def next(self):
        return self.random.choice([self.contents, self.answer, self.answer, self.diffs])()


def named():
    """One case for each input that the description of the reward lists, by its number there."""
    add = "import os\n\n\ndef add(a, b):\n    return a - b\n\n\ndef sub(a, b):\n    return a - b\n"
    files = {"a.py": add, "b.py": "x = 1\ny = 2\nfoo\nfoobar\n", "it's.py": "x = 1\n"}
    right = {"a.py": add.replace("a - b", "a + b", 1), "b.py": "x = 1\ny = 3\nfoo\nfoobar\n"}
    one = "### a.py\n<<<<<<< SEARCH\ndef add(a, b):\n    return a - b\n=======\ndef add(a, b):\n    return a + b\n>>>>>>> REPLACE"
    two = "### b.py\n<<<<<<< SEARCH\ny = 2\n=======\ny = 3\n>>>>>>> REPLACE"

    def fenced(*edits, tag="python"):
        return "\n\n".join(f"```{tag}\n{edit}\n```" for edit in edits)

    def said(text):
        return f"<think>\nThe sign is wrong.\n</think>\n<solution>\n{text}\n</solution>"

    def edit(search, replace, path="b.py"):
        return f"### {path}\n<<<<<<< SEARCH\n{search}\n=======\n{replace}\n>>>>>>> REPLACE"

    both = fenced(one, two)
    outputs = {
        "E01": said(both),
        "E02": said(fenced(one, two, tag="")),
        "E03-py": said(fenced(one, two, tag="py")),
        "E03-diff": said(fenced(one, two, tag="diff")),
        "E03-four": said(fenced(one, two, tag="`python")),
        "E04": said(both).replace("\n", "\r\n"),
        "E05": said(fenced(one).removesuffix("```")),
        "E06": said(fenced(one.replace(">>>>>>> REPLACE", ""))),
        "E07": said(fenced(one + "\n" + two)),
        "E08": said(fenced(one + "\n" + two.split("\n", 1)[1])),
        "E09": said(fenced(one.replace("### ", ""))),
        "E10": said(fenced(one.replace("a.py", "`a.py`"))),
        "E11": said(fenced("# fix\n" + one)),
        "E12": said(fenced(one.replace("a.py\n", "a.py\n\n"))),
        "E13": said(fenced(one.split("\n", 1)[1])),
        "E14": said(fenced(edit("y = 2", "").replace("=======\n\n", "=======\n"), one)),
        "E15": said(fenced(edit("y = 2", ""))),
        "E16": said(fenced(edit("y = 2\n=======", "y = 3"))),
        "E17": said(fenced(edit("y = 2", "y = 3\n=======\nz"))),
        "E18": said(fenced(edit("y = 2", "y = 3\n```\nz\n```"))),
        "E19": said(both.replace("REPLACE", "REPLACE ")),
        "E20": said(both.replace("<<<<<<<", "<<<<<")),
        "E21": said(fenced(edit("x = 1", "x = 2", "it's.py"))),
        "E22-gone": said(fenced(two, two)),
        "E22-kept": said(fenced(edit("y = 2", "y = 2\nz"), edit("y = 2", "y = 2\nz"))),
        "E23": f"<think>{fenced(edit('x = 1', 'x = 9'))}</think><solution>{both}</solution>",
        "E24": f"<think>{both}",
        "E25": "",
        "E26": said(fenced(edit("return a", "return c", "a.py"))),
        "E27": said(fenced(edit("foo", "baz"))),
        "E28": said(fenced(edit("    return a - b", "    return a + b", "a.py"))),
        "E29": said(fenced(edit("return a - b", "return a + b", "a.py"))),
        "E30": said(fenced(edit("y = 2 ", "y = 3"))),
        "E31": said(fenced(edit("y = 2", "y = 2"))),
        "E32": said(fenced(edit("y = 2", "y = 3\nz = 4"), edit("z = 4", "z = 5"))),
        "E33": said(fenced(edit("x = 1\ny = 2", "w"), edit("y = 2\nfoo", "v"))),
        "E34": said(fenced(edit("z", "zz", "c.py"))),
        "E35": said(fenced(edit("", "new\nfile", "c.py"), one, two)),
        "E36": said(fenced(edit("", "glue"))),
        "E37": said(fenced(edit("x = 1\ny = 2\nfoo\nfoobar\n", ""))),
        "E38": said(fenced(one, edit("nothing", "something"))),
        "E39": said(fenced(edit("x = 1", "x = 0"))),
        "E40": said(fenced(edit("...\ny = 2", "...\ny = 3"))),
        "E60": f"<solution>{both}</solution><think>late</think>",
        "E60-nested": f"<think>a<solution>{both}</solution></think>",
        "E61": said(both).replace("The sign", "The <think> sign"),
        "thought-empty": f"<think> \n\x1f</think><solution>{both}</solution>",
        "solution-empty": said(""),
        "path-blank": said(fenced(one.replace("a.py", "a.py "))),
        "extra-file": said(fenced(one, two, edit("", "new", "c.py"))),
        "only-new": said(fenced(edit("", "new", "c.py"))),
        "newline-only": said(fenced(edit("foobar\n", "foobar"))),
    }
    cases = []
    for name, output in outputs.items():
        cases.append({"id": name, "code_context": files, "oracle_new_content": right, "output": output})
    for name, context, oracle, pred in [
        ("E59", {"a": "x\ny\n"}, {"a": "x\nz\n"}, {"a": "x\nz"}),
        ("E59-ends", {"a": "x\ny\n"}, {"a": "x\r\ny"}, {"a": "x\x0cy\u2028"}),
        ("E62", {"a": "e\u0301\n"}, {"a": "\u00e9\n"}, {"a": "e\u0301e\u0301\n"}),
        ("E63", {"a": "a\nb\n" * 150}, {"a": "a\nb\n" * 70 + "new\n" + "a\nb\n" * 80}, {"a": "a\nb\n" * 100 + "new\n" + "a\nb\n" * 50}),
        ("nothing", {}, {}, {}),
        ("same", {"a": "x"}, {"a": "x"}, {"a": "x"}),
        ("one-side", {"a": "x"}, {"a": "x"}, {"a": "y"}),
        ("surrogate", {"\ud800": "\udfff\n"}, {"\ud800": "\udfff\x00\n"}, {"\ud800": "\ud83d\n"}),
    ]:
        cases.append({"id": name, "code_context": context, "oracle_new_content": oracle, "pred_new_content": pred})
    mode = "diff --git a/x b/x\nold mode 100644\nnew mode 100755\n"
    empty = "diff --git a/n.py b/n.py\nnew file mode 100644\nindex 0000000..e69de29\n"
    rename = "diff --git a/x.py b/y.py\nsimilarity index 100%\nrename from x.py\nrename to y.py\n"
    plain = "--- a/x.py\n+++ b/x.py\n@@ -1,2 +1,2 @@ def f():\n x\n-y\n+z\n"
    other = plain.replace("+z", "+w")
    binary = "diff --git a/i.png b/i.png\nindex 123..456 100644\nBinary files a/i.png and b/i.png differ\n"
    for name, oracle, pred in [
        ("E56", ["garbage"], ["more garbage"]),
        ("E56-counts", [plain.replace("-1,2", "-1,9")], [plain.replace("-1,2", "-1,1")]),
        ("E56-pred", [plain], ["garbage"]),
        ("E57-mode", [mode], [mode]),
        ("E57-empty", [empty], [empty]),
        ("E58", [plain], [plain, other]),
        ("E58-one", [plain], [other + plain]),
        ("rename", [rename], [rename]),
        ("rename-edit", [rename + plain.replace("b/x", "b/y")], [rename]),
        ("binary", [binary], [binary]),
        ("binary-other", [binary], [binary.replace("i.png", "j.png")]),
        ("none", [], []),
        ("blank", [""], ["\n"]),
        ("no-newline", [plain + "\\ No newline at end of file\n"], [plain]),
        ("short-hunk", [plain.replace("-1,2 +1,2", "-1 +1").replace(" x\n", "")], [plain]),
        ("crlf", [plain.replace("\n", "\r\n")], [plain]),
    ]:
        cases.append({"id": name, "oracle_patches": oracle, "pred_patches": pred})
    return cases
