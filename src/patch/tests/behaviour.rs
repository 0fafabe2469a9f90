//! One class, one behaviour: names of local variables and the order of imports.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use super::*;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};

/// The class of a new file in a tree with these paths.
fn class_in(paths: &[&str], new: &str) -> String {
    let paths: Vec<String> = paths.iter().map(|&path| path.to_owned()).collect();
    let new = Some(FileState { content: new.into(), mode: FileMode::Regular });
    let change = FileChange { path: "a.py".to_owned(), old: None, new };
    Classifier::new(&paths, None).judge(&[change]).expect("parses").digest
}

/// The body of a function with its variable called one way and the other.
fn bodies(body: &str) -> [String; 2] {
    ["one", "two"].map(|name| {
        let body = body.replace('@', name).replace('\n', "\n    ");
        format!("def f(a, b=1, *c, **d):\n    {body}\n")
    })
}

#[test]
fn names_of_locals_do_not_count() {
    for body in [
        "@ = a\nreturn @",
        "@ = a\n@ += 1\nreturn g(@, key=@, one=1)",
        "for @ in a:\n    print(@)",
        "for i, (@, *j) in a:\n    print(@, i, j)",
        "with a as @:\n    return @.one",
        "if a:\n    @ = 1\n    return @\nreturn 2",
        "try:\n    @ = a()\n    @()\nexcept E:\n    pass",
        "while a:\n    @ = a.pop()\n    if @: continue\n    g(@)",
        "@ = [a]\n@[0], x = x, @ = g(@)\nreturn @",
        "@ = a\nreturn f'{@}' + a.two",
        "@ = a\nreturn lambda: b",
        "x = @ = a\nreturn x + @",
        "@ = a\nyield @",
        "@ = a\nif (@ := b): return @",
    ] {
        let [one, two] = bodies(body);
        assert_eq!(class_in(&[], &one), class_in(&[], &two), "{body}");
    }
    let method = |name: &str| {
        format!(
            "class A:\n    @property\n    def f(self):\n        {name} = 1\n        return {name}\n"
        )
    };
    assert_eq!(class_in(&[], &method("x")), class_in(&[], &method("y")));
    let both = |x: &str, y: &str| format!("def f():\n    {x} = 1\n    {y} = 2\n    return {x}\n");
    assert_eq!(class_in(&[], &both("x", "y")), class_in(&[], &both("y", "x")));
    assert_ne!(
        class_in(&[], &both("x", "y")),
        class_in(&[], "def f():\n    x = 1\n    y = 2\n    return y\n")
    );
}

#[test]
fn names_that_something_may_see_count() {
    for body in [
        "return @",
        "if a:\n    @ = 1\nreturn @",
        "for @ in a: pass\nreturn @",
        "for x in a:\n    if x: print(@)\n    @ = x",
        "for @ in a: pass\nelse: print(@)",
        "with a as @: pass\nreturn @",
        "try:\n    @ = a()\nexcept E:\n    g(@)",
        "try:\n    pass\nexcept E as @:\n    g(@)",
        "@ = @ + 1\nreturn @",
        "@ = a\ndel @",
        "@ = a\nassert @",
        "@ = a\nreturn locals()",
        "@ = a\nreturn g(sys._getframe())",
        "@ = a\nreturn g.query('x > 1')",
        "@ = a\nreturn '%(@)s' % g()",
        "@ = a\nreturn f'{@=}'",
        "@ = a\nreturn lambda: @",
        "@ = a\nreturn [@ for x in b]",
        "return [@ for @ in b]",
        "@ = a\ndef g(): return @\nreturn g",
        "@ = a\ndef g(@): return 1\nreturn g",
        "@ = a\nclass A: @ = 1\nreturn A",
        "global @\n@ = a",
        "import @\n@ = a\nreturn @",
        "match a:\n    case @: return @",
        "match a:\n    case {'x': 1, **@}: return @",
        "@: int\nreturn a",
        "def @(): pass\nreturn 1",
        "__@ = a\nreturn __@",
        "@é = a\nreturn @é",
        "return g(@=1)",
        "return a.@",
        "exec('x')\n@ = a\nreturn @",
    ] {
        let [one, two] = bodies(body);
        assert_ne!(class_in(&[], &one), class_in(&[], &two), "{body}");
    }
    for text in [
        "@ = 1\n",
        "class A:\n    @ = 1\n",
        "def f(@):\n    return @\n",
        "@jit\ndef f():\n    @ = 1\n    return @\n",
        "def f():\n    def g():\n        @ = 1\n        return @\n    return g\n",
    ] {
        let [one, two] = ["one", "two"].map(|name| text.replace("@jit", "JIT").replace('@', name));
        let [one, two] = [one, two].map(|text| text.replace("JIT", "@jit"));
        assert_ne!(class_in(&[], &one), class_in(&[], &two), "{text}");
    }
    // Two variables must not become one, nor a variable a global.
    for (one, two) in [
        ("x = 1\n    y = 2\n    return x", "x = 1\n    x = 2\n    return x"),
        ("x = 1\n    return y", "y = 1\n    return y"),
        ("len = a\n    return len(a)", "x = a\n    return len(a)"),
    ] {
        let [one, two] = [one, two].map(|body| format!("def f(a):\n    {body}\n"));
        assert_ne!(class_in(&[], &one), class_in(&[], &two), "{one}");
    }
}

