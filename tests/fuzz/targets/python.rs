//! Any two sources: syntax check and normal form do not panic; a comment at the end changes no class;
//! reading only what changed finds the same first error as reading everything.
#![no_main]

use agent_fuzz::patch::{ClassKind, Classifier, FileChange, check_syntax, classify, script_class};
use agent_fuzz::{file, grown};
use libfuzzer_sys::fuzz_target;

fn change(old: &str, new: &str) -> FileChange {
    let (old, new) = (Some(file(old.as_bytes())), Some(file(new.as_bytes())));
    FileChange { path: "a.py".to_owned(), old, new }
}

fuzz_target!(|sources: (&str, &str, u16)| {
    let (old, new, grow) = sources;
    let new = &*grown(new.to_owned(), grow);
    let plain = change(old, new);
    if plain.is_unchanged() {
        return;
    }
    let _ = script_class(new);
    let judged = Classifier::new(&[], None).judge(std::slice::from_ref(&plain));
    let checked = check_syntax(std::slice::from_ref(&plain), None);
    assert_eq!(judged.map(drop), checked, "{old:?} {new:?}");
    let class = classify(std::slice::from_ref(&plain));
    assert_eq!(classify(std::slice::from_ref(&plain)), class);
    let sound = check_syntax(std::slice::from_ref(&change("", new)), None).is_ok();
    if sound && class.kind == ClassKind::Substantive && new.ends_with('\n') {
        let commented = change(old, &format!("{new}# nothing\n"));
        let again = classify(&[commented]);
        assert_eq!(again.kind, ClassKind::Substantive);
        if script_class(new) == script_class(&format!("{new}# nothing\n")) {
            assert_eq!(again.digest, class.digest, "{new:?}");
        }
    }
});
