//! What is known of where a station stands: its site, or a rough one that follows from its time zone or country.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::reading::StationName;
use super::site::Site;
use crate::number::to_u32;

/// How well a place is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Precision {
    /// It was given.
    Given,
    /// The station's own payload has it, in degrees.
    Payload,
    /// It is the principal place of the station's time zone.
    TimeZone,
    /// It is the middle of the principal places of the station's country, or the one that most people live near.
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

    /// Whether it is that of a time zone or country: good enough for the sun, and for nothing that asks how far two places are
    /// apart.
    pub fn is_rough(self) -> bool {
        matches!(self, Precision::TimeZone | Precision::Country)
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

/// A site that is further east or west of every principal place of its zone or country than this is in another, degrees of
/// longitude: four hours of the sun. The widest zone is that of China, of which the west is 48° from Shanghai.
const FURTHEST_EAST_DEG: f64 = 60.0;
/// So far from a place, near a pole, degrees of longitude say nothing, km.
const NEAR_KM: f64 = 2000.0;
/// No place of a zone or country is further from every principal place of it, km; from Shanghai to the west of China are 4,100.
const FURTHEST_KM: f64 = 5000.0;

/// The zones that most people live in, of countries of several parts whose middle is none of them.
const LARGEST_PARTS: [&str; 8] = [
    "Africa/Kinshasa",
    "America/Guayaquil",
    "Asia/Kuala_Lumpur",
    "Asia/Ulaanbaatar",
    "Europe/Lisbon",
    "Europe/Madrid",
    "Pacific/Auckland",
    "Pacific/Tahiti",
];

struct Zone {
    name: &'static str,
    country: &'static str,
    latitude_deg: f64,
    longitude_deg: f64,
}

impl Zone {
    fn site(&self) -> Site {
        Site::new(self.latitude_deg, self.longitude_deg)
    }
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

    /// The better known of two; the first where both are known as well.
    pub fn better_known(first: Option<Place>, second: Option<Place>) -> Option<Place> {
        first.into_iter().chain(second).min_by_key(|place| place.precision)
    }

    /// The principal place of an IANA time zone.
    ///
    /// # Errors
    /// [`PlaceError::TimeZone`] when there is no such zone; also of an old name of one, such as `US/Mountain`.
    pub fn of_time_zone(name: &str) -> Result<Place, PlaceError> {
        let zone = zones().find(|zone| zone.name.eq_ignore_ascii_case(name));
        let zone = zone.ok_or_else(|| PlaceError::TimeZone(name.to_owned()))?;
        Ok(Place { site: zone.site(), precision: Precision::TimeZone })
    }

    /// The country of an IANA time zone, by its code (ISO 3166).
    ///
    /// # Errors
    /// As those of [`Place::of_time_zone`].
    pub fn country_of_time_zone(name: &str) -> Result<&'static str, PlaceError> {
        let zone = zones().find(|zone| zone.name.eq_ignore_ascii_case(name));
        zone.map(|zone| zone.country).ok_or_else(|| PlaceError::TimeZone(name.to_owned()))
    }

    /// How far a site is from the principal place of a time zone, km, where it is too far to be in it.
    ///
    /// # Errors
    /// As those of [`Place::of_time_zone`].
    pub fn far_from_time_zone_km(site: &Site, name: &str) -> Result<Option<f64>, PlaceError> {
        let place = Place::of_time_zone(name)?;
        Ok(too_far_km(site, &[place.site]))
    }

    /// How far a site is from the nearest principal place of a country, km, where it is too far to be in it.
    ///
    /// # Errors
    /// [`PlaceError::Country`] when there is no such country.
    pub fn far_from_country_km(site: &Site, code: &str) -> Result<Option<f64>, PlaceError> {
        let own = zones().filter(|zone| zone.country.eq_ignore_ascii_case(code));
        let own: Vec<Site> = own.map(|zone| zone.site()).collect();
        if own.is_empty() {
            return Err(PlaceError::Country(code.to_owned()));
        }
        Ok(too_far_km(site, &own))
    }

    /// The middle of a country, or, of one of several parts, the principal place of the largest.
    ///
    /// # Errors
    /// [`PlaceError`] when there is no such country, or it is too wide.
    pub fn of_country(code: &str) -> Result<Place, PlaceError> {
        let own: Vec<Zone> = zones().filter(|zone| zone.country.eq_ignore_ascii_case(code)).collect();
        let first = own.first().ok_or_else(|| PlaceError::Country(code.to_owned()))?;
        let (west_deg, width_deg) = extent(own.iter().map(|zone| zone.longitude_deg));
        if width_deg > WIDEST_DEG {
            return Err(PlaceError::Wide {
                country: first.country.to_owned(),
                degrees: to_u32(width_deg),
                zone: first.name,
            });
        }
        let site = match own.iter().find(|zone| LARGEST_PARTS.contains(&zone.name)) {
            Some(part) => Site::new(part.latitude_deg, part.longitude_deg),
            None => {
                let mean =
                    |value: &dyn Fn(&Zone) -> f64| own.iter().map(value).sum::<f64>() / own.len() as f64;
                let east_deg = mean(&|zone| (zone.longitude_deg - west_deg).rem_euclid(360.0));
                let longitude_deg = (west_deg + east_deg + 180.0).rem_euclid(360.0) - 180.0;
                Site::new(mean(&|zone| zone.latitude_deg), longitude_deg)
            }
        };
        Ok(Place { site, precision: Precision::Country })
    }
}

