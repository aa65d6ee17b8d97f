//! Units in which stations report, and their conversion to the canonical unit of a quantity.
//!
//! Factors: BIPM, The International System of Units (9th ed.); inch of mercury (0 °C), millimetre of mercury and knot:
//! NIST SP 811, B.8. A unit may stand behind a factor: `0.1 degC`, `10 deg`.

use std::str::FromStr;

use crate::number::to_single;
use crate::weather::quantity::Quantity;

/// A unit of measurement as an affine map to a canonical unit: `canonical = value · scale · factor + offset`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unit {
    name: &'static str,
    kind: Kind,
    factor: f64,
    offset: f64,
    /// The number that stands before the unit's name.
    scale: f64,
}

/// What a unit measures; quantities of one kind share their units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Temperature,
    AbsoluteTemperature,
    Pressure,
    Ratio,
    Speed,
    Angle,
    SpecificHumidity,
    MoleFraction,
    Density,
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

/// A unit with the names by which the field knows it.
struct Definition {
    unit: Unit,
    /// Other names. All are compared without regard to upper and lower case.
    aliases: &'static [&'static str],
}

const fn unit(
    name: &'static str,
    kind: Kind,
    factor: f64,
    offset: f64,
    aliases: &'static [&'static str],
) -> Definition {
    Definition { unit: Unit { name, kind, factor, offset, scale: 1.0 }, aliases }
}

/// Every unit; the first of a kind is the canonical one.
const UNITS: &[Definition] = &[
    unit(
        "degC",
        Kind::Temperature,
        1.0,
        0.0,
        &["C", "°C", "ºC", "℃", "celsius", "deg C", "degree_C", "degrees C", "degrees celsius", "tempC"],
    ),
    unit(
        "degF",
        Kind::Temperature,
        5.0 / 9.0,
        -160.0 / 9.0,
        &["F", "°F", "ºF", "℉", "fahrenheit", "deg F", "degree_F", "degrees F", "degrees fahrenheit"],
    ),
    unit("K", Kind::Temperature, 1.0, -273.15, &["kelvin", "degK"]),
    unit("K", Kind::AbsoluteTemperature, 1.0, 0.0, &["kelvin", "degK"]),
    unit("degC", Kind::AbsoluteTemperature, 1.0, 273.15, &["C", "°C", "ºC", "℃", "celsius"]),
    unit("hPa", Kind::Pressure, 1.0, 0.0, &["mbar", "mb", "millibar", "millibars", "hectopascal"]),
    unit("Pa", Kind::Pressure, 0.01, 0.0, &["pascal"]),
    unit("kPa", Kind::Pressure, 10.0, 0.0, &["kilopascal"]),
    unit("bar", Kind::Pressure, 1000.0, 0.0, &[]),
    unit("inHg", Kind::Pressure, 33.863_89, 0.0, &["in Hg", "in", "inches", "inch of mercury", "\"Hg"]),
    unit("mmHg", Kind::Pressure, 1.333_224, 0.0, &["mm Hg", "torr"]),
    unit("%", Kind::Ratio, 1.0, 0.0, &["percent", "pct", "%RH", "% RH"]),
    unit("1", Kind::Ratio, 100.0, 0.0, &["fraction", "ratio", "0-1"]),
    unit(
        "m/s",
        Kind::Speed,
        1.0,
        0.0,
        &["mps", "m_s", "ms", "m s-1", "m/sec", "meter_per_second", "metres per second", "meters per second"],
    ),
    unit(
        "km/h",
        Kind::Speed,
        1.0 / 3.6,
        0.0,
        &["kph", "kmh", "km_h", "kmph", "km/hr", "km_per_hour", "kilometers per hour"],
    ),
    unit("mph", Kind::Speed, 0.447_04, 0.0, &["mp/h", "mi/h", "mi_h", "mile_per_hour", "miles per hour"]),
    unit("knot", Kind::Speed, 1852.0 / 3600.0, 0.0, &["kt", "kts", "kn", "knots"]),
    unit("ft/s", Kind::Speed, 0.3048, 0.0, &["fps", "feet per second"]),
    unit("deg", Kind::Angle, 1.0, 0.0, &["°", "º", "degree", "degrees", "degree_compass"]),
    unit("rad", Kind::Angle, 180.0 / std::f64::consts::PI, 0.0, &["radian", "radians"]),
    unit("g/kg", Kind::SpecificHumidity, 1.0, 0.0, &["g kg-1"]),
    unit("kg/kg", Kind::SpecificHumidity, 1000.0, 0.0, &["kg kg-1"]),
    unit("mmol/mol", Kind::MoleFraction, 1.0, 0.0, &["mmol mol-1"]),
    unit("mol/mol", Kind::MoleFraction, 1000.0, 0.0, &["mol mol-1"]),
    unit("g/m3", Kind::Density, 1.0, 0.0, &["g/m³", "g/m**3", "g m-3"]),
    unit("kg/m3", Kind::Density, 1000.0, 0.0, &["kg/m³", "kg/m**3", "kg m-3"]),
];

