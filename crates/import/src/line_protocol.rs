//! A line of InfluxDB's line protocol: `measurement,tag=value field=1.5,other=2i 1700000000000000000`.
//!
//! Source: docs.influxdata.com, line protocol reference. Commas, spaces and equals signs are escaped with a backslash in
//! measurements (comma and space), keys and tag values; a field that is text stands in double quotes, in which a quote and a
//! backslash are escaped; integers end with `i` or `u`.

use std::borrow::Cow;

/// What was measured at one time: a line of the protocol, its escapes undone.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Point<'a> {
    pub(crate) measurement: Cow<'a, str>,
    pub(crate) tags: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// With each value as text: numbers without what marks their type, texts without quotes.
    pub(crate) fields: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// As it is written; absent where the server's clock was to count.
    pub(crate) time: Option<&'a str>,
}

/// Reads a line; `None` for an empty one, a comment, or a statement of an export.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse(line: &str) -> Result<Option<Point<'_>>, String> {
    let line = line.trim();
    // What `influx_inspect export` writes before the points.
    if line.is_empty() || line.starts_with('#') || line.starts_with("CREATE DATABASE ") {
        return Ok(None);
    }
    let (key, rest) =
        split_at(line, b' ', false).ok_or("no fields: a point is MEASUREMENT FIELD=VALUE TIME")?;
    let rest = rest.trim_start_matches(' ');
    let (fields, time) = split_at(rest, b' ', true).unwrap_or((rest, ""));
    let time = Some(time.trim()).filter(|time| !time.is_empty());
    if time.is_some_and(|time| time.contains(' ')) {
        return Err("more than measurement, fields and time; is a blank not escaped?".to_owned());
    }
    let mut parts = pieces(key, false);
    let measurement = unescaped(parts.next().unwrap_or_default());
    let tags = parts.map(|tag| {
        let (key, value) = split_at(tag, b'=', false).ok_or_else(|| format!("tag {tag:?} has no value"))?;
        Ok((unescaped(key), unescaped(value)))
    });
    let tags = tags.collect::<Result<_, String>>()?;
    let fields = pieces(fields, true).map(|field| {
        let (key, value) =
            split_at(field, b'=', false).ok_or_else(|| format!("field {field:?} has no value"))?;
        Ok((unescaped(key), value_of(value)?))
    });
    let fields = fields.collect::<Result<_, String>>()?;
    Ok(Some(Point { measurement, tags, fields, time }))
}

/// What stands before and after the first separator that is neither escaped nor, where texts are `quoted`, within quotes.
fn split_at(text: &str, separator: u8, quoted: bool) -> Option<(&str, &str)> {
    let (mut is_escaped, mut is_quoted) = (false, false);
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' if quoted => is_quoted = !is_quoted,
            byte if byte == separator && !is_quoted => return Some((&text[..index], &text[index + 1..])),
            _ => {}
        }
    }
    None
}

/// What stands between commas.
fn pieces(text: &str, quoted: bool) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        match split_at(text, b',', quoted) {
            Some((piece, after)) => {
                rest = Some(after);
                Some(piece)
            }
            None => rest.take(),
        }
    })
}

/// Without the backslashes before commas, spaces, equals signs, quotes and backslashes; any other stands for itself.
fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let is_escape = character == '\\'
            && characters.peek().is_some_and(|next| matches!(next, ',' | ' ' | '=' | '"' | '\\'));
        match is_escape {
            true => plain.extend(characters.next()),
            false => plain.push(character),
        }
    }
    Cow::Owned(plain)
}

fn value_of(text: &str) -> Result<Cow<'_, str>, String> {
    if let Some(inner) = text.strip_prefix('"') {
        let inner = inner.strip_suffix('"').ok_or_else(|| format!("{text:?}: a quote is not closed"))?;
        return Ok(unescaped(inner));
    }
    let number = text.strip_suffix(['i', 'u']).filter(|digits| digits.parse::<i128>().is_ok());
    match number {
        Some(digits) => Ok(Cow::Borrowed(digits)),
        None if text.is_empty() => Err("a field has no value".to_owned()),
        None => Ok(Cow::Borrowed(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(of: &[(Cow<'_, str>, Cow<'_, str>)]) -> Vec<String> {
        of.iter().map(|(key, value)| format!("{key}={value}")).collect()
    }

    #[test]
    fn points_are_read_as_the_reference_writes_them() {
        let line = r#"weather,location=us-midwest,season=summer temperature=82,humidity=71i,ok=true 1465839830100400200"#;
        let point = parse(line).unwrap().unwrap();
        assert_eq!(point.measurement, "weather");
        assert_eq!(pairs(&point.tags), ["location=us-midwest", "season=summer"]);
        assert_eq!(pairs(&point.fields), ["temperature=82", "humidity=71", "ok=true"]);
        assert_eq!(point.time, Some("1465839830100400200"));
        assert_eq!(parse("weather temperature=-1.5e1").unwrap().unwrap().time, None);
    }

    #[test]
    fn what_is_escaped_or_quoted_separates_nothing() {
        let line = r#"wea\,ther\ °C,loc\ ation=us\,mid\=west,path=a\b te\=mp="a, \"b\" = c\\",n=3u 17"#;
        let point = parse(line).unwrap().unwrap();
        assert_eq!(point.measurement, "wea,ther °C");
        assert_eq!(pairs(&point.tags), ["loc ation=us,mid=west", r"path=a\b"]);
        assert_eq!(pairs(&point.fields), [r#"te=mp=a, "b" = c\"#, "n=3"]);
        assert_eq!(point.time, Some("17"));
    }

    #[test]
    fn comments_and_statements_of_an_export_are_no_points_and_broken_lines_say_why() {
        for line in ["", "# DDL", "CREATE DATABASE home WITH NAME autogen", "# CONTEXT-DATABASE: home"] {
            assert_eq!(parse(line), Ok(None), "{line}");
        }
        for (line, why) in [
            ("weather", "no fields"),
            ("weather temperature", "has no value"),
            ("weather,location temperature=1", "tag \"location\" has no value"),
            ("weather temperature=", "a field has no value"),
            ("weather text=\"open 17", "a quote is not closed"),
            ("weather temperature=1 17 18", "is a blank not escaped"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(why), "{line}: {error}");
        }
    }
}
