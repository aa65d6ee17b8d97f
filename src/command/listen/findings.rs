//! What was heard: topics, and what presets make of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use forecastd_core::{Unit, Values};
use forecastd_mapping::{Message, PresetMatch};

use super::heard::{Heard, Single, last_but_one, quoted};
use super::own::Own;
use super::statestream::Statestreams;

/// More topics than this are counted and not kept.
const MOST_TOPICS: usize = 2000;
/// New topics are shown as they come, up to so many.
const LINES_SHOWN: usize = 200;
/// So many sources are shown at the end, and of the stations of one so many.
const SOURCES_SHOWN: usize = 40;
const STATIONS_SHOWN: usize = 20;
/// As many topics that no preset reads are shown, and as much of a payload.
const UNREAD_SHOWN: usize = 20;
const SHOWN_CHARACTERS: usize = 100;

/// What was heard.
#[derive(Default)]
pub(super) struct Findings {
    messages: u64,
    topics: BTreeSet<String>,
    /// By preset and station.
    heard: BTreeMap<(&'static str, String), Heard>,
    /// Topics that no preset reads, with the last payload and, where it is nearly a reading, what is wrong with it.
    unread: BTreeMap<String, (String, Option<String>)>,
    statestreams: Statestreams,
    /// Topics that forecastd publishes on.
    published: BTreeSet<String>,
    /// Topics that forecastd reads without a source.
    read: BTreeSet<String>,
}

/// Presets with topics that look alike: the one is taken where nothing tells that it is the other.
const ESPHOME: &str = "esphome";
const STATESTREAM: &str = "statestream";

/// Why there is nothing to write.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoChoice {
    /// Nothing was heard that fits.
    Nothing,
    /// None of the stations that were heard has the name, and it could be given to several.
    Several(Vec<String>),
}

/// What to write.
#[derive(Default)]
pub(super) struct Suggestions {
    /// A source for each.
    pub(super) chosen: Vec<Heard>,
    /// No source, and why.
    pub(super) left_out: Vec<(Heard, String)>,
}

