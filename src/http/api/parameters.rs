//! The parameters of a request. One that is not known, stands twice or cannot be read is refused by name.

use std::ops::RangeInclusive;

use jiff::Timestamp;
use url::form_urlencoded;

use super::problem::Problem;

/// The longest text of a parameter that is looked at, in characters.
const MAX_CHARACTERS: usize = 64;

/// The parameters of one request.
#[derive(Debug)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Takes a query apart, of which these names are known.
    pub(super) fn new(query: Option<&str>, known: &[&str]) -> Result<Parameters, Problem> {
        let mut found: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if !known.contains(&name.as_ref()) {
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(Problem::parameter(&name, format!("not known here; known: {known}")));
            }
            if found.iter().any(|(other, _)| *other == name) {
                return Err(Problem::parameter(&name, "stands twice"));
            }
            if value.chars().count() > MAX_CHARACTERS {
                return Err(Problem::parameter(&name, format!("longer than {MAX_CHARACTERS} characters")));
            }
            found.push((name.into_owned(), value.into_owned()));
        }
        Ok(Parameters(found))
    }

    /// The text of a parameter.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// A whole number within a range.
    pub(super) fn number(
        &self,
        name: &str,
        range: RangeInclusive<u32>,
        default: u32,
    ) -> Result<u32, Problem> {
        let Some(text) = self.text(name) else { return Ok(default) };
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| {
            Problem::parameter(
                name,
                format!("expected a whole number from {} to {}", range.start(), range.end()),
            )
        })
    }

    /// The value of a parameter that is a time; none where it is absent.
    pub(super) fn time(&self, name: &str) -> Result<Option<Timestamp>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| {
            Problem::parameter(name, "expected a time of RFC 3339, such as 2020-01-01T00:00:00Z")
        })
    }

    /// One of these words.
    pub(super) fn one_of<'word>(
        &self,
        name: &str,
        words: impl Iterator<Item = &'word str> + Clone,
    ) -> Result<Option<&'word str>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        words.clone().find(|word| *word == text).map(Some).ok_or_else(|| {
            Problem::parameter(name, format!("expected one of {}", words.collect::<Vec<_>>().join(", ")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 3] = ["from", "limit", "format"];

    fn refusal(query: &str) -> String {
        let parameters = Parameters::new(Some(query), &KNOWN);
        let refused = parameters.and_then(|parameters| {
            parameters.time("from")?;
            parameters.number("limit", 1..=200, 50)?;
            parameters.one_of("format", ["json", "csv"].into_iter())
        });
        refused.unwrap_err().to_string()
    }

    #[test]
    fn what_is_not_known_or_cannot_be_read_is_refused_by_name() {
        assert_eq!(refusal("form=2020-01-01T00:00:00Z"), "form: not known here; known: from, limit, format");
        assert_eq!(refusal("limit=1&limit=2"), "limit: stands twice");
        assert_eq!(
            refusal("from=yesterday"),
            "from: expected a time of RFC 3339, such as 2020-01-01T00:00:00Z"
        );
        for limit in ["0", "201", "-1", "1.5", "", "99999999999999999999"] {
            assert_eq!(refusal(&format!("limit={limit}")), "limit: expected a whole number from 1 to 200");
        }
        assert_eq!(refusal("format=xls"), "format: expected one of json, csv");
        assert_eq!(refusal(&format!("from={}", "x".repeat(65))), "from: longer than 64 characters");
    }

    #[test]
    fn what_is_encoded_is_read_and_what_is_not_given_has_its_default() {
        let parameters = Parameters::new(Some("from=2020-01-01T01%3A00%3A00%2B01:00"), &KNOWN).unwrap();
        assert_eq!(parameters.time("from"), Ok(Some("2020-01-01T00:00:00Z".parse().unwrap())));
        assert_eq!(parameters.number("limit", 1..=200, 50), Ok(50));
        assert_eq!(parameters.one_of("format", ["csv"].into_iter()), Ok(None));
    }
}
