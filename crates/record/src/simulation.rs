//! A simulated station: seasons, days, fronts, and humidity and pressure that go with them. It feeds the demo where
//! no record of a real station is to be had; it is no weather.
//!
//! Temperature is the course of the year and of the day plus the anomaly of the air mass. Pressure and anomaly are
//! stochastic processes that forget in two days (Ornstein and Uhlenbeck 1930): lows pass at no regular times, and where
//! pressure has fallen the air is warmer, where it rises colder air follows. How far temperature and pressure go from
//! one day to the next is about what it is in Jena.

use jiff::{SignedDuration, Timestamp};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;

use crate::Row;
use forecastd_core::thermodynamics::{dew_point_c, saturation_vapor_pressure_hpa};
use forecastd_core::{Quantity, Values};
use forecastd_core::{Site, year_phase};

/// Where the simulated station stands.
pub const SITE: Site = Site::new(50.91, 11.57);

/// An endless run of readings, one every ten minutes.
pub struct Simulation {
    generator: Pcg64,
    time: Timestamp,
    /// What drives the pressure, as a deviation from its mean in hPa.
    forcing_hpa: f64,
    /// The pressure's deviation from its mean.
    pressure_hpa: f64,
    /// The anomaly of the air mass.
    anomaly_c: f64,
    noise_c: f64,
    noise_m_s: f64,
    cloud: f64,
}

/// Hours from one reading to the next.
const STEP_H: f64 = 1.0 / 6.0;
/// Hours in which the forcing, the pressure and the anomaly follow or forget.
const FORCING_H: f64 = 60.0;
const PRESSURE_H: f64 = 6.0;
const ANOMALY_H: f64 = 45.0;
/// Noise of the forcing, hPa per square root of an hour, and of the anomaly, °C per square root of an hour.
const FORCING_NOISE: f64 = 1.7;
const ANOMALY_NOISE: f64 = 0.5;
/// How much colder it becomes as the pressure rises, °C/hPa.
const COLDER: f64 = 0.4;

impl Simulation {
    /// A station whose first reading is of `start`. The same seed gives the same weather.
    pub fn new(start: Timestamp, seed: u64) -> Simulation {
        let generator = Pcg64::seed_from_u64(seed);
        Simulation {
            generator,
            time: start,
            forcing_hpa: 0.0,
            pressure_hpa: 0.0,
            anomaly_c: 0.0,
            noise_c: 0.0,
            noise_m_s: 0.0,
            cloud: 0.5,
        }
    }

    /// A random number of mean 0 and variance 1; a sum of a few is as good as normal.
    fn noise(&mut self) -> f64 {
        3.0_f64.sqrt() * self.uniform()
    }

    fn uniform(&mut self) -> f64 {
        self.generator.random_range(-1.0..1.0)
    }
}

impl Iterator for Simulation {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        let time = self.time;
        self.time = time.checked_add(SignedDuration::from_mins(10)).ok()?;
        let root = STEP_H.sqrt();
        self.forcing_hpa += -self.forcing_hpa / FORCING_H * STEP_H + FORCING_NOISE * root * self.noise();
        // hPa per hour.
        let tendency = (self.forcing_hpa - self.pressure_hpa) / PRESSURE_H;
        self.pressure_hpa += tendency * STEP_H;
        self.anomaly_c +=
            (-self.anomaly_c / ANOMALY_H - COLDER * tendency) * STEP_H + ANOMALY_NOISE * root * self.noise();
        self.noise_c = 0.97 * self.noise_c + 0.06 * self.uniform();
        self.noise_m_s = 0.99 * self.noise_m_s + 0.14 * self.uniform();
        let usual_cloud = 0.55 - 0.04 * self.pressure_hpa;
        let cloud = self.cloud + 0.004 * (usual_cloud - self.cloud) + 0.06 * self.uniform();
        self.cloud = cloud.clamp(0.0, 1.0);

        let season = -(std::f64::consts::TAU * (year_phase(time) - 0.055)).cos();
        // The ground lags the sun by about three hours.
        let lagged = time.checked_sub(SignedDuration::from_hours(3)).unwrap_or(time);
        let sun = SITE.sine_of_solar_elevation(lagged).max(0.0);
        let clear = 1.0 - 0.7 * self.cloud;
        let temperature =
            6.5 + 8.0 * season + 11.0 * sun * clear - 1.5 * clear + self.anomaly_c + self.noise_c;
        let pressure = 989.0 + self.pressure_hpa;
        let dew_point = temperature - 1.0 - 9.0 * sun * clear - 3.0 * (1.0 - self.cloud);
        let vapor_pressure = saturation_vapor_pressure_hpa(dew_point);
        let humidity = 100.0 * vapor_pressure / saturation_vapor_pressure_hpa(temperature);
        let wind = (2.2 - 0.07 * self.pressure_hpa + 0.5 * tendency.abs() + self.noise_m_s).max(0.0);

        let mut values = Values::NONE;
        let hundredths = |value: f64| ((value * 100.0).round() / 100.0) as f32;
        values.set(Quantity::AirTemperature, hundredths(temperature));
        values.set(Quantity::AirPressure, hundredths(pressure));
        values.set(Quantity::RelativeHumidity, hundredths(humidity.clamp(5.0, 100.0)));
        values.set(Quantity::DewPointTemperature, hundredths(dew_point_c(vapor_pressure)));
        values.set(Quantity::WindSpeed, hundredths(wind));
        Some((time, values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forecastd_core::Screening;

    #[test]
    fn a_simulated_year_is_plausible_has_seasons_and_days_and_repeats_by_its_seed() {
        let start: Timestamp = "2020-01-01T00:00:00Z".parse().unwrap();
        let year: Vec<Row> = Simulation::new(start, 7).take(366 * 144).collect();
        assert_eq!(year[..500], Simulation::new(start, 7).take(500).collect::<Vec<Row>>());
        let mut screening = Screening::default();
        for (time, values) in &year {
            let mut screened = *values;
            assert_eq!(screening.screen(*time, &mut screened), []);
            let get = |quantity| values.get(quantity).unwrap();
            assert!(get(Quantity::DewPointTemperature) <= get(Quantity::AirTemperature) + 0.01);
        }
        let mean = |rows: &mut dyn Iterator<Item = &Row>| {
            let temperatures: Vec<f32> =
                rows.map(|(_, values)| values.get(Quantity::AirTemperature).unwrap()).collect();
            temperatures.iter().sum::<f32>() / temperatures.len() as f32
        };
        let january = mean(&mut year[..31 * 144].iter());
        let july = mean(&mut year[182 * 144..213 * 144].iter());
        assert!(july > january + 10.0, "january {january}, july {july}");
        // 14:00 UTC is afternoon at 11.6° E, 03:00 UTC is night.
        let at_hour = |hour: usize| mean(&mut year[hour * 6..].iter().step_by(144));
        assert!(at_hour(14) > at_hour(3) + 3.0);
    }
}