#[test]
fn imports_whose_order_cannot_matter() {
    let same = |paths: &[&str], one: &str, two: &str| class_in(paths, one) == class_in(paths, two);
    for (one, two) in [
        ("import os\nimport sys\n", "import sys\nimport os\n"),
        ("import os, sys\n", "import sys\n'text'\nimport os\n"),
        ("from copy import copy, deepcopy\n", "from copy import deepcopy, copy\n"),
        ("import re\nfrom os import path as p\n", "from os import path as p\nimport re\n"),
        ("import os\nimport sys\nimport own\n", "import sys\nimport os\nimport own\n"),
    ] {
        assert!(same(&[], one, two), "{one}");
        assert!(same(&["b.py"], one, two), "{one}");
    }
    for (one, two) in [
        ("import os\nimport own\n", "import own\nimport os\n"),
        ("import os\nimport own\nimport sys\n", "import sys\nimport own\nimport os\n"),
        ("from . import os\nimport sys\n", "import sys\nfrom . import os\n"),
        ("import os.path\nimport sys\n", "import sys\nimport os.path\n"),
        ("from os import *\nimport sys\n", "import sys\nfrom os import *\n"),
        ("from os import nope\nimport sys\n", "import sys\nfrom os import nope\n"),
        ("import logging\nimport sys\n", "import sys\nimport logging\n"),
        ("import this\nimport sys\n", "import sys\nimport this\n"),
        ("import os as x\nimport sys as x\n", "import sys as x\nimport os as x\n"),
        ("import os as __path__\nimport sys\n", "import sys\nimport os as __path__\n"),
        ("import os\nx = 1\nimport sys\n", "import sys\nx = 1\nimport os\n"),
        ("import os\n", "import os\nimport sys\n"),
        ("import os as x\n", "import os as y\n"),
        ("class A:\n    import os\n    import sys\n", "class A:\n    import sys\n    import os\n"),
    ] {
        assert!(!same(&[], one, two), "{one}");
    }
    // A file of the repository may be what is imported.
    let (one, two) = ("import os\nimport sys\n", "import sys\nimport os\n");
    for path in ["os.py", "lib/sys/x.py", "os/__init__.py", "os.cpython-39.so"] {
        assert!(!same(&[path], one, two), "{path}");
    }
    // Without the tree nothing is known.
    assert_ne!(script_class(one), script_class(two));
}

