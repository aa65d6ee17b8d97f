//! What a daemon and its engine's process say to each other, over a pair of sockets.
//!
//! A frame is its length as a `u32`, a tag, and what the tag says; numbers are little endian. The daemon sends the model
//! once, then frames of windows; the engine says that the model is loaded, or why not, and then answers every window in
//! turn.
//!
//! Errors cross as the text for a person. The daemon tells one from another only where the fault is not the model's, but of
//! the library of ONNX Runtime; more would be a second form of every error, to be kept by both sides and checked as what a
//! process sends in which a model may do what it likes.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::{Artefact, EngineChoice, EngineError, EngineKind, LibraryError};

/// The longest text that is sent, in bytes.
const MAX_TEXT: usize = 4096;
/// The most bytes of windows in one frame, but for a single window that is larger.
pub(crate) const MAX_FRAME: usize = 1024 * 1024;

/// The most windows whose answers are sent together, but for a batch that is larger: to wake the daemon for every answer
/// costs more than the answer does.
pub(crate) const ANSWERS_TOGETHER: usize = 16;

const LOAD: u8 = 1;
const RUN: u8 = 2;
const LOADED: u8 = 1;
const REFUSED: u8 = 2;
const OUTPUTS: u8 = 3;
const FAILED: u8 = 4;

/// The order to load a model.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Load {
    /// How many bytes the engine may allocate.
    pub memory: u64,
    /// The engine that the configuration asks for.
    pub choice: EngineChoice,
    /// The configured library of ONNX Runtime.
    pub library: Option<PathBuf>,
    /// How many bytes of the file follow.
    file: usize,
}

/// What the engine's process answers.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The model is loaded.
    Loaded {
        /// The engine that runs it.
        kind: EngineKind,
        /// How many windows it runs at once.
        max_batch: usize,
    },
    /// The model is not loaded.
    Refused(EngineError),
    /// The outputs of one window.
    Outputs(Vec<f32>),
    /// The engine fails on one window: what [`RunError`](crate::RunError) says of it.
    Failed(String),
}

/// An answer that cannot be one.
fn garbled() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

fn length(bytes: usize) -> io::Result<[u8; 4]> {
    u32::try_from(bytes).map(u32::to_le_bytes).map_err(|_| io::ErrorKind::InvalidInput.into())
}

fn array<const SIZE: usize>(stream: &mut impl Read) -> io::Result<[u8; SIZE]> {
    let mut bytes = [0; SIZE];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn read_length(stream: &mut impl Read) -> io::Result<usize> {
    Ok(u32::from_le_bytes(array(stream)?) as usize)
}

/// Sends a model.
pub(crate) fn send_load(
    stream: &mut impl Write,
    memory: u64,
    choice: EngineChoice,
    library: Option<&Path>,
    file: &[u8],
) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let library = library.map_or(&[][..], |path| path.as_os_str().as_bytes());
    let choice = match choice {
        EngineChoice::Auto => 0,
        EngineChoice::Tract => 1,
        EngineChoice::OnnxRuntime => 2,
    };
    let mut frame = vec![LOAD];
    frame.extend(memory.to_le_bytes());
    frame.push(choice);
    frame.extend(length(library.len())?);
    frame.extend(library);
    frame.extend(length(file.len())?);
    stream.write_all(&frame)?;
    stream.write_all(file)
}

/// Receives the order to load a model; its file is left to [`receive_file`], for which there must be memory.
pub(crate) fn receive_load(stream: &mut impl Read) -> io::Result<Load> {
    use std::os::unix::ffi::OsStringExt;
    let [tag] = array(stream)?;
    if tag != LOAD {
        return Err(garbled());
    }
    let memory = u64::from_le_bytes(array(stream)?);
    let choice = match array(stream)? {
        [0] => EngineChoice::Auto,
        [1] => EngineChoice::Tract,
        [2] => EngineChoice::OnnxRuntime,
        _ => return Err(garbled()),
    };
    let mut library = vec![0; read_length(stream)?];
    stream.read_exact(&mut library)?;
    let library = (!library.is_empty()).then(|| std::ffi::OsString::from_vec(library).into());
    let file = read_length(stream)?;
    Ok(Load { memory, choice, library, file })
}

