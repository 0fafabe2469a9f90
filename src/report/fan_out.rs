//! One stream of events to several reporters.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::MissedTickBehavior;

use crate::event::Event;
use crate::report::Reporter;

/// Time between two calls of [`Reporter::tick`].
const TICK: Duration = Duration::from_millis(250);

/// What became of the reporters.
#[derive(Debug, Default)]
pub struct Drained {
    /// Reporters that failed, with their error.
    pub failed: Vec<(&'static str, io::Error)>,
}

/// Hands every event to every reporter until all emitting handles are dropped. A reporter that
/// fails is dropped; the others keep going.
pub async fn drain(
    mut events: UnboundedReceiver<Event>,
    mut reporters: Vec<Box<dyn Reporter>>,
) -> Drained {
    let mut drained = Drained::default();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            // A flood of events must not keep the clock from moving.
            biased;
            _ = ticks.tick() => each(&mut reporters, &mut drained, |one| one.tick()),
            event = events.recv() => match event {
                Some(event) => each(&mut reporters, &mut drained, |one| one.report(&event)),
                None => break,
            },
        }
    }
    for reporter in &mut reporters {
        if let Err(error) = reporter.finish() {
            drained.failed.push((reporter.name(), error));
        }
    }
    drained
}

fn each(
    reporters: &mut Vec<Box<dyn Reporter>>,
    drained: &mut Drained,
    mut call: impl FnMut(&mut dyn Reporter) -> io::Result<()>,
) {
    reporters.retain_mut(|reporter| match call(reporter.as_mut()) {
        Ok(()) => true,
        Err(error) => {
            drained.failed.push((reporter.name(), error));
            false
        }
    });
}

/// Shows a run's recorded events again. Lines that are no events (a torn last line, a newer
/// version's kind) are counted, not shown; the count is returned.
///
/// # Errors
/// When the file cannot be read or the reporter fails.
pub fn replay(path: &Path, reporter: &mut dyn Reporter) -> io::Result<usize> {
    let mut unreadable = 0;
    for line in BufReader::new(File::open(path)?).lines() {
        match serde_json::from_str::<Event>(&line?) {
            Ok(event) => reporter.report(&event)?,
            Err(_) => unreadable += 1,
        }
    }
    reporter.finish()?;
    Ok(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{EventKind, Events};
    use std::sync::{Arc, Mutex};

    struct Recorder {
        seen: Arc<Mutex<Vec<Event>>>,
        fails_at: Option<usize>,
    }

    impl Reporter for Recorder {
        fn name(&self) -> &'static str {
            "recorder"
        }
        fn report(&mut self, event: &Event) -> io::Result<()> {
            let mut seen = self.seen.lock().unwrap();
            seen.push(event.clone());
            if self.fails_at == Some(seen.len()) { Err(io::Error::other("full")) } else { Ok(()) }
        }
        fn finish(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_broken_reporter_does_not_starve_the_others() {
        let (events, receiver) = Events::channel();
        let seen = [Arc::default(), Arc::default()];
        let recorder = |index: usize, fails_at| -> Box<dyn Reporter> {
            Box::new(Recorder { seen: Arc::clone(&seen[index]), fails_at })
        };
        let task = tokio::spawn(drain(receiver, vec![recorder(0, Some(1)), recorder(1, None)]));
        events.emit(EventKind::InstanceStarted);
        events.notice("two");
        drop(events);
        let drained = task.await.unwrap();
        assert_eq!(drained.failed.len(), 1);
        assert_eq!(seen[0].lock().unwrap().len(), 1);
        assert_eq!(seen[1].lock().unwrap().len(), 2);
    }
}