const HEADS: &[&str] = &["import os", "import sys", "import time as t", "from copy import copy"];
const STATEMENTS: &[&str] = &[
    "V0 = a + 1",
    "V1 = a * 2",
    "V2 = [a, 3]",
    "V0, V1 = a, 7",
    "V1 += 5",
    "V0 = V1",
    "print(V0)",
    "print(V1, a)",
    "print(f'{V2}')",
    "print(f'{V0=}')",
    "for V2 in range(3): print(V2)",
    "for V0 in range(a):\n        V1 = V0 + 1\n        print(V1)",
    "if a > 2:\n        V1 = 9\n        print(V1)",
    "if a > 3: V2 = 1",
    "try:\n        V2 = 1 // (a - 2)\n        print(V2)\n    except ZeroDivisionError as V1: print(V1)",
    "print([V0 for V0 in range(2)])",
    "print([V1 + x for x in range(2)])",
    "print(sorted(locals()))",
    "g = lambda: V0",
    "print(g())",
    "del V1",
    "return V2",
    "print('%(V0)s' % {'V0': 1})",
    "print(eval('V1'))",
    "global V2",
    "while a > 3:\n        a -= 1\n        V0 = a\n        print(V0)",
    "class C: V1 = 4",
    "print(C.V1)",
    "print((V1 := a))",
];

/// A program, its variables called by these names, its imports in this order.
fn program(statements: &[&str], names: &[&str; 3], turn: usize) -> String {
    let mut heads = HEADS.to_vec();
    heads.rotate_left(turn % HEADS.len());
    let mut text = heads.join("\n") + "\ny = 'global'\n\ndef f(a):\n";
    for statement in statements {
        let mut statement = (*statement).to_owned();
        for (index, name) in names.iter().enumerate() {
            statement = statement.replace(&format!("V{index}"), name);
        }
        let _ = writeln!(text, "    {statement}");
    }
    text + "    return 0\n"
}

const RUNNER: &str = "
import contextlib, io, json, sys
def outcome(text):
    out = io.StringIO()
    names = {'__name__': 'program'}
    with contextlib.redirect_stdout(out):
        try:
            exec(compile(text, 'program', 'exec'), names)
        except BaseException as error:
            return repr(error)
        for a in (1, 2, 5):
            try:
                print(names['f'](a))
            except BaseException as error:
                print(type(error), error)
    return out.getvalue()
for one, two in json.load(sys.stdin):
    first, second = outcome(one), outcome(two)
    if first != second:
        sys.exit('\\n'.join([one, two, first, second]))
";

#[test]
fn programs_of_one_class_do_the_same() {
    let mut pairs: Vec<[String; 2]> = Vec::new();
    let statements = prop::collection::vec(prop::sample::select(STATEMENTS), 1..7);
    let names = || {
        prop::sample::select(vec![
            ["x", "y", "z"],
            ["y", "x", "z"],
            ["p", "q", "r"],
            ["x", "x", "z"],
            ["len", "y", "range"],
            ["y", "z", "print"],
            ["a", "y", "z"],
            ["z", "k", "m"],
        ])
    };
    let strategy =
        (statements, names(), names(), 0usize..4, any::<prop::sample::Index>(), 0usize..4);
    let mut runner = TestRunner::new(Config::with_cases(1));
    let mut merged = 0;
    for _ in 0..3_000 {
        let (statements, one, two, turn, at, change) =
            strategy.new_tree(&mut runner).expect("a value").current();
        let first = program(&statements, &one, 0);
        let mut other = statements.clone();
        let at = at.index(other.len());
        match change {
            0 => {
                other.remove(at);
            }
            1 => other.rotate_left(at),
            _ => {}
        }
        let second = program(&other, &two, turn);
        let parse = |text: &str| {
            let new = Some(FileState { content: text.into(), mode: FileMode::Regular });
            let change = FileChange { path: "a.py".to_owned(), old: None, new };
            Classifier::new(&[], None).judge(&[change]).ok()
        };
        if first != second && parse(&first).is_some() && parse(&first) == parse(&second) {
            merged += usize::from(one != two);
            pairs.push([first, second]);
        }
    }
    assert!(merged > 20, "only {merged} of the pairs are renamed ones of one class");
    let python = Command::new("python3")
        .args(["-c", RUNNER])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut python) = python else {
        let _ = writeln!(std::io::stderr(), "skipped: there is no python3");
        return;
    };
    let input = serde_json::to_vec(&pairs).expect("texts");
    python.stdin.take().expect("a pipe").write_all(&input).expect("python reads");
    let output = python.wait_with_output().expect("python ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
