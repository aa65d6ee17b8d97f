//! A feature: one column of the network's input, and how it is computed from a history at a slot.

use std::fmt;
use std::str::FromStr;

use crate::number::to_single;
use crate::weather::quantity::Quantity;
use crate::weather::site::Site;
use crate::weather::solar::year_phase;
use crate::window::grid::{Grid, Slot};
use crate::window::history::History;

/// Sine or cosine of a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wave {
    /// The sine of the phase.
    Sin,
    /// The cosine of the phase.
    Cos,
}

/// One column of the network's input.
///
/// In a manifest it is written as [`fmt::Display`] prints it: `air_temperature`, `time_of_day_sin`,
/// `air_pressure_tendency_3h`, `solar_elevation_sin_ahead_24h`, `eastward_wind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Feature {
    /// A measured or derived quantity in its canonical unit.
    Quantity(Quantity),
    /// Change of a quantity over the last hours, in its canonical unit.
    Tendency {
        /// The quantity that changes.
        quantity: Quantity,
        /// Over how many hours.
        hours: u16,
    },
    /// A quantity less its value at the window's end, in its canonical unit.
    RelativeToNewest(Quantity),
    /// 1 where a quantity is there at the sample, measured or filled; 0 where it is not.
    Available(Quantity),
    /// Component of the wind vector towards the east, m/s (CF `eastward_wind`).
    EastwardWind,
    /// Component of the wind vector towards the north, m/s (CF `northward_wind`).
    NorthwardWind,
    /// Phase of the local mean solar day.
    TimeOfDay(Wave),
    /// Phase of the tropical year.
    TimeOfYear(Wave),
    /// Phase of the tropical year, half a year later south of the equator: the season.
    Season(Wave),
    /// Degrees north of the station.
    Latitude,
    /// Metres above sea level of the station; not available where they are not known.
    Elevation,
    /// Sine of the sun's elevation some hours after the sample, 0 while it is below the horizon.
    SolarElevation {
        /// How many hours after the sample.
        ahead_h: u16,
    },
}

/// What a window's features are computed with, beside the history.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FeatureContext {
    /// Where the station stands.
    pub site: Site,
    /// The newest slot that may be looked at.
    pub end: Slot,
    /// The longest hole that is filled, in slots.
    pub max_hole: i64,
}

impl Feature {
    /// The quantities that the feature is computed from.
    pub fn quantities(self) -> &'static [Quantity] {
        match self {
            Feature::Quantity(quantity)
            | Feature::Tendency { quantity, .. }
            | Feature::RelativeToNewest(quantity)
            | Feature::Available(quantity) => std::slice::from_ref(&Quantity::ALL[quantity.index()]),
            Feature::EastwardWind | Feature::NorthwardWind => {
                &[Quantity::WindSpeed, Quantity::WindFromDirection]
            }
            Feature::TimeOfDay(_)
            | Feature::TimeOfYear(_)
            | Feature::Season(_)
            | Feature::Latitude
            | Feature::Elevation
            | Feature::SolarElevation { .. } => &[],
        }
    }

    /// Whether the feature is the same in every window of a station at the same slot, whatever the window ends at.
    pub fn is_of_slot(self) -> bool {
        !matches!(self, Feature::RelativeToNewest(_))
    }

    /// How far before its sample the feature looks, in seconds.
    pub fn reach_s(self) -> u32 {
        match self {
            Feature::Tendency { hours, .. } => u32::from(hours) * 3600,
            _ => 0,
        }
    }

    /// The feature's unit.
    pub fn unit(self) -> &'static str {
        match self {
            Feature::Quantity(quantity)
            | Feature::Tendency { quantity, .. }
            | Feature::RelativeToNewest(quantity) => quantity.unit(),
            Feature::EastwardWind | Feature::NorthwardWind => "m/s",
            Feature::Latitude => "degree_north",
            Feature::Elevation => "m",
            Feature::Available(_)
            | Feature::TimeOfDay(_)
            | Feature::TimeOfYear(_)
            | Feature::Season(_)
            | Feature::SolarElevation { .. } => "1",
        }
    }

    /// The feature at `slot`, in its unit; NaN when what it needs was not measured.
    pub(crate) fn value(self, history: &History, slot: Slot, context: &FeatureContext) -> f32 {
        let filled = |slot, quantity| history.filled(slot, quantity, context.end, context.max_hole);
        self.value_of(history.grid(), slot, context, filled)
    }

    /// The feature at `slot`, from what `filled` gives for a slot and a quantity.
    pub(crate) fn value_of(
        self,
        grid: Grid,
        slot: Slot,
        context: &FeatureContext,
        mut filled: impl FnMut(Slot, Quantity) -> f32,
    ) -> f32 {
        let time = || grid.time(slot);
        match self {
            Feature::Quantity(quantity) => filled(slot, quantity),
            Feature::Tendency { quantity, hours } => {
                let back = grid.hours_to_slots(hours);
                filled(slot, quantity) - filled(slot - back, quantity)
            }
            Feature::RelativeToNewest(quantity) => filled(slot, quantity) - filled(context.end, quantity),
            Feature::Available(quantity) => f32::from(u8::from(!filled(slot, quantity).is_nan())),
            Feature::EastwardWind | Feature::NorthwardWind => {
                let speed = filled(slot, Quantity::WindSpeed);
                // A calm has no direction, and many stations send none.
                if speed == 0.0 {
                    return 0.0;
                }
                let (sin, cos) = filled(slot, Quantity::WindFromDirection).to_radians().sin_cos();
                if self == Feature::EastwardWind { -speed * sin } else { -speed * cos }
            }
            Feature::TimeOfDay(wave) => wave.of(context.site.day_phase(time())),
            Feature::TimeOfYear(wave) => wave.of(year_phase(time())),
            Feature::Season(wave) => {
                let half = if context.site.latitude_deg < 0.0 { 0.5 } else { 0.0 };
                wave.of(year_phase(time()) + half)
            }
            Feature::Latitude => to_single(context.site.latitude_deg),
            Feature::Elevation => context.site.elevation_m.map_or(f32::NAN, to_single),
            Feature::SolarElevation { ahead_h } => {
                let later = grid.time(slot + grid.hours_to_slots(ahead_h));
                to_single(context.site.sine_of_solar_elevation(later).max(0.0))
            }
        }
    }
}

