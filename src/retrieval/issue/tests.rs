//! What is read of small issues of every kind.

use super::*;

const TEXT: &str = "\r\n# Crash in `resolve_url` of Session\r\n<!-- Please search\r\nfirst -->\r\n\
    See https://github.com/psf/requests/blob/v2.1/requests/sessions.py#L10-L20 and\r\n\
    requests/models.py, calling HTTPAdapter.send_request(x)\r\n```\r\n\
    Traceback (most recent call last):\r\n  File \"/usr/lib/python3/site-packages/requests/api.py\", line 5, in get\r\n\
    ~/lib/pkg/frame.py in run(self)\r\nrequests/utils.py:42: ValueError\r\n```\r\n\
    numpy==1.2.3\r\npandas: 0.25.1\r\nOS: Windows\r\n";

#[test]
fn an_issue_is_taken_apart() {
    let issue = Issue::read(TEXT);
    assert_eq!(issue.title, "Crash in `resolve_url` of Session");
    let paths =
        |m: &[Mention]| m.iter().map(|m| format!("{} {}", m.path, m.line)).collect::<Vec<_>>();
    assert_eq!(paths(&issue.links), ["requests/sessions.py 5"]);
    assert_eq!(paths(&issue.mentions), ["requests/models.py 6"]);
    let frames = issue.frames.iter().map(|f| format!("{} {}", f.path, f.line));
    let expected = [
        "/usr/lib/python3/site-packages/requests/api.py 9",
        "~/lib/pkg/frame.py 10",
        "requests/utils.py 11",
    ];
    assert_eq!(frames.collect::<Vec<_>>(), expected);
    for name in ["resolve_url", "HTTPAdapter", "send_request"] {
        assert!(issue.code.contains(name), "{name} of {:?}", issue.code);
    }
    assert!(!issue.code.contains("Crash"));
    for gone in ["Please", "numpy", "pandas", "github"] {
        assert!(!issue.text.contains(gone), "{gone}");
    }
    assert!(issue.text.contains("OS: Windows"));
}

#[test]
fn empty_and_odd_issues_are_read() {
    for text in ["", "\r\r\n \n", "<!-- never closed", "`", "\u{0}\u{fffd}"] {
        let issue = Issue::read(text);
        assert!(issue.mentions.is_empty() && issue.frames.is_empty(), "{text:?}");
    }
    let million = Issue::read(&"word some_name( a.py\n".repeat(50_000));
    assert_eq!(million.mentions.len(), 2_000);
}

#[test]
fn code_prose_frames_and_messages_are_kept_apart() {
    let issue = Issue::read(
        "Crash with `Q`\n\nIt worked before, see #4321 and gh-17.\n\n```python\nimport numpy as np, sys\n\
         from app.models import (A,\n  B as Bee)\nBee.save(np.array(1))\n```\n>>> go(1)\n\
         /srv/app/models.py in save(self)\n     12 self.x()\nFile ~/app/db.py:7, in Base.find(self)\n\
         app/util.py:9: in helper\napp.errors.LoadError: no such thing\n",
    );
    assert_eq!(issue.errors, ["app.errors.LoadError: no such thing"]);
    let frame = |f: &Frame| format!("{} {}", f.path, f.function.as_deref().unwrap_or("-"));
    let expected = ["/srv/app/models.py save", "~/app/db.py Base.find", "app/util.py helper"];
    assert_eq!(issue.frames.iter().map(frame).collect::<Vec<_>>(), expected);
    assert!(issue.program.contains("go(1)") && issue.program.contains("np.array"));
    assert!(!issue.prose.contains("np.array") && issue.prose.contains("It worked before"));
    let imported = issue.imported.iter().map(|(module, name)| format!("{module}:{name}"));
    assert_eq!(imported.collect::<Vec<_>>(), ["app.models:A", "app.models:B", "numpy:", "sys:"]);
    assert!(issue.dotted.contains("numpy.array") && issue.dotted.contains("app.models.B.save"));
    assert_eq!(issue.numbers.iter().copied().collect::<Vec<_>>(), [17, 4321]);
    assert!(issue.code.contains("Q") && issue.titled.contains("Q"));
}

#[test]
fn long_and_foreign_issues_are_read_in_bounds() {
    let long = Issue::read(&"ü`a_b` ".repeat(200_000));
    assert!(long.text.len() <= LONGEST + 1 && long.code.contains("a_b"));
    let chinese = Issue::read("模型保存失败\n\n调用 `save_model` 时出错");
    assert_eq!(chinese.title, "模型保存失败");
    assert!(chinese.code.contains("save_model"));
    let unspaced = Issue::read("在app/store.py里调用save_model时出错，请看SQLを使うopen함수");
    let words = unspaced.words.keys().map(String::as_str).collect::<Vec<_>>();
    for name in ["save_model", "store", "SQL", "open"] {
        assert!(words.contains(&name), "{name} of {words:?}");
    }
    assert_eq!(unspaced.mentions[0].path, "app/store.py");
    assert!(Issue::read("Übergröße_x é1").words.contains_key("Übergröße_x"));
    assert_eq!(Issue::read("word").title, "word");
}