impl Definition {
    fn has_name(&self, name: &str) -> bool {
        let is_same = |known: &str| known == name || known.to_lowercase() == name.to_lowercase();
        is_same(self.unit.name) || self.aliases.iter().copied().any(is_same)
    }
}

impl FromStr for Unit {
    type Err = UnitError;

    /// Reads a unit's name, with a factor before it or without.
    fn from_str(name: &str) -> Result<Unit, UnitError> {
        Unit::find(name, |_| true).ok_or_else(|| UnitError::Unknown(name.to_owned()))
    }
}

impl Unit {
    /// The unit of this name that measures `quantity`.
    ///
    /// # Errors
    /// [`UnitError::Unknown`] when no unit has the name, [`UnitError::Mismatch`] when none that has it measures the
    /// quantity.
    pub fn of_quantity(name: &str, quantity: Quantity) -> Result<Unit, UnitError> {
        let kind = kind_of(quantity);
        match Unit::find(name, |other| other == kind) {
            Some(unit) => Ok(unit),
            None => Err(UnitError::Mismatch { unit: name.parse::<Unit>()?.name, quantity }),
        }
    }

    fn find(name: &str, is_wanted: impl Fn(Kind) -> bool) -> Option<Unit> {
        let find = |name: &str| {
            UNITS
                .iter()
                .find(|known| known.has_name(name) && is_wanted(known.unit.kind))
                .map(|known| known.unit)
        };
        let name = name.trim();
        find(name).or_else(|| {
            let (scale, unit) = name.split_once(char::is_whitespace)?;
            let scale = scale.parse::<f64>().ok().filter(|scale| scale.is_finite() && *scale > 0.0)?;
            Some(Unit { scale, ..find(unit.trim())? })
        })
    }

    /// The units of a quantity, the canonical one first: each with its other names.
    pub fn all(quantity: Quantity) -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
        let kind = kind_of(quantity);
        UNITS
            .iter()
            .filter(move |known| known.unit.kind == kind)
            .map(|known| (known.unit.name, known.aliases))
    }

    /// The unit's name, without a factor.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// Converts `value` from this unit to the canonical unit of `quantity`.
    ///
    /// # Errors
    /// [`UnitError::Mismatch`] when the unit does not measure the quantity.
    pub fn to_canonical(self, quantity: Quantity, value: f64) -> Result<f32, UnitError> {
        let kind = kind_of(quantity);
        // A name that several kinds share was read without its quantity.
        let unit = match self.kind == kind {
            true => self,
            false => Unit::find(self.name, |other| other == kind)
                .ok_or(UnitError::Mismatch { unit: self.name, quantity })?,
        };
        Ok(to_single(value * self.scale * unit.factor + unit.offset))
    }
}

