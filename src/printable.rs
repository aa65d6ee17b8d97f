//! Log lines in which nothing is hidden: a station's name may be anything that its owner, or a stranger, publishes under.

use std::io::{self, Stderr, Write};

/// Writes lines with what is not seen, and what turns the direction of the text around it, as `\u202e`, which is also how JSON
/// has it.
pub(crate) struct Printable<W>(W);

impl Printable<Stderr> {
    /// The standard error of the process.
    pub(crate) fn stderr() -> Printable<Stderr> {
        Printable(io::stderr())
    }
}

impl<W: Write> Write for Printable<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(bytes) {
            Ok(text) if text.contains(is_hidden) => self.0.write_all(escaped(text).as_bytes())?,
            _ => self.0.write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Controls beyond ASCII, separators of lines and paragraphs, and format characters: of direction, without width, fillers. Those of
/// ASCII are escaped before; colours are made of them.
fn is_hidden(character: char) -> bool {
    matches!(
        character,
        '\u{80}'..='\u{9f}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
    )
}

fn escaped(text: &str) -> String {
    let mut line = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match is_hidden(character) {
            true => line.push_str(&format!("\\u{:04x}", u32::from(character))),
            false => line.push(character),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hides_or_turns_text_around_is_escaped_and_letters_of_any_script_stay() {
        let mut printable = Printable(Vec::new());
        for text in
            ["station=a\u{202e}b\u{200b}\u{85}\n", "station=Zürich, Київ, 東京\n", "\u{1b}[31mred\u{1b}[0m"]
        {
            printable.write_all(text.as_bytes()).unwrap();
        }
        let lines = String::from_utf8(printable.0).unwrap();
        assert_eq!(
            lines,
            "station=a\\u202eb\\u200b\\u0085\nstation=Zürich, Київ, 東京\n\u{1b}[31mred\u{1b}[0m"
        );
        let json: serde_json::Value = serde_json::from_str(&escaped("{\"station\":\"a\u{202e}b\"}")).unwrap();
        assert_eq!(json["station"], "a\u{202e}b");
    }
}
