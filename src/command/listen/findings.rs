//! What was heard: topics, and what presets make of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use forecastd_core::Values;
use forecastd_mapping::{Candidate, Message, Preset, TimeSource};

/// More topics than this are counted and not kept.
const MOST_TOPICS: usize = 2000;
/// As many topics that no preset reads are shown.
const UNREAD_SHOWN: usize = 20;
/// As much of a payload is shown.
const SHOWN_CHARACTERS: usize = 100;
/// With more topics than this, a source listens to a pattern of them.
const TOPICS_NAMED: usize = 12;

/// What was heard.
#[derive(Default)]
pub(super) struct Findings {
    messages: u64,
    topics: BTreeSet<String>,
    /// By preset and station.
    heard: BTreeMap<(&'static str, String), Heard>,
    /// Topics that no preset reads, with the last payload.
    unread: BTreeMap<String, String>,
}

/// What one preset reads of one station.
#[derive(Clone)]
pub(super) struct Heard {
    preset: &'static Preset,
    station: String,
    messages: u64,
    topics: Vec<String>,
    values: Values,
    example: String,
    time_source: TimeSource,
    /// How often this preset reads more than any other.
    best: u64,
}

impl Findings {
    /// Adds a message and what the presets make of it, best first; gives a line to show where its topic is new.
    pub(super) fn add(&mut self, message: &Message<'_>, candidates: Vec<Candidate>) -> Option<String> {
        self.messages += 1;
        let payload = shown(&String::from_utf8_lossy(message.payload));
        let is_new = self.topics.len() < MOST_TOPICS && self.topics.insert(message.topic.to_owned());
        let by = candidates.first().map_or("no preset", |best| best.preset.name);
        let line = is_new.then(|| format!("{} {payload} ({by})", shown(message.topic)));
        if candidates.is_empty() {
            if self.unread.len() < MOST_TOPICS {
                self.unread.insert(message.topic.to_owned(), payload);
            }
            return line;
        }
        for (rank, Candidate { preset, decoded }) in candidates.into_iter().enumerate() {
            let station = decoded.station.unwrap_or_else(|| last_but_one(message.topic));
            let heard = self.heard.entry((preset.name, station.clone())).or_insert_with(|| Heard {
                preset,
                station,
                messages: 0,
                topics: Vec::new(),
                values: Values::NONE,
                example: payload.clone(),
                time_source: decoded.time_source,
                best: 0,
            });
            heard.messages += 1;
            heard.best += u64::from(rank == 0);
            heard.time_source = decoded.time_source;
            for (quantity, value) in decoded.values.iter() {
                heard.values.set(quantity, value);
            }
            if heard.topics.len() < MOST_TOPICS && !heard.topics.iter().any(|topic| topic == message.topic) {
                heard.topics.push(message.topic.to_owned());
            }
        }
        line
    }

    /// What was heard of stations: presets that read more than any other first, of these the station that measures most.
    fn ranked(&self) -> Vec<&Heard> {
        let mut ranked: Vec<&Heard> = self.heard.values().collect();
        ranked.sort_by_key(|heard| {
            std::cmp::Reverse((heard.best > 0, heard.values.iter().count(), heard.best))
        });
        ranked
    }

    /// What fits best, of a preset and a station if they are named.
    pub(super) fn choose(&self, preset: Option<&str>, station: Option<&str>) -> Option<&Heard> {
        self.ranked().into_iter().find(|heard| {
            preset.is_none_or(|name| heard.preset.name == name)
                && station.is_none_or(|name| heard.station == name)
        })
    }