impl Wave {
    fn of(self, phase: f64) -> f32 {
        let angle = std::f64::consts::TAU * phase;
        to_single(match self {
            Wave::Sin => angle.sin(),
            Wave::Cos => angle.cos(),
        })
    }

    fn suffix(self) -> &'static str {
        match self {
            Wave::Sin => "sin",
            Wave::Cos => "cos",
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Feature::Quantity(quantity) => write!(formatter, "{quantity}"),
            Feature::Tendency { quantity, hours } => write!(formatter, "{quantity}_tendency_{hours}h"),
            Feature::RelativeToNewest(quantity) => write!(formatter, "{quantity}_relative_to_newest"),
            Feature::Available(quantity) => write!(formatter, "{quantity}_available"),
            Feature::EastwardWind => formatter.write_str("eastward_wind"),
            Feature::NorthwardWind => formatter.write_str("northward_wind"),
            Feature::TimeOfDay(wave) => write!(formatter, "time_of_day_{}", wave.suffix()),
            Feature::TimeOfYear(wave) => write!(formatter, "time_of_year_{}", wave.suffix()),
            Feature::Season(wave) => write!(formatter, "season_{}", wave.suffix()),
            Feature::Latitude => formatter.write_str("latitude"),
            Feature::Elevation => formatter.write_str("elevation"),
            Feature::SolarElevation { ahead_h: 0 } => formatter.write_str("solar_elevation_sin"),
            Feature::SolarElevation { ahead_h } => {
                write!(formatter, "solar_elevation_sin_ahead_{ahead_h}h")
            }
        }
    }
}

/// A name that is no feature's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown feature {0:?}")]
pub struct UnknownFeature(pub String);

impl FromStr for Feature {
    type Err = UnknownFeature;

    fn from_str(name: &str) -> Result<Feature, UnknownFeature> {
        let unknown = || UnknownFeature(name.to_owned());
        let hours = |text: &str| text.strip_suffix('h')?.parse::<u16>().ok().filter(|&hours| hours <= 240);
        Ok(match name {
            "eastward_wind" => Feature::EastwardWind,
            "northward_wind" => Feature::NorthwardWind,
            "time_of_day_sin" => Feature::TimeOfDay(Wave::Sin),
            "time_of_day_cos" => Feature::TimeOfDay(Wave::Cos),
            "time_of_year_sin" => Feature::TimeOfYear(Wave::Sin),
            "time_of_year_cos" => Feature::TimeOfYear(Wave::Cos),
            "season_sin" => Feature::Season(Wave::Sin),
            "season_cos" => Feature::Season(Wave::Cos),
            "latitude" => Feature::Latitude,
            "elevation" => Feature::Elevation,
            "solar_elevation_sin" => Feature::SolarElevation { ahead_h: 0 },
            _ => {
                if let Some(ahead) = name.strip_prefix("solar_elevation_sin_ahead_") {
                    let ahead_h = hours(ahead).ok_or_else(unknown)?;
                    return Ok(Feature::SolarElevation { ahead_h });
                }
                if let Some((quantity, over)) = name.split_once("_tendency_") {
                    let quantity = quantity.parse().map_err(|_| unknown())?;
                    return Ok(Feature::Tendency { quantity, hours: hours(over).ok_or_else(unknown)? });
                }
                let quantity = |name: &str| name.parse().map_err(|_| unknown());
                if let Some(name) = name.strip_suffix("_relative_to_newest") {
                    return Ok(Feature::RelativeToNewest(quantity(name)?));
                }
                if let Some(name) = name.strip_suffix("_available") {
                    return Ok(Feature::Available(quantity(name)?));
                }
                Feature::Quantity(quantity(name)?)
            }
        })
    }
}

