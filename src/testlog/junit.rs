//! JUnit's XML, as pytest (`--junitxml`), many other runners and their adapters write it: one
//! document or several, anywhere in a log.
//!
//! The id is `classname::name`, or the name alone. A failure sticks: no later mention turns it into
//! a pass. A document that is cut off or broken counts as far as it goes, except for the test case
//! in which it breaks.

use memchr::memmem;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::testlog::{Status, Statuses};

/// What a document begins with; `<testsuites` begins with the second as well.
const ROOT: &str = "<testsuite";

/// Documents that may end in an error before the rest is left unread. Each error may have cost a
/// look at all that follows, as an open quotation does.
const MAX_BROKEN: usize = 16;

pub(super) fn junit(log: &str) -> Statuses {
    let mut statuses = Statuses::default();
    let mut at = 0;
    let mut broken = 0;
    while broken < MAX_BROKEN
        && let Some(found) = memmem::find(&log.as_bytes()[at..], ROOT.as_bytes())
    {
        let begin = at + found;
        let (length, whole) = document(&log[begin..], &mut statuses);
        at = begin + length.max(ROOT.len());
        broken += usize::from(!whole);
    }
    statuses
}

/// Reads one document; answers how many bytes it takes, and whether it ends.
fn document(text: &str, statuses: &mut Statuses) -> (usize, bool) {
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = true;
    let mut depth = 0_usize;
    let mut case: Option<(String, Status)> = None;
    // An error leaves the reader in a place that means nothing, so the last good one is kept.
    let mut read = 0;
    loop {
        let event = match reader.read_event() {
            Ok(Event::Eof) | Err(_) => return (read, false),
            Ok(event) => event,
        };
        match event {
            Event::Start(tag) => {
                depth += 1;
                open(&tag, &mut case);
            }
            Event::Empty(tag) => {
                let outer = case.is_some();
                open(&tag, &mut case);
                if !outer && let Some((id, status)) = case.take() {
                    record(statuses, id, status);
                }
            }
            Event::End(tag) => {
                depth = depth.saturating_sub(1);
                if tag.local_name().as_ref() == "testcase"
                    && let Some((id, status)) = case.take()
                {
                    record(statuses, id, status);
                }
            }
            _ => {}
        }
        read = usize::try_from(reader.buffer_position()).unwrap_or(text.len()).min(text.len());
        while !text.is_char_boundary(read) {
            read -= 1;
        }
        if depth == 0 {
            return (read, true);
        }
    }
}

/// An element begins: a test case, or what one says about itself.
fn open(tag: &BytesStart<'_>, case: &mut Option<(String, Status)>) {
    let name = tag.local_name();
    match (name.as_ref(), case.as_mut()) {
        ("testcase", _) => *case = id(tag).map(|id| (id, Status::Passed)),
        ("error", Some((_, status))) => *status = Status::Error,
        ("failure", Some((_, status))) if *status != Status::Error => *status = Status::Failed,
        ("skipped", Some((_, status))) if !status.is_failure() => {
            let expected = attribute(tag, "type").is_some_and(|kind| kind == "pytest.xfail");
            *status = if expected { Status::Xfail } else { Status::Skipped };
        }
        _ => {}
    }
}

fn id(tag: &BytesStart<'_>) -> Option<String> {
    let name = attribute(tag, "name").filter(|name| !name.is_empty())?;
    match attribute(tag, "classname").filter(|class| !class.is_empty()) {
        Some(class) => Some(format!("{class}::{name}")),
        None => Some(name),
    }
}

/// An attribute as text; what holds an unknown entity is taken as it stands.
fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = tag.try_get_attribute(name).ok()??;
    let raw = attribute.value.as_ref();
    Some(quick_xml::escape::unescape(raw).map_or_else(|_| raw.to_owned(), |text| text.into_owned()))
}

