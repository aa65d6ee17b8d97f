//! Stations and places that are not what they are said to be: one clear line, and a forecast as good as the experts that are
//! left.

use std::sync::Arc;

use forecastd_core::{
    Event, Measure, Model, Oddity, Place, Publication, Quantity, Ranges, Readiness, Settings, Site,
    StationState, Values,
};

use crate::world::{HOUR, World, at, model, model_with_extremes, settings, temperature};

/// Where the daily wave of [`temperature`], which has its maximum at 6 h UTC, has it at 14:40 of solar time.
const EAST: Site = Site::new(50.0, 130.0);
const WEST: Site = Site::new(50.0, -130.0);

/// Mean absolute error 6 hours ahead of what was published for the last days of [`temperature`], °C.
fn late_error(world: &World, from: i64, to: i64) -> f32 {
    late_error_of(world, temperature, from, to)
}

/// The same of what a sensor says of each second.
fn late_error_of(world: &World, said: impl Fn(i64) -> f32, from: i64, to: i64) -> f32 {
    let late = world.published_forecasts().into_iter().filter(|forecast| forecast.origin > at(from * HOUR));
    let errors: Vec<f32> = late
        .filter_map(|forecast| {
            let lead = *forecast.at(6)?;
            let second = lead.valid_at.duration_since(at(0)).as_secs();
            (second < to * HOUR).then(|| (lead.temperature_c - said(second)).abs())
        })
        .collect();
    assert!(errors.len() > 100, "{}", errors.len());
    errors.iter().sum::<f32>() / errors.len() as f32
}

/// What the status says is odd.
fn words(world: &World) -> Vec<&'static str> {
    let odd = world.retained(|publication| match publication {
        Publication::Status { odd, .. } => Some(odd.clone()),
        _ => None,
    });
    odd.unwrap()
}

#[test]
fn a_longitude_of_the_wrong_sign_is_said_once_and_the_forecast_stays_as_good_as_the_experts_that_are_left() {
    for (site, is_odd) in [(EAST, false), (WEST, true)] {
        let mut world = World::at_a_place(Some(Place::given(site)));
        for hour in 0..40 * 24 {
            world.reading("roof", hour * HOUR, temperature(hour * HOUR));
        }
        let odd = world.oddities();
        assert_eq!(odd.len(), usize::from(is_odd), "{odd:?}");
        assert!(odd.iter().all(|oddity| matches!(oddity, Oddity::Clock { .. })));
        assert_eq!(words(&world), if is_odd { vec!["clock"] } else { vec![] });
        world.kill();
        world.subscribe();
        world.settle_all();
        assert_eq!(words(&world), if is_odd { vec!["clock"] } else { vec![] }, "a restart knows it");
        assert_eq!(world.oddities(), odd, "and does not say it again");
        // The model says that nothing changes; the same time yesterday is right.
        let error_c = late_error(&world, 30 * 24, 40 * 24);
        assert!(error_c < 0.2, "{error_c} °C");
    }
}

#[test]
fn a_station_without_what_the_model_looks_at_is_told_what_is_missing_and_has_the_reference_experts() {
    let mut settings = Settings { experts: true, ..settings() };
    settings.places.default = Some(Place::given(Site::new(50.91, 11.57)));
    let mut world = World::with(settings, model(4));
    for hour in 0..20 * 24 {
        let mut values = Values::NONE;
        values.set(Quantity::AirTemperature, temperature(hour * HOUR));
        world.now.wall = at(hour * HOUR);
        world.send("roof", at(hour * HOUR), values);
    }
    let state = world.retained(|publication| match publication {
        Publication::Status { state, .. } => Some(*state),
        _ => None,
    });
    let Some(StationState::Fresh(Readiness::WarmingUp(missing))) = state else { panic!("{state:?}") };
    assert_eq!(missing.quantity, Quantity::AirPressure);
    let error_c = late_error(&world, 12 * 24, 20 * 24);
    assert!(error_c < 0.2, "{error_c} °C");
}

#[test]
fn a_thermometer_of_whole_degrees_is_believed_and_forecast_to_within_its_steps() {
    let mut world = World::at_a_place(Some(Place::given(EAST)));
    for hour in 0..20 * 24 {
        world.reading("roof", hour * HOUR, temperature(hour * HOUR).round());
    }
    assert!(!world.events.iter().any(|event| matches!(event, Event::ValueDropped { .. })));
    assert_eq!((world.oddities(), words(&world)), (vec![Oddity::WholeDegrees], vec!["whole_degrees"]));
    let error_c = late_error(&world, 12 * 24, 20 * 24);
    assert!(error_c < 0.5, "{error_c} °C");
}