impl Findings {
    /// Adds a message and what the presets make of it, best first, or what is wrong with it; gives a line to show of a new topic.
    pub(super) fn add(
        &mut self,
        message: &Message<'_>,
        candidates: Vec<PresetMatch>,
        fault: Option<String>,
    ) -> Option<String> {
        self.messages += 1;
        let is_attribute = self.statestreams.look_at(message.topic, message.payload);
        let payload = shown(&String::from_utf8_lossy(message.payload));
        let is_new = self.topics.len() < MOST_TOPICS && self.topics.insert(message.topic.to_owned());
        let unread = if is_attribute { "beside a state of Home Assistant" } else { "no preset" };
        let by = candidates.first().map_or(unread, |best| {
            let base = message.topic.split('/').next().unwrap_or_default();
            if best.preset.name == ESPHOME && self.statestreams.has(base) {
                STATESTREAM
            } else {
                best.preset.name
            }
        });
        let line = match self.topics.len() {
            _ if !is_new => None,
            ..=LINES_SHOWN => Some(format!("{} {payload} ({by})", shown(message.topic))),
            count if count == LINES_SHOWN + 1 => {
                Some("… further topics are not shown as they come".to_owned())
            }
            _ => None,
        };
        if candidates.is_empty() {
            if self.unread.len() < MOST_TOPICS && !is_attribute {
                let fault = fault.map(|fault| shown(&fault));
                self.unread.insert(message.topic.to_owned(), (payload, fault));
            }
            return line;
        }
        for (rank, PresetMatch { preset, decoded }) in candidates.into_iter().enumerate() {
            let is_named = decoded.station.is_some();
            let station = decoded.station.unwrap_or_else(|| last_but_one(message.topic));
            let key = (preset.name, station.clone());
            if self.heard.len() >= MOST_TOPICS && !self.heard.contains_key(&key) {
                continue;
            }
            let heard = self.heard.entry(key).or_insert_with(|| Heard {
                preset,
                station,
                stations: Vec::new(),
                is_named,
                messages: 0,
                topics: Vec::new(),
                single: BTreeMap::new(),
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
            let mut quantities = decoded.values.iter().map(|(quantity, _)| quantity);
            if let (Some(quantity), None) = (quantities.next(), quantities.next())
                && message.payload.len() <= SHOWN_CHARACTERS
                && (heard.single.len() < MOST_TOPICS || heard.single.contains_key(message.topic))
            {
                let rank = decoded.topic_rank.map(|rank| (heard.station.clone(), rank));
                let single = Single { quantity, payload: message.payload.to_vec(), rank };
                heard.single.insert(message.topic.to_owned(), single);
            }
            if heard.topics.len() < MOST_TOPICS && !heard.topics.iter().any(|topic| topic == message.topic) {
                heard.topics.push(message.topic.to_owned());
            }
        }
        line
    }

    /// Adds a topic of forecastd itself; gives a line to show where it is new.
    pub(super) fn add_own(&mut self, topic: &str, own: Own) -> Option<String> {
        self.messages += 1;
        let (topics, what) = match own {
            Own::Published => (&mut self.published, "forecastd's own"),
            Own::Read => (&mut self.read, "read without a source"),
        };
        let is_new = topics.len() < MOST_TOPICS && topics.insert(topic.to_owned());
        is_new.then(|| format!("{} ({what})", shown(topic)))
    }

    /// How often a preset reads more than any other, once it is known whose topics those are that two presets read.
    fn best(&self, heard: &Heard) -> u64 {
        match heard.preset.name {
            ESPHOME if self.statestreams.has(&heard.station) => 0,
            STATESTREAM if self.statestreams.has(&heard.station) => {
                let alike = self.heard.get(&(ESPHOME, heard.station.clone()));
                heard.best + alike.map_or(0, |alike| alike.best)
            }
            _ => heard.best,
        }
    }

    /// What was heard of stations: presets that read more than any other first, of these the station that measures most. What is
    /// known to be another program's is left out.
    fn ranked(&self) -> Vec<&Heard> {
        let is_it = |heard: &&Heard| match heard.preset.name {
            ESPHOME => !self.statestreams.has(&heard.station),
            STATESTREAM => self.statestreams.has(&heard.station),
            _ => true,
        };
        let mut ranked: Vec<&Heard> = self.heard.values().filter(is_it).collect();
        ranked.sort_by_key(|heard| {
            let best = self.best(heard);
            std::cmp::Reverse((best > 0, heard.values.iter().count(), best))
        });
        ranked
    }

    /// What to write: a source for each preset and topic, and what is left out, with why. Of a preset if it is named.
    pub(super) fn suggestions(&self, preset: Option<&str>) -> Result<Suggestions, NoChoice> {
        let mut fitting = self.fitting(preset);
        if fitting.iter().any(|heard| self.best(heard) > 0) {
            fitting.retain(|heard| self.best(heard) > 0);
        }
        let Suggestions { mut chosen, mut left_out } = Suggestions::default();
        for heard in fitting {
            match chosen.iter_mut().find(|other| other.meets(heard)) {
                None => chosen.push(heard.clone()),
                Some(other) if other.preset.name == heard.preset.name && other.is_named && heard.is_named => {
                    other.join(heard);
                }
                Some(other) => {
                    left_out.push((heard.clone(), format!("its messages are read by {}", other.words())));
                }
            }
        }
        match chosen.is_empty() {
            true => Err(NoChoice::Nothing),
            false => Ok(Suggestions { chosen, left_out }),
        }
    }

    /// What was heard of stations, of a preset if it is named.
    fn fitting(&self, preset: Option<&str>) -> Vec<&Heard> {
        let mut fitting = self.ranked();
        if let Some(name) = preset {
            // Whoever names it knows better.
            let named = self.heard.values().filter(|heard| heard.preset.name == name);
            fitting.retain(|heard| heard.preset.name == name);
            if fitting.is_empty() {
                fitting = named.collect();
            }
        }
        fitting
    }

    /// What fits best, of a preset if it is named; of a station that was heard, or under a name for the only one.
    pub(super) fn choose(&self, preset: Option<&str>, station: Option<&str>) -> Result<Heard, NoChoice> {
        let fitting = self.fitting(preset);
        let first = *fitting.first().ok_or(NoChoice::Nothing)?;
        let Some(name) = station else { return Ok(first.clone()) };
        if let Some(heard) = fitting.iter().find(|heard| heard.station == name) {
            return Ok((*heard).clone());
        }
        let could_be = |heard: &&&Heard| heard.preset.name == first.preset.name || self.best(heard) > 0;
        let stations: BTreeSet<&String> =
            fitting.iter().filter(could_be).map(|heard| &heard.station).collect();
        match stations.len() {
            1 => Ok(Heard { station: name.to_owned(), ..first.clone() }),
            _ => Err(NoChoice::Several(stations.into_iter().cloned().collect())),
        }
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
        let suggested = self.suggestions(None).unwrap_or_default().chosen;
        let ranked = self.ranked();
        // The stations of one source stand together, behind that which measures most.
        let shared_by = |heard: &Heard| {
            let is_its =
                |one: &&Heard| one.preset.name == heard.preset.name && one.stations.contains(&heard.station);
            suggested.iter().find(is_its)
        };
        let is_first =
            |heard: &&&Heard| shared_by(heard).is_none_or(|shared| shared.station == heard.station);
        let firsts: Vec<&&Heard> = ranked.iter().filter(is_first).collect();
        let words = |values: &Values| {
            let words =
                values.iter().map(|(quantity, value)| format!("{quantity} {value:.1} {}", quantity.unit()));
            words.collect::<Vec<_>>().join(", ")
        };
        for heard in firsts.iter().take(SOURCES_SHOWN) {
            let Heard { preset, station, messages, topics, example, .. } = heard;
            let shared = shared_by(heard);
            let source = self.source(shared.unwrap_or(heard), time_zone, elevation_m);
            let values = heard.values_by(&source);
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
            writeln!(output, "  {}", words(&values))?;
            if self.best(heard) > 0 {
                for line in source.lines() {
                    writeln!(output, "    {line}")?;
                }
            }
            let Some(shared) = shared else { continue };
            let others: Vec<&&Heard> = ranked
                .iter()
                .filter(|other| {
                    other.station != *station && shared_by(other).is_some_and(|of| std::ptr::eq(of, shared))
                })
                .collect();
            for other in others.iter().take(STATIONS_SHOWN) {
                writeln!(output, "  and {}: {}", shown(&other.station), words(&other.values_by(&source)))?;
            }
            and_more(others.len(), STATIONS_SHOWN, "station", "  ", output)?;
        }
        and_more(firsts.len(), SOURCES_SHOWN, "source", "", output)?;
        if !self.unread.is_empty() {
            writeln!(output, "\n{} that no preset reads", counted(self.unread.len() as u64, "topic"))?;
            for (topic, (payload, fault)) in self.unread.iter().take(UNREAD_SHOWN) {
                writeln!(output, "  {} {payload}", shown(topic))?;
                if let Some(fault) = fault {
                    writeln!(output, "    {fault}")?;
                }
            }
            and_more(self.unread.len(), UNREAD_SHOWN, "topic", "  ", output)?;
        }
        if !self.read.is_empty() {
            let names: Vec<String> = self.read.iter().take(UNREAD_SHOWN).map(|topic| shown(topic)).collect();
            let topics = counted(self.read.len() as u64, "topic");
            writeln!(output, "\n{topics} that forecastd reads without a source: {}", names.join(", "))?;
        }
        if !self.published.is_empty() {
            let topics = counted(self.published.len() as u64, "topic");
            writeln!(output, "\n{topics} that forecastd itself publishes on")?;
        }
        Ok(())
    }

    /// The source for what was heard of a station, as a configuration has it; a unit that was published and is not the preset's
    /// is named.
    pub(super) fn source(&self, heard: &Heard, time_zone: Option<&str>, elevation_m: Option<f64>) -> String {
        let mut source = heard.source(time_zone, elevation_m);
        if heard.preset.name != STATESTREAM {
            return source;
        }
        let passed_over = heard.passed_over();
        let read = heard.single.iter().filter(|(topic, _)| !passed_over.contains_key(topic.as_str()));
        for (topic, Single { quantity, .. }) in read {
            let Some(name) = self.statestreams.unit(topic) else { continue };
            let usual = Unit::of_quantity(quantity.unit(), *quantity).ok();
            match Unit::of_quantity(name, *quantity) {
                Ok(unit) if Some(unit) == usual => {}
                Ok(_) => {
                    source += &format!(
                        "[[source.value]]\ntopic = {}\nquantity = \"{quantity}\"\nunit = {}\n",
                        quoted(topic),
                        quoted(name)
                    );
                }
                Err(error) => source += &format!("# {}: {error}\n", shown(topic)),
            }
        }
        source
    }
}

/// Says how many things there are beyond those that were shown.
fn and_more(
    count: usize,
    shown: usize,
    thing: &str,
    indent: &str,
    output: &mut impl Write,
) -> std::io::Result<()> {
    match count.saturating_sub(shown) {
        0 => Ok(()),
        more => writeln!(output, "{indent}… and {} more", counted(more as u64, thing)),
    }
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
mod tests;