impl serde::Serialize for Feature {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Feature {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Feature, D::Error> {
        let name = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        name.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weather::quantity::Values;
    use crate::window::grid::Grid;
    use jiff::Timestamp;

    #[test]
    fn every_feature_is_found_by_what_it_prints() {
        let mut features: Vec<Feature> = Quantity::ALL.into_iter().map(Feature::Quantity).collect();
        features.extend([
            Feature::Tendency { quantity: Quantity::AirPressure, hours: 3 },
            Feature::RelativeToNewest(Quantity::AirPressure),
            Feature::Available(Quantity::WindFromDirection),
            Feature::Season(Wave::Cos),
            Feature::Latitude,
            Feature::Elevation,
            Feature::EastwardWind,
            Feature::NorthwardWind,
            Feature::TimeOfDay(Wave::Sin),
            Feature::TimeOfYear(Wave::Cos),
            Feature::SolarElevation { ahead_h: 0 },
            Feature::SolarElevation { ahead_h: 24 },
        ]);
        for feature in features {
            assert_eq!(feature.to_string().parse(), Ok(feature));
        }
        for name in [
            "",
            "moon",
            "moon_available",
            "_relative_to_newest",
            "air_pressure_tendency_",
            "air_pressure_tendency_9999h",
            "x_tendency_3h",
        ] {
            assert_eq!(name.parse::<Feature>(), Err(UnknownFeature(name.to_owned())));
        }
    }

    #[test]
    fn a_west_wind_blows_to_the_east() {
        let mut history =
            History::new(Grid::new(600).unwrap(), &[Quantity::WindSpeed, Quantity::WindFromDirection], 4);
        let mut values = Values::NONE;
        values.set(Quantity::WindSpeed, 5.0);
        values.set(Quantity::WindFromDirection, 270.0);
        history.insert(Timestamp::from_second(600).unwrap(), &values);
        let site = Site::new(50.0, 0.0);
        let context = FeatureContext { site, end: 1, max_hole: 2 };
        assert!((Feature::EastwardWind.value(&history, 1, &context) - 5.0).abs() < 1e-5);
        assert!(Feature::NorthwardWind.value(&history, 1, &context).abs() < 1e-5);
        let mut calm = Values::NONE;
        calm.set(Quantity::WindSpeed, 0.0);
        history.insert(Timestamp::from_second(6000).unwrap(), &calm);
        let context = FeatureContext { end: 10, ..context };
        assert_eq!(Feature::EastwardWind.value(&history, 10, &context), 0.0, "a calm has no direction");
    }

    #[test]
    fn what_is_relative_to_the_newest_is_zero_there_and_what_is_not_there_is_said() {
        let mut history = History::new(Grid::new(3600).unwrap(), &[Quantity::AirTemperature], 10);
        for (hour, temperature) in [(1, 4.0), (2, 7.0)] {
            let mut values = Values::NONE;
            values.set(Quantity::AirTemperature, temperature);
            history.insert(Timestamp::from_second(hour * 3600).unwrap(), &values);
        }
        let context = FeatureContext { site: Site::new(-33.9, 18.4), end: 2, max_hole: 3 };
        let value = |feature: Feature, slot| feature.value(&history, slot, &context);
        let relative = Feature::RelativeToNewest(Quantity::AirTemperature);
        assert_eq!((value(relative, 1), value(relative, 2)), (-3.0, 0.0));
        assert!(value(relative, 0).is_nan());
        let available = Feature::Available(Quantity::AirTemperature);
        assert_eq!((value(available, 0), value(available, 1)), (0.0, 1.0));
        assert_eq!(value(Feature::Latitude, 1), -33.9);
        assert!(value(Feature::Elevation, 1).is_nan());
        // The southern January is the northern July: half a wave apart.
        let north = FeatureContext { site: Site::new(33.9, 18.4), ..context };
        let season = Feature::Season(Wave::Cos);
        assert!((value(season, 1) + season.value(&history, 1, &north)).abs() < 1e-6);
    }
}
