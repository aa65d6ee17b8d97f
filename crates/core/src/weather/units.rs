//! Units in which stations report, and their conversion to the canonical unit of a quantity.
//!
//! Factors: BIPM, The International System of Units (9th ed.); inch of mercury (0 °C) and knot: NIST SP 811, B.8.

use std::str::FromStr;

use crate::weather::quantity::Quantity;

/// A unit of measurement as an affine map to a canonical unit: `canonical = value · factor + offset`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unit {
    name: &'static str,
    kind: Kind,
    factor: f64,
    offset: f64,
}

/// What a unit measures; quantities of one kind share their units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Temperature,
    Pressure,
    Ratio,
    Speed,
    Angle,
    Other,
}

/// A unit that is not known, or that does not measure the quantity it is given for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// No unit has this name.
    #[error("unknown unit {0:?}")]
    Unknown(String),
    /// The unit exists, but not for this quantity.
    #[error("{unit:?} is no unit of {quantity}")]
    Mismatch {
        /// The unit's name.
        unit: &'static str,
        /// The quantity it was given for.
        quantity: Quantity,
    },
}

const fn unit(name: &'static str, kind: Kind, factor: f64, offset: f64) -> Unit {
    Unit { name, kind, factor, offset }
}

/// Every unit by the names found in the field; the first of a kind is the canonical one.
const UNITS: &[Unit] = &[
    unit("degC", Kind::Temperature, 1.0, 0.0),
    unit("C", Kind::Temperature, 1.0, 0.0),
    unit("°C", Kind::Temperature, 1.0, 0.0),
    unit("0.1 degC", Kind::Temperature, 0.1, 0.0),
    unit("F", Kind::Temperature, 5.0 / 9.0, -160.0 / 9.0),
    unit("degF", Kind::Temperature, 5.0 / 9.0, -160.0 / 9.0),
    unit("°F", Kind::Temperature, 5.0 / 9.0, -160.0 / 9.0),
    unit("K", Kind::Temperature, 1.0, -273.15),
    unit("hPa", Kind::Pressure, 1.0, 0.0),
    unit("mbar", Kind::Pressure, 1.0, 0.0),
    unit("Pa", Kind::Pressure, 0.01, 0.0),
    unit("kPa", Kind::Pressure, 10.0, 0.0),
    unit("inHg", Kind::Pressure, 33.863_89, 0.0),
    unit("mmHg", Kind::Pressure, 1.333_224, 0.0),
    unit("%", Kind::Ratio, 1.0, 0.0),
    unit("percent", Kind::Ratio, 1.0, 0.0),
    unit("1", Kind::Ratio, 100.0, 0.0),
    unit("m/s", Kind::Speed, 1.0, 0.0),
    unit("km/h", Kind::Speed, 1.0 / 3.6, 0.0),
    unit("mph", Kind::Speed, 0.447_04, 0.0),
    unit("knot", Kind::Speed, 1852.0 / 3600.0, 0.0),
    unit("0.1 knot", Kind::Speed, 185.2 / 3600.0, 0.0),
    unit("deg", Kind::Angle, 1.0, 0.0),
    unit("°", Kind::Angle, 1.0, 0.0),
];

impl FromStr for Unit {
    type Err = UnitError;

    fn from_str(name: &str) -> Result<Unit, UnitError> {
        UNITS
            .iter()
            .find(|unit| unit.name == name)
            .copied()
            .ok_or_else(|| UnitError::Unknown(name.to_owned()))
    }
}

impl Unit {
    /// Converts `value` from this unit to the canonical unit of `quantity`.
    ///
    /// # Errors
    /// [`UnitError::Mismatch`] when the unit does not measure the quantity.
    pub fn to_canonical(self, quantity: Quantity, value: f64) -> Result<f32, UnitError> {
        if self.kind != kind_of(quantity) {
            return Err(UnitError::Mismatch { unit: self.name, quantity });
        }
        Ok((value * self.factor + self.offset) as f32)
    }
}

fn kind_of(quantity: Quantity) -> Kind {
    match quantity {
        Quantity::AirTemperature | Quantity::DewPointTemperature => Kind::Temperature,
        Quantity::AirPressure
        | Quantity::SaturationVaporPressure
        | Quantity::VaporPressure
        | Quantity::VaporPressureDeficit => Kind::Pressure,
        Quantity::RelativeHumidity => Kind::Ratio,
        Quantity::WindSpeed | Quantity::WindSpeedOfGust => Kind::Speed,
        Quantity::WindFromDirection => Kind::Angle,
        Quantity::AirPotentialTemperature
        | Quantity::SpecificHumidity
        | Quantity::WaterVaporMoleFraction
        | Quantity::AirDensity => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_points_convert() {
        let cases = [
            ("F", Quantity::AirTemperature, 212.0, 100.0),
            ("F", Quantity::AirTemperature, -40.0, -40.0),
            ("K", Quantity::DewPointTemperature, 273.15, 0.0),
            ("0.1 degC", Quantity::AirTemperature, -35.0, -3.5),
            ("inHg", Quantity::AirPressure, 29.92, 1013.2),
            ("mmHg", Quantity::AirPressure, 760.0, 1013.25),
            ("Pa", Quantity::AirPressure, 101_325.0, 1013.25),
            ("km/h", Quantity::WindSpeed, 36.0, 10.0),
            ("knot", Quantity::WindSpeedOfGust, 3600.0, 1852.0),
            ("mph", Quantity::WindSpeed, 100.0, 44.704),
            ("1", Quantity::RelativeHumidity, 0.5, 50.0),
        ];
        for (name, quantity, value, expected) in cases {
            let converted = name.parse::<Unit>().unwrap().to_canonical(quantity, value).unwrap();
            assert!((converted - expected).abs() < 0.02, "{value} {name} = {converted}, not {expected}");
        }
    }

    #[test]
    fn a_unit_of_another_quantity_is_refused() {
        let knots: Unit = "knot".parse().unwrap();
        assert!(matches!(
            knots.to_canonical(Quantity::AirPressure, 1.0),
            Err(UnitError::Mismatch { unit: "knot", .. })
        ));
        assert_eq!("furlong".parse::<Unit>(), Err(UnitError::Unknown("furlong".to_owned())));
    }
}
