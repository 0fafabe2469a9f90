//! Git's binary patches: zlib data in base 85, for files whose changed lines are not UTF-8 and so
//! could not stand in a diff that is text. Writes `literal` hunks, reads `literal` and `delta`.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

/// Git's digits, in order.
const DIGITS: &[u8; 85] =
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";
/// Bytes in a full line of base 85.
const LINE: usize = 52;
/// Largest file that a binary hunk may unpack to, in bytes.
const MAX_UNPACKED: usize = 64 << 20;

/// Appends a `literal` hunk with the whole of `content`, and the blank line that ends it.
pub(crate) fn write_literal(out: &mut String, content: &[u8]) {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    // Writing to a vector cannot fail.
    let packed = encoder.write_all(content).and_then(|()| encoder.finish()).unwrap_or_default();
    let _ = writeln!(out, "literal {}", content.len());
    for chunk in packed.chunks(LINE) {
        let length = u8::try_from(chunk.len()).unwrap_or_default();
        out.push(char::from(if length <= 26 { b'A' + length - 1 } else { b'a' + length - 27 }));
        for group in chunk.chunks(4) {
            let mut word = [0; 4];
            word[..group.len()].copy_from_slice(group);
            let mut value = u32::from_be_bytes(word);
            let mut digits = [0; 5];
            for digit in digits.iter_mut().rev() {
                *digit = DIGITS[(value % 85) as usize];
                value /= 85;
            }
            out.extend(digits.map(char::from));
        }
        out.push('\n');
    }
    out.push('\n');
}

/// How a binary hunk makes the new file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BinaryHunk {
    Literal(Vec<u8>),
    Delta(Vec<u8>),
}

/// Reads one hunk: its header line and the lines after it up to a blank one. Returns the number of
/// lines read. Nothing if it is broken.
pub(crate) fn read_hunk(lines: &[&str]) -> Option<(BinaryHunk, usize)> {
    let (kind, size) = lines.first()?.split_once(' ')?;
    let size: usize = size.trim().parse().ok()?;
    if size > MAX_UNPACKED {
        return None;
    }
    let mut packed = Vec::new();
    let mut read = 1;
    for line in &lines[1..] {
        if line.is_empty() {
            break;
        }
        decode_line(line, &mut packed)?;
        read += 1;
    }
    let mut data = Vec::new();
    let limit = u64::try_from(size).ok()? + 1;
    ZlibDecoder::new(packed.as_slice()).take(limit).read_to_end(&mut data).ok()?;
    if data.len() != size {
        return None;
    }
    match kind {
        "literal" => Some((BinaryHunk::Literal(data), read)),
        "delta" => Some((BinaryHunk::Delta(data), read)),
        _ => None,
    }
}

fn decode_line(line: &str, out: &mut Vec<u8>) -> Option<()> {
    let (&first, digits) = line.as_bytes().split_first()?;
    let length = match first {
        b'A'..=b'Z' => first - b'A' + 1,
        b'a'..=b'z' => first - b'a' + 27,
        _ => return None,
    };
    let end = out.len() + usize::from(length);
    for group in digits.chunks(5) {
        if group.len() != 5 {
            return None;
        }
        let mut value: u32 = 0;
        for digit in group {
            let digit = DIGITS.iter().position(|known| known == digit)?;
            value = value.checked_mul(85)?.checked_add(u32::try_from(digit).ok()?)?;
        }
        out.extend_from_slice(&value.to_be_bytes());
    }
    if out.len() < end || out.len() - end >= 4 {
        return None;
    }
    out.truncate(end);
    Some(())
}

/// Applies git's delta to `old`; nothing if it does not fit.
pub(crate) fn apply_delta(old: &[u8], delta: &[u8]) -> Option<Vec<u8>> {
    let mut at = 0;
    if size(delta, &mut at)? != old.len() {
        return None;
    }
    let new_size = size(delta, &mut at)?;
    if new_size > MAX_UNPACKED {
        return None;
    }
    let mut new = Vec::new();
    while at < delta.len() {
        let op = delta[at];
        at += 1;
        if op & 0x80 == 0 {
            let end = at + usize::from(op);
            if op == 0 {
                return None;
            }
            new.extend_from_slice(delta.get(at..end)?);
            at = end;
        } else {
            let mut fields = [0_usize; 7];
            for (bit, field) in fields.iter_mut().enumerate() {
                if op & (1 << bit) != 0 {
                    *field = usize::from(*delta.get(at)?);
                    at += 1;
                }
            }
            let [a, b, c, d, x, y, z] = fields;
            let start = a | b << 8 | c << 16 | d << 24;
            let length = x | y << 8 | z << 16;
            let length = if length == 0 { 0x10000 } else { length };
            new.extend_from_slice(old.get(start..start.checked_add(length)?)?);
        }
        if new.len() > new_size {
            return None;
        }
    }
    (new.len() == new_size).then_some(new)
}

/// A size in git's variable-length form: seven bits a byte, lowest first.
fn size(delta: &[u8], at: &mut usize) -> Option<usize> {
    let mut value = 0_usize;
    for shift in (0..35).step_by(7) {
        let byte = *delta.get(*at)?;
        *at += 1;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
