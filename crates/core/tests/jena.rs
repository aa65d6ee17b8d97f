//! From temperature, pressure and humidity the other columns of the Jena climate file follow, row by row.
//!
//! The record lies in the folder that `FORECASTD_DATA` names; the test is ignored where nobody asks for it.

#![allow(clippy::disallowed_methods, reason = "a test reads a file; the crate does not")]

use std::path::Path;

use forecastd_core::thermodynamics as formula;

/// The columns that are derived, with the share of rows that must agree.
const DERIVED: [&str; 8] = [
    "Tpot (K)",
    "Tdew (degC)",
    "VPmax (mbar)",
    "VPact (mbar)",
    "VPdef (mbar)",
    "sh (g/kg)",
    "H2OC (mmol/mol)",
    "rho (g/m**3)",
];

/// Half of the last digit of every column.
const ROUNDING: f64 = 0.005;

/// The station's offset of 0 °C from 0 K was 273.16 K before this row, and 273.15 K from it on.
const CHANGED: &str = "05.05.2020 13:20:00";

/// The derived columns at one temperature in °C, pressure in hPa and relative humidity in %.
fn derive(temperature: f64, pressure: f64, humidity: f64, zero_offset: f64) -> [f64; 8] {
    let saturation = formula::saturation_vapor_pressure_hpa(temperature);
    let vapor = saturation * humidity / 100.0;
    [
        formula::potential_temperature_k(temperature + zero_offset, pressure),
        formula::dew_point_c(vapor),
        saturation,
        vapor,
        saturation - vapor,
        formula::specific_humidity_g_kg(vapor, pressure),
        formula::mole_fraction_mmol_mol(vapor, pressure),
        formula::air_density_g_m3(temperature + zero_offset, vapor, pressure),
    ]
}

#[test]
#[ignore = "needs the real records: FORECASTD_DATA"]
fn the_other_columns_of_jena_follow_within_the_rounding_of_the_file() {
    let folder = std::env::var_os("FORECASTD_DATA").expect("FORECASTD_DATA names the folder of real records");
    let path = Path::new(&folder).join("jena_2020_10min.csv");
    let text = std::fs::read_to_string(&path).expect("a record of 2020");
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').map(|name| name.trim_matches('"')).collect();
    let column = |name: &str| header.iter().position(|known| *known == name).unwrap();
    let measured = ["T (degC)", "p (mbar)", "rh (%)"].map(column);
    let derived = DERIVED.map(column);
    let (mut rows, mut agree, mut largest) = (0_u32, [0_u32; 8], [0_f64; 8]);
    let mut zero_offset = 0.01;
    for line in lines {
        let cells: Vec<&str> = line.split(',').map(|cell| cell.trim_matches('"')).collect();
        if cells[0] == CHANGED {
            zero_offset = 0.0;
        }
        let number = |index: usize| cells[index].parse::<f64>().unwrap();
        let [temperature, pressure, humidity] = measured.map(number);
        let exact = derive(temperature, pressure, humidity, zero_offset);
        let (mut low, mut high) = (exact, exact);
        for corner in 0..8 {
            let shift = |bit: u32| if corner >> bit & 1 == 1 { ROUNDING } else { -ROUNDING };
            let humidity = (humidity + shift(2)).min(100.0);
            let shifted = derive(temperature + shift(0), pressure + shift(1), humidity, zero_offset);
            for index in 0..8 {
                low[index] = low[index].min(shifted[index]);
                high[index] = high[index].max(shifted[index]);
            }
        }
        rows += 1;
        for index in 0..8 {
            let written = number(derived[index]);
            let is_within = (low[index] - ROUNDING..=high[index] + ROUNDING).contains(&written);
            agree[index] += u32::from(is_within);
            largest[index] = largest[index].max((exact[index] - written).abs());
        }
    }
    assert_eq!(zero_offset, 0.0, "the row of {CHANGED} was met");
    for index in 0..8 {
        let share = f64::from(agree[index]) / f64::from(rows);
        println!("{}: {share:.5} of {rows} rows, largest residual {:.4}", DERIVED[index], largest[index]);
        assert!(share >= 0.99, "{}: {share} of {rows} rows", DERIVED[index]);
    }
}
