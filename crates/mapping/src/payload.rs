//! Messages of MQTT: from topic, payload and arrival to a reading.

use forecastd_core::{ReducedPressure, Site, Values};
use jiff::Timestamp;
use serde_json::Value as Json;

use crate::clock::{WallClock, near_arrival};
use crate::json::{from_form, parse_json};
use crate::mapping::{Condition, Mapping, Place, Station, Time, UnitSource, Value};
use crate::measured::Measurements;
use crate::place::{Found, Pointer};
use crate::text::{is_missing, number, scalar, shortened};
use crate::time::{TimeFormat, Written};
use crate::value::{Outcome, StatedUnit};

/// Payloads longer than this are not looked at.
pub(crate) const MAX_PAYLOAD_BYTES: usize = 64 * 1024;

/// A message as it arrived.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The topic that the message arrived on.
    pub topic: &'a str,
    /// What is in it.
    pub payload: &'a [u8],
    /// When it arrived.
    pub arrival: Timestamp,
}

/// What is known of a station's elevation, m, by its name.
pub type ElevationOf<'a> = &'a dyn Fn(Option<&str>) -> Option<f64>;

/// Whence the time of a reading is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeSource {
    /// It stands in the payload, with its offset or in a zone that is given.
    Payload,
    /// It stands in the payload without offset, and the arrival tells the zone.
    Guessed {
        /// The offset from UTC with which it is near the arrival.
        offset_s: i32,
    },
    /// The payload has none: it is the arrival.
    Arrival,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The station, where message or description name it.
    pub station: Option<String>,
    /// When it was measured.
    pub time: Timestamp,
    /// Whence that is known.
    pub time_source: TimeSource,
    /// What was measured, in canonical units; never empty.
    pub values: Values,
    /// Where one value was read and its topic says what it is: how late the description names that topic, counted from 0.
    pub topic_rank: Option<usize>,
    /// The pressure as the message tells it, where the one of `values` was brought to the station from it: what is told in parts
    /// may know the temperature later.
    pub reduced_pressure: Option<ReducedPressure>,
    /// Where it was measured, if the message says so, else if the description does.
    pub site: Option<Site>,
    /// Texts that are no values, each with the name of its quantity.
    pub unreadable: Vec<(&'static str, String)>,
    /// The preset by which it was read, where one was.
    pub preset: Option<String>,
}

/// Why a message is no reading.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The topic is none of the source's.
    #[error("topic is none of the source's")]
    OtherTopic,
    /// Nothing in it.
    #[error("payload is empty")]
    Empty,
    /// Longer than 64 KiB.
    #[error("payload has {0} bytes, more than {MAX_PAYLOAD_BYTES}")]
    TooLarge(usize),
    /// The payload is not UTF-8 from this byte on.
    #[error("payload is not UTF-8 from byte {0}")]
    NotUtf8(usize),
    /// A condition of the description does not hold.
    #[error("{0:?} is none of those wanted")]
    NotWanted(String),
    /// A time that cannot be read.
    #[error("{0}")]
    BadTime(String),
    /// Texts where values should stand, and not one that can be read.
    #[error("{quantity} is {found:?}, not a number")]
    BadValue {
        /// The name of the first quantity.
        quantity: &'static str,
        /// What stands there.
        found: String,
    },
    /// Not one value.
    #[error("payload has no value that the source names")]
    NoValues,
    /// Neither the message nor the description names the station.
    #[error("station is not known: set station, or {{station}} in topic")]
    NoStation,
}

impl Mapping {
    /// Reads a message.
    ///
    /// # Errors
    /// [`DecodeError`], the first found. A text that is no value is no error while there is another value.
    pub fn decode(&self, message: &Message<'_>) -> Result<Decoded, DecodeError> {
        self.decode_with(message, &|_| None)
    }

