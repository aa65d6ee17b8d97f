//! One station through the service: warm-up, forecasts, holes, disorder, verification.

use forecastd_core::{Event, Publication, Quantity, Readiness, Source, StationState, Values};
use jiff::SignedDuration;

use crate::world::{HOUR, World, at, name, outputs, temperature, weather};

fn issued(world: &World) -> Vec<forecastd_core::Forecast> {
    let forecasts = world.events.iter().filter_map(|event| match event {
        Event::ForecastIssued { forecast, .. } => Some((**forecast).clone()),
        _ => None,
    });
    forecasts.collect()
}

fn state(world: &World) -> StationState {
    let state = world.retained(|publication| match publication {
        Publication::Status { state, .. } => Some(*state),
        _ => None,
    });
    state.unwrap()
}

fn refusals(world: &World) -> Vec<(&'static str, String)> {
    let refusals = world.events.iter().filter_map(|event| match event {
        Event::ReadingRefused { reason, detail, .. } => Some((*reason, detail.clone())),
        _ => None,
    });
    refusals.collect()
}

#[test]
fn persistence_is_forecast_until_the_window_is_complete_and_the_status_says_how_much_is_missing() {
    let mut world = World::new();
    world.reading("roof", 0, 7.0);
    let forecast = issued(&world).pop().unwrap();
    assert_eq!(forecast.source, Source::Persistence);
    assert!(forecast.leads.iter().all(|lead| lead.temperature_c == 7.0));
    let StationState::Fresh(Readiness::WarmingUp(missing)) = state(&world) else { panic!("no window yet") };
    assert_eq!(missing.remaining, SignedDuration::from_hours(3));
    for second in (600..3 * HOUR).step_by(600) {
        world.reading("roof", second, temperature(second));
    }
    assert!(issued(&world).iter().all(|forecast| forecast.source == Source::Persistence));
    world.reading("roof", 3 * HOUR, 8.0);
    assert_eq!(state(&world), StationState::Fresh(Readiness::Ready));
    let forecast = issued(&world).pop().unwrap();
    assert_eq!(forecast.source, Source::Model);
    assert_eq!((forecast.issued_at, forecast.origin), (at(3 * HOUR), at(3 * HOUR)));
    let lead = forecast.at(24).unwrap();
    assert_eq!(lead.valid_at, at(27 * HOUR));
    let hourly = [7.0, temperature(HOUR), temperature(2 * HOUR), 8.0];
    let window: Vec<f32> = hourly.iter().flat_map(|t| [(t - 10.0) / 5.0, t / 10.0]).collect();
    let expected = 8.0 + outputs(&window)[10];
    assert!((lead.temperature_c - expected).abs() < 0.006, "{} is not {expected}", lead.temperature_c);
    assert_eq!(lead.interval_c.map(|(low, high)| high - low > 4.7), Some(true));
}

#[test]
fn every_forecast_is_scored_once_when_its_hour_has_been_observed() {
    let mut world = World::new();
    let hours = 60;
    // Temperature rises by 0.1 °C an hour.
    for second in (0..=hours * HOUR).step_by(600) {
        world.reading("roof", second, 0.1 * second as f32 / HOUR as f32);
    }
    for lead_h in [1_u32, 6, 24] {
        let scores: Vec<_> = world
            .events
            .iter()
            .filter_map(|event| match event {
                Event::Scored { score, .. } if score.lead_h == lead_h => Some(*score),
                _ => None,
            })
            .collect();
        // Forecasts from hour 3 on, every ten minutes, whose hour was closed by a later reading.
        assert_eq!(scores.len() as i64, 6 * (hours - 3 - i64::from(lead_h)), "lead {lead_h}");
        for score in scores {
            let persistence_error = score.observed_c - score.persistence_c;
            assert!((persistence_error - 0.1 * lead_h as f32).abs() < 1e-4);
            if let Some(yesterday_c) = score.yesterday_c {
                assert!((score.observed_c - yesterday_c - 2.4).abs() < 1e-4);
            }
        }
    }
}

