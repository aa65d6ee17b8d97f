//! Places in payloads and topics, by patterns.

use serde_json::Value;

/// A JSON pointer (RFC 6901) whose levels may hold `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pointer {
    levels: Vec<String>,
}

/// A value that a pointer leads to, with the object or array that holds it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found<'a> {
    pub(crate) value: &'a Value,
    pub(crate) parent: &'a Value,
}

impl Pointer {
    /// Reads a pointer.
    ///
    /// # Errors
    /// A text that does not begin with `/`.
    pub(crate) fn parse(text: &str) -> Result<Pointer, String> {
        let rest = text.strip_prefix('/').ok_or_else(|| {
            format!("{text:?} is no JSON pointer: it begins with \"/\", as \"/outTemp_C\" and \"/BME280/Temperature\"")
        })?;
        let levels = rest.split('/').map(|level| level.replace("~1", "/").replace("~0", "~")).collect();
        Ok(Pointer { levels })
    }

    /// Everything that it leads to, in the order of the keys.
    pub(crate) fn find<'a>(&self, root: &'a Value) -> Vec<Found<'a>> {
        let mut found = vec![Found { value: root, parent: root }];
        for level in &self.levels {
            found = found.into_iter().flat_map(|held| children(held.value, level)).collect();
        }
        found
    }
}

fn children<'a>(parent: &'a Value, level: &str) -> Vec<Found<'a>> {
    let of = |value| Found { value, parent };
    match parent {
        Value::Object(object) if level.contains('*') => {
            object.iter().filter(|(key, _)| matches(level, key)).map(|(_, value)| of(value)).collect()
        }
        Value::Object(object) => object.get(level).map(of).into_iter().collect(),
        Value::Array(array) if level == "*" => array.iter().map(of).collect(),
        Value::Array(array) => {
            level.parse::<usize>().ok().and_then(|index| array.get(index)).map(of).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// Whether a text is as a pattern in which `*` stands for any text, without regard to case.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.to_lowercase(), text.to_lowercase());
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    true
}

/// A pattern of topics: `+` for a level, `#` for any levels in any place, `*` within a level, `{station}` for the level that
/// names the station.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicPattern {
    levels: Vec<String>,
}

const STATION: &str = "{station}";

impl TopicPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// A text that no topic fits, or that names the station twice.
    pub(crate) fn parse(text: &str) -> Result<TopicPattern, String> {
        let levels: Vec<String> = text.split('/').map(str::to_owned).collect();
        let fault = |message: &str| Err(format!("topic {text:?}{message}"));
        if text.is_empty() {
            return fault(" must not be empty");
        }
        if let Some(level) = levels.iter().find(|level| level.contains(['{', '}']) && *level != STATION) {
            return fault(&format!(": {level:?} must be {STATION} and a whole level between two slashes"));
        }
        if levels.iter().filter(|level| *level == STATION).count() > 1 {
            return fault(&format!(" holds {STATION} more than once"));
        }
        Ok(TopicPattern { levels })
    }

    /// Whether `topic` is one of these; then the level that names the station, if there is one.
    pub(crate) fn find<'a>(&self, topic: &'a str) -> Option<Option<&'a str>> {
        let levels: Vec<&str> = topic.split('/').collect();
        let mut station = None;
        find(&self.levels, &levels, &mut station).then_some(station)
    }

    /// Whether every topic of the other is one of these; where that is hard to tell, no.
    pub(crate) fn covers(&self, other: &TopicPattern) -> bool {
        covers(&self.levels, &other.levels)
    }

    /// Whether some topic is one of these and of the other; where that is hard to tell, yes.
    pub(crate) fn meets(&self, other: &TopicPattern) -> bool {
        meets(&self.levels, &other.levels)
    }

    /// The filter that subscribes to at least these topics.
    pub(crate) fn filter(&self) -> String {
        let mut filter = Vec::new();
        for level in &self.levels {
            match level.as_str() {
                "#" => {
                    filter.push("#");
                    break;
                }
                level if level == STATION || level.contains('*') => filter.push("+"),
                level => filter.push(level),
            }
        }
        filter.join("/")
    }
}

fn find<'a>(pattern: &[String], levels: &[&'a str], station: &mut Option<&'a str>) -> bool {
    match (pattern.split_first(), levels.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first == "#" => {
            find(rest, levels, station) || !levels.is_empty() && find(pattern, &levels[1..], station)
        }
        (Some((first, rest)), Some((level, levels))) => {
            if first == STATION {
                *station = Some(level);
            }
            let is_same = first == "+"
                || first == STATION
                || first.contains('*') && matches(first, level)
                || first == level;
            is_same && find(rest, levels, station)
        }
        _ => false,
    }
}

/// Whether a level stands for any text.
fn is_any(level: &str) -> bool {
    level == "+" || level == STATION
}

