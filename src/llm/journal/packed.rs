//! The packed form: JSON lines in zstd frames, one frame an append.
//!
//! Frames one behind the other are one zstd stream, so `zstdcat` reads the file. Each carries the
//! length and a checksum of its content; what is damaged is found, passed over and told, and what
//! lies behind it is read all the same.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use zstd::zstd_safe::find_frame_compressed_size;

/// First bytes of a frame, RFC 8878, section 3.1.1.
const MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();

/// Content of a frame in bytes at most: the cost of reading a single line.
pub(super) const LARGEST_CONTENT: usize = 512 << 10;

/// More content than any frame of ours has; what claims more is taken for damage.
const INCREDIBLE: u64 = 1 << 30;

/// zstd's own default. Of replies of code, level 1 takes 0.7 of the time and 1.3 of the space, level 6
/// 3 times the time and 0.9 of the space (`zstd -b -B512K` over the journals of `evaluation/scale`).
const LEVEL: i32 = 3;

/// A compressor for all journals of a process, since its state is a megabyte.
pub(super) struct Packer(Mutex<Option<zstd::bulk::Compressor<'static>>>);

impl Packer {
    pub(super) fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// One frame that holds `content`.
    pub(super) fn pack(&self, content: &[u8]) -> io::Result<Vec<u8>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut compressor = match kept.take() {
            Some(compressor) => compressor,
            None => {
                let mut new = zstd::bulk::Compressor::new(LEVEL)?;
                new.include_checksum(true)?;
                new
            }
        };
        let frame = compressor.compress(content);
        *kept = Some(compressor);
        frame
    }
}

/// The content of one frame, checked.
pub(super) fn unpack(frame: &[u8]) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let decoder = zstd::stream::Decoder::with_buffer(frame)?.single_frame();
    decoder.take(INCREDIBLE).read_to_end(&mut content)?;
    Ok(content)
}

/// What was found in the bytes of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    /// Whole frames with their content.
    pub(super) frames: Vec<(Range<usize>, Vec<u8>)>,
    /// Ranges between frames that are none.
    pub(super) damaged: Vec<Range<usize>>,
    /// Where the last whole frame ends. What lies behind it is torn or still being written.
    pub(super) end: usize,
}

/// Takes `bytes` apart, which begin where a frame should.
pub(super) fn scan(bytes: &[u8]) -> Scan {
    let mut scan = Scan::default();
    let mut at = 0;
    while at < bytes.len() {
        match frame_at(bytes, at) {
            Some((length, content)) => {
                if scan.end < at {
                    scan.damaged.push(scan.end..at);
                }
                scan.frames.push((at..at + length, content));
                at += length;
                scan.end = at;
            }
            None => match memchr::memmem::find(&bytes[at + 1..], &MAGIC) {
                Some(next) => at += 1 + next,
                None => break,
            },
        }
    }
    scan
}

fn frame_at(bytes: &[u8], at: usize) -> Option<(usize, Vec<u8>)> {
    let rest = bytes.get(at..)?;
    if !rest.starts_with(&MAGIC) {
        return None;
    }
    let length = find_frame_compressed_size(rest).ok()?;
    let content = unpack(rest.get(..length)?).ok()?;
    Some((length, content))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(texts: &[&str]) -> Vec<Vec<u8>> {
        let packer = Packer::new();
        texts.iter().map(|text| packer.pack(text.as_bytes()).unwrap()).collect()
    }

    fn contents(scan: &Scan) -> Vec<&str> {
        scan.frames.iter().map(|(_, content)| std::str::from_utf8(content).unwrap()).collect()
    }

    #[test]
    fn frames_in_a_row_are_one_stream_for_anybody() {
        let all = frames(&["one\n", "two\n"]).concat();
        assert_eq!(zstd::stream::decode_all(&all[..]).unwrap(), b"one\ntwo\n");
        let found = scan(&all);
        assert_eq!((contents(&found), found.end), (vec!["one\n", "two\n"], all.len()));
    }

    #[test]
    fn every_cut_keeps_the_whole_frames_before_it() {
        let parts = frames(&["one\n", "two\n", "three\n"]);
        let all = parts.concat();
        let ends: Vec<usize> = parts
            .iter()
            .scan(0, |end, part| {
                *end += part.len();
                Some(*end)
            })
            .collect();
        for cut in 0..=all.len() {
            let found = scan(&all[..cut]);
            let whole = ends.iter().filter(|&&end| end <= cut).count();
            assert_eq!(found.frames.len(), whole, "cut at {cut}");
            assert_eq!(found.end, whole.checked_sub(1).map_or(0, |last| ends[last]));
            assert!(found.damaged.is_empty());
        }
    }

    #[test]
    fn any_damaged_byte_costs_its_own_frame_at_most() {
        let long = "a rather long line of text that compresses to several sequences, ".repeat(20);
        let parts = frames(&["first\n", &long, "last\n"]);
        let (start, end) = (parts[0].len(), parts[0].len() + parts[1].len());
        for at in start..end {
            for bit in 0..8 {
                let mut all = parts.concat();
                all[at] ^= 1 << bit;
                let found = scan(&all);
                let texts = contents(&found);
                // A flipped bit that no decoder looks at (an unused one in a header) leaves all whole.
                if texts.len() == 3 {
                    assert_eq!(texts[1], long);
                } else {
                    assert_eq!(texts, ["first\n", "last\n"], "byte {at}, bit {bit}");
                    assert_eq!(found.damaged.first(), Some(&(start..end)));
                }
            }
        }
    }

    #[test]
    fn what_is_no_frame_at_all_is_no_end() {
        assert_eq!(scan(&[0; 4096]), Scan::default());
        assert_eq!(scan(b""), Scan::default());
        let mut all = frames(&["one\n"]).concat();
        let end = all.len();
        // Blocks that a file system promised and a power cut left empty.
        all.extend([0; 512]);
        assert_eq!(scan(&all).end, end);
    }
}
