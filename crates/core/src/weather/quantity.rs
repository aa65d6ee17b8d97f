//! The physical quantities of a weather station: CF standard name, canonical unit, plausible range.
//!
//! Names follow the CF standard name table (cfconventions.org). Every value inside forecastd is in the
//! quantity's canonical unit; [`crate::weather::units`] converts at the edge.

use std::fmt;
use std::str::FromStr;

/// A physical quantity that a weather station measures, or that follows from what it measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Quantity {
    /// `air_temperature`, °C (Jena's `T`).
    AirTemperature,
    /// `air_pressure` at the station (not reduced to sea level), hPa.
    AirPressure,
    /// `relative_humidity` over water, %.
    RelativeHumidity,
    /// `dew_point_temperature`, °C (Jena's `Tdew`).
    DewPointTemperature,
    /// `wind_speed`, the mean wind and not its gusts, m/s (Jena's `wv`).
    WindSpeed,
    /// `wind_speed_of_gust`, m/s (Jena's `max. wv`).
    WindSpeedOfGust,
    /// `wind_from_direction`, degrees clockwise from north.
    WindFromDirection,
    /// `air_potential_temperature`, K (Jena's `Tpot`).
    AirPotentialTemperature,
    /// Saturation water vapour pressure at the air temperature, hPa (Jena's `VPmax`).
    SaturationVaporPressure,
    /// `water_vapor_partial_pressure_in_air`, hPa (Jena's `VPact`).
    VaporPressure,
    /// `water_vapor_saturation_deficit_in_air`, hPa (Jena's `VPdef`).
    VaporPressureDeficit,
    /// `specific_humidity`, g/kg (Jena's `sh`).
    SpecificHumidity,
    /// Mole fraction of water vapour in air, mmol/mol (Jena's `H2OC`).
    WaterVaporMoleFraction,
    /// `air_density`, g/m³ (Jena's `rho`).
    AirDensity,
}

/// What there is to know of one quantity.
struct Definition {
    /// CF standard name, or a name in its style where CF has none.
    name: &'static str,
    /// The canonical unit as a person reads it.
    unit: &'static str,
    /// Key of the canonical JSON reading: name and unit.
    key: &'static str,
    /// The lowest and the highest value that is taken for a measurement.
    plausible: (f32, f32),
}

impl Quantity {
    /// How many quantities there are.
    pub const COUNT: usize = 14;

    /// Every quantity, in the order of its index.
    pub const ALL: [Quantity; Quantity::COUNT] = [
        Quantity::AirTemperature,
        Quantity::AirPressure,
        Quantity::RelativeHumidity,
        Quantity::DewPointTemperature,
        Quantity::WindSpeed,
        Quantity::WindSpeedOfGust,
        Quantity::WindFromDirection,
        Quantity::AirPotentialTemperature,
        Quantity::SaturationVaporPressure,
        Quantity::VaporPressure,
        Quantity::VaporPressureDeficit,
        Quantity::SpecificHumidity,
        Quantity::WaterVaporMoleFraction,
        Quantity::AirDensity,
    ];

    /// Position in [`Quantity::ALL`] and in every array by quantity.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Ranges: the records of the World Meteorological Organization's Weather & Climate Extremes Archive
    /// (wmo.asu.edu: −89.2…56.7 °C; sea level 870…1084.8 hPa; gust 113.2 m/s) widened to what stations on
    /// mountains report and rounded outwards.
    const fn definition(self) -> Definition {
        const fn new(
            name: &'static str,
            unit: &'static str,
            key: &'static str,
            plausible: (f32, f32),
        ) -> Definition {
            Definition { name, unit, key, plausible }
        }
        match self {
            Quantity::AirTemperature => new("air_temperature", "°C", "air_temperature_c", (-90.0, 60.0)),
            Quantity::AirPressure => new("air_pressure", "hPa", "air_pressure_hpa", (450.0, 1100.0)),
            Quantity::RelativeHumidity => {
                new("relative_humidity", "%", "relative_humidity_pct", (0.0, 105.0))
            }
            Quantity::DewPointTemperature => {
                new("dew_point_temperature", "°C", "dew_point_c", (-100.0, 45.0))
            }
            Quantity::WindSpeed => new("wind_speed", "m/s", "wind_speed_m_s", (0.0, 90.0)),
            Quantity::WindSpeedOfGust => new("wind_speed_of_gust", "m/s", "wind_gust_m_s", (0.0, 120.0)),
            Quantity::WindFromDirection => {
                new("wind_from_direction", "°", "wind_direction_deg", (0.0, 360.0))
            }
            Quantity::AirPotentialTemperature => {
                new("air_potential_temperature", "K", "air_potential_temperature_k", (180.0, 400.0))
            }
            Quantity::SaturationVaporPressure => {
                new("saturation_vapor_pressure", "hPa", "saturation_vapor_pressure_hpa", (0.0, 200.0))
            }
            Quantity::VaporPressure => {
                new("water_vapor_partial_pressure_in_air", "hPa", "vapor_pressure_hpa", (0.0, 100.0))
            }
            Quantity::VaporPressureDeficit => new(
                "water_vapor_saturation_deficit_in_air",
                "hPa",
                "vapor_pressure_deficit_hpa",
                (0.0, 200.0),
            ),
            Quantity::SpecificHumidity => {
                new("specific_humidity", "g/kg", "specific_humidity_g_kg", (0.0, 60.0))
            }
            Quantity::WaterVaporMoleFraction => new(
                "water_vapor_mole_fraction",
                "mmol/mol",
                "water_vapor_mole_fraction_mmol_mol",
                (0.0, 100.0),
            ),
            Quantity::AirDensity => new("air_density", "g/m³", "air_density_g_m3", (500.0, 1700.0)),
        }
    }

