use proptest::prelude::*;

use super::*;
use crate::weather::quantity::Values;
use crate::window::feature::Wave;

/// Every kind of feature, several of them of the same quantity.
const EVERY_KIND: [&str; 16] = [
    "air_temperature",
    "air_temperature_relative_to_newest",
    "air_temperature_available",
    "air_temperature_tendency_1h",
    "air_pressure",
    "air_pressure_relative_to_newest",
    "air_pressure_available",
    "eastward_wind",
    "northward_wind",
    "wind_from_direction_available",
    "time_of_day_sin",
    "season_cos",
    "solar_elevation_sin",
    "solar_elevation_sin_ahead_24h",
    "latitude",
    "elevation",
];

proptest! {
    #[test]
    fn a_window_is_bit_for_bit_what_its_features_are_one_by_one(
        readings in prop::collection::vec((0_i64..90, 0_u8..16, -300_i16..300), 0..120),
        end in 40_i64..95,
    ) {
        let features = EVERY_KIND.iter().map(|name| name.parse().unwrap()).collect();
        let spec = WindowSpec { samples: 5, missing: MissingValues::Mean, features, ..spec() };
        let mut history = History::new(spec.grid(), &spec.quantities(), spec.history_slots(24));
        let quantities =
            [Quantity::AirTemperature, Quantity::AirPressure, Quantity::WindSpeed, Quantity::WindFromDirection];
        for (slot, measured, value) in readings {
            let mut values = Values::NONE;
            for (bit, quantity) in quantities.into_iter().enumerate().filter(|(bit, _)| measured & 1 << bit != 0) {
                values.set(quantity, f32::from(value) / 10.0 + bit as f32);
            }
            history.insert(history.grid().time(slot), &values);
        }
        let mut window = vec![0.0; spec.len()];
        if spec.fill(&history, SITE, end, &mut window).is_ok() {
            for (index, row) in window.chunks_exact(EVERY_KIND.len()).enumerate() {
                let mut expected = vec![0.0; EVERY_KIND.len()];
                spec.row(&history, SITE, end - (4 - index as i64) * 6, end, &mut expected);
                let bits = |row: &[f32]| row.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
                prop_assert_eq!(bits(row), bits(&expected));
            }
        }
    }
}

const SITE: Site = Site::new(50.91, 11.57);

fn spec() -> WindowSpec {
    WindowSpec {
        grid_step_s: 600,
        sample_every_s: 3600,
        samples: 3,
        max_hole_s: 7200,
        site: Some(SITE),
        missing: MissingValues::Refused,
        features: vec![Feature::Quantity(Quantity::AirTemperature), Feature::TimeOfDay(Wave::Sin)],
    }
}

fn put(history: &mut History, slot: Slot, temperature: f32) {
    let mut values = Values::NONE;
    values.set(Quantity::AirTemperature, temperature);
    history.insert(history.grid().time(slot), &values);
}

#[test]
fn a_calm_without_direction_is_not_what_is_missing() {
    let features =
        vec![Feature::Quantity(Quantity::AirTemperature), Feature::EastwardWind, Feature::NorthwardWind];
    let spec = WindowSpec { features, max_hole_s: 600, ..spec() };
    let mut history = History::new(spec.grid(), &spec.quantities(), spec.history_slots(24));
    for slot in 0..=40 {
        let mut values = Values::NONE;
        // No temperature for an hour, then a calm of two hours.
        if !(22..28).contains(&slot) {
            values.set(Quantity::AirTemperature, 5.0);
        }
        let is_calm = slot >= 29;
        values.set(Quantity::WindSpeed, if is_calm { 0.0 } else { 3.0 });
        if !is_calm {
            values.set(Quantity::WindFromDirection, 90.0);
        }
        history.insert(history.grid().time(slot), &values);
    }
    let mut window = vec![0.0; spec.len()];
    // The samples of the window that ends at 40 are at 28, 34 and 40, of the one at 37 at 25, 31 and 37.
    spec.fill(&history, SITE, 40, &mut window).unwrap();
    let missing = spec.fill(&history, SITE, 37, &mut window).unwrap_err();
    assert_eq!(missing.quantity, Quantity::AirTemperature);
}