/// How far a site is from the nearest of some places, km, where it is too far from all of them.
fn too_far_km(site: &Site, places: &[Site]) -> Option<f64> {
    let is_too_far = |place: &Site| {
        let east_deg = (site.longitude_deg - place.longitude_deg + 180.0).rem_euclid(360.0) - 180.0;
        let distance_km = site.distance_km(place);
        distance_km > FURTHEST_KM || east_deg.abs() > FURTHEST_EAST_DEG && distance_km > NEAR_KM
    };
    let distances_km = places.iter().map(|place| site.distance_km(place));
    let nearest_km = distances_km.min_by(f64::total_cmp)?;
    places.iter().all(is_too_far).then_some(nearest_km)
}

/// From where on, going east, the longitudes lie, and how far they reach, degrees: behind the widest gap between two of them, as
/// they may lie on both sides of the 180th meridian.
fn extent(longitudes_deg: impl Iterator<Item = f64>) -> (f64, f64) {
    let mut sorted: Vec<f64> = longitudes_deg.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.dedup();
    let behind = sorted.iter().cycle().skip(1);
    let gaps = sorted.iter().zip(behind).map(|(own, next)| {
        let gap_deg = (next - own).rem_euclid(360.0);
        (*next, if gap_deg == 0.0 { 360.0 } else { gap_deg })
    });
    let (west_deg, gap_deg) =
        gaps.max_by(|(_, left), (_, right)| left.total_cmp(right)).unwrap_or((0.0, 360.0));
    (west_deg, 360.0 - gap_deg)
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
    fn a_country_on_both_sides_of_the_180th_meridian_is_as_wide_as_it_is() {
        // From 174.77° E to 176.55° W are 8.68°, from 170° W to 170° E 20° in the other direction.
        let (west_deg, width_deg) = extent([174.77, -176.55].into_iter());
        assert!(
            (west_deg - 174.77).abs() < 1e-9 && (width_deg - 8.68).abs() < 1e-9,
            "{west_deg} {width_deg}"
        );
        assert_eq!(extent([-170.0, 170.0].into_iter()), (170.0, 20.0));
        assert_eq!(extent([5.0, 5.0].into_iter()).1, 0.0);
        assert_eq!(extent([5.0, 10.0, 5.0].into_iter()), (5.0, 5.0));
        let wake_and_midway = Place::of_country("UM").unwrap().site;
        assert!((wake_and_midway.longitude_deg - 174.6).abs() < 0.1, "{wake_and_midway:?}");
        // Tarawa lies 173° E, Kiritimati 157.33° W.
        let said = Place::of_country("KI").unwrap_err().to_string();
        assert!(said.starts_with("KI is 30° wide"), "{said}");
    }

    #[test]
    fn a_country_of_several_parts_is_placed_in_the_largest_and_not_in_the_sea_between() {
        for (code, near) in [
            ("NZ", Site::new(-36.85, 174.76)),
            ("PT", Site::new(38.71, -9.14)),
            ("ES", Site::new(40.42, -3.70)),
            ("EC", Site::new(-2.19, -79.89)),
        ] {
            let place = Place::of_country(code).unwrap();
            assert_eq!(place.precision, Precision::Country);
            assert!(place.site.distance_km(&near) < 20.0, "{code}: {place:?}");
        }
        assert!(LARGEST_PARTS.iter().all(|part| zones().any(|zone| zone.name == *part)));
    }

    /// The sign of a longitude or of a latitude, and the order of both; and the ends of wide zones and countries, the poles and
    /// the 180th meridian.
    #[test]
    fn a_site_that_is_hours_of_the_sun_or_half_the_earth_from_its_zone_is_not_in_it() {
        let zone = |latitude_deg, longitude_deg, name| {
            Place::far_from_time_zone_km(&Site::new(latitude_deg, longitude_deg), name).unwrap()
        };
        for (latitude_deg, longitude_deg, name) in [
            (39.74, 104.98, "America/Denver"),
            (-39.74, -104.98, "America/Denver"),
            (13.4, 52.5, "Europe/Berlin"),
            (64.1, 21.9, "America/Anchorage"),
        ] {
            assert!(
                zone(latitude_deg, longitude_deg, name).is_some(),
                "{latitude_deg} {longitude_deg} {name}"
            );
        }
        for (latitude_deg, longitude_deg, name) in [
            // Kashgar, Santa Cruz in the Azores by the zone of Lisbon, the South Pole, and both sides of the date line.
            (39.47, 75.99, "Asia/Shanghai"),
            (39.45, -31.13, "Europe/Lisbon"),
            (-90.0, 0.0, "Antarctica/McMurdo"),
            (-43.95, -176.56, "Pacific/Auckland"),
        ] {
            assert_eq!(
                zone(latitude_deg, longitude_deg, name),
                None,
                "{latitude_deg} {longitude_deg} {name}"
            );
        }
        let country = |latitude_deg, longitude_deg, code| {
            Place::far_from_country_km(&Site::new(latitude_deg, longitude_deg), code)
        };
        assert_eq!(country(39.74, -104.98, "us"), Ok(None));
        assert_eq!(country(21.31, -157.86, "US"), Ok(None), "Honolulu is far from Washington");
        assert!(country(39.74, 104.98, "US").unwrap().is_some());
        assert_eq!(country(0.0, 0.0, "XX"), Err(PlaceError::Country("XX".to_owned())));
        assert_eq!(Place::country_of_time_zone("america/denver"), Ok("US"));
    }

    #[test]
    fn no_place_of_a_zone_is_too_far_from_its_country() {
        for zone in zones() {
            assert_eq!(Place::far_from_country_km(&zone.site(), zone.country), Ok(None), "{}", zone.name);
        }
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
