//! Below the file: the classes, functions and lines of the best-ranked files that are worth showing,
//! by retrieval, and by the model if the settings ask for it.

use std::sync::Arc;

use crate::artifact::{Localization, Place};
use crate::llm::{Call, Completion, ModelError, ModelRequest};
use crate::prompt::PromptName;
use crate::repo::Checkout;
use crate::retrieval::{self, SourceFile};
use crate::source;
use crate::stage::localize::naming::Named;
use crate::stage::localize::run::Stage;
use crate::stage::localize::skeleton::{self, Outlined};
use crate::stage::localize::{Localizer, PlacesFrom, naming};
use crate::stage::{StageError, ask_within};

/// Files whose places are looked for: twice as many as are shown by default.
const FILES: usize = 12;

/// Places kept of each file, and the lowest score of one that is kept.
const KEPT: usize = 24;
const LEAST: f64 = 0.004;

/// Number of the first sample that is asked for places. Requests for files begin at 0, and both
/// carry the stage `localize`, so the numbers must differ for gateways and journals.
const FIRST_SAMPLE: u32 = 1000;

/// Weight of all answers naming a place, as the probability that it is changed. No development row
/// can measure it; at 0.7 a place that all answers name goes before almost all that retrieval finds.
const TRUST: f64 = 0.7;

/// Fills in the places of the first files of `localization`.
///
/// # Errors
/// As [`ask_within`]. A recording without answers about places leaves those of retrieval.
pub(super) async fn fill(
    stage: &Stage<'_>,
    localization: &mut Localization,
) -> Result<(), StageError> {
    let config = stage.config;
    // Mini's protocol shows whole files.
    if config.places == PlacesFrom::None || config.localizer == Localizer::Mini {
        return Ok(());
    }
    let paths = localization.ranked.iter().take(FILES).map(|file| file.path.clone()).collect();
    let (checkout, issue) = (Arc::clone(stage.checkout), stage.instance.problem_statement.clone());
    let work = move || read(&checkout, paths, &issue);
    let mut outlined = match tokio::task::spawn_blocking(work).await {
        Ok(outlined) => outlined,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is shutting down.
        Err(_) => return Err(StageError::Cancelled),
    };
    if config.places == PlacesFrom::Model && config.samples > 0 && !outlined.is_empty() {
        ask(stage, &mut outlined).await?;
    }
    for file in outlined {
        if let Some(ranked) = localization.ranked.iter_mut().find(|r| r.path == file.path) {
            ranked.places = file.places;
            ranked.places.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.lines.cmp(&b.lines)));
            ranked.places.truncate(KEPT);
        }
    }
    Ok(())
}

/// The files that can be read, with their places by retrieval.
fn read(checkout: &Checkout, paths: Vec<String>, issue: &str) -> Vec<Outlined> {
    let files = paths.into_iter().filter_map(|path| {
        // What cannot be read was said when it was ranked, and is not shown either.
        let bytes = checkout.read(&path).ok().flatten()?;
        let text = source::decode(&bytes)?.into_owned();
        Some(SourceFile { path, text })
    });
    let files = files.collect::<Vec<_>>();
    let found = retrieval::places(issue, &files, KEPT);
    let kept = |places: Vec<Place>| {
        places.into_iter().filter(|place| place.score >= LEAST).collect::<Vec<_>>()
    };
    let outlined = files.into_iter().zip(found).map(|(file, places)| Outlined {
        module: source::parse(&file.text),
        path: file.path,
        text: file.text,
        places: kept(places),
    });
    outlined.collect()
}

async fn ask(stage: &Stage<'_>, files: &mut [Outlined]) -> Result<(), StageError> {
    let config = stage.config;
    let issue = stage.issue();
    let make = |budget| {
        let outlines = skeleton::render(files, budget);
        let values = [("issue", issue.as_str()), ("files", outlines.as_str())];
        let request = ModelRequest {
            instance: stage.instance.id.clone(),
            call: Call::Localize,
            messages: stage.prompts.render(PromptName::LocalizePlaces, &values),
            samples: FIRST_SAMPLE..FIRST_SAMPLE + config.samples,
            temperature: config.temperature,
            max_tokens: config.max_tokens,
            seed: config.seed,
            stop: Vec::new(),
        };
        (request, ())
    };
    let mut budget = config.outline_tokens;
    let completions = match ask_within(stage.tools, &mut budget, make).await {
        Ok((completions, ())) => completions,
        Err(StageError::Model(ModelError::NotRecorded { .. })) => {
            stage.note("the recording holds no answer about places; those of retrieval are taken");
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    vote(stage, files, &completions);
    Ok(())
}

/// Each answer votes once for each place that it names.
fn vote(stage: &Stage<'_>, files: &mut [Outlined], completions: &[Completion]) {
    let mut answers = Vec::new();
    for completion in completions {
        match &completion.answer {
            Ok(answer) => answers.push(naming::named(answer, files)),
            Err(reason) => {
                stage.note(&format!("sample {} has no answer: {reason}", completion.sample));
            }
        }
    }
    let all = answers.len();
    for (number, file) in files.iter_mut().enumerate() {
        let mut named = answers.iter().flatten().filter(|named| named.file == number);
        let mut votes = Vec::<(Named, usize)>::new();
        for one in named.by_ref() {
            match votes.iter_mut().find(|(known, _)| known.lines == one.lines) {
                Some((_, count)) => *count += 1,
                None => votes.push((one.clone(), 1)),
            }
        }
        for (named, count) in votes {
            add(&mut file.places, &named, count, all);
        }
    }
}

/// As if answers and retrieval were independent witnesses.
fn add(places: &mut Vec<Place>, named: &Named, count: usize, all: usize) {
    let trust = TRUST * count as f64 / all.max(1) as f64;
    let reason = format!("named by {count} of {all} answers");
    let same = places.iter_mut().find(|place| place.lines == named.lines);
    if let Some(place) = same {
        place.score = 1.0 - (1.0 - place.score) * (1.0 - trust);
        place.reasons.insert(0, reason);
    } else {
        let (name, lines) = (named.name.clone(), named.lines);
        places.push(Place { name, lines, score: trust, reasons: vec![reason] });
    }
}