/// Receives the file that `load` announces.
pub(crate) fn receive_file(stream: &mut impl Read, load: &Load) -> io::Result<Vec<u8>> {
    if load.file as u64 > Artefact::MAX_BYTES {
        return Err(garbled());
    }
    let mut file = vec![0; load.file];
    stream.read_exact(&mut file)?;
    Ok(file)
}

/// Puts windows into a frame. `frame` is overwritten; it is kept for its room.
pub(crate) fn encode_windows<'w>(frame: &mut Vec<u8>, windows: impl IntoIterator<Item = &'w [f32]>) {
    frame.clear();
    frame.extend([RUN, 0, 0, 0, 0]);
    let mut numbers = 0_u32;
    for window in windows {
        numbers += window.len() as u32;
        frame.extend(window.iter().flat_map(|number| number.to_le_bytes()));
    }
    frame[1..5].copy_from_slice(&numbers.to_le_bytes());
}

/// Receives windows, as numbers; `false` when the daemon is gone.
pub(crate) fn receive_windows(stream: &mut impl Read, windows: &mut Vec<f32>) -> io::Result<bool> {
    let mut tag = [0];
    if stream.read(&mut tag)? == 0 {
        return Ok(false);
    }
    if tag != [RUN] {
        return Err(garbled());
    }
    read_numbers(stream, windows)?;
    Ok(true)
}

fn read_numbers(stream: &mut impl Read, numbers: &mut Vec<f32>) -> io::Result<()> {
    let count = read_length(stream)?;
    numbers.clear();
    numbers.reserve(count);
    let mut bytes = [0; 4096];
    let mut left = count * 4;
    while left > 0 {
        let part = &mut bytes[..left.min(4096)];
        stream.read_exact(part)?;
        left -= part.len();
        let (four, _) = part.as_chunks::<4>();
        numbers.extend(four.iter().map(|&number| f32::from_le_bytes(number)));
    }
    Ok(())
}

impl Answer {
    /// Puts an answer behind what is in `frame` already.
    pub(crate) fn encode(&self, frame: &mut Vec<u8>) {
        match self {
            Answer::Loaded { kind, max_batch } => {
                let kind = match kind {
                    EngineKind::Tract => 1,
                    EngineKind::OnnxRuntime => 2,
                };
                frame.extend([LOADED, kind]);
                frame.extend((*max_batch as u32).to_le_bytes());
            }
            Answer::Refused(error) => {
                let (code, text) = match error {
                    EngineError::NoLibrary => (1, String::new()),
                    EngineError::Library(LibraryError::Start { message }) => (2, message.clone()),
                    EngineError::Library(LibraryError::StaticProgram) => (4, String::new()),
                    error => (3, error.to_string()),
                };
                frame.extend([REFUSED, code]);
                encode_text(frame, &text);
            }
            Answer::Outputs(outputs) => {
                frame.push(OUTPUTS);
                frame.extend((outputs.len() as u32).to_le_bytes());
                frame.extend(outputs.iter().flat_map(|output| output.to_le_bytes()));
            }
            Answer::Failed(text) => {
                frame.push(FAILED);
                encode_text(frame, text);
            }
        }
    }

    /// Receives an answer; one of other than `outputs` numbers is none.
    pub(crate) fn receive(stream: &mut impl Read, outputs: usize) -> io::Result<Answer> {
        let [tag] = array(stream)?;
        Ok(match tag {
            LOADED => {
                let kind = match array(stream)? {
                    [1] => EngineKind::Tract,
                    [2] => EngineKind::OnnxRuntime,
                    _ => return Err(garbled()),
                };
                Answer::Loaded { kind, max_batch: read_length(stream)? }
            }
            REFUSED => {
                let [code] = array(stream)?;
                let text = receive_text(stream)?;
                Answer::Refused(match code {
                    1 => EngineError::NoLibrary,
                    2 => EngineError::Library(LibraryError::Start { message: text }),
                    4 => EngineError::Library(LibraryError::StaticProgram),
                    _ => EngineError::Refused { message: text },
                })
            }
            OUTPUTS => {
                if read_length(stream)? != outputs {
                    return Err(garbled());
                }
                let mut bytes = vec![0; outputs * 4];
                stream.read_exact(&mut bytes)?;
                let (four, _) = bytes.as_chunks::<4>();
                Answer::Outputs(four.iter().map(|&number| f32::from_le_bytes(number)).collect())
            }
            FAILED => Answer::Failed(receive_text(stream)?),
            _ => return Err(garbled()),
        })
    }
}

