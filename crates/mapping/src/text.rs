//! Numbers, missing values and compass points as text.

use serde_json::Value;

/// A scalar of a payload, or the text of a cell.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(untagged)]
pub enum Text {
    /// A number, as TOML and JSON write it.
    Number(f64),
    /// Any other text.
    Text(String),
    /// A number between two others.
    Between {
        /// The lowest and the highest.
        between: [f64; 2],
    },
}

impl Text {
    /// Whether a scalar is the same: as text without regard to case, or as a number (`16` is `16.0`).
    pub(crate) fn is(&self, text: &str) -> bool {
        let text = text.trim();
        match self {
            Text::Text(wanted) => {
                wanted.trim().eq_ignore_ascii_case(text)
                    || number(wanted).is_some_and(|wanted| number(text) == Some(wanted))
            }
            Text::Number(wanted) => number(text) == Some(*wanted),
            Text::Between { between: [low, high] } => {
                number(text).is_some_and(|number| (*low..=*high).contains(&number))
            }
        }
    }
}

/// The text of a JSON scalar; `None` for objects, arrays and null.
pub(crate) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is) => Some(is.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Whether a text says that nothing was measured, in whatever program wrote it: empty, `null`, `NaN`, `unavailable`, `---`.
pub fn is_missing(text: &str) -> bool {
    const MISSING: [&str; 14] = [
        "",
        "null",
        "none",
        "na",
        "n/a",
        "nan",
        "-nan",
        "unknown",
        "unavailable",
        "missing",
        "undefined",
        "offline",
        "\\n",
        "inf",
    ];
    let text = text.trim();
    MISSING.iter().any(|missing| text.eq_ignore_ascii_case(missing))
        || text.bytes().all(|byte| matches!(byte, b'-' | b'*' | b'/' | b'#' | b'.'))
}

/// A finite number, with a decimal point or comma, with a minus sign of any kind.
///
/// `7,1` is 7.1. With a point beside it, or before three digits and more of them, a comma would group thousands, and
/// nobody knows: `1.013,2` and `1,013,2` are no numbers.
pub fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    let unsigned = text.strip_prefix(['\u{2212}', '\u{2013}']);
    let parsed = match unsigned {
        Some(rest) => plain(rest).filter(|number| *number >= 0.0).map(|number| -number),
        None => plain(text),
    }?;
    // Values are of single precision, in which 10³⁹ is infinite.
    (parsed as f32).is_finite().then_some(parsed)
}

fn plain(text: &str) -> Option<f64> {
    text.parse().ok().or_else(|| {
        let (whole, fraction) = text.split_once(',')?;
        let is_digits = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
        (is_digits && !whole.contains('.')).then(|| format!("{whole}.{fraction}").parse().ok())?
    })
}

/// The direction in degrees of a compass point of sixteen, by its English letters or words.
pub(crate) fn compass_point(text: &str) -> Option<f64> {
    const POINTS: [&str; 16] =
        ["N", "NNE", "NE", "ENE", "E", "ESE", "SE", "SSE", "S", "SSW", "SW", "WSW", "W", "WNW", "NW", "NNW"];
    const WORDS: [(&str, &str); 4] = [("NORTH", "N"), ("EAST", "E"), ("SOUTH", "S"), ("WEST", "W")];
    let mut letters: String =
        text.chars().filter(|character| character.is_alphabetic()).flat_map(char::to_uppercase).collect();
    for (word, letter) in WORDS {
        letters = letters.replace(word, letter);
    }
    POINTS.iter().position(|point| *point == letters).map(|index| index as f64 * 22.5)
}

/// Whether a text says that there is no wind.
pub(crate) fn is_calm(text: &str) -> bool {
    text.trim().eq_ignore_ascii_case("calm")
}

/// A text for a message: not more of it than a person reads.
pub fn shortened(text: &str) -> String {
    const MOST: usize = 60;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}\u{2026}", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_spelling_are_read() {
        for (text, value) in [
            ("7.1", 7.1),
            ("7,1", 7.1),
            (" -0,5 ", -0.5),
            ("+0045", 45.0),
            ("\u{2212}3.5", -3.5),
            ("1013", 1013.0),
            ("1e3", 1000.0),
        ] {
            assert_eq!(number(text), Some(value), "{text}");
        }
        for text in ["", "NW", "7.1 C", "1.013,2", "1,013,2", "7,", "nan", "inf", "1e39", "\u{2212}-3"] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn compass_points_are_directions() {
        for (text, degrees) in
            [("N", 0.0), ("nne", 22.5), ("E", 90.0), ("SSW", 202.5), ("NNW", 337.5), ("North West", 315.0)]
        {
            assert_eq!(compass_point(text), Some(degrees), "{text}");
        }
        for text in ["VRB", "Calm", "", "NEN", "O"] {
            assert_eq!(compass_point(text), None, "{text}");
        }
    }

    #[test]
    fn what_programs_write_for_nothing_is_missing() {
        for text in ["", " ", "null", "NaN", "N/A", "unavailable", "Unknown", "---", "--.-", "***"] {
            assert!(is_missing(text), "{text:?}");
        }
        for text in ["0", "M", "-1", "-9999", "calm"] {
            assert!(!is_missing(text), "{text:?}");
        }
    }

    #[test]
    fn a_condition_compares_numbers_as_numbers() {
        assert!(Text::Number(16.0).is("16.0") && Text::Text("16".into()).is("16.0"));
        assert!(Text::Text("M".into()).is(" m ") && !Text::Text("M".into()).is("MM"));
        assert!(!Text::Number(99.0).is("9.9") && Text::Text("99.0".into()).is("99"));
    }
}