fn kind_of(quantity: Quantity) -> Kind {
    match quantity {
        Quantity::AirTemperature | Quantity::DewPointTemperature => Kind::Temperature,
        Quantity::AirPotentialTemperature => Kind::AbsoluteTemperature,
        Quantity::AirPressure
        | Quantity::SaturationVaporPressure
        | Quantity::VaporPressure
        | Quantity::VaporPressureDeficit => Kind::Pressure,
        Quantity::RelativeHumidity => Kind::Ratio,
        Quantity::WindSpeed | Quantity::WindSpeedOfGust => Kind::Speed,
        Quantity::WindFromDirection => Kind::Angle,
        Quantity::SpecificHumidity => Kind::SpecificHumidity,
        Quantity::WaterVaporMoleFraction => Kind::MoleFraction,
        Quantity::AirDensity => Kind::Density,
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
            ("0.1 hpa", Quantity::AirPressure, 10_132.5, 1013.25),
            ("km/h", Quantity::WindSpeed, 36.0, 10.0),
            ("knot", Quantity::WindSpeedOfGust, 3600.0, 1852.0),
            ("0.1 knot", Quantity::WindSpeed, 36_000.0, 1852.0),
            ("mph", Quantity::WindSpeed, 100.0, 44.704),
            ("mp/h", Quantity::WindSpeed, 100.0, 44.704),
            ("ft/s", Quantity::WindSpeed, 100.0, 30.48),
            ("1", Quantity::RelativeHumidity, 0.5, 50.0),
            ("10 deg", Quantity::WindFromDirection, 27.0, 270.0),
            ("rad", Quantity::WindFromDirection, std::f64::consts::PI, 180.0),
            ("K", Quantity::AirPotentialTemperature, 280.0, 280.0),
            ("°C", Quantity::AirPotentialTemperature, 0.0, 273.15),
            ("kg/m³", Quantity::AirDensity, 1.225, 1225.0),
            ("kg/kg", Quantity::SpecificHumidity, 0.005, 5.0),
        ];
        for (name, quantity, value, expected) in cases {
            let converted = name.parse::<Unit>().unwrap().to_canonical(quantity, value).unwrap();
            assert!((converted - expected).abs() < 0.02, "{value} {name} = {converted}, not {expected}");
            let of_quantity = Unit::of_quantity(name, quantity).unwrap();
            assert_eq!(of_quantity.to_canonical(quantity, value), Ok(converted), "{name}");
        }
    }

    #[test]
    fn every_name_of_the_field_is_its_unit() {
        for (names, unit) in [
            (&["celsius", "℃", "°c", "DegC", "deg C"][..], "degC"),
            (&["°F", "fahrenheit", "degree_F"][..], "degF"),
            (&["hpa", "HPA", "mbar", "mb"][..], "hPa"),
            (&["kt", "kn", "kts", "Knots"][..], "knot"),
            (&["kph", "km_per_hour", "KM/H"][..], "km/h"),
            (&["mps", "m_s"][..], "m/s"),
            (&["percent", "%"][..], "%"),
        ] {
            for name in names {
                assert_eq!(name.parse::<Unit>().map(Unit::name), Ok(unit), "{name}");
            }
        }
    }

    #[test]
    fn a_unit_of_another_quantity_is_refused() {
        let knots: Unit = "knot".parse().unwrap();
        let mismatch = UnitError::Mismatch { unit: "knot", quantity: Quantity::AirPressure };
        assert_eq!(knots.to_canonical(Quantity::AirPressure, 1.0), Err(mismatch.clone()));
        assert_eq!(Unit::of_quantity("kt", Quantity::AirPressure), Err(mismatch));
        for unknown in ["furlong", "0 degC", "-1 degC", "x degC", ""] {
            assert_eq!(unknown.parse::<Unit>(), Err(UnitError::Unknown(unknown.to_owned())));
        }
    }

    #[test]
    fn the_first_unit_of_every_quantity_changes_nothing() {
        for quantity in Quantity::ALL {
            let (name, _) = Unit::all(quantity).next().unwrap();
            assert_eq!(Unit::of_quantity(name, quantity).unwrap().to_canonical(quantity, 7.0), Ok(7.0));
        }
    }
}
