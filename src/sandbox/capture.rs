//! Keeps the head and the tail of a stream of any length in bounded memory.

use std::collections::VecDeque;

/// Output of one command while it is read.
#[derive(Debug)]
pub(crate) struct Capture {
    limit: usize,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    total: u64,
}

impl Capture {
    /// Keeps at most `limit` bytes: the first quarter and the last three quarters, because test
    /// runners say what matters at the end.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, head: Vec::new(), tail: VecDeque::new(), total: 0 }
    }

    /// Takes the next bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let head_limit = self.limit / 4;
        let room = head_limit.saturating_sub(self.head.len()).min(bytes.len());
        let (first, rest) = bytes.split_at(room);
        self.head.extend_from_slice(first);

        let tail_limit = self.limit - head_limit;
        let rest = &rest[rest.len().saturating_sub(tail_limit)..];
        let surplus = (self.tail.len() + rest.len()).saturating_sub(tail_limit);
        self.tail.drain(..surplus);
        self.tail.extend(rest);
    }

    /// Whether more came than is kept.
    pub(crate) fn exceeded(&self) -> bool {
        self.total > self.limit as u64
    }

    /// Everything, or head, a line that says how much is missing, and tail.
    pub(crate) fn finish(self) -> Vec<u8> {
        let exceeded = self.exceeded();
        let kept = (self.head.len() + self.tail.len()) as u64;
        let mut output = self.head;
        if exceeded {
            let missing = self.total - kept;
            output.extend_from_slice(format!("\n[... {missing} bytes left out ...]\n").as_bytes());
        }
        output.extend(self.tail);
        output
    }
}

/// The last `count` bytes or less, cut between characters.
pub(crate) fn end_of(text: &str, count: usize) -> &str {
    let text = text.trim_end();
    &text[text.ceil_char_boundary(text.len().saturating_sub(count))..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(limit: usize, chunks: &[&[u8]]) -> (bool, Vec<u8>) {
        let mut capture = Capture::new(limit);
        for chunk in chunks {
            capture.push(chunk);
        }
        (capture.exceeded(), capture.finish())
    }

    #[test]
    fn output_up_to_the_limit_is_kept_whole() {
        assert_eq!(captured(8, &[b"abc", b"", b"defgh"]), (false, b"abcdefgh".to_vec()));
        assert_eq!(captured(0, &[]), (false, Vec::new()));
    }

    #[test]
    fn longer_output_keeps_head_and_tail_and_counts_the_rest() {
        let (exceeded, output) = captured(8, &[b"abcdefghij", b"klmnopqrst"]);
        assert!(exceeded);
        assert_eq!(output, b"ab\n[... 12 bytes left out ...]\nopqrst");
    }

    #[test]
    fn the_way_it_is_cut_into_chunks_does_not_matter() {
        let text: Vec<u8> = (0..2_000u32).map(|i| (i % 251) as u8).collect();
        for limit in [1, 2, 3, 7, 100, 1999, 2000] {
            let whole = captured(limit, &[&text]);
            let chunks: Vec<&[u8]> = text.chunks(13).collect();
            assert_eq!(captured(limit, &chunks), whole);
            assert!(whole.1.len() <= limit + 40, "bounded by the limit {limit}");
        }
    }

    #[test]
    fn the_end_of_a_text_is_cut_between_characters() {
        assert_eq!(end_of("aé", 1), "");
        assert_eq!(end_of("aéb\n", 3), "éb");
        assert_eq!(end_of("", 3), "");
    }
}
