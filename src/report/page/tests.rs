//! The page as a whole, with hostile texts in every place.

use super::*;
use crate::artifact::{
    BaseVerdict, Candidate, CandidateId, CandidateStatus, Execution, InstanceOutcome, Localization,
    Outcome, RankedCandidate, RankedFile, Ranking, ReproductionTest, Subject, TestId, TestKind,
};

const EVIL: &str = "</pre></details><script>alert('x')</script><img src=\"http://x/y\" onerror=z>";

fn candidate(sample: u32, class: &str, patch: &str) -> Candidate {
    Candidate {
        id: CandidateId(sample),
        sample,
        status: CandidateStatus::Ok,
        reason: String::new(),
        files: vec![format!("{EVIL}.py")],
        patch: patch.to_owned(),
        class: class.to_owned(),
        rules: vec!["exact".to_owned()],
        substantive: true,
    }
}

fn section(samples: u32) -> Section {
    let patch = format!("diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-old\n+{EVIL}\n");
    let mut candidates: Vec<_> =
        (0..samples).map(|n| candidate(n, &format!("class {}", n / 2), &patch)).collect();
    candidates.push(Candidate::invalid(samples, format!("not_found: {EVIL}")));
    let row = |subject, test: &str, kind, outcome| Execution {
        subject,
        test: test.to_owned(),
        kind,
        outcome,
        seconds: 0.0,
    };
    let mut executions = Vec::new();
    for subject in [Subject::Base, Subject::Candidate(CandidateId(0))] {
        let fixed = subject != Subject::Base;
        let outcome = if fixed { Outcome::Pass } else { Outcome::Fail };
        executions.push(row(subject, "t000", TestKind::Reproduction, outcome));
        executions.push(row(subject, "always passes", TestKind::Regression, Outcome::Pass));
        let outcome = if fixed { Outcome::Error } else { Outcome::Pass };
        executions.push(row(subject, EVIL, TestKind::Regression, outcome));
    }
    let mut evidence = serde_json::Map::new();
    evidence.insert("votes".to_owned(), 2.into());
    evidence.insert("posterior".to_owned(), 0.75.into());
    evidence.insert(EVIL.to_owned(), EVIL.into());
    let ranked = vec![RankedCandidate { candidate: CandidateId(0), evidence }];
    Section {
        id: "a__b-1".to_owned(),
        place: EVIL.to_owned(),
        issue: Some(EVIL.to_owned()),
        evidence: Evidence {
            outcome: Some(InstanceOutcome::Solved),
            localization: Some(Localization {
                ranked: vec![RankedFile {
                    path: EVIL.to_owned(),
                    score: 1.0,
                    reasons: vec![EVIL.to_owned()],
                    places: Vec::new(),
                }],
                samples: Vec::new(),
            }),
            candidates,
            tests: vec![ReproductionTest {
                id: TestId(0),
                sample: 0,
                source: EVIL.to_owned(),
                base: BaseVerdict::Reproduced,
                class: String::new(),
                reason: EVIL.to_owned(),
            }],
            executions,
            ranking: Some(Ranking {
                policy: EVIL.to_owned(),
                chosen: Some(CandidateId(0)),
                ranked,
            }),
            environment: None,
        },
        stages: vec![(Stage::Repair, 1.0, EVIL.to_owned())],
        grade: Some(Grade::Unresolved { reason: EVIL.to_owned() }),
    }
}

fn page(sections: &[Section]) -> String {
    let mut totals = Totals::default();
    for section in sections {
        totals.add(&section.evidence, &[], section.grade.as_ref());
    }
    let heading = Heading {
        run: EVIL.to_owned(),
        facts: vec![("model".to_owned(), EVIL.to_owned())],
        settings: vec![["a.b".to_owned(), EVIL.to_owned(), EVIL.to_owned()]],
        prompts: vec![(EVIL.to_owned(), "0".to_owned())],
    };
    let mut page = Page::begin(Vec::new(), &heading, &totals).unwrap();
    for section in sections {
        page.instance(section).unwrap();
    }
    String::from_utf8(page.finish().unwrap()).unwrap()
}

/// Tags in order, without attributes; what has no end is left out.
fn tags(html: &str) -> Vec<String> {
    let tag = regex::Regex::new(r"<(/?[a-z][a-z0-9]*)").unwrap();
    tag.captures_iter(html)
        .map(|found| found[1].to_owned())
        .filter(|tag| !["meta", "input", "br"].contains(&tag.as_str()))
        .collect()
}

#[test]
fn no_text_of_others_becomes_markup_and_every_element_is_closed() {
    let html = page(&[section(3)]);
    let shown = html.matches("&lt;script&gt;alert(&#39;x&#39;)").count();
    assert!(shown >= 15, "only {shown} of the texts are on the page");
    assert_eq!(html.matches("<script").count(), 1);
    assert_eq!(html.matches("<img").count(), 0);
    let mut open: Vec<String> = Vec::new();
    for tag in tags(html.split("<script>").next().unwrap()) {
        match tag.strip_prefix('/') {
            None => open.push(tag),
            Some(name) if ["td", "th"].contains(&name) || open.last().unwrap() == name => {
                assert_eq!(open.pop().unwrap(), name);
            }
            Some(name) => panic!("</{name}> while {open:?} are open"),
        }
    }
    assert_eq!(open, ["html", "body"]);
}

#[test]
fn the_page_asks_for_nothing() {
    let html = page(&[section(3)]);
    let outside =
        regex::Regex::new(r#"<[a-z]+[^>]*\s(src|href|srcset|action)=|url\(|@import"#).unwrap();
    assert!(outside.find(&html).is_none(), "{:?}", outside.find(&html));
    assert!(html.contains("default-src 'none'"));
}

#[test]
fn the_matrix_says_in_words_what_passes_and_leaves_out_what_passes_everywhere() {
    let html = page(&[section(1)]);
    assert!(
        html.contains("<td>base</td><td class=\"fail\">shows it</td><td class=\"pass\">pass</td>")
    );
    assert!(
        html.contains(
            "<td>c000</td><td class=\"pass\">resolved</td><td class=\"error\">error</td>"
        )
    );
    assert!(html.contains("1 of 2 pass") && !html.contains("always passes"));
    assert!(html.contains("<span class=\"del\">-old</span>"));
}

#[test]
fn of_many_samples_a_part_is_shown_and_the_rest_is_counted() {
    let one = page(&[section(500)]);
    assert!(one.contains("and 190 more changes") && one.contains("and 219 more patches"));
    // A large run shows less of each instance.
    let many = page(&vec![section(500); 60]);
    assert!(many.len() < 60 * 40_000, "{} bytes an instance", many.len() / 60);
    assert!(many.contains("and 234 more changes"));
}

#[test]
fn an_instance_that_has_only_begun_has_a_section() {
    let html = page(&[Section { id: "a__b-2".to_owned(), ..Section::default() }]);
    assert!(html.contains("id=\"a__b-2\"") && html.contains("not finished"));
}
