//! The bytes of a file as text: decompressed, without byte order mark, its beginning looked at first.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Error, Read, Result};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;

/// How much of a file is looked at before it is read.
const HEAD: u64 = 1 << 20;

/// A file that is open, and its beginning.
pub(crate) struct Source {
    /// The first [`HEAD`] bytes of its text.
    pub(crate) head: Vec<u8>,
    /// The whole text, from the beginning.
    pub(crate) text: Box<dyn BufRead + Send>,
    /// How many bytes of the file were read.
    pub(crate) position: Arc<AtomicU64>,
    /// How many bytes the file has.
    pub(crate) len: u64,
}

/// Counts what is read.
struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Opens a file of text, compressed by gzip or not.
///
/// # Errors
/// When it cannot be read, or is no text in an encoding that is a superset of ASCII.
pub(crate) fn open(path: &Path) -> Result<Source> {
    let metadata = std::fs::metadata(path)?;
    // A pipe would be waited for; and a file is read twice, once for its hash.
    if !metadata.is_file() {
        return Err(Error::other("not a regular file"));
    }
    let position = Arc::new(AtomicU64::new(0));
    let mut file = Counted { inner: File::open(path)?, count: Arc::clone(&position) };
    let mut magic = Vec::new();
    file.by_ref().take(4).read_to_end(&mut magic)?;
    if magic.starts_with(b"PK\x03\x04") {
        return Err(Error::other("a ZIP archive; unpack it"));
    }
    let is_gzip = magic.starts_with(b"\x1f\x8b");
    let file = Cursor::new(magic).chain(file);
    let mut text: Box<dyn Read + Send> =
        if is_gzip { Box::new(MultiGzDecoder::new(BufReader::new(file))) } else { Box::new(file) };
    let mut head = Vec::new();
    text.by_ref().take(HEAD).read_to_end(&mut head)?;
    // A damaged row has NUL bytes; where the header has them it is because each character has more than one byte.
    let first_line = head.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") || first_line.contains(&0) {
        return Err(Error::other("no text: encoded in UTF-16 or UTF-32 or binary; save it as UTF-8"));
    }
    const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
    if head.starts_with(BYTE_ORDER_MARK) {
        head.drain(..BYTE_ORDER_MARK.len());
    }
    let text = Box::new(BufReader::with_capacity(1 << 16, Cursor::new(head.clone()).chain(text)));
    Ok(Source { head, text, position, len: metadata.len() })
}

/// A name in UTF-8, or else in Latin-1, as the Jena station's own files have it, where µ and ° are: each byte is its code
/// point.
pub(crate) fn decode(name: &[u8]) -> String {
    match std::str::from_utf8(name) {
        Ok(name) => name.to_owned(),
        Err(_) => name.iter().copied().map(char::from).collect(),
    }
}