    /// Like [`Mapping::decode`]. A pressure that was reduced to sea level is brought back by the elevation of the description,
    /// else by what `elevation_of` says of the station, if that is named, else by the message's.
    ///
    /// # Errors
    /// As [`Mapping::decode`].
    pub fn decode_with(
        &self,
        message: &Message<'_>,
        elevation_of: ElevationOf<'_>,
    ) -> Result<Decoded, DecodeError> {
        let mut station = None;
        if !self.topics.is_empty() {
            let found = self.topics.iter().find_map(|pattern| pattern.find(message.topic));
            station = found.ok_or(DecodeError::OtherTopic)?;
        }
        let root = root(message.payload)?;
        if let Some(condition) = self.only.iter().find(|condition| !condition.holds(&root, &root)) {
            return Err(DecodeError::NotWanted(condition.name.clone()));
        }
        let (mut measurements, mut unreadable) = (Measurements::default(), Vec::new());
        let mut topic_rank = None;
        // Topics that were named so far.
        let mut named = 0;
        for value in &self.values {
            let place = value.place_of_topic(message.topic).map(|place| named + place);
            named += value.topics.len();
            if value.column.is_some() || measurements.has(value.measured) || !value.is_of_topic(message.topic)
            {
                continue;
            }
            for found in value.find(&root) {
                let Some(text) = scalar(found.value) else { continue };
                match value.unit_of(&root, found) {
                    StatedUnit::Known(unit) => match value.read(&text, unit, &self.missing) {
                        Outcome::Value(number) => {
                            measurements.set(value.measured, number);
                            topic_rank = place;
                            break;
                        }
                        Outcome::Missing => {}
                        Outcome::Unreadable => unreadable.push((value.measured.name(), shortened(&text))),
                    },
                    StatedUnit::Missing => {}
                    StatedUnit::Unknown(unit) => {
                        unreadable.extend(value.in_unknown_unit(&text, &unit, &self.missing));
                    }
                }
            }
        }
        unreadable.retain(|(name, _)| {
            !self
                .values
                .iter()
                .any(|value| value.measured.name() == *name && measurements.has(value.measured))
        });
        let station = match &self.station {
            Some(Station::Name(name)) => Some(name.clone()),
            Some(Station::At(pointers)) => {
                let parts = pointers.iter().filter_map(|pointer| pointer.find(&root).into_iter().next());
                let parts: Vec<String> = parts.filter_map(|found| scalar(found.value)).collect();
                (!parts.is_empty()).then(|| parts.join("-")).or(station.map(str::to_owned))
            }
            None => station.map(str::to_owned),
        };
        let site = self.reported_site(&root, &mut unreadable).or(self.site);
        let of_site = || site.and_then(|site| site.elevation_m);
        let elevation_m = || self.elevation_m.or_else(|| elevation_of(station.as_deref())).or_else(of_site);
        let elevation_m = measurements.is_reduced().then(elevation_m).flatten();
        let reduced_pressure = measurements.reduced_pressure(elevation_m);
        let values = measurements.at_station(elevation_m);
        if values.is_empty() {
            return Err(match unreadable.into_iter().next() {
                Some((quantity, found)) => DecodeError::BadValue { quantity, found },
                None => DecodeError::NoValues,
            });
        }
        let topic_rank = topic_rank.filter(|_| values.iter().count() == 1);
        let (time, time_source) = self.time(&root, message.arrival).map_err(DecodeError::BadTime)?;
        Ok(Decoded {
            station,
            time,
            time_source,
            values,
            topic_rank,
            reduced_pressure,
            site,
            unreadable,
            preset: self.name.clone(),
        })
    }

    /// Where the message says that its station stands.
    fn reported_site(&self, root: &Json, unreadable: &mut Vec<(&'static str, String)>) -> Option<Site> {
        let pointers = self.reported_site.as_ref()?;
        let mut read = |name: &'static str, at: &[Pointer]| {
            let text = at.iter().flat_map(|pointer| pointer.find(root)).find_map(|found| scalar(found.value));
            let text = text.filter(|text| !is_missing(text))?;
            let degrees = number(&text);
            if degrees.is_none() {
                unreadable.push((name, shortened(&text)));
            }
            degrees
        };
        let latitude_deg = read("latitude_deg", &pointers.latitude);
        let longitude_deg = read("longitude_deg", &pointers.longitude);
        let elevation_m = read("elevation_m", &pointers.elevation);
        let (site, faults) = Site::reported(latitude_deg?, longitude_deg?, elevation_m);
        unreadable.extend(faults);
        site
    }

