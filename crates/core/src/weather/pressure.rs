//! Air pressure at the station from what barometers and reports give instead: reduced to sea level, or as altimeter
//! setting.
//!
//! # Sources
//! Reduction to sea level: World Meteorological Organization, Guide to Instruments and Methods of Observation (WMO-No. 8,
//! 2018), Volume I, Chapter 3, annex on the reduction of pressure: `p₀ = p · exp(g·H / (R·(T + a·H/2 + e·Ch)))` with
//! a = 0.0065 K/m and Ch = 0.12 K/hPa. Altimeter setting: the standard atmosphere of the International Civil Aviation
//! Organization (Doc 7488/3), 288.15 K and 0.0065 K/m.

use crate::number::to_single;
use crate::weather::quantity::{Quantity, Values};
use crate::weather::thermodynamics::saturation_vapor_pressure_hpa;

const STANDARD_GRAVITY: f64 = 9.806_65;
const DRY_AIR_GAS_CONSTANT: f64 = 287.05;
/// Decrease of temperature with height, K/m.
const LAPSE_RATE: f64 = 0.0065;
/// How much warmer the air column counts for each hectopascal of water vapour, K/hPa.
const HUMIDITY_COEFFICIENT: f64 = 0.12;
const ZERO_CELSIUS_K: f64 = 273.15;
/// Temperature of the standard atmosphere at sea level, °C.
const STANDARD_TEMPERATURE_C: f64 = 15.0;
/// Pressure of the standard atmosphere at sea level, hPa.
const STANDARD_PRESSURE_HPA: f64 = 1013.25;

/// Pressure at the station in hPa from the pressure reduced to sea level, for a station `elevation_m` above the sea.
///
/// Where the temperature is not known, that of the standard atmosphere at the height is taken: at 500 m, 10 K of error
/// move the result by 2 hPa. Where the vapour pressure is not known, the air is taken to be dry (0.2 hPa there).
pub fn station_pressure_hpa(
    sea_level_hpa: f64,
    elevation_m: f64,
    temperature_c: Option<f64>,
    vapor_pressure_hpa: Option<f64>,
) -> f64 {
    let temperature = temperature_c.unwrap_or(STANDARD_TEMPERATURE_C - LAPSE_RATE * elevation_m);
    let column = temperature
        + ZERO_CELSIUS_K
        + LAPSE_RATE * elevation_m / 2.0
        + HUMIDITY_COEFFICIENT * vapor_pressure_hpa.unwrap_or(0.0);
    sea_level_hpa * (-STANDARD_GRAVITY * elevation_m / (DRY_AIR_GAS_CONSTANT * column)).exp()
}

/// Pressure at the station in hPa from the altimeter setting (QNH), for a station `elevation_m` above the sea: the height in the
/// standard atmosphere (ICAO Doc 7488) that has the pressure differs from that of the setting by the elevation,
/// `p = p₀ ((QNH/p₀)ⁿ − aH/T₀)^(1/n)`, `n = aR/g` (as the altimeter setting of the US National Weather Service is defined).
pub fn pressure_from_altimeter_setting_hpa(setting_hpa: f64, elevation_m: f64) -> f64 {
    let exponent = DRY_AIR_GAS_CONSTANT * LAPSE_RATE / STANDARD_GRAVITY;
    let of_setting = (setting_hpa / STANDARD_PRESSURE_HPA).powf(exponent);
    let of_elevation = LAPSE_RATE * elevation_m / (STANDARD_TEMPERATURE_C + ZERO_CELSIUS_K);
    STANDARD_PRESSURE_HPA * (of_setting - of_elevation).powf(1.0 / exponent)
}

/// How a pressure is told that is not the one at the station.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reduction {
    /// Reduced to sea level.
    SeaLevel,
    /// As altimeter setting.
    AltimeterSetting,
}

/// A pressure that is not the one at the station, and what brings it there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReducedPressure {
    /// The pressure as it is told.
    pub hpa: f32,
    /// How it is told.
    pub reduction: Reduction,
    /// The height of the station above the sea.
    pub elevation_m: f64,
}

impl ReducedPressure {
    /// The pressure at the station, where temperature and humidity are those of `values`, as far as they are known.
    pub fn at_station_hpa(self, values: &Values) -> f32 {
        let (hpa, elevation_m) = (f64::from(self.hpa), self.elevation_m);
        to_single(match self.reduction {
            Reduction::AltimeterSetting => pressure_from_altimeter_setting_hpa(hpa, elevation_m),
            Reduction::SeaLevel => {
                let temperature = values.get(Quantity::AirTemperature).map(f64::from);
                let saturation = temperature.map(saturation_vapor_pressure_hpa);
                let humidity = values.get(Quantity::RelativeHumidity).map(f64::from);
                let vapor =
                    saturation.zip(humidity).map(|(saturation, humidity)| saturation * humidity / 100.0);
                station_pressure_hpa(hpa, elevation_m, temperature, vapor)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Table of the standard atmosphere (ICAO Doc 7488/3): geopotential height in m, pressure in hPa.
    const STANDARD_ATMOSPHERE: [(f64, f64); 5] =
        [(0.0, 1013.25), (500.0, 954.61), (1000.0, 898.75), (2000.0, 794.95), (3000.0, 701.09)];

    #[test]
    fn the_standard_atmosphere_comes_out_at_every_height() {
        for (height, pressure) in STANDARD_ATMOSPHERE {
            let from_setting = pressure_from_altimeter_setting_hpa(1013.25, height);
            assert!((from_setting - pressure).abs() < 0.05, "{height} m: {from_setting}, not {pressure}");
            // The mean temperature of the layer stands for its profile: 0.1 hPa at 2000 m.
            let from_sea_level = station_pressure_hpa(1013.25, height, None, None);
            assert!((from_sea_level - pressure).abs() < 0.3, "{height} m: {from_sea_level}, not {pressure}");
        }
    }

    /// By the definition of the setting: `(p^n + p₀ⁿ aH/T₀)^(1/n)`, with the constants of the US National Weather Service
    /// (n = 0.190284, p₀ⁿ a/T₀ = 8.4228807e-5, p in hPa, without its 0.3 hPa for the height of the instrument).
    #[test]
    fn the_altimeter_setting_of_the_weather_service_comes_back() {
        for (station_hpa, height) in
            [(700.0, 2500.0), (814.3, 1609.0), (850.0, 1609.0), (980.0, 300.0), (1030.0, 5.0)]
        {
            let setting =
                f64::powf(f64::powf(station_hpa, 0.190_284) + 8.422_880_7e-5 * height, 1.0 / 0.190_284);
            let back = pressure_from_altimeter_setting_hpa(setting, height);
            assert!(
                (back - station_hpa).abs() < 0.1,
                "{setting} hPa at {height} m: {back}, not {station_hpa}"
            );
        }
    }

    #[test]
    fn cold_and_dry_air_weighs_more() {
        let pressure = |temperature, vapor| station_pressure_hpa(1013.25, 500.0, Some(temperature), vapor);
        assert!(pressure(-20.0, None) < pressure(0.0, None) && pressure(0.0, None) < pressure(25.0, None));
        assert!(pressure(25.0, None) < pressure(25.0, Some(20.0)));
        // By the hydrostatic equation, 10 K of 285 K are 3.5 % of the 59 hPa of the layer: 2 hPa.
        assert!((pressure(21.75, None) - pressure(11.75, None) - 2.0).abs() < 0.2);
    }
}