#[test]
fn what_only_another_model_looks_at_is_not_what_is_missing() {
    let spec = spec();
    let of_both = [Quantity::AirTemperature, Quantity::AirPressure];
    let mut history = History::new(spec.grid(), &of_both, spec.history_slots(24));
    // The pressure is never measured, the temperature from slot 18 on.
    (18..=20).for_each(|slot| put(&mut history, slot, slot as f32));
    let missing = spec.fill(&history, SITE, 20, &mut vec![0.0; spec.len()]).unwrap_err();
    // The window that ends at 20 goes back to 8.
    let remaining = spec.grid().duration(17 - 8 + 1);
    assert_eq!(missing, Missing { remaining, quantity: Quantity::AirTemperature });
}

#[test]
fn samples_end_at_the_newest_reading_and_lie_an_hour_apart() {
    let spec = spec();
    let mut history = History::new(spec.grid(), &spec.quantities(), spec.history_slots(24));
    for slot in 0..=20 {
        put(&mut history, slot, slot as f32);
    }
    let mut window = vec![0.0; spec.len()];
    spec.fill(&history, SITE, 20, &mut window).unwrap();
    let temperatures: Vec<f32> = window.iter().copied().step_by(2).collect();
    assert_eq!(temperatures, [8.0, 14.0, 20.0]);
}

#[test]
fn what_is_missing_is_said_in_time_until_it_has_left() {
    let spec = spec();
    let mut history = History::new(spec.grid(), &spec.quantities(), spec.history_slots(24));
    let mut window = vec![0.0; spec.len()];
    put(&mut history, 100, 1.0);
    let missing = spec.fill(&history, SITE, 100, &mut window).unwrap_err();
    assert_eq!(missing.remaining, SignedDuration::from_hours(2));
    // After two more hours of readings the window is complete to the slot.
    for slot in 101..=111 {
        put(&mut history, slot, 1.0);
        let missing = spec.fill(&history, SITE, slot, &mut window).unwrap_err();
        assert_eq!(missing.remaining, SignedDuration::from_mins(120 - 10 * (slot - 100)));
    }
    put(&mut history, 112, 1.0);
    assert_eq!(spec.fill(&history, SITE, 112, &mut window), Ok(()));
}

#[test]
fn a_model_that_takes_missing_values_needs_the_newest_temperature_alone() {
    let spec = WindowSpec { missing: MissingValues::Mean, ..spec() };
    let mut history = History::new(spec.grid(), &spec.quantities(), spec.history_slots(24));
    put(&mut history, 100, 7.5);
    let mut window = vec![0.0; spec.len()];
    spec.fill(&history, SITE, 100, &mut window).unwrap();
    let temperatures: Vec<f32> = window.iter().copied().step_by(2).collect();
    assert!(temperatures[0].is_nan() && temperatures[1].is_nan());
    assert_eq!(temperatures[2], 7.5);
    // Two hours later it is older than a hole that is filled.
    let missing = spec.fill(&history, SITE, 113, &mut window).unwrap_err();
    assert_eq!(missing.quantity, Quantity::AirTemperature);
}

#[test]
fn impossible_specifications_are_refused() {
    let with = |change: fn(&mut WindowSpec)| {
        let mut changed = spec();
        change(&mut changed);
        changed.validate()
    };
    assert_eq!(spec().validate(), Ok(()));
    assert_eq!(with(|spec| spec.grid_step_s = 0), Err(WindowSpecError::GridStep(0)));
    assert_eq!(with(|spec| spec.grid_step_s = 7), Err(WindowSpecError::GridStep(7)));
    assert_eq!(with(|spec| spec.sample_every_s = 900), Err(WindowSpecError::SampleEvery(900, 600)));
    assert_eq!(with(|spec| spec.samples = 0), Err(WindowSpecError::Samples(0)));
    assert_eq!(with(|spec| spec.max_hole_s = 60), Err(WindowSpecError::MaxHole(60)));
    assert_eq!(with(|spec| spec.features.clear()), Err(WindowSpecError::Features(0)));
    assert!(matches!(
        with(|spec| spec.site = Some(Site::new(f64::NAN, 0.0))),
        Err(WindowSpecError::Site(..))
    ));
}