    /// Prints what was heard and the sources for it.
    ///
    /// # Errors
    /// When the output is gone.
    pub(super) fn print(
        &self,
        time_zone: Option<&str>,
        elevation_m: Option<f64>,
        output: &mut impl Write,
    ) -> std::io::Result<()> {
        if self.messages == 0 {
            return writeln!(output, "nothing arrived: is the topic right, and may this user read it?");
        }
        writeln!(output, "{}", counted(self.messages, "message"))?;
        for heard in self.ranked() {
            let Heard { preset, station, messages, topics, values, example, .. } = heard;
            let name = shown(station);
            writeln!(
                output,
                "\n{name}: {} on {}, by preset {:?} ({})",
                counted(*messages, "message"),
                counted(topics.len() as u64, "topic"),
                preset.name,
                preset.title
            )?;
            writeln!(output, "  {} {example}", shown(&topics[0]))?;
            let values: Vec<String> = values
                .iter()
                .map(|(quantity, value)| format!("{quantity} {value:.1} {}", quantity.unit()))
                .collect();
            writeln!(output, "  {}", values.join(", "))?;
            if heard.best > 0 {
                for line in heard.source(time_zone, elevation_m).lines() {
                    writeln!(output, "    {line}")?;
                }
            }
        }
        if !self.unread.is_empty() {
            writeln!(output, "\n{} that no preset reads", counted(self.unread.len() as u64, "topic"))?;
            for (topic, payload) in self.unread.iter().take(UNREAD_SHOWN) {
                writeln!(output, "  {} {payload}", shown(topic))?;
            }
        }
        Ok(())
    }
}

impl Heard {
    /// The source for it, as a configuration has it.
    pub(super) fn source(&self, time_zone: Option<&str>, elevation_m: Option<f64>) -> String {
        let quoted = |text: &str| {
            format!("{:?}", text.chars().filter(|character| !character.is_control()).collect::<String>())
        };
        let mut lines = vec!["[[source]]".to_owned(), format!("preset = {}", quoted(self.preset.name))];
        if self.topics.len() <= TOPICS_NAMED {
            let mut topics: Vec<String> = self.topics.iter().map(|topic| quoted(topic)).collect();
            topics.sort();
            lines.push(match topics.as_slice() {
                [one] => format!("topic = {one}"),
                several => format!("topic = [{}]", several.join(", ")),
            });
        }
        lines.push(format!("station = {}", quoted(&self.station)));
        match (self.time_source, time_zone) {
            (TimeSource::Arrival, _) => {}
            (_, Some(zone)) if matches!(self.preset.name, "tasmota" | "rtl_433") => {
                lines.push(format!("time = {{ time_zone = {} }}", quoted(zone)));
            }
            (TimeSource::Guessed, _) => {
                lines.push(
                    "# Times have no offset; set the station's zone, or the arrival tells it.".to_owned(),
                );
                lines.push("# time = { time_zone = \"Europe/Berlin\" }".to_owned());
            }
            (TimeSource::Payload, _) => {}
        }
        if let Some(elevation) = elevation_m {
            lines.push(format!("elevation_m = {elevation}"));
        }
        lines.join("\n") + "\n"
    }
}

/// The level of a topic that names a station where nothing else does: before the last.
fn last_but_one(topic: &str) -> String {
    let levels: Vec<&str> = topic.split('/').filter(|level| !level.is_empty()).collect();
    levels
        .get(levels.len().saturating_sub(2))
        .map_or_else(|| "station".to_owned(), |level| (*level).to_owned())
}

/// A number of things.
fn counted(count: u64, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// A text of a stranger for a line of a terminal.
fn shown(text: &str) -> String {
    let visible = text.escape_debug().to_string().replace("\\\"", "\"");
    match visible.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}…", &visible[..end]),
        None => visible,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forecastd_core::Quantity;
    use forecastd_mapping::{Auto, Source};

    fn heard(messages: &[(&str, &str)]) -> Findings {
        let auto = Auto::new(None, None).unwrap();
        let mut findings = Findings::default();
        for (topic, payload) in messages {
            let arrival = "2026-11-25T13:08:42Z".parse().unwrap();
            let message = Message { topic, payload: payload.as_bytes(), arrival };
            findings.add(&message, auto.candidates(&message));
        }
        findings
    }

    const TASMOTA: (&str, &str) = (
        "tele/roof/SENSOR",
        r#"{"Time":"2026-11-25T14:08:41","BME280":{"Temperature":7.25,"Humidity":81.0,"Pressure":1001.2},"PressureUnit":"hPa","TempUnit":"C"}"#,
    );

    #[test]
    fn what_is_written_reads_what_was_heard() {
        for messages in [
            vec![TASMOTA, ("tele/roof/LWT", "Online")],
            vec![("node/sensor/temperature/state", "7.25"), ("node/sensor/humidity/state", "81")],
            vec![("home/weather/loop", r#"{"dateTime":"1795612121","usUnits":"16","outTemp_C":"7.25"}"#)],
        ] {
            let findings = heard(&messages);
            let best = findings.choose(None, None).unwrap();
            let sources = Source::read_all(&best.source(None, Some(100.0))).unwrap();
            let (topic, payload) = messages[0];
            let arrival = "2026-11-25T13:08:42Z".parse().unwrap();
            let decoded =
                sources[0].decode(&Message { topic, payload: payload.as_bytes(), arrival }).unwrap();
            assert_eq!(decoded.values.get(Quantity::AirTemperature), Some(7.25), "{topic}");
            assert_eq!(decoded.station.as_deref(), Some(best.station.as_str()));
        }
    }

    #[test]
    fn what_was_heard_is_shown_with_its_preset_and_what_no_preset_reads_too() {
        let findings = heard(&[TASMOTA, ("tele/roof/LWT", "Online\u{1b}[31m")]);
        let mut text = Vec::new();
        findings.print(Some("Europe/Berlin"), None, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        for part in [
            "2 messages",
            "roof: 1 message on 1 topic, by preset \"tasmota\"",
            "air_temperature 7.2 °C",
            "[[source]]",
            "time = { time_zone = \"Europe/Berlin\" }",
            "1 topic that no preset reads",
            "tele/roof/LWT Online\\u{1b}[31m",
        ] {
            assert!(text.contains(part), "no {part:?} in {text}");
        }
        assert!(!text.contains('\u{1b}'));
        assert!(
            findings.choose(Some("davis"), None).is_none() && findings.choose(None, Some("roof")).is_some()
        );
        let mut nothing = Vec::new();
        Findings::default().print(None, None, &mut nothing).unwrap();
        assert!(String::from_utf8(nothing).unwrap().starts_with("nothing arrived"));
    }
}
