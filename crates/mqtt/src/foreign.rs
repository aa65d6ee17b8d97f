//! Text that others wrote, made fit for a log line.

/// Characters of foreign text that are shown.
const SHOWN: usize = 200;

/// Foreign text on one line: control characters, escape sequences and characters that turn the direction of writing
/// are escaped, and what is beyond [`SHOWN`] characters is cut off.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == SHOWN {
            shown.push('…');
            break;
        }
        // A quotation mark can do no harm.
        if matches!(character, '"' | '\'') {
            shown.push(character);
        } else {
            shown.extend(character.escape_debug());
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_forge_a_line_nor_fill_the_log() {
        assert_eq!(
            shown("isn't \"so\"\n2026 ERROR \u{1b}[2Jx\u{202e}"),
            "isn't \"so\"\\n2026 ERROR \\u{1b}[2Jx\\u{202e}"
        );
        let long = shown(&"é".repeat(60_000));
        assert_eq!(long.chars().count(), SHOWN + 1);
        assert_eq!(shown("né"), "né");
    }
}
