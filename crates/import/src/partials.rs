//! Values that come one by one, each at its own time, merged into readings of the slots of a time grid.

use forecastd_core::{
    Grid, Quantity, Values, pressure_from_altimeter_setting_hpa, station_pressure_hpa, thermodynamics,
};
use forecastd_mapping::Measured;
use forecastd_record::Row;
use jiff::Timestamp;

use crate::origin::merged;

/// How a pressure is to be brought to the station.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum PressureKind {
    /// It is that at the station.
    #[default]
    Station,
    /// It is reduced to sea level.
    SeaLevel,
    /// It is an altimeter setting.
    Altimeter,
}

/// Values that have come, in any order. A few bytes each, as there may be many millions.
#[derive(Debug, Default)]
pub(crate) struct Partials {
    values: Vec<(i64, f32, Quantity)>,
    pressure: PressureKind,
}

impl Partials {
    /// None yet, with pressures of this kind.
    pub(crate) fn new(pressure: PressureKind) -> Partials {
        Partials { values: Vec::new(), pressure }
    }

    pub(crate) fn add(&mut self, second: i64, measured: Measured, value: f32) {
        self.values.push((second, value, measured.quantity()));
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// Merges them into one reading for each slot of `grid`: means, the mean vector of the wind, the highest gust. A reduced
    /// pressure becomes that at the station; where its height is not known it is left out.
    pub(crate) fn merge(mut self, grid: Grid, elevation_m: Option<f64>) -> Vec<Row> {
        self.values.sort_by_key(|(second, ..)| *second);
        let mut rows: Vec<Row> = Vec::new();
        for (second, value, quantity) in self.values {
            let Ok(time) = Timestamp::from_second(second) else { continue };
            match rows.last_mut().filter(|(last, values)| *last == time && values.get(quantity).is_none()) {
                Some((_, values)) => values.set(quantity, value),
                None => {
                    let mut values = Values::NONE;
                    values.set(quantity, value);
                    rows.push((time, values));
                }
            }
        }
        let mut readings = merged(rows, grid);
        if self.pressure != PressureKind::Station {
            readings.iter_mut().for_each(|(_, values)| to_station(values, self.pressure, elevation_m));
            readings.retain(|(_, values)| !values.is_empty());
        }
        readings
    }
}

fn to_station(values: &mut Values, kind: PressureKind, elevation_m: Option<f64>) {
    let Some(pressure) = values.get(Quantity::AirPressure).map(f64::from) else { return };
    let Some(elevation_m) = elevation_m else { return values.remove(Quantity::AirPressure) };
    let temperature = values.get(Quantity::AirTemperature).map(f64::from);
    let saturation = temperature.map(thermodynamics::saturation_vapor_pressure_hpa);
    let humidity = values.get(Quantity::RelativeHumidity).map(f64::from);
    let vapor = saturation.zip(humidity).map(|(saturation, humidity)| saturation * humidity / 100.0);
    let at_station = match kind {
        PressureKind::Altimeter => pressure_from_altimeter_setting_hpa(pressure, elevation_m),
        _ => station_pressure_hpa(pressure, elevation_m, temperature, vapor),
    };
    values.set(Quantity::AirPressure, at_station as f32);
}