fn covers(wide: &[String], narrow: &[String]) -> bool {
    match (wide.split_first(), narrow.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first == "#" => {
            covers(rest, narrow) || !narrow.is_empty() && covers(wide, &narrow[1..])
        }
        (Some((wide, rest)), Some((narrow, others))) if narrow != "#" => {
            let is_one = is_any(wide)
                || wide == narrow
                || wide.contains('*') && !narrow.contains('*') && !is_any(narrow) && matches(wide, narrow);
            is_one && covers(rest, others)
        }
        _ => false,
    }
}

fn meets(one: &[String], other: &[String]) -> bool {
    match (one.split_first(), other.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first == "#" => {
            meets(rest, other) || !other.is_empty() && meets(one, &other[1..])
        }
        (_, Some((first, _))) if first == "#" => meets(other, one),
        (Some((one, rest)), Some((other, others))) => {
            let may_be_one = is_any(one)
                || is_any(other)
                || match (one.contains('*'), other.contains('*')) {
                    (true, true) => true,
                    (true, false) => matches(one, other),
                    (false, true) => matches(other, one),
                    (false, false) => one == other,
                };
            may_be_one && meets(rest, others)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pointers_lead_through_objects_arrays_and_patterns() {
        let root = json!({"a": {"b": [1, {"c": 2}]}, "BME280-76": {"T": 3}, "BME280-77": {"T": 4}, "x/y": 5});
        let values = |pointer: &str| {
            let found = Pointer::parse(pointer).unwrap().find(&root);
            found.iter().map(|found| found.value.clone()).collect::<Vec<_>>()
        };
        assert_eq!(values("/a/b/0"), [json!(1)]);
        assert_eq!(values("/a/b/*/c"), [json!(2)]);
        assert_eq!(values("/BME280*/T"), [json!(3), json!(4)]);
        assert_eq!(values("/x~1y"), [json!(5)]);
        assert!(values("/a/c").is_empty() && values("/a/b/7").is_empty());
        assert!(Pointer::parse("a").unwrap_err().contains("begins with"));
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, is) in [
            ("*temp*", "outdoor_temperature", true),
            ("*temp*", "humidity", false),
            ("BME280*", "bme280-76", true),
            ("*_c", "out_c", true),
            ("a*b*c", "abbc", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, text), is, "{pattern} {text}");
        }
    }

    #[test]
    fn topics_name_their_station() {
        let station = |pattern: &str, topic: &str| {
            TopicPattern::parse(pattern).unwrap().find(topic).map(|station| station.map(str::to_owned))
        };
        let roof = Some(Some("roof".to_owned()));
        assert_eq!(station("tele/{station}/SENSOR", "tele/roof/SENSOR"), roof);
        assert_eq!(station("{station}/sensor/+/state", "roof/sensor/temp/state"), roof);
        assert_eq!(
            station("rtl_433/+/devices/#/temperature_C", "rtl_433/h/devices/m/1/2/temperature_C"),
            Some(None)
        );
        assert_eq!(station("weather/#", "weather"), Some(None));
        assert_eq!(station("tele/{station}/SENSOR", "tele/roof/LWT"), None);
        assert_eq!(station("a/*temp*/b", "a/out_temp/b"), Some(None));
        let filter = |pattern: &str| TopicPattern::parse(pattern).unwrap().filter();
        assert_eq!(filter("{station}/sensor/*temp*/state"), "+/sensor/+/state");
        assert_eq!(filter("rtl_433/+/devices/#/temperature_C"), "rtl_433/+/devices/#");
    }

    #[test]
    fn patterns_cover_and_meet_each_other() {
        let parse = |text: &str| TopicPattern::parse(text).unwrap();
        for (one, other, covers, meets) in [
            ("+/sensor/+/state", "{station}/sensor/+/state", true, true),
            ("tele/#", "tele/{station}/SENSOR", true, true),
            ("tele/{station}/SENSOR", "tele/#", false, true),
            ("a/+", "a/b", true, true),
            ("a/*temp*", "a/out_temp", true, true),
            ("a/*temp*", "a/*_temp", false, true),
            ("a/*temp*", "a/hum", false, false),
            ("a/b", "a/b/c", false, false),
            ("a/#/z", "a/b/c/z", true, true),
            ("a/#/z", "+/y", false, false),
            ("#/x", "a/#", false, true),
        ] {
            assert_eq!(parse(one).covers(&parse(other)), covers, "{one} covers {other}");
            assert_eq!(parse(one).meets(&parse(other)), meets, "{one} meets {other}");
            assert_eq!(parse(other).meets(&parse(one)), meets, "{other} meets {one}");
        }
    }

    #[test]
    fn a_station_that_is_no_whole_level_or_stands_twice_is_a_fault() {
        for (pattern, holds) in [
            ("home/ws-{station}/x", "\"ws-{station}\" must be {station} and a whole level"),
            ("home/{Station}/x", "\"{Station}\" must be {station} and a whole level"),
            ("{station}/x/{station}", "holds {station} more than once"),
            ("", "must not be empty"),
        ] {
            let error = TopicPattern::parse(pattern).unwrap_err();
            assert!(error.starts_with(&format!("topic {pattern:?}")) && error.contains(holds), "{error}");
        }
    }
}
