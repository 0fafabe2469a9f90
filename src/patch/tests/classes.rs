//! Pairs of new files that must be one class, and pairs that must not.

use super::*;

fn class(new: &str) -> Class {
    let state = |text: &str| Some(FileState { content: text.into(), mode: FileMode::Regular });
    let old = "def f(a):\n    return a\n";
    classify(&[FileChange { path: "a.py".to_owned(), old: state(old), new: state(new) }])
}

#[test]
fn the_same_meaning_is_one_class() {
    for (one, two) in [
        ("x = 'a'\n", "x = \"a\"\n"),
        ("x = 'it\\'s'\n", "x = \"it's\"\n"),
        ("x = 'a' 'b'\n", "x = 'ab'\n"),
        ("x = '\\x41'\n", "x = 'A'\n"),
        ("x = r'\\d'\n", "x = '\\\\d'\n"),
        ("x = f'{a}b'\n", "x = f\"{a}\" 'b'\n"),
        ("x = 1\n", "x=1\n"),
        ("x = 1\n", "x = (1)  # one\n"),
        ("x = 1; y = 2\n", "x = 1\ny = 2\n"),
        ("x = 1 + \\\n    2\n", "x = 1 + 2\n"),
        ("f(a, b)\n", "f(\n    a,\n    b,\n)\n"),
        ("x = 1\n", "x = 1\n\n\n"),
        ("x = 1\n", "x = 1"),
        ("x = 1\n", "x = 1\r\n"),
        ("x = 1\n", "\u{feff}x = 1\n"),
        ("x = 1\n", "'''Doc.'''\nx = 1\n"),
        ("def f():\n    '''Doc.'''\n", "def f():\n    pass\n"),
        ("def f():\n    '''Doc.'''\n    return 1\n", "def f():\n    return 1\n"),
        ("class A:\n    '''Doc.'''\n    x = 1\n", "class A:\n    x = 1\n"),
        ("def f():\n    ...\n", "def f():\n    pass\n"),
        ("if a:\n    b()\n", "if a: b()\n"),
        ("if a:\n  b()\n", "if a:\n\tb()\n"),
        ("for a in b:\n    c()\nelse:\n    pass\n", "for a in b:\n    c()\n"),
        ("x = 0x10\n", "x = 16\n"),
    ] {
        assert_eq!(class(one), class(two), "{one:?} {two:?}");
    }
}

#[test]
fn different_meanings_are_different_classes() {
    for (one, two) in [
        ("x = 'a'\n", "x = 'b'\n"),
        ("x = 'a b'\n", "x = 'a  b'\n"),
        ("x = 'a'\n", "x = b'a'\n"),
        ("x = r'\\n'\n", "x = '\\n'\n"),
        ("x = f'{a}'\n", "x = '{a}'\n"),
        ("x = f'{a}'\n", "x = f'{a!r}'\n"),
        ("x = f'{a:>1}'\n", "x = f'{a:<1}'\n"),
        ("x = f'{a=}'\n", "x = f'{a = }'\n"),
        ("x = ['a', 'b']\n", "x = ['a' 'b']\n"),
        ("x = 'a', 'bc'\n", "x = 'ab', 'c'\n"),
        ("x = '\\ud800'\n", "x = '\\ud801'\n"),
        ("x = '''a\n\nb'''\n", "x = '''a\nb'''\n"),
        ("x = '''a \nb'''\n", "x = '''a\nb'''\n"),
        ("if a:\n    b()\n    c()\n", "if a:\n    b()\nc()\n"),
        ("if a:\n    b()\nelse:\n    c()\n", "if a:\n    b()\nc()\n"),
        ("x = 1\n", "x = 1.0\n"),
        ("x = 1\n", "x = True\n"),
        ("x = 1\n", "x = 1j\n"),
        ("x = (1)\n", "x = (1,)\n"),
        ("x = a - (b - c)\n", "x = a - b - c\n"),
        ("x = not a in b\n", "x = not (a not in b)\n"),
        ("x = a < b < c\n", "x = (a < b) < c\n"),
        ("x: int\n", "(x): int\n"),
        ("f(a, b)\n", "f(b, a)\n"),
        ("f(a=1)\n", "f(b=1)\n"),
        ("f(*a)\n", "f(**a)\n"),
        ("def f(a, b=1): return a\n", "def f(a, *, b=1): return a\n"),
        ("def f(a, /, b): return a\n", "def f(a, b): return a\n"),
        ("@d\ndef f(): return 1\n", "def f(): return 1\n"),
        ("async def f(): return 1\n", "def f(): return 1\n"),
        ("x = [a for a in b]\n", "x = [a async for a in b]\n"),
        ("x = [a for a in b]\n", "x = (a for a in b)\n"),
        ("x = {a}\n", "x = {a: a}\n"),
        ("x = a if b else c\n", "x = c if b else a\n"),
        ("x = a[1:2]\n", "x = a[1:2:]\nx\n"),
        ("x = a and b\n", "x = a or b\n"),
        ("x += 1\n", "x -= 1\n"),
        ("from a import b\n", "from .a import b\n"),
        ("from a import b\n", "from a import b as c\n"),
        ("import a\n", "import a, b\n"),
        ("del a\n", "a\n"),
        ("raise A\n", "raise A from B\n"),
        ("try:\n    a()\nexcept B:\n    c()\n", "try:\n    a()\nexcept* B:\n    c()\n"),
        ("try:\n    a()\nexcept B:\n    c()\n", "try:\n    a()\nexcept:\n    c()\n"),
        ("try:\n    a()\nfinally:\n    c()\n", "try:\n    a()\nexcept:\n    c()\n"),
        ("with a as b: c()\n", "with a: c()\n"),
        ("with a, b: c()\n", "with (a, b), c: d()\n"),
        ("global a\n", "nonlocal a\n"),
        ("assert a\n", "assert a, b\n"),
        ("match a:\n    case 1: b()\n", "match a:\n    case 2: b()\n"),
        ("match a:\n    case x: b()\n", "match a:\n    case x.y: b()\n"),
        ("lambda a: a\n", "lambda a: b\n"),
        ("while a: b()\n", "if a: b()\n"),
        ("x = yield_\n", "x = a.yield_\n"),
        ("def p_a(p):\n    'a : b'\n    x()\n", "def p_a(p):\n    'a : c'\n    x()\n"),
        ("'''A'''\nprint(__doc__)\n", "'''B'''\nprint(__doc__)\n"),
        ("#!/bin/a\nx = 1\n", "#!/bin/b\nx = 1\n"),
        ("# coding: utf-8\nx = 1\n", "# coding: latin-1\nx = 1\n"),
        ("x = 1\n", "x = (\n"),
        ("x = (\n", "x = [\n"),
    ] {
        assert_ne!(class(one).digest, class(two).digest, "{one:?} {two:?}");
    }
}