#[test]
fn a_burst_is_scored_as_fully_as_a_slow_feed() {
    let scored = |is_burst: bool| {
        let mut world = World::new();
        world.now.wall = at(400 * 24 * HOUR);
        // Hourly readings: a burst of them runs far ahead of the model.
        for second in (0..=200 * HOUR).step_by(3600) {
            let (time, values) = (at(second), weather(temperature(second)));
            world.broker.push_back(crate::world::Message { station: name("roof"), time, values });
            if !is_burst {
                world.settle_all();
            }
        }
        while world.deliver() {}
        world.settle_all();
        world.events.iter().filter(|event| matches!(event, Event::Scored { .. })).count()
    };
    let expected: usize = [1, 2, 6, 24].iter().map(|lead| 200 - 3 - lead).sum();
    assert_eq!(scored(false), expected);
    assert_eq!(scored(true), expected);
}

#[test]
fn a_repeated_reading_changes_nothing_and_a_late_one_makes_no_forecast_but_scores() {
    let mut world = World::new();
    for second in (0..=5 * HOUR).step_by(600).filter(|&second| second != 4 * HOUR) {
        world.reading("roof", second, temperature(second));
    }
    let before = (issued(&world).len(), world.journal.clone());
    world.reading("roof", 5 * HOUR, temperature(5 * HOUR));
    assert_eq!((issued(&world).len(), &world.journal), (before.0, &before.1));
    world.reading("roof", 4 * HOUR, 3.0);
    assert_eq!(issued(&world).len(), before.0);
    let scores: Vec<f32> = world
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Scored { score, .. } if score.valid_at == at(4 * HOUR) => Some(score.observed_c),
            _ => None,
        })
        .collect();
    assert_eq!(scores, [3.0], "the forecast of hour 3");
}

#[test]
fn readings_from_the_far_past_and_the_future_are_refused_with_what_may_be_wrong() {
    let mut world = World::new();
    for second in (0..=5 * HOUR).step_by(600) {
        world.reading("roof", second, temperature(second));
    }
    world.send("roof", jiff::Timestamp::from_second(30).unwrap(), weather(1.0));
    world.send("roof", at(-90 * 24 * HOUR), weather(1.0));
    world.send("roof", at(6 * HOUR), weather(1.0));
    let mut sentinel = Values::NONE;
    sentinel.set(Quantity::AirTemperature, -9999.0);
    world.pass(600);
    world.send("roof", at(5 * HOUR + 600), sentinel);
    let reasons: Vec<&str> = refusals(&world).iter().map(|(reason, _)| *reason).collect();
    assert_eq!(reasons, ["far_past", "too_old", "in_future", "implausible"]);
    assert!(
        refusals(&world)[2].1.ends_with("60 min ahead of the clock: is the station's clock in local time?")
    );
    assert!(world.unacknowledged.is_empty());
    assert_eq!(state(&world), StationState::Fresh(Readiness::Ready));
}

#[test]
fn a_hole_of_an_hour_is_filled_and_one_of_a_day_or_a_month_warms_up_again() {
    for (hole_h, is_filled) in [(1, true), (3, true), (4, false), (24, false), (25 * 24, false)] {
        let mut world = World::new();
        for second in (0..=5 * HOUR).step_by(600) {
            world.reading("roof", second, temperature(second));
        }
        let back = (5 + hole_h) * HOUR;
        world.reading("roof", back, temperature(back));
        let expected = if is_filled { Source::Model } else { Source::Persistence };
        assert_eq!(issued(&world).pop().unwrap().source, expected, "hole of {hole_h} h");
        for second in (back + 600..=back + 3 * HOUR).step_by(600) {
            world.reading("roof", second, temperature(second));
        }
        assert_eq!(state(&world), StationState::Fresh(Readiness::Ready), "after a hole of {hole_h} h");
    }
}
