//! A simulated station: seasons, days, fronts, and humidity and pressure that go with them. It feeds the demo where
//! no record of a real station is to be had; it is no weather.
//!
//! Temperature is the course of the year and of the day plus the anomaly of the air mass; pressure and the anomaly
//! follow the same slow oscillations of a few days, in which fronts are the passages of the trough. Noise is an
//! autoregressive process of order one.

use jiff::{SignedDuration, Timestamp};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;

use crate::formats::csv::Row;
use crate::quantity::{Quantity, Values};
use crate::solar::{Site, year_phase};
use crate::thermodynamics::{dew_point_c, saturation_vapor_pressure_hpa};

/// Where the simulated station stands.
pub const SITE: Site = Site { latitude_deg: 50.91, longitude_deg: 11.57 };

/// An endless run of readings, one every ten minutes.
pub struct Simulation {
    generator: Pcg64,
    time: Timestamp,
    /// Phases of the passing lows, in radians, with their periods in hours.
    waves: [(f64, f64); 3],
    noise_c: f64,
    noise_hpa: f64,
    cloud: f64,
}

impl Simulation {
    /// A station whose first reading is of `start`. The same seed gives the same weather.
    pub fn new(start: Timestamp, seed: u64) -> Simulation {
        let mut generator = Pcg64::seed_from_u64(seed);
        let mut wave = |period_h: f64| (generator.random_range(0.0..std::f64::consts::TAU), period_h);
        let waves = [wave(61.0), wave(103.0), wave(177.0)];
        Simulation { generator, time: start, waves, noise_c: 0.0, noise_hpa: 0.0, cloud: 0.5 }
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
        let mut air_mass = 0.0;
        for index in 0..self.waves.len() {
            // A period that wavers keeps the weather from repeating.
            let waver = 1.0 + 0.3 * self.uniform();
            let (phase, period_h) = &mut self.waves[index];
            *phase += std::f64::consts::TAU / (*period_h * 6.0) * waver;
            air_mass += phase.sin() / 3.0;
        }
        self.noise_c = 0.995 * self.noise_c + 0.06 * self.uniform();
        self.noise_hpa = 0.999 * self.noise_hpa + 0.03 * self.uniform();
        self.cloud = (self.cloud + 0.02 * self.uniform() - 0.002 * air_mass).clamp(0.0, 1.0);

        let season = -(std::f64::consts::TAU * (year_phase(time) - 0.055)).cos();
        // The ground lags the sun by about three hours.
        let lagged = time.checked_sub(SignedDuration::from_hours(3)).unwrap_or(time);
        let sun = SITE.sine_of_solar_elevation(lagged).max(0.0);
        let clear = 1.0 - 0.7 * self.cloud;
        let temperature =
            6.5 + 6.5 * season + 11.0 * sun * clear - 1.5 * clear + 5.0 * air_mass + self.noise_c;
        // Air from the south is warm while pressure falls: a quarter of a period apart.
        let tilt: f64 = self.waves.iter().map(|(phase, _)| phase.cos() / 3.0).sum();
        let pressure = 989.0 + 14.0 * tilt + self.noise_hpa;
        let dew_point = temperature - 1.0 - 9.0 * sun * clear - 3.0 * (1.0 - self.cloud);
        let vapor_pressure = saturation_vapor_pressure_hpa(dew_point);
        let humidity = 100.0 * vapor_pressure / saturation_vapor_pressure_hpa(temperature);
        let wind = (2.2 - 1.8 * tilt + 0.8 * self.uniform()).max(0.0);

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
    use crate::screening::Screening;

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