#[test]
fn only_what_counts_is_in_the_digest() {
    let state = |text: &str, mode| Some(FileState { content: text.into(), mode });
    let change = |path: &str, old: Option<FileState>, new: Option<FileState>| FileChange {
        path: path.to_owned(),
        old,
        new,
    };
    let regular = |text| state(text, FileMode::Regular);
    let real = change("a.py", regular("x = 1\n"), regular("x = 2\n"));
    let looks = change("b.py", regular("x = 1\n"), regular("x = 1  # same\n"));
    let both = classify(&[looks.clone(), real.clone()]);
    assert_eq!(both, classify(std::slice::from_ref(&real)));
    assert_eq!(classify(std::slice::from_ref(&looks)).kind, ClassKind::Cosmetic);
    // Whitespace outside of Python may count for something.
    let text = change("c.txt", regular("a\n"), regular("a\n\n"));
    assert_eq!(classify(std::slice::from_ref(&text)).kind, ClassKind::Whitespace);
    assert_ne!(classify(&[text, real.clone()]).digest, classify(&[real]).digest);
    let classes = [
        classify(&[change("n.py", None, regular(""))]),
        classify(&[change("n.py", None, state("", FileMode::Executable))]),
        classify(&[change("n.py", None, state("", FileMode::Symlink))]),
        classify(&[change("n.py", regular("x"), None)]),
        classify(&[change("m.py", None, regular(""))]),
        classify(&[change("n.py", regular(""), state("", FileMode::Executable))]),
    ];
    for (index, class) in classes.iter().enumerate() {
        assert_eq!(class.kind, ClassKind::Substantive);
        assert_eq!(class.digest.len(), 16);
        // Creating an executable and making a file one lead to the same tree.
        let same = classes.iter().filter(|other| other.digest == class.digest).count();
        assert_eq!(same, if matches!(index, 1 | 5) { 2 } else { 1 }, "{index}");
    }
}

#[test]
fn scripts() {
    assert_eq!(script_class("print('a')  # x\n"), script_class("print(\"a\")"));
    assert_ne!(script_class("print('a')"), script_class("print('b')"));
    assert_eq!(script_class("print 'a'  \n\n"), script_class("print 'a'"));
    assert_ne!(script_class("print 'a'"), script_class("print 'b'"));

    let script = |answer: &str| extract_script(answer).map_err(|error| error.code);
    let hello = Ok("print(1)\n".to_owned());
    for answer in [
        "Run it:\n\n```python\nprint(1)\n```\nand then",
        "```bash\npip install x\n```\n```python\n\nprint(1)\n\n```\n```python\nprint(2)\n```",
        "~~~py\nprint(1)\n~~~",
        "````Python3\nprint(1)\n````",
        "1. So:\n   ```python\n   print(1)\n   ```",
        "```python title=\"x.py\"\r\nprint(1)\r\n```\r\n",
        "```\nprint(1)\n```",
        "```bash\npip install x\n```\n```\nprint(1)\n```",
        "```python\nprint(1)",
        "<think>\n```python\nprint(0)\n```\n</think>\n```python\nprint(1)\n```",
    ] {
        assert_eq!(script(answer), hello, "{answer}");
    }
    let nested = "```python\ns = '''\n```\nx\n```\n'''\nprint(s)\n```\nThat is it.";
    assert_eq!(script(nested), Ok("s = '''\n```\nx\n```\n'''\nprint(s)\n".to_owned()));
    assert_eq!(script("```python\nprint("), Err(ReasonCode::Unterminated));
    assert_eq!(script("nothing"), Err(ReasonCode::NoScript));
    assert_eq!(script("```python\n```"), Err(ReasonCode::NoScript));
    assert_eq!(script("<think>\n```python\nprint(1)\n```"), Err(ReasonCode::NoSolution));
}
