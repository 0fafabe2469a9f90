//! Events made visible: on the terminal, as JSON lines, again from a finished run,
//! or with all artifacts as one page.

mod explain;
mod fan_out;
mod funnel;
mod jsonl;
mod page;
mod prices;
mod progress;
mod scan;
mod screen;
mod table;
mod terminal;
mod totals;

use std::io;

use crate::event::Event;

pub use explain::{Evidence, explain, summary};
pub use fan_out::{Drained, drain, replay};
pub use funnel::Funnel;
pub use jsonl::JsonLines;
pub use page::{Heading, Page, Section};
pub use prices::Prices;
pub use progress::{Counts, Executed, Progress, Snapshot};
pub use scan::EventLog;
pub use screen::Screen;
pub use table::{Size, clock, line, table};
pub use terminal::{Style, Terminal};
pub use totals::{Grade, Graded, Spent, StageTime, Totals};

/// A consumer of events. Implementations: the terminal and JSON lines.
///
/// A reporter that fails is dropped and the others go on; it must not assume that it sees every
/// event, nor that a run ends with [`crate::event::EventKind::RunFinished`].
pub trait Reporter: Send {
    /// A name for messages, such as `terminal`.
    fn name(&self) -> &'static str;

    /// Takes one event.
    ///
    /// # Errors
    /// When it can no longer be shown or written.
    fn report(&mut self, event: &Event) -> io::Result<()>;

    /// Called several times a second, for what changes with time alone.
    ///
    /// # Errors
    /// As for [`Reporter::report`].
    fn tick(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Called once after the last event.
    ///
    /// # Errors
    /// As for [`Reporter::report`].
    fn finish(&mut self) -> io::Result<()>;
}