fn encode_text(frame: &mut Vec<u8>, text: &str) {
    let text = &text[..text.floor_char_boundary(MAX_TEXT)];
    frame.extend((text.len() as u32).to_le_bytes());
    frame.extend(text.as_bytes());
}

/// A text of the other process, ready for a line of the log.
fn receive_text(stream: &mut impl Read) -> io::Result<String> {
    let length = read_length(stream)?;
    if length > MAX_TEXT {
        return Err(garbled());
    }
    let mut text = vec![0; length];
    stream.read_exact(&mut text)?;
    Ok(forecastd_core::excerpt(String::from_utf8_lossy(&text).trim(), 500))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RunError;

    fn received(answer: &Answer, outputs: usize) -> io::Result<Answer> {
        let mut frame = Vec::new();
        answer.encode(&mut frame);
        Answer::receive(&mut frame.as_slice(), outputs)
    }

    #[test]
    fn a_model_is_received_as_it_was_sent() {
        let mut sent = Vec::new();
        send_load(&mut sent, 1 << 40, EngineChoice::OnnxRuntime, Some(Path::new("/a/b.so")), b"file")
            .unwrap();
        let stream = &mut sent.as_slice();
        let load = receive_load(stream).unwrap();
        let library = Some(PathBuf::from("/a/b.so"));
        assert_eq!(load, Load { memory: 1 << 40, choice: EngineChoice::OnnxRuntime, library, file: 4 });
        assert_eq!(receive_file(stream, &load).unwrap(), b"file");
    }

    #[test]
    fn windows_are_received_bit_for_bit() {
        let windows = [vec![f32::MIN_POSITIVE, -0.0, 1e30], vec![0.1; 5000]];
        let mut frame = Vec::new();
        encode_windows(&mut frame, windows.iter().map(Vec::as_slice));
        let mut numbers = Vec::new();
        assert!(receive_windows(&mut frame.as_slice(), &mut numbers).unwrap());
        let bits = |numbers: &[f32]| numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&numbers), bits(&windows.concat()));
        assert!(!receive_windows(&mut &b""[..], &mut numbers).unwrap());
    }

    #[test]
    fn an_answer_of_another_size_or_tag_is_none() {
        let outputs = Answer::Outputs(vec![1.0, f32::NAN]);
        assert!(matches!(received(&outputs, 2).unwrap(), Answer::Outputs(found) if found.len() == 2));
        assert_eq!(received(&outputs, 3).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let unknown = Answer::receive(&mut &[9, 0, 0, 0, 0][..], 2);
        assert_eq!(unknown.unwrap_err().kind(), io::ErrorKind::InvalidData);
        let endless = Answer::receive(&mut &[FAILED, 255, 255, 255, 255][..], 2);
        assert_eq!(endless.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn what_the_engine_says_of_a_model_is_escaped_and_short() {
        let message = format!("\u{1b}[2J{}", "é".repeat(10_000));
        let error = EngineError::Run(RunError::Engine { message });
        let Ok(Answer::Refused(EngineError::Refused { message: text })) =
            received(&Answer::Refused(error), 1)
        else {
            panic!("no refusal");
        };
        assert!(text.starts_with("inference failed: \\u{1b}[2J") && text.len() < 1100, "{text}");
    }

    #[test]
    fn what_is_wrong_with_the_library_is_still_told_from_a_bad_model() {
        let passed = |error| match received(&Answer::Refused(error), 1) {
            Ok(Answer::Refused(error)) => error,
            other => panic!("{other:?}"),
        };
        assert!(matches!(passed(EngineError::NoLibrary), EngineError::NoLibrary));
        let old = LibraryError::Start { message: "too old".to_owned() };
        for fault in [LibraryError::StaticProgram, old] {
            let error = passed(EngineError::Library(fault.clone()));
            assert!(matches!(&error, EngineError::Library(found) if *found == fault), "{error}");
        }
    }
}
