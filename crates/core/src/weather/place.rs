//! What is known of where a station stands: its site, or a rough one that follows from its time zone or country.

use std::collections::{BTreeMap, HashMap};

use super::reading::StationName;
use super::site::Site;
use crate::number::to_u32;

/// How well a place is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Precision {
    /// It was given.
    Given,
    /// The station's own payload has it.
    Payload,
    /// It is the principal place of the station's time zone.
    TimeZone,
    /// It is the middle of the principal places of the station's country.
    Country,
}

impl Precision {
    /// The word in payloads and logs.
    pub fn name(self) -> &'static str {
        match self {
            Precision::Given => "given",
            Precision::Payload => "payload",
            Precision::TimeZone => "time_zone",
            Precision::Country => "country",
        }
    }
}

/// Where a station stands, as far as that is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// The position, as precise as `precision` says.
    pub site: Site,
    /// How well it is known.
    pub precision: Precision,
}

/// Why a country or a time zone does not tell where a station stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// There is no such time zone, or it is that of no place.
    #[error("{0:?} is no time zone of a place, such as \"Europe/Berlin\"")]
    TimeZone(String),
    /// There is no such country.
    #[error("{0:?} is no country code (ISO 3166), such as \"DE\"")]
    Country(String),
    /// The country is too wide for a rough place.
    #[error(
        "{country} is {degrees}° wide: give time_zone, such as {zone:?}, or latitude_deg and longitude_deg"
    )]
    Wide {
        /// The code of the country (ISO 3166), as it was configured.
        country: String,
        /// From its westernmost principal place to the easternmost.
        degrees: u32,
        /// One of its time zones.
        zone: &'static str,
    },
}

/// The table of time zones: zone, country, degrees north, degrees east.
const ZONES: &str = include_str!("zones.tsv");
/// A country that is wider tells nothing of when the sun rises, degrees of longitude.
const WIDEST_DEG: f64 = 20.0;

struct Zone {
    name: &'static str,
    country: &'static str,
    latitude_deg: f64,
    longitude_deg: f64,
}

fn zones() -> impl Iterator<Item = Zone> {
    ZONES.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let mut fields = line.split('\t');
        Some(Zone {
            name: fields.next()?,
            country: fields.next()?,
            latitude_deg: fields.next()?.parse().ok()?,
            longitude_deg: fields.next()?.parse().ok()?,
        })
    })
}

impl Place {
    /// A site that was given.
    pub fn given(site: Site) -> Place {
        Place { site, precision: Precision::Given }
    }

    /// A site that the station's own payload has.
    pub fn from_payload(site: Site) -> Place {
        Place { site, precision: Precision::Payload }
    }

    /// The principal place of an IANA time zone.
    ///
    /// # Errors
    /// [`PlaceError::TimeZone`] when there is no such zone; also of an old name of one, such as `US/Mountain`.
    pub fn of_time_zone(name: &str) -> Result<Place, PlaceError> {
        let zone = zones().find(|zone| zone.name.eq_ignore_ascii_case(name));
        let zone = zone.ok_or_else(|| PlaceError::TimeZone(name.to_owned()))?;
        Ok(Place { site: Site::new(zone.latitude_deg, zone.longitude_deg), precision: Precision::TimeZone })
    }

    /// The middle of a country.
    ///
    /// # Errors
    /// [`PlaceError`] when there is no such country, or it is too wide.
    pub fn of_country(code: &str) -> Result<Place, PlaceError> {
        let own: Vec<Zone> = zones().filter(|zone| zone.country.eq_ignore_ascii_case(code)).collect();
        let first = own.first().ok_or_else(|| PlaceError::Country(code.to_owned()))?;
        let longitudes = || own.iter().map(|zone| zone.longitude_deg);
        let (west, east) =
            longitudes().fold((f64::MAX, f64::MIN), |(west, east), own| (west.min(own), east.max(own)));
        if east - west > WIDEST_DEG {
            return Err(PlaceError::Wide {
                country: first.country.to_owned(),
                degrees: to_u32(east - west),
                zone: first.name,
            });
        }
        let count = own.len() as f64;
        let latitude_deg = own.iter().map(|zone| zone.latitude_deg).sum::<f64>() / count;
        let longitude_deg = longitudes().sum::<f64>() / count;
        Ok(Place { site: Site::new(latitude_deg, longitude_deg), precision: Precision::Country })
    }
}

/// Where stations stand, by what the configuration says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Places {
    /// Of every station that has none of its own.
    pub default: Option<Place>,
    /// Of single stations.
    pub stations: HashMap<StationName, Place>,
}

impl Places {
    /// Where a station stands: its own place, or everybody's.
    pub fn of(&self, station: &StationName) -> Option<Place> {
        self.stations.get(station).copied().or(self.default)
    }

    /// The places that are not precise, with how many stations of the configuration have one; for a warning.
    pub fn rough(&self) -> BTreeMap<Precision, usize> {
        let mut rough = BTreeMap::new();
        for place in self.stations.values().chain(&self.default) {
            if place.precision != Precision::Given {
                *rough.entry(place.precision).or_default() += 1;
            }
        }
        rough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_zone_is_a_place_to_a_few_degrees() {
        let denver = Place::of_time_zone("America/Denver").unwrap();
        assert_eq!(denver.precision, Precision::TimeZone);
        assert!(denver.site.distance_km(&Site::new(39.74, -104.99)) < 5.0);
        assert!(Place::of_time_zone("europe/berlin").is_ok());
        assert_eq!(Place::of_time_zone("UTC"), Err(PlaceError::TimeZone("UTC".to_owned())));
    }

    #[test]
    fn a_narrow_country_is_a_place_and_a_wide_one_asks_for_more() {
        let germany = Place::of_country("de").unwrap();
        assert!(germany.site.distance_km(&Site::new(50.3, 10.9)) < 400.0, "{germany:?}");
        let said = Place::of_country("US").unwrap_err().to_string();
        assert!(said.starts_with("US is ") && said.contains("give time_zone"), "{said}");
        assert_eq!(Place::of_country("XX"), Err(PlaceError::Country("XX".to_owned())));
    }

    #[test]
    fn every_line_of_the_table_is_a_place_on_earth() {
        assert!(zones().count() > 400);
        assert_eq!(zones().count(), ZONES.lines().count() - 1);
        for zone in zones() {
            assert_eq!(Site::new(zone.latitude_deg, zone.longitude_deg).validate(), Ok(()), "{}", zone.name);
        }
    }

    #[test]
    fn a_station_has_its_own_place_or_everybody_s() {
        let [roof, valley] = ["roof", "valley"].map(|name| StationName::new(name).unwrap());
        let [here, there] = [Site::new(50.9, 11.6), Site::new(47.0, 11.0)].map(Place::given);
        let places = Places { default: Some(here), stations: HashMap::from([(valley.clone(), there)]) };
        assert_eq!((places.of(&roof), places.of(&valley)), (Some(here), Some(there)));
        assert_eq!(Places::default().of(&roof), None);
    }
}
