//! What follows from temperature, pressure and humidity: the other columns of the Jena climate file.
//!
//! Saturation vapour pressure is the Magnus form over water with the coefficients 6.1078 hPa, 17.08085 and
//! 234.175 °C (Deutscher Wetterdienst, Vorschriften und Betriebsunterlagen Nr. 3), which is also what the Jena
//! station computes with; the rest are the definitions of the AMS Glossary of Meteorology.
//!
//! From temperature, pressure and relative humidity the other columns of 52,696 rows of 2020 come out within what the
//! rounding of the file (0.01 of every column) leaves open, in 99.9 % of the rows or more of every column; the largest
//! residuals are 0.009 hPa, 0.010 °C, 0.007 g/kg, 0.009 mmol/mol, 0.015 K and 0.046 g/m³. Until 2020-05-05 12:20 UTC the
//! station took 273.16 K for 0 °C in potential temperature and density. `tests/jena.rs` holds this.

use crate::number::to_single;
use crate::weather::quantity::{Quantity, Values};

const MAGNUS_PRESSURE_HPA: f64 = 6.1078;
const MAGNUS_FACTOR: f64 = 17.08085;
const MAGNUS_TEMPERATURE_C: f64 = 234.175;
/// Ratio of the molar masses of water and dry air.
const MOLAR_MASS_RATIO: f64 = 0.622;
/// Specific gas constant of dry air, J/(kg K): the molar gas constant 8.314462618 J/(mol K) (CODATA 2018) by the molar mass
/// 28.9644 g/mol (U.S. Standard Atmosphere, 1976).
const DRY_AIR_GAS_CONSTANT: f64 = 287.058;
/// R/c_p of dry air.
const POISSON_EXPONENT: f64 = 0.286;
const ZERO_CELSIUS_K: f64 = 273.15;

/// Saturation vapour pressure over water in hPa at `temperature_c`.
pub fn saturation_vapor_pressure_hpa(temperature_c: f64) -> f64 {
    MAGNUS_PRESSURE_HPA * (MAGNUS_FACTOR * temperature_c / (MAGNUS_TEMPERATURE_C + temperature_c)).exp()
}

/// Dew point in °C at which `vapor_pressure_hpa` saturates: the Magnus form solved for temperature.
///
/// NaN for a vapour pressure that is not positive.
pub fn dew_point_c(vapor_pressure_hpa: f64) -> f64 {
    let logarithm = (vapor_pressure_hpa / MAGNUS_PRESSURE_HPA).ln();
    MAGNUS_TEMPERATURE_C * logarithm / (MAGNUS_FACTOR - logarithm)
}

/// Specific humidity in g/kg from vapour pressure and air pressure in hPa.
pub fn specific_humidity_g_kg(vapor_pressure_hpa: f64, pressure_hpa: f64) -> f64 {
    1000.0 * MOLAR_MASS_RATIO * vapor_pressure_hpa
        / (pressure_hpa - (1.0 - MOLAR_MASS_RATIO) * vapor_pressure_hpa)
}

/// Mole fraction of water vapour in mmol/mol.
pub fn mole_fraction_mmol_mol(vapor_pressure_hpa: f64, pressure_hpa: f64) -> f64 {
    1000.0 * vapor_pressure_hpa / pressure_hpa
}

/// Density of moist air in g/m³ (ideal gas law with virtual temperature).
pub fn air_density_g_m3(temperature_c: f64, vapor_pressure_hpa: f64, pressure_hpa: f64) -> f64 {
    let pascal = 100.0 * (pressure_hpa - (1.0 - MOLAR_MASS_RATIO) * vapor_pressure_hpa);
    1000.0 * pascal / (DRY_AIR_GAS_CONSTANT * (temperature_c + ZERO_CELSIUS_K))
}

/// Potential temperature in K with reference pressure 1000 hPa.
pub fn potential_temperature_k(temperature_c: f64, pressure_hpa: f64) -> f64 {
    (temperature_c + ZERO_CELSIUS_K) * (1000.0 / pressure_hpa).powf(POISSON_EXPONENT)
}