    fn time(&self, root: &Json, arrival: Timestamp) -> Result<(Timestamp, TimeSource), String> {
        for time in &self.times {
            if let Some(text) = time.text(root) {
                return time.read(&text, arrival);
            }
        }
        Ok((arrival, TimeSource::Arrival))
    }
}

/// The payload as JSON: text that is none is a string, or an object where it is a form.
fn root(payload: &[u8]) -> Result<Json, DecodeError> {
    if payload.len() > MAX_PAYLOAD_BYTES {
        return Err(DecodeError::TooLarge(payload.len()));
    }
    let text = std::str::from_utf8(payload).map_err(|error| DecodeError::NotUtf8(error.valid_up_to()))?;
    if text.trim().is_empty() {
        return Err(DecodeError::Empty);
    }
    Ok(parse_json(text).ok().or_else(|| from_form(text)).unwrap_or_else(|| Json::String(text.to_owned())))
}

impl Time {
    /// The text of the time; `None` where nothing stands there.
    fn text(&self, root: &Json) -> Option<String> {
        let texts: Vec<String> = self
            .at
            .iter()
            .filter_map(|pointer| pointer.find(root).into_iter().find_map(|found| scalar(found.value)))
            .filter(|text| !is_missing(text))
            .collect();
        (!self.at.is_empty() && texts.len() == self.at.len()).then(|| texts.join(" "))
    }

    fn read(&self, text: &str, arrival: Timestamp) -> Result<(Timestamp, TimeSource), String> {
        let formats = if self.formats.is_empty() { &[TimeFormat::Auto][..] } else { &self.formats };
        let mut fault = String::new();
        for format in formats {
            match format.read(text) {
                Ok(Written::Instant(instant)) => return Ok((instant, TimeSource::Payload)),
                Ok(Written::Civil(civil)) => {
                    return match &self.zone {
                        Some(zone) => {
                            // A message is read alone; the repeated hour is the one that is nearer to its arrival.
                            let nearest = WallClock::new(zone.clone(), true).read_near(civil, arrival)?;
                            Ok((nearest, TimeSource::Payload))
                        }
                        None => near_arrival(civil, arrival)
                            .map(|(time, offset_s)| (time, TimeSource::Guessed { offset_s })),
                    };
                }
                Err(error) => fault = error,
            }
        }
        Err(fault)
    }
}

impl Value {
    fn is_of_topic(&self, topic: &str) -> bool {
        let is_excepted = || self.except.iter().any(|pattern| pattern.find(topic).is_some());
        (self.topics.is_empty() || self.place_of_topic(topic).is_some()) && !is_excepted()
    }

    /// Which of its topics a topic is.
    fn place_of_topic(&self, topic: &str) -> Option<usize> {
        self.topics.iter().position(|pattern| pattern.find(topic).is_some())
    }

    /// What stands where the value may: the whole payload where only the topic says so.
    fn find<'a>(&self, root: &'a Json) -> Vec<Found<'a>> {
        let found: Vec<Found<'a>> = if self.at.is_empty() {
            vec![Found { value: root, parent: root }]
        } else {
            self.at.iter().flat_map(|pointer| pointer.find(root)).collect()
        };
        let is_wanted =
            |found: &Found<'a>| self.only.iter().all(|condition| condition.holds(root, found.parent));
        found.into_iter().filter(is_wanted).collect()
    }

    fn unit_of(&self, root: &Json, found: Found<'_>) -> StatedUnit {
        match &self.unit {
            UnitSource::NotSaid => StatedUnit::Known(None),
            UnitSource::Unit(unit) => StatedUnit::Known(Some(*unit)),
            UnitSource::At { place, .. } => self.unit_by(place.text(root, found.parent).as_deref()),
        }
    }
}

impl Place {
    fn text(&self, root: &Json, parent: &Json) -> Option<String> {
        match self {
            Place::Pointer(pointer) => pointer.find(root).into_iter().find_map(|found| scalar(found.value)),
            Place::Beside(key) => parent.get(key).and_then(scalar),
        }
    }
}

impl Condition {
    fn holds(&self, root: &Json, parent: &Json) -> bool {
        let text = self.place.text(root, parent);
        text.is_some_and(|text| self.texts.iter().any(|wanted| wanted.is(&text)))
    }
}