fn record(statuses: &mut Statuses, id: String, status: Status) {
    let kept = statuses.entry(id).or_insert(status);
    if !kept.is_failure() {
        *kept = status;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Status::{Error, Failed, Passed, Skipped, Xfail};

    #[track_caller]
    fn check(log: &str, expected: &[(&str, Status)]) {
        let expected: Statuses = expected.iter().map(|(id, s)| ((*id).to_owned(), *s)).collect();
        assert_eq!(junit(log), expected, "{log}");
    }

    #[test]
    fn each_kind_of_result_is_told_apart() {
        check(
            "noise <b>\n<?xml version=\"1.0\"?><testsuites><testsuite name=\"s\" tests=\"6\">\
             <properties><property name=\"testcase\" value=\"<\"/></properties>\
             <testcase classname=\"tests.T\" name=\"a\" time=\"0.1\"/>\
             <testcase classname=\"tests.T\" name=\"b[&lt;x&gt; &amp; &quot;y&quot;]\"><failure message=\"m\">t</failure></testcase>\
             <testcase classname=\"\" name=\"c\"><error/></testcase>\
             <testcase name=\"d\"><skipped type=\"pytest.skip\"/></testcase>\
             <testcase name=\"e\"><skipped type=\"pytest.xfail\"/></testcase>\
             <testcase classname=\"x\" name=\"f\"><system-out><![CDATA[<testcase name=\"forged\"/><failure>]]></system-out></testcase>\
             <testcase name=\"g\"><failure/><error/></testcase>\
             <testcase name=\"\"/><testcase/>\
             </testsuite></testsuites>\ntrailing <testcase name=\"out\"/>",
            &[
                ("tests.T::a", Passed),
                ("tests.T::b[<x> & \"y\"]", Failed),
                ("c", Error),
                ("d", Skipped),
                ("e", Xfail),
                ("x::f", Passed),
                ("g", Error),
            ],
        );
    }

    #[test]
    fn a_later_pass_hides_no_failure_and_documents_add_up() {
        let suite = |body: &str| format!("<testsuite>{body}</testsuite>\n");
        let fails = suite("<testcase name=\"a\"><failure/></testcase>");
        let passes = suite("<testcase name=\"a\"/><testcase name=\"b\"/>");
        for log in [format!("{fails}{passes}"), format!("{passes} text {fails}")] {
            let statuses = junit(&log);
            assert_eq!((statuses["a"], statuses["b"]), (Failed, Passed));
        }
    }

    #[test]
    fn a_document_that_is_cut_off_counts_up_to_the_last_whole_case() {
        let whole = "<testsuite><testcase name=\"a\"/><testcase name=\"b\"><system-out>é</system-out>\
                     </testcase></testsuite>";
        for cut in (0..whole.len()).filter(|&cut| whole.is_char_boundary(cut)) {
            let statuses = junit(&whole[..cut]);
            assert!(statuses.values().all(|status| *status == Passed));
            assert_eq!(statuses.contains_key("b"), cut >= whole.find("</testsuite>").unwrap());
        }
        check("<testsuite><testcase name=\"a\"/></wrong><testcase name=\"b\"/>", &[("a", Passed)]);
        check("<testsuite <testsuite/> <testsuite", &[]);
    }

    /// Written by pytest 7.4 with `--junitxml`, cut to what a reader sees.
    #[test]
    fn what_pytest_writes_is_read() {
        check(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><testsuites><testsuite name=\"pytest\" errors=\"1\" \
             failures=\"1\" skipped=\"2\" tests=\"5\" time=\"0.041\" hostname=\"h\">\
             <testcase classname=\"test_it.TestA\" name=\"test_ok\" time=\"0.001\" />\
             <testcase classname=\"test_it\" name=\"test_p[a b]\" time=\"0.001\"><failure message=\"assert \
             '&lt;' != '&lt;'\">x = '&lt;'&#10;&gt; assert x</failure></testcase>\
             <testcase classname=\"test_it\" name=\"test_x\" time=\"0.001\"><skipped \
             type=\"pytest.xfail\" message=\"\" /></testcase>\
             <testcase classname=\"test_it\" name=\"test_e\" time=\"0.001\"><error message=\"failed on \
             setup\">raise ValueError</error></testcase>\
             <testcase classname=\"\" name=\"test_broken\" time=\"0.000\"><error message=\"collection \
             failure\">ImportError</error></testcase>\
             <testcase classname=\"test_it\" name=\"test_s\" time=\"0.001\"><skipped \
             type=\"pytest.skip\" message=\"no\">test_it.py:16: no</skipped></testcase>\
             </testsuite></testsuites>",
            &[
                ("test_it.TestA::test_ok", Passed),
                ("test_it::test_p[a b]", Failed),
                ("test_it::test_x", Xfail),
                ("test_it::test_e", Error),
                ("test_broken", Error),
                ("test_it::test_s", Skipped),
            ],
        );
    }
}
