//! Lines that stay at the bottom of a terminal and change in place.
//!
//! Each change is one write, so that nothing flickers. How far to go up is reckoned from the width
//! at that moment: a terminal that became narrower has broken the old lines into several.

use std::io::{self, Write};

use crate::report::table::Size;

/// A stream that is a terminal, with the lines drawn last.
pub struct Screen {
    out: Box<dyn Write + Send>,
    size: Box<dyn Fn() -> Size + Send>,
    /// Widths of the lines that stand on the terminal.
    drawn: Vec<usize>,
}

impl Screen {
    /// Draws on `out`; `size` tells the terminal's measure at each moment.
    #[must_use]
    pub fn new(out: Box<dyn Write + Send>, size: Box<dyn Fn() -> Size + Send>) -> Self {
        Self { out, size, drawn: Vec::new() }
    }

    /// The room for lines: the last column and the last row stay free, so that nothing wraps or
    /// scrolls.
    #[must_use]
    pub fn room(&self) -> Size {
        let size = (self.size)();
        Size {
            columns: size.columns.saturating_sub(1).max(1),
            rows: size.rows.saturating_sub(1).max(1),
        }
    }

    /// Puts `lines` in the place of those drawn before, with `above` over them to stay.
    ///
    /// # Errors
    /// When the stream cannot be written.
    pub fn draw(&mut self, above: &str, lines: &[String]) -> io::Result<()> {
        let mut text = self.back();
        for line in above.lines() {
            text.push_str(line);
            text.push_str("\x1b[K\n");
        }
        for line in lines {
            text.push_str(line);
            text.push_str("\x1b[K\n");
        }
        text.push_str("\x1b[J");
        self.drawn = lines.iter().map(|line| visible(line)).collect();
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    /// Leaves the lines where they are and begins below them.
    ///
    /// # Errors
    /// When the stream cannot be written.
    pub fn leave(&mut self) -> io::Result<()> {
        self.drawn.clear();
        self.out.flush()
    }

    /// Brings the cursor to the first character of the first line drawn.
    fn back(&self) -> String {
        let columns = (self.size)().columns.max(1);
        let rows: usize = self.drawn.iter().map(|width| width.div_ceil(columns).max(1)).sum();
        match rows {
            0 => "\r".to_owned(),
            rows => format!("\r\x1b[{rows}A"),
        }
    }
}

/// Characters that take room: all but escape sequences, which are colours here.
fn visible(line: &str) -> usize {
    let (mut width, mut escaped) = (0, false);
    for c in line.chars() {
        match (escaped, c) {
            (true, 'm') => escaped = false,
            (false, '\x1b') => escaped = true,
            (false, _) => width += 1,
            (true, _) => {}
        }
    }
    width
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A terminal that understands what is written to it.
    #[derive(Clone)]
    struct Emulated {
        parser: Arc<Mutex<vt100::Parser>>,
        writes: Arc<AtomicUsize>,
    }

    impl Emulated {
        fn new(rows: u16, columns: u16) -> Self {
            let parser = vt100::Parser::new(rows, columns, 100);
            Self { parser: Arc::new(Mutex::new(parser)), writes: Arc::default() }
        }

        fn screen(&self) -> Screen {
            let parser = Arc::clone(&self.parser);
            let size = move || {
                let (rows, columns) = parser.lock().unwrap().screen().size();
                Size { columns: columns.into(), rows: rows.into() }
            };
            Screen::new(Box::new(self.clone()), Box::new(size))
        }

        fn shown(&self) -> Vec<String> {
            let parser = self.parser.lock().unwrap();
            let (_, columns) = parser.screen().size();
            let rows = parser.screen().rows(0, columns).map(|row| row.trim_end().to_owned());
            let mut rows: Vec<String> = rows.collect();
            while rows.last().is_some_and(String::is_empty) {
                rows.pop();
            }
            rows
        }
    }

    impl Write for Emulated {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.writes.fetch_add(1, Ordering::Relaxed);
            // A terminal's driver makes both of the one.
            let text = String::from_utf8_lossy(bytes).replace('\n', "\r\n");
            self.parser.lock().unwrap().process(text.as_bytes());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn lines_change_in_place_and_what_is_told_stays_above_them() {
        let terminal = Emulated::new(8, 20);
        let mut screen = terminal.screen();
        screen.draw("", &lines(&["one 1", "two 2", "three 3"])).unwrap();
        screen.draw("solved a", &lines(&["one", "\x1b[31mtwo\x1b[0m 22"])).unwrap();
        assert_eq!(terminal.shown(), ["solved a", "one", "two 22"]);
        screen.draw("note: b", &lines(&["1", "2", "3"])).unwrap();
        assert_eq!(terminal.shown(), ["solved a", "note: b", "1", "2", "3"]);
        screen.draw("", &[]).unwrap();
        assert_eq!(terminal.shown(), ["solved a", "note: b"]);
        assert_eq!(terminal.writes.load(Ordering::Relaxed), 4, "a change is one write");
        screen.draw("", &lines(&["left"])).unwrap();
        screen.leave().unwrap();
        screen.draw("", &lines(&["new"])).unwrap();
        assert_eq!(terminal.shown(), ["solved a", "note: b", "left", "new"]);
    }

    #[test]
    fn more_is_told_than_there_are_rows() {
        let terminal = Emulated::new(4, 20);
        let mut screen = terminal.screen();
        for number in 0..10 {
            screen.draw(&format!("line {number}"), &lines(&["a", "b"])).unwrap();
        }
        assert_eq!(terminal.shown(), ["line 9", "a", "b"]);
        assert_eq!(screen.room(), Size { columns: 19, rows: 3 });
    }

    #[test]
    fn a_narrower_terminal_has_broken_the_old_lines_into_several() {
        let terminal = Emulated::new(6, 20);
        let mut screen = terminal.screen();
        screen.draw("told", &lines(&["0123456789012345678"])).unwrap();
        // Terminals that reflow show the line of 19 characters on two rows of 10 now.
        *terminal.parser.lock().unwrap() = {
            let mut parser = vt100::Parser::new(6, 10, 100);
            parser.process(b"told\r\n0123456789\r\n012345678\r\n");
            parser
        };
        screen.draw("", &lines(&["short"])).unwrap();
        assert_eq!(terminal.shown(), ["told", "short"]);
    }
}