/// Adds to `values` the quantities of this file that are absent and follow from the temperature, the pressure, and the relative
/// humidity or else the dew point; without a temperature none does. What was measured is never replaced.
pub fn derive(values: &mut Values) {
    let Some(temperature) = values.get(Quantity::AirTemperature).map(f64::from) else { return };
    let saturation = saturation_vapor_pressure_hpa(temperature);
    add(values, Quantity::SaturationVaporPressure, saturation);
    let pressure = values.get(Quantity::AirPressure).map(f64::from);
    if let Some(pressure) = pressure {
        add(values, Quantity::AirPotentialTemperature, potential_temperature_k(temperature, pressure));
    }
    let humidity = values.get(Quantity::RelativeHumidity).map(f64::from);
    let dew_point = values.get(Quantity::DewPointTemperature).map(f64::from);
    let vapor_pressure = match (humidity, dew_point) {
        (Some(humidity), _) => saturation * humidity / 100.0,
        (None, Some(dew_point)) => saturation_vapor_pressure_hpa(dew_point),
        (None, None) => return,
    };
    add(values, Quantity::VaporPressure, vapor_pressure);
    add(values, Quantity::VaporPressureDeficit, (saturation - vapor_pressure).max(0.0));
    add(values, Quantity::RelativeHumidity, (100.0 * vapor_pressure / saturation).min(100.0));
    add(values, Quantity::DewPointTemperature, dew_point_c(vapor_pressure));
    if let Some(pressure) = pressure {
        add(values, Quantity::SpecificHumidity, specific_humidity_g_kg(vapor_pressure, pressure));
        add(values, Quantity::WaterVaporMoleFraction, mole_fraction_mmol_mol(vapor_pressure, pressure));
        add(values, Quantity::AirDensity, air_density_g_m3(temperature, vapor_pressure, pressure));
    }
}

/// Sets an absent quantity to a derived value, unless that value could not be a measurement.
fn add(values: &mut Values, quantity: Quantity, value: f64) {
    let value = to_single(value);
    if values.get(quantity).is_none() && quantity.is_plausible(value) {
        values.set(quantity, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first row of the Jena climate file: measured T, p, rh and what its authors derived from them.
    #[test]
    fn the_first_row_of_jena_follows_from_its_three_measurements() {
        let mut values = Values::NONE;
        values.set(Quantity::AirTemperature, -8.02);
        values.set(Quantity::AirPressure, 996.52);
        values.set(Quantity::RelativeHumidity, 93.3);
        derive(&mut values);
        for (quantity, expected, tolerance) in [
            (Quantity::AirPotentialTemperature, 265.40, 0.02),
            (Quantity::DewPointTemperature, -8.90, 0.02),
            (Quantity::SaturationVaporPressure, 3.33, 0.006),
            (Quantity::VaporPressure, 3.11, 0.006),
            (Quantity::VaporPressureDeficit, 0.22, 0.006),
            (Quantity::SpecificHumidity, 1.94, 0.006),
            (Quantity::WaterVaporMoleFraction, 3.12, 0.006),
            (Quantity::AirDensity, 1307.75, 0.2),
        ] {
            let derived = values.get(quantity).unwrap();
            assert!((derived - expected).abs() <= tolerance, "{quantity}: {derived}, not {expected}");
        }
    }

    #[test]
    fn dew_point_and_humidity_are_inverse() {
        for temperature in [-30.0_f32, -5.0, 0.0, 12.5, 35.0] {
            for humidity in [5.0_f32, 40.0, 99.0] {
                let mut values = Values::NONE;
                values.set(Quantity::AirTemperature, temperature);
                values.set(Quantity::RelativeHumidity, humidity);
                derive(&mut values);
                let mut back = Values::NONE;
                back.set(Quantity::AirTemperature, temperature);
                back.set(Quantity::DewPointTemperature, values.get(Quantity::DewPointTemperature).unwrap());
                derive(&mut back);
                assert!((back.get(Quantity::RelativeHumidity).unwrap() - humidity).abs() < 0.01);
            }
        }
    }

    #[test]
    fn what_was_measured_is_kept_and_nothing_follows_from_nothing() {
        let mut values = Values::NONE;
        values.set(Quantity::AirTemperature, 10.0);
        values.set(Quantity::RelativeHumidity, 50.0);
        values.set(Quantity::DewPointTemperature, 3.0);
        derive(&mut values);
        assert_eq!(values.get(Quantity::DewPointTemperature), Some(3.0));
        assert_eq!(values.get(Quantity::SpecificHumidity), None);
        let mut dry = Values::NONE;
        dry.set(Quantity::AirTemperature, 10.0);
        dry.set(Quantity::RelativeHumidity, 0.0);
        derive(&mut dry);
        assert_eq!(dry.get(Quantity::DewPointTemperature), None);
    }
}
