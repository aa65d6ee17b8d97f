//! Where the sun stands: the part of the weather that is known in advance.

use jiff::Timestamp;

use crate::weather::site::Site;

const SECONDS_PER_DAY: f64 = 86_400.0;
/// Mean tropical year in days.
const DAYS_PER_YEAR: f64 = 365.2422;
/// The second of 2000-01-01T00:00:00Z since the Unix epoch.
const YEAR_2000: f64 = 946_684_800.0;

impl Site {
    /// Local mean solar time as a phase of the day, 0 at midnight to 1.
    pub fn day_phase(self, time: Timestamp) -> f64 {
        let seconds = time.as_second() as f64 + self.longitude_deg / 360.0 * SECONDS_PER_DAY;
        fraction(seconds / SECONDS_PER_DAY)
    }

    /// Sine of the sun's elevation above the horizon (negative at night), without refraction.
    ///
    /// Declination and equation of time: J. W. Spencer, Fourier series representation of the position of the
    /// sun, Search 2 (1971) 172; error of the declination below 0.05°.
    pub fn sine_of_solar_elevation(self, time: Timestamp) -> f64 {
        let (sin, cos) = (std::f64::consts::TAU * year_phase(time)).sin_cos();
        // Of twice and three times the angle, from those of the angle: windows ask for thousands.
        let (sin_2, cos_2) = (2.0 * sin * cos, 2.0 * cos * cos - 1.0);
        let (sin_3, cos_3) = (sin * (3.0 - 4.0 * sin * sin), cos * (4.0 * cos * cos - 3.0));
        let declination = 0.006918 - 0.399912 * cos + 0.070257 * sin - 0.006758 * cos_2 + 0.000907 * sin_2
            - 0.002697 * cos_3
            + 0.00148 * sin_3;
        let equation_of_time =
            0.000075 + 0.001868 * cos - 0.032077 * sin - 0.014615 * cos_2 - 0.040849 * sin_2;
        let hour_angle = std::f64::consts::TAU * (self.day_phase(time) - 0.5) + equation_of_time;
        let (sin_of_declination, cos_of_declination) = declination.sin_cos();
        let (sin_of_latitude, cos_of_latitude) = self.latitude_deg.to_radians().sin_cos();
        sin_of_latitude * sin_of_declination + cos_of_latitude * cos_of_declination * hour_angle.cos()
    }
}

/// Phase of the tropical year, 0 at the beginning of January to 1.
pub fn year_phase(time: Timestamp) -> f64 {
    fraction((time.as_second() as f64 - YEAR_2000) / (DAYS_PER_YEAR * SECONDS_PER_DAY))
}

/// What is beyond the whole numbers below, 0 to 1: `rem_euclid(1.0)` for the price of a rounding.
fn fraction(number: f64) -> f64 {
    number - number.floor()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elevation_deg(site: Site, time: &str) -> f64 {
        site.sine_of_solar_elevation(time.parse().unwrap()).asin().to_degrees()
    }

    /// At solar noon of a solstice the elevation is 90° − |latitude ∓ 23.44°|.
    #[test]
    fn noon_elevations_at_the_solstices_are_those_of_the_obliquity() {
        let greenwich = Site::new(51.48, 0.0);
        assert!((elevation_deg(greenwich, "2020-06-20T12:02:00Z") - (90.0 - 51.48 + 23.44)).abs() < 0.1);
        assert!((elevation_deg(greenwich, "2020-12-21T11:58:00Z") - (90.0 - 51.48 - 23.44)).abs() < 0.1);
    }

    /// Sunrise and sunset of Jena at the equinox of 2020-03-20 (day and night equally long, solar noon at
    /// 12:00 − 46 min + 7.5 min UTC from longitude 11.57° E and an equation of time of −7.5 min).
    #[test]
    fn the_sun_is_on_the_horizon_six_hours_around_noon_at_an_equinox() {
        let jena = Site::new(50.91, 11.57);
        assert!(elevation_deg(jena, "2020-03-20T05:21:00Z").abs() < 0.6);
        assert!(elevation_deg(jena, "2020-03-20T17:21:00Z").abs() < 0.6);
    }
}
