//! Where a station stands.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

/// A position on earth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// The latitude, degrees north.
    pub latitude_deg: f64,
    /// The longitude, degrees east.
    pub longitude_deg: f64,
    /// Metres above sea level, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elevation_m: Option<f64>,
}

/// What is wrong with a [`Site`].
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum SiteError {
    /// The latitude is beyond the poles.
    #[error("latitude_deg = {0} is not between -90 and 90")]
    Latitude(f64),
    /// The longitude is beyond the date line.
    #[error("longitude_deg = {0} is not between -180 and 180")]
    Longitude(f64),
    /// The elevation is below the Dead Sea or above every mountain.
    #[error("elevation_m = {0} is not between {low} and {high}", low = Site::ELEVATIONS_M.start(), high = Site::ELEVATIONS_M.end())]
    Elevation(f64),
}

impl SiteError {
    /// The key of the number that is wrong.
    pub fn key(&self) -> &'static str {
        match self {
            SiteError::Latitude(_) => "latitude_deg",
            SiteError::Longitude(_) => "longitude_deg",
            SiteError::Elevation(_) => "elevation_m",
        }
    }
}

/// The mean radius of the earth, km (IUGG, R₁).
const EARTH_RADIUS_KM: f64 = 6371.0088;

impl Site {
    /// The elevations that a station may have, in metres: from the shore of the Dead Sea to above every mountain.
    pub const ELEVATIONS_M: RangeInclusive<f64> = -450.0..=9000.0;

    /// A position without an elevation.
    pub const fn new(latitude_deg: f64, longitude_deg: f64) -> Site {
        Site { latitude_deg, longitude_deg, elevation_m: None }
    }

    /// The position at an elevation in metres above sea level.
    #[must_use]
    pub const fn at_elevation(self, elevation_m: f64) -> Site {
        Site { elevation_m: Some(elevation_m), ..self }
    }

    /// The position that is given by its numbers; none where latitude and longitude are not both there.
    ///
    /// # Errors
    /// [`SiteError`] when it is not on earth.
    pub fn given(
        latitude_deg: Option<f64>,
        longitude_deg: Option<f64>,
        elevation_m: Option<f64>,
    ) -> Result<Option<Site>, SiteError> {
        let Some((latitude_deg, longitude_deg)) = latitude_deg.zip(longitude_deg) else { return Ok(None) };
        let site = Site { latitude_deg, longitude_deg, elevation_m };
        site.validate().map(|()| Some(site))
    }

    /// Checks that it is on earth.
    ///
    /// # Errors
    /// [`SiteError`], the first found.
    pub fn validate(&self) -> Result<(), SiteError> {
        if !(-90.0..=90.0).contains(&self.latitude_deg) {
            return Err(SiteError::Latitude(self.latitude_deg));
        }
        if !(-180.0..=180.0).contains(&self.longitude_deg) {
            return Err(SiteError::Longitude(self.longitude_deg));
        }
        self.elevation_m.map_or(Ok(()), Site::validate_elevation)
    }

    /// Checks that a station may stand so high.
    ///
    /// # Errors
    /// [`SiteError::Elevation`] outside of [`Site::ELEVATIONS_M`].
    pub fn validate_elevation(elevation_m: f64) -> Result<(), SiteError> {
        match Site::ELEVATIONS_M.contains(&elevation_m) {
            true => Ok(()),
            false => Err(SiteError::Elevation(elevation_m)),
        }
    }

    /// The position that a station reports, and what of it cannot be, with its key: an elevation that is wrong costs itself
    /// alone. None where a receiver without reception sends 0 for both, which is a place in the sea; that is a fault, too.
    pub fn reported(
        latitude_deg: f64,
        longitude_deg: f64,
        elevation_m: Option<f64>,
    ) -> (Option<Site>, Vec<(&'static str, String)>) {
        let mut faults = Vec::new();
        let mut check = |site: Site| match site.validate() {
            Ok(()) => true,
            Err(error) => {
                faults.push((error.key(), error.to_string()));
                false
            }
        };
        let plain = Site::new(latitude_deg, longitude_deg);
        let whole = Site { elevation_m, ..plain };
        let site = if (latitude_deg, longitude_deg) == (0.0, 0.0) {
            faults
                .push(("latitude_deg", "0, and longitude_deg too: a receiver without reception".to_owned()));
            None
        } else if !check(plain) {
            None
        } else if check(whole) {
            Some(whole)
        } else {
            Some(plain)
        };
        (site, faults)
    }

    /// The distance to another position along a great circle, km (haversine formula).
    pub fn distance_km(&self, other: &Site) -> f64 {
        let half = |from: f64, to: f64| ((to - from).to_radians() / 2.0).sin().powi(2);
        let along = self.latitude_deg.to_radians().cos() * other.latitude_deg.to_radians().cos();
        let chord = half(self.latitude_deg, other.latitude_deg)
            + along * half(self.longitude_deg, other.longitude_deg);
        2.0 * EARTH_RADIUS_KM * chord.sqrt().min(1.0).asin()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A degree of a meridian is 2πR/360; London to New York is 5570 km (airport tables say 5555 to 5585).
    #[test]
    fn distances_are_those_along_a_great_circle() {
        let degree = Site::new(50.0, 10.0).distance_km(&Site::new(51.0, 10.0));
        assert!((degree - 111.195).abs() < 0.001, "{degree}");
        let across = Site::new(51.5074, -0.1278).distance_km(&Site::new(40.7128, -74.0060));
        assert!((across - 5570.0).abs() < 5.0, "{across}");
        assert_eq!(Site::new(0.0, 180.0).distance_km(&Site::new(0.0, -180.0)).round(), 0.0);
    }

    #[test]
    fn a_position_that_is_not_on_earth_is_refused_with_the_number() {
        assert_eq!(Site::new(50.9, 11.6).at_elevation(155.0).validate(), Ok(()));
        assert_eq!(Site::new(90.1, 0.0).validate(), Err(SiteError::Latitude(90.1)));
        assert_eq!(Site::new(0.0, 181.0).validate(), Err(SiteError::Longitude(181.0)));
        assert!(matches!(Site::new(f64::NAN, 0.0).validate(), Err(SiteError::Latitude(_))));
        assert!(matches!(
            Site::new(0.0, 0.0).at_elevation(30_000.0).validate(),
            Err(SiteError::Elevation(_))
        ));
    }
}
