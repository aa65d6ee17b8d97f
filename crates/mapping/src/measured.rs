//! What a mapping can name: the quantities, and the two pressures that become the pressure at the station.

use std::fmt;

use forecastd_core::{Quantity, ReducedPressure, Reduction, Unit, UnitError, Values};

/// What a value in a payload or a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measured {
    /// A quantity as it is kept.
    Quantity(Quantity),
    /// `air_pressure_at_mean_sea_level`: reduced to sea level, as most consoles show it.
    PressureAtSeaLevel,
    /// `altimeter_setting`: QNH, as airfields report it.
    AltimeterSetting,
}

impl Measured {
    /// Everything that a mapping can name.
    pub fn all() -> impl Iterator<Item = Measured> {
        Quantity::ALL
            .into_iter()
            .map(Measured::Quantity)
            .chain([Measured::PressureAtSeaLevel, Measured::AltimeterSetting])
    }

    /// CF standard name, or a name in its style where CF has none.
    pub fn name(self) -> &'static str {
        match self {
            Measured::Quantity(quantity) => quantity.name(),
            Measured::PressureAtSeaLevel => "air_pressure_at_mean_sea_level",
            Measured::AltimeterSetting => "altimeter_setting",
        }
    }

    /// How it is reduced, where it is a pressure that is not the one at the station.
    pub fn reduction(self) -> Option<Reduction> {
        match self {
            Measured::Quantity(_) => None,
            Measured::PressureAtSeaLevel => Some(Reduction::SeaLevel),
            Measured::AltimeterSetting => Some(Reduction::AltimeterSetting),
        }
    }

    /// The quantity that shares its units.
    pub fn quantity(self) -> Quantity {
        match self {
            Measured::Quantity(quantity) => quantity,
            Measured::PressureAtSeaLevel | Measured::AltimeterSetting => Quantity::AirPressure,
        }
    }

    /// Converts a value in `unit`, or in the canonical unit where there is none.
    ///
    /// # Errors
    /// [`UnitError::Mismatch`] when the unit does not measure the quantity.
    pub fn to_canonical(self, unit: Option<Unit>, value: f64) -> Result<f32, UnitError> {
        match unit {
            Some(unit) => unit.to_canonical(self.quantity(), value),
            None => Ok(value as f32),
        }
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The values of one message or row, in canonical units.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Measurements {
    values: Values,
    sea_level: Option<f32>,
    altimeter: Option<f32>,
}

impl Measurements {
    pub(crate) fn has(&self, measured: Measured) -> bool {
        match measured {
            Measured::Quantity(quantity) => self.values.get(quantity).is_some(),
            Measured::PressureAtSeaLevel => self.sea_level.is_some(),
            Measured::AltimeterSetting => self.altimeter.is_some(),
        }
    }

    pub(crate) fn set(&mut self, measured: Measured, value: f32) {
        match measured {
            Measured::Quantity(quantity) => self.values.set(quantity, value),
            Measured::PressureAtSeaLevel => self.sea_level = Some(value),
            Measured::AltimeterSetting => self.altimeter = Some(value),
        }
    }

    /// Whether there is a pressure, and only one that was reduced.
    pub(crate) fn is_reduced(&self) -> bool {
        self.values.get(Quantity::AirPressure).is_none()
            && (self.sea_level.is_some() || self.altimeter.is_some())
    }

    /// The pressure as it is told, where there is none that was measured at the station, and the station's elevation is known.
    pub(crate) fn reduced_pressure(&self, elevation_m: Option<f64>) -> Option<ReducedPressure> {
        let elevation_m = elevation_m.filter(|_| self.values.get(Quantity::AirPressure).is_none())?;
        let setting = self.altimeter.map(|hpa| (hpa, Reduction::AltimeterSetting));
        let told = setting.or(self.sea_level.map(|hpa| (hpa, Reduction::SeaLevel)));
        told.map(|(hpa, reduction)| ReducedPressure { hpa, reduction, elevation_m })
    }

    /// The values at the station: a measured pressure is kept; else one that was reduced is brought back to the
    /// station's elevation, if that is known, and left out if not.
    pub(crate) fn at_station(mut self, elevation_m: Option<f64>) -> Values {
        if let Some(pressure) = self.reduced_pressure(elevation_m) {
            self.values.set(Quantity::AirPressure, pressure.at_station_hpa(&self.values));
        }
        self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pressure_at_sea_level_needs_the_elevation_and_never_replaces_a_measured_one() {
        let mut measurements = Measurements::default();
        measurements.set(Measured::PressureAtSeaLevel, 1013.25);
        assert!(measurements.at_station(None).is_empty());
        let at_500 = measurements.at_station(Some(500.0)).get(Quantity::AirPressure).unwrap();
        assert!((at_500 - 954.6).abs() < 0.2, "{at_500}: the standard atmosphere has 954.61 hPa");
        measurements.set(Measured::Quantity(Quantity::AirPressure), 950.0);
        assert_eq!(measurements.at_station(Some(500.0)).get(Quantity::AirPressure), Some(950.0));
    }

    #[test]
    fn an_altimeter_setting_is_exact_and_goes_before_the_reduced_pressure() {
        let mut measurements = Measurements::default();
        measurements.set(Measured::PressureAtSeaLevel, 1020.0);
        measurements.set(Measured::AltimeterSetting, 1013.25);
        let at_1000 = measurements.at_station(Some(1000.0)).get(Quantity::AirPressure).unwrap();
        assert!((at_1000 - 898.75).abs() < 0.1, "{at_1000}");
    }
}
