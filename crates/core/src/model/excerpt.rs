//! Foreign text in our lines.

/// A text of unknown origin as part of one line for a person: what does not print is escaped, and what is longer than
/// `most` characters is cut, with an ellipsis.
pub fn excerpt(text: &str, most: usize) -> String {
    let mut shown = String::new();
    for character in text.chars().take(most) {
        match character {
            '"' | '\'' | '\\' => shown.push(character),
            _ => shown.extend(character.escape_debug()),
        }
    }
    if text.chars().nth(most).is_some() {
        shown.push('…');
    }
    shown
}

/// The first numbers of a list, and how many there are when that is not all.
pub(crate) fn excerpt_of_list<T: std::fmt::Debug>(list: &[T]) -> String {
    const MOST: usize = 12;
    match list.get(..MOST) {
        Some(first) if list.len() > MOST => format!("{first:?} and {} more", list.len() - MOST),
        _ => format!("{list:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_would_write_to_the_terminal_is_escaped_and_a_long_one_cut() {
        assert_eq!(excerpt("forecastd 0.1.0", 40), "forecastd 0.1.0");
        assert_eq!(excerpt("\u{1b}[2J\nError", 40), "\\u{1b}[2J\\nError");
        assert_eq!(excerpt("left\u{202e}thgir", 40), "left\\u{202e}thgir");
        assert_eq!(excerpt(&"é".repeat(50), 40), format!("{}…", "é".repeat(40)));
        assert_eq!(excerpt("it's \"good\"", 40), "it's \"good\"");
    }

    #[test]
    fn a_long_list_is_shown_by_its_beginning() {
        assert_eq!(excerpt_of_list(&[1, 2]), "[1, 2]");
        assert!(excerpt_of_list(&vec![7; 100_000]).ends_with("7] and 99988 more"));
    }
}
