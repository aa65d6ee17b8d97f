//! The lines of a text file: numbered, of bounded length, whatever they end with.

use std::io::{BufRead, ErrorKind, Result};

/// The longest line, in bytes, that is taken for a row of readings.
pub(crate) const MAX_LINE: usize = 1 << 16;

/// Reads lines that end with LF, CR LF or CR.
pub(crate) struct Lines<R> {
    input: R,
    line: Vec<u8>,
    number: u64,
    /// Whether the last line ended with CR, so that an LF behind it is no line of its own.
    after_cr: bool,
}

/// What a line is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// Its bytes, without the end.
    Whole(&'a [u8]),
    /// It is longer than [`MAX_LINE`], and was passed over.
    TooLong,
}

impl<R: BufRead> Lines<R> {
    /// Reads from `input`.
    pub(crate) fn new(input: R) -> Lines<R> {
        Lines { input, line: Vec::new(), number: 0, after_cr: false }
    }

    /// The number of the line read last, counted from 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The next line, or `None` at the end.
    ///
    /// # Errors
    /// When the input cannot be read.
    pub(crate) fn next_line(&mut self) -> Result<Option<Line<'_>>> {
        self.line.clear();
        let (mut length, mut is_over) = (0, false);
        while !is_over {
            let buffer = match self.input.fill_buf() {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                buffer => buffer?,
            };
            if buffer.is_empty() {
                if length == 0 {
                    return Ok(None);
                }
                break;
            }
            let rest = match buffer {
                [b'\n', rest @ ..] if self.after_cr => rest,
                buffer => buffer,
            };
            let skipped = buffer.len() - rest.len();
            self.after_cr = false;
            let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let part = &rest[..end.unwrap_or(rest.len())];
            if length + part.len() <= MAX_LINE {
                self.line.extend_from_slice(part);
            }
            length += part.len();
            let mut used = skipped + part.len();
            if let Some(end) = end {
                self.after_cr = rest[end] == b'\r';
                used += 1;
                is_over = true;
            }
            self.input.consume(used);
        }
        self.number += 1;
        Ok(Some(if length > MAX_LINE { Line::TooLong } else { Line::Whole(&self.line) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    /// The lines of a text, read in pieces of so many bytes.
    fn lines(text: &[u8], piece: usize) -> Vec<(u64, Option<Vec<u8>>)> {
        let mut lines = Lines::new(BufReader::with_capacity(piece, text));
        let mut all = Vec::new();
        loop {
            let line = match lines.next_line().unwrap() {
                None => break,
                Some(Line::Whole(line)) => Some(line.to_vec()),
                Some(Line::TooLong) => None,
            };
            all.push((lines.number(), line));
        }
        all
    }

    #[test]
    fn every_end_of_line_ends_one_line() {
        let expected: Vec<(u64, Option<Vec<u8>>)> =
            vec![(1, Some(b"a".to_vec())), (2, Some(Vec::new())), (3, Some(b"bc".to_vec()))];
        for end in ["\n", "\r\n", "\r"] {
            for text in [format!("a{end}{end}bc"), format!("a{end}{end}bc{end}")] {
                for piece in 1..5 {
                    assert_eq!(lines(text.as_bytes(), piece), expected, "{text:?} in pieces of {piece}");
                }
            }
        }
        assert!(lines(b"", 8).is_empty());
    }

    #[test]
    fn a_line_without_end_takes_no_memory_and_the_next_is_read() {
        let text = [vec![b'x'; MAX_LINE], vec![b'\n'], vec![b'x'; MAX_LINE + 1], b"\nnext".to_vec()].concat();
        let found = lines(&text, 4096);
        assert_eq!(found[0].1.as_ref().map(Vec::len), Some(MAX_LINE));
        assert_eq!(found[1..], [(2, None), (3, Some(b"next".to_vec()))]);
    }
}