    /// CF standard name.
    pub const fn name(self) -> &'static str {
        self.definition().name
    }

    /// The canonical unit, in which every value is kept.
    pub const fn unit(self) -> &'static str {
        self.definition().unit
    }

    /// The key of the canonical JSON reading, which carries the unit: `air_temperature_c`.
    pub const fn key(self) -> &'static str {
        self.definition().key
    }

    /// Whether `value`, in the canonical unit, can be a measurement at all. False for NaN and infinities.
    pub fn is_plausible(self, value: f32) -> bool {
        let (low, high) = self.definition().plausible;
        (low..=high).contains(&value)
    }

    /// The quantity's plausible range in its canonical unit.
    pub const fn plausible_range(self) -> (f32, f32) {
        self.definition().plausible
    }

    /// The quantity with this canonical JSON key.
    pub fn from_key(key: &str) -> Option<Quantity> {
        Quantity::ALL.into_iter().find(|quantity| quantity.key() == key)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A name that is no quantity's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown quantity {0:?}")]
pub struct UnknownQuantity(pub String);

impl FromStr for Quantity {
    type Err = UnknownQuantity;

    fn from_str(name: &str) -> Result<Quantity, UnknownQuantity> {
        Quantity::ALL
            .into_iter()
            .find(|quantity| quantity.name() == name)
            .ok_or_else(|| UnknownQuantity(name.to_owned()))
    }
}

/// One optional value per quantity, in canonical units. Absent values are NaN inside and `None` outside.
#[derive(Debug, Clone, Copy)]
pub struct Values([f32; Quantity::COUNT]);

impl Values {
    /// No value at all.
    pub const NONE: Values = Values([f32::NAN; Quantity::COUNT]);

    /// The value of `quantity`, if there is one.
    pub fn get(&self, quantity: Quantity) -> Option<f32> {
        let value = self.0[quantity.index()];
        (!value.is_nan()).then_some(value)
    }

    /// Sets the value of `quantity`; a NaN removes it.
    pub fn set(&mut self, quantity: Quantity, value: f32) {
        self.0[quantity.index()] = value;
    }

    /// Removes the value of `quantity`.
    pub fn remove(&mut self, quantity: Quantity) {
        self.0[quantity.index()] = f32::NAN;
    }

    /// Every quantity that has a value, with it.
    pub fn iter(&self) -> impl Iterator<Item = (Quantity, f32)> + '_ {
        Quantity::ALL.into_iter().filter_map(|quantity| self.get(quantity).map(|value| (quantity, value)))
    }

    /// Whether there is no value at all.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl Default for Values {
    fn default() -> Values {
        Values::NONE
    }
}

/// Equal when the same quantities are present with bit-for-bit the same values.
impl PartialEq for Values {
    fn eq(&self, other: &Values) -> bool {
        Quantity::ALL
            .into_iter()
            .all(|quantity| self.get(quantity).map(f32::to_bits) == other.get(quantity).map(f32::to_bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_quantity_is_found_by_its_name_and_key() {
        for (index, quantity) in Quantity::ALL.into_iter().enumerate() {
            assert_eq!(quantity.index(), index);
            assert_eq!(quantity.name().parse(), Ok(quantity));
            assert_eq!(Quantity::from_key(quantity.key()), Some(quantity));
        }
        assert_eq!("snow".parse::<Quantity>(), Err(UnknownQuantity("snow".to_owned())));
    }

    #[test]
    fn sentinels_and_non_numbers_are_never_plausible() {
        for quantity in Quantity::ALL {
            for value in [-9999.0, 9999.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                assert!(!quantity.is_plausible(value), "{quantity} {value}");
            }
        }
    }
}
