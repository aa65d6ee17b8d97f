//! Payloads as JSON, with the liberties that programs take.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

/// Parses JSON; where that fails, once more with bare non-numbers taken for `null`, and numbers that are too large, `1e999`, for
/// texts, which are no values.
///
/// # Errors
/// What serde_json says of the text as it is.
pub fn parse_json(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(text).or_else(|error| match without_bare_words(text) {
        Some(mended) => serde_json::from_str(&mended).map_err(|_| error),
        None => Err(error),
    })
}

/// The text with every `NaN` and `Infinity` outside of strings, as programs in C, JavaScript and Python write them,
/// replaced by `null`, and every number beyond the largest by a text; `None` when there is none.
fn without_bare_words(text: &str) -> Option<String> {
    let is_non_number = |word: &str| {
        let unsigned = word.strip_prefix(['-', '+']).unwrap_or(word);
        ["nan", "inf", "infinity"].iter().any(|non_number| unsigned.eq_ignore_ascii_case(non_number))
    };
    let is_too_large = |word: &str| {
        word.ends_with(|last: char| last.is_ascii_digit()) && word.parse().is_ok_and(f64::is_infinite)
    };
    let is_of_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.' | b'_');
    let bytes = text.as_bytes();
    let mut mended = String::with_capacity(text.len() + 8);
    let (mut copied, mut at) = (0, 0);
    while let Some(&byte) = bytes.get(at) {
        let rest = &bytes[at + 1..];
        let length = 1 + match byte {
            // To the quote that ends the string: one with an even number of backslashes before it.
            b'"' => {
                let mut is_escaped = false;
                let end = rest.iter().position(|&byte| {
                    let ends = byte == b'"' && !is_escaped;
                    is_escaped = byte == b'\\' && !is_escaped;
                    ends
                });
                end.map_or(rest.len(), |end| end + 1)
            }
            byte if is_of_word(byte) => rest.iter().take_while(|&&byte| is_of_word(byte)).count(),
            _ => 0,
        };
        // What a word starts and ends with is ASCII, so these are borders of characters.
        let word = text.get(at..at + length).filter(|_| is_of_word(byte)).unwrap_or_default();
        let meant = match word {
            word if is_non_number(word) => Some("null".to_owned()),
            word if is_too_large(word) => Some(format!("\"{word}\"")),
            _ => None,
        };
        if let Some(meant) = meant {
            mended.push_str(&text[copied..at]);
            mended.push_str(&meant);
            copied = at + length;
        }
        at += length;
    }
    (copied > 0).then(|| mended + &text[copied..])
}

/// `tempf=45.0&humidity=87`, as consoles post it, or `outTemp=7.2, outHumidity=81`, as an object of texts; `None` where a
/// text is not of that kind.
pub(crate) fn from_form(text: &str) -> Option<Value> {
    let separator = if text.contains('&') { '&' } else { ',' };
    let mut object = Map::new();
    for pair in text.trim().trim_start_matches(['?', '/']).split(separator) {
        let (key, value) = pair.split_once('=')?;
        let key = key.trim();
        let is_key = !key.is_empty()
            && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
        if !is_key {
            return None;
        }
        object.insert(key.to_owned(), Value::String(decoded(value.trim())));
    }
    Some(Value::Object(object))
}

/// Takes `+` and `%3A` of a form apart: a plus is a space, but the sign of a number stays.
fn decoded(text: &str) -> String {
    let (sign, rest) = text.split_at(usize::from(text.starts_with('+')));
    let spaced = rest.replace('+', " ");
    sign.to_owned() + &percent_decode_str(&spaced).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn forms_become_objects_of_texts() {
        assert_eq!(
            from_form("PASSKEY=X&dateutc=2026-11-25+13:08:41&tempf=45.0&a=%3a"),
            Some(json!({"PASSKEY": "X", "dateutc": "2026-11-25 13:08:41", "tempf": "45.0", "a": ":"}))
        );
        // A sign is none that was written for a space; what is no code stays.
        assert_eq!(
            from_form("t=+1.5&r=%2B2+%zz%4&s=%c3%a9"),
            Some(json!({"t": "+1.5", "r": "+2 %zz%4", "s": "é"}))
        );
        assert_eq!(
            from_form("outTemp=7.2, outHumidity=81"),
            Some(json!({"outTemp": "7.2", "outHumidity": "81"}))
        );
        for text in ["7.2", "online", "a b=3", "=3", "{\"a\":\"b=c\"}", "a=1&b"] {
            assert_eq!(from_form(text), None, "{text}");
        }
    }

    #[test]
    fn a_bare_nan_or_infinity_is_null() {
        for bare in ["NaN", "nan", "-nan", "Infinity", "-Infinity", "inf", "-inf", "+Inf"] {
            let text = format!("{{\"note\":\"NaN, \\\\\\\"nan é\",\"t\":{bare},\"h\" : {bare} ,\"p\":1}}");
            assert_eq!(parse_json(&text).unwrap()["t"], Value::Null, "{bare}");
        }
        for broken in ["{\"t\":NaN", "{\"t\":NaNs}", "\"nan", "{nan:1}"] {
            assert!(parse_json(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_number_beyond_the_largest_is_a_text_and_costs_no_other_value() {
        for large in ["1e999", "-1e999", "1.5E+400"] {
            let text = format!("{{\"e\":\"1e999\",\"t\":{large},\"h\":[{large}, 81]}}");
            assert_eq!(parse_json(&text).unwrap(), json!({"e": "1e999", "t": large, "h": [large, 81]}));
        }
        assert!(parse_json("{\"t\":1e999").is_err());
    }

    proptest! {
        /// Random text of what JSON and forms are made of, so that the second parse is reached.
        #[test]
        fn no_text_makes_the_parsers_panic(text in "(\\{|\\}|\"|:|,|=|&|%|\\+|nan|NaN|-inf|\\\\|é|[0-9a-f]| ){0,60}") {
            let _ = parse_json(&text);
            let _ = from_form(&text);
        }

        #[test]
        fn only_what_is_no_json_is_mended(text in "(\\{|\\}|\"|:|,|nan|NaN|-inf|\\\\|é|null|[0-9]| ){0,60}") {
            if serde_json::from_str::<Value>(&text).is_ok() {
                prop_assert_eq!(without_bare_words(&text), None);
            }
        }
    }
}