#[test]
fn of_two_stations_of_one_name_that_say_where_they_stand_the_second_is_refused_and_said() {
    let mut world = World::at_a_place(None);
    for hour in 0..30 {
        world.site = Some(if hour % 2 == 0 { EAST } else { WEST });
        world.reading("roof", hour * HOUR, temperature(hour * HOUR) + (hour % 2) as f32 * 10.0);
    }
    assert_eq!(world.oddities(), []);
    let refused = |event: &&Event| matches!(event, Event::ReadingRefused { reason: "elsewhere", .. });
    assert_eq!(world.events.iter().filter(refused).count(), 15);
    // Nothing of the other is in the forecasts of the one that was first.
    let forecasts = world.published_forecasts();
    assert_eq!(forecasts.len(), 15);
    for (index, forecast) in (0..).zip(&forecasts) {
        assert!((forecast.temperature_c - temperature(2 * index * HOUR)).abs() < 0.01, "{index}");
    }
}

#[test]
fn of_several_measures_outside_of_what_the_model_has_seen_each_is_said_once() {
    let Model { mut manifest, id } = (*model_with_extremes()).clone();
    let (temperature_c, daily_range_c) = (Some((20.0, 40.0)), Some((15.0, 20.0)));
    manifest.ranges = Some(Ranges { temperature_c, daily_range_c, ..Ranges::default() });
    let mut settings = settings();
    settings.places.default = Some(Place::given(EAST));
    let mut world = World::with(settings, Arc::new(Model { manifest, id }));
    for hour in 0..10 * 24 {
        world.reading("roof", hour * HOUR, temperature(hour * HOUR));
    }
    let measures: Vec<Measure> = world
        .oddities()
        .into_iter()
        .map(|oddity| match oddity {
            Oddity::OutsideTraining { measure, .. } => measure,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(measures, [Measure::Temperature, Measure::DailyRange]);
    assert_eq!(words(&world), ["outside_training"], "one word for both");
}

#[test]
fn a_place_that_the_configuration_gives_anew_is_compared_with_the_payloads_at_the_start() {
    let mut world = World::at_a_place(None);
    world.site = Some(EAST);
    for hour in 0..6 {
        world.reading("roof", hour * HOUR, temperature(hour * HOUR));
    }
    assert_eq!((world.oddities(), words(&world)), (vec![], vec![]));
    world.settings.places.default = Some(Place::given(WEST));
    for _ in 0..2 {
        world.kill();
        world.subscribe();
        world.settle_all();
        assert!(matches!(world.oddities()[..], [Oddity::PlaceDiffers { .. }]), "said once");
        assert_eq!(words(&world), ["place_differs"]);
    }
}

#[test]
fn a_longitude_that_is_corrected_is_not_accused_of_what_the_one_before_was() {
    let mut world = World::at_a_place(Some(Place::given(WEST)));
    let walk = |world: &mut World, days: std::ops::Range<i64>| {
        for hour in days.start * 24..days.end * 24 {
            world.reading("roof", hour * HOUR, temperature(hour * HOUR));
        }
    };
    walk(&mut world, 0..40);
    assert_eq!(words(&world), ["clock"]);
    world.settings.places.default = Some(Place::given(EAST));
    world.kill();
    world.subscribe();
    world.settle_all();
    assert_eq!(words(&world), Vec::<&str>::new());
    walk(&mut world, 40..80);
    assert_eq!((words(&world), world.oddities().len()), (vec![], 1));
}

/// The first byte of a state is its format.
#[test]
fn a_journal_whose_daily_wave_is_in_the_solar_time_of_an_earlier_place_accuses_nobody_of_it() {
    let mut world = World::at_a_place(Some(Place::given(WEST)));
    for hour in 0..40 * 24 {
        world.reading("roof", hour * HOUR, temperature(hour * HOUR));
    }
    world.flush_all();
    for (state, ..) in world.journal.states.values_mut() {
        assert_eq!(std::mem::replace(&mut state[0], 1), 2);
    }
    world.kill();
    world.subscribe();
    world.settle_all();
    assert_eq!(words(&world), Vec::<&str>::new());
    assert_eq!(world.published_forecasts().len(), 40 * 24, "what else it holds is taken");
}

#[test]
fn a_latitude_that_the_model_has_never_seen_is_said_with_the_first_reading_from_there() {
    let Model { mut manifest, id } = (*model_with_extremes()).clone();
    manifest.ranges = Some(Ranges { latitude_deg: Some((-30.0, 45.0)), ..Ranges::default() });
    let main = Arc::new(Model { manifest, id });
    let said = |oddities: &[Oddity]| {
        matches!(oddities, [Oddity::OutsideTraining { measure: Measure::Latitude, value: 50.0, .. }])
    };
    let mut settings = settings();
    let mut by_payload = World::with(settings.clone(), Arc::clone(&main));
    by_payload.reading("roof", 0, 10.0);
    assert_eq!(by_payload.oddities(), []);
    by_payload.site = Some(EAST);
    by_payload.reading("roof", 3 * HOUR, 10.0);
    assert!(said(&by_payload.oddities()), "{:?}", by_payload.oddities());

    settings.places.default = Some(Place::given(EAST));
    let mut configured = World::with(settings, main);
    for reading in 0..8 * 40 {
        configured.reading("roof", reading * 3 * HOUR, temperature(reading * 3 * HOUR));
    }
    assert!(said(&configured.oddities()), "{:?}", configured.oddities());
    assert_eq!(words(&configured), ["outside_training"]);
}

#[test]
fn a_longitude_of_the_wrong_sign_is_said_of_a_station_that_speaks_every_three_hours() {
    for (site, is_odd) in [(EAST, false), (WEST, true)] {
        let mut world = World::at_a_place(Some(Place::given(site)));
        for reading in 0..8 * 40 {
            world.reading("roof", reading * 3 * HOUR, temperature(reading * 3 * HOUR));
        }
        assert_eq!(words(&world), if is_odd { vec!["clock"] } else { vec![] });
    }
}

/// A wave that has its maximum at 14 h UTC, which at Jena is 14:46 of solar time. Latitude and longitude of Jena in the wrong order
/// are a place in the sea off Somalia, 39° further east.
#[test]
fn latitude_and_longitude_in_the_wrong_order_are_said_once_and_the_forecast_is_that_of_the_experts_that_are_left()
 {
    let wave = |second: i64| temperature(second - 8 * HOUR);
    for (site, expected) in [(Site::new(50.91, 11.57), vec![]), (Site::new(11.57, 50.91), vec!["clock"])] {
        let mut world = World::at_a_place(Some(Place::given(site)));
        for hour in 0..40 * 24 {
            world.reading("roof", hour * HOUR, wave(hour * HOUR));
        }
        assert_eq!((words(&world), world.oddities().len()), (expected.clone(), expected.len()));
        let error_c = late_error_of(&world, wave, 30 * 24, 40 * 24);
        assert!(error_c < 0.2, "{error_c} °C");
    }
}

#[test]
fn a_pressure_at_sea_level_on_a_mountain_is_said_once_and_the_forecast_is_that_of_the_experts_that_are_left()
{
    // The pressure is 1010 hPa, give or take 5; the standard atmosphere has 795 hPa at 2,000 m, 1013 at 0 m.
    for (elevation_m, expected) in [(2000.0, vec!["sea_level_pressure"]), (0.0, vec![])] {
        let mut world = World::at_a_place(Some(Place::given(EAST.at_elevation(elevation_m))));
        for hour in 0..20 * 24 {
            world.reading("roof", hour * HOUR, temperature(hour * HOUR));
        }
        assert_eq!((words(&world), world.oddities().len()), (expected.clone(), expected.len()));
        let error_c = late_error(&world, 12 * 24, 20 * 24);
        assert!(error_c < 0.2, "{error_c} °C");
    }
}

/// What the sun adds while it shines, on a clear day: so much at noon.
fn in_the_sun(second: i64, excess_c: f32) -> f32 {
    let above_horizon = (second as f32 / 86_400.0 * std::f32::consts::TAU).sin().max(0.0);
    temperature(second) + excess_c * above_horizon
}

#[test]
fn a_thermometer_in_the_sun_is_believed_and_said_to_be_where_no_station_has_such_days() {
    let Model { mut manifest, id } = (*model_with_extremes()).clone();
    manifest.ranges = Some(Ranges { daily_range_c: Some((3.8, 19.6)), ..Ranges::default() });
    let mut settings = Settings { experts: true, ..settings() };
    settings.places.default = Some(Place::given(EAST));
    let main = Arc::new(Model { manifest, id });
    // The days have 10 °C between their ends without it. A steady excess of 4 °C is as some station has it.
    for (excess_c, expected) in [(4.0, vec![]), (15.0, vec!["outside_training"])] {
        let mut world = World::with(settings.clone(), Arc::clone(&main));
        let said = |second: i64| in_the_sun(second, excess_c);
        for second in (0..20 * 24 * HOUR).step_by(1800) {
            world.reading("roof", second, said(second));
        }
        assert!(!world.events.iter().any(|event| matches!(event, Event::ValueDropped { .. })));
        assert_eq!((words(&world), world.oddities().len()), (expected.clone(), expected.len()));
        let error_c = late_error_of(&world, said, 12 * 24, 20 * 24);
        assert!(error_c < 0.4, "{excess_c} °C in the sun: {error_c} °C");
    }
}
