//! The Jena climate record, downloaded once from TensorFlow's public copy and kept in the user's cache.

use std::io::{Cursor, Read};
use std::path::PathBuf;
use std::time::Duration;

use sha1::{Digest, Sha1};

use forecastd_atomic_file::{self as atomic_file, WriteError};

/// TensorFlow's public copy.
const URL: &str =
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/jena_climate_2009_2016.csv.zip";
/// Size of the archive.
const ARCHIVE_BYTES: u64 = 13_568_290;
/// Rows of the record, without its header.
const ROWS: usize = 420_551;
/// Columns of the record.
const COLUMNS: usize = 15;
/// First and last time stamp.
const FIRST: &str = "01.01.2009 00:10:00";
const LAST: &str = "01.01.2017 00:00:00";
/// Git blob identifiers of the copies that are known from public repositories.
const KNOWN_BLOBS: [&str; 2] =
    ["3dc17139ed8afe4f693b3b88cbdd6e3a69e2de0c", "e6cfb671e72f630f251a18722fcebe6944c758c0"];

/// Why the record cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The download failed.
    #[error("download of {URL}: {0}")]
    Download(String),
    /// What was downloaded is not the record.
    #[error("downloaded file is not the Jena climate record: {0}")]
    NotTheRecord(String),
    /// The cache cannot be written.
    #[error(transparent)]
    Cache(#[from] WriteError),
    /// There is no place for a cache.
    #[error("no cache folder: set XDG_CACHE_HOME or HOME")]
    NoCache,
}

/// The record in the cache, and what is known of the copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The CSV file.
    pub path: PathBuf,
    /// Whether it is one of the copies known from public repositories, byte for byte.
    pub is_known_copy: bool,
}

/// Where the record is kept: `forecastd/jena_climate_2009_2016.csv` under the XDG cache folder.
pub fn cache_path() -> Option<PathBuf> {
    let absolute =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path: &PathBuf| path.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(cache.join("forecastd/jena_climate_2009_2016.csv"))
}

/// Gives the record from the cache, or downloads it. `progress` gets bytes come and bytes expected.
///
/// # Errors
/// [`FetchError`]; nothing broken is left in the cache.
pub fn fetch(mut progress: impl FnMut(u64, u64)) -> Result<Fetched, FetchError> {
    let path = cache_path().ok_or(FetchError::NoCache)?;
    if let Ok(csv) = std::fs::read(&path)
        && let Ok(is_known_copy) = verify(&csv)
    {
        return Ok(Fetched { path, is_known_copy });
    }
    let csv = unpack(&download(&mut progress)?)?;
    let is_known_copy = verify(&csv)?;
    atomic_file::write(&path, &csv)?;
    Ok(Fetched { path, is_known_copy })
}

fn download(progress: &mut impl FnMut(u64, u64)) -> Result<Vec<u8>, FetchError> {
    let failed = |error: &dyn std::fmt::Display| FetchError::Download(error.to_string());
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_connect(Some(Duration::from_secs(5)))
        .timeout_global(Some(Duration::from_secs(300)))
        .build()
        .into();
    let response = agent.get(URL).call().map_err(|error| failed(&error))?;
    let mut body = response.into_body().into_reader().take(10 * ARCHIVE_BYTES);
    let mut archive = Vec::with_capacity(ARCHIVE_BYTES as usize);
    let mut chunk = vec![0; 1 << 16];
    loop {
        match body.read(&mut chunk).map_err(|error| failed(&error))? {
            0 => break,
            count => archive.extend_from_slice(&chunk[..count]),
        }
        progress(archive.len() as u64, ARCHIVE_BYTES);
    }
    if archive.len() as u64 != ARCHIVE_BYTES {
        return Err(FetchError::NotTheRecord(format!(
            "archive has {} bytes, not {ARCHIVE_BYTES}",
            archive.len()
        )));
    }
    Ok(archive)
}

fn unpack(archive: &[u8]) -> Result<Vec<u8>, FetchError> {
    /// The record has 43 MB.
    const MAX_CSV_BYTES: u64 = 200 << 20;
    let broken = |error: &dyn std::fmt::Display| FetchError::NotTheRecord(error.to_string());
    let mut archive = zip::ZipArchive::new(Cursor::new(archive)).map_err(|error| broken(&error))?;
    let file = archive.by_index(0).map_err(|error| broken(&error))?;
    let mut csv = Vec::new();
    file.take(MAX_CSV_BYTES).read_to_end(&mut csv).map_err(|error| broken(&error))?;
    Ok(csv)
}

/// Checks structure, and tells whether the bytes are those of a known copy.
fn verify(csv: &[u8]) -> Result<bool, FetchError> {
    let wrong = |what: String| Err(FetchError::NotTheRecord(what));
    let Ok(text) = std::str::from_utf8(csv) else { return wrong("not text".to_owned()) };
    let mut lines = text.lines().filter(|line| !line.is_empty());
    let columns = lines.next().map_or(0, |header| header.split(',').count());
    if columns != COLUMNS {
        return wrong(format!("{columns} columns, not {COLUMNS}"));
    }
    let time = |line: &str| line.split(',').next().unwrap_or_default().trim_matches('"').to_owned();
    let (mut first, mut last, mut rows) = (None, None, 0);
    for line in lines {
        rows += 1;
        first.get_or_insert_with(|| time(line));
        last = Some(line);
    }
    let last = last.map(time);
    if rows != ROWS || first.as_deref() != Some(FIRST) || last.as_deref() != Some(LAST) {
        return wrong(format!("{rows} rows from {first:?} to {last:?}, not {ROWS} from {FIRST} to {LAST}"));
    }
    Ok(KNOWN_BLOBS.contains(&git_blob(csv).as_str()))
}

/// Git's identifier of a blob: SHA-1 over `blob <length>\0` and the content.
fn git_blob(content: &[u8]) -> String {
    let mut hasher = Sha1::new();
    hasher.update(format!("blob {}\0", content.len()));
    hasher.update(content);
    hex::encode(hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `git hash-object` of an empty file and of "hello\n", as every git repository knows them.
    #[test]
    fn a_blob_has_git_s_identifier() {
        assert_eq!(git_blob(b""), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
        assert_eq!(git_blob(b"hello\n"), "ce013625030ba8dba906f756967f9e9ca394464a");
    }

    #[test]
    fn another_file_is_not_taken_for_the_record() {
        for csv in [&b""[..], b"a,b\n1,2\n", b"\xff"] {
            assert!(matches!(verify(csv), Err(FetchError::NotTheRecord(_))));
        }
        assert!(unpack(b"PK no archive").is_err());
    }
}
