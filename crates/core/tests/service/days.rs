//! What is said of the day ahead, and how good it was.

use std::sync::Arc;

use forecastd_core::{
    DayScores, Event, Model, Place, Publication, QUANTILES, Ranges, Settings, Site, Source,
};

use crate::world::{
    HOUR, Message, World, at, model_with_extremes, name, outputs_with_extremes, settings, temperature,
    weather,
};

fn world() -> World {
    let mut settings = Settings { experts: true, threshold_c: Some(9.0), ..settings() };
    settings.places.default = Some(Place::given(Site::new(50.91, 11.57)));
    World::with(settings, model_with_extremes())
}

fn walk(world: &mut World, hours: std::ops::Range<i64>) {
    for second in (hours.start * HOUR..hours.end * HOUR).step_by(1800) {
        world.reading("roof", second, temperature(second) + (second as f32 / 4e5).sin());
    }
}

fn scores(world: &World) -> Option<DayScores> {
    world.retained(|publication| match publication {
        Publication::Verification { day_ahead, .. } => Some(day_ahead.clone()),
        _ => None,
    })?
}

#[test]
fn every_lead_and_both_extremes_have_all_quantiles_and_none_cross() {
    let mut world = world();
    walk(&mut world, 0..30);
    let forecasts = world.published_forecasts();
    let with_day = forecasts.iter().filter_map(|forecast| forecast.day_ahead.as_ref());
    let extremes = with_day.flat_map(|day| [day.lowest, day.highest]);
    let of_extremes =
        extremes.map(|extreme| (extreme.temperature_c, extreme.interval_c, extreme.quantiles_c));
    let leads = forecasts.iter().flat_map(|forecast| &forecast.leads);
    let of_leads = leads.map(|lead| (lead.temperature_c, lead.interval_c.unwrap(), lead.quantiles_c));
    let mut count = 0;
    for (temperature_c, (low_c, high_c), quantiles_c) in of_leads.chain(of_extremes) {
        let quantiles_c = quantiles_c.unwrap();
        assert!(quantiles_c.is_sorted(), "{quantiles_c:?}");
        assert_eq!((quantiles_c[1], quantiles_c[3], quantiles_c[5]), (low_c, temperature_c, high_c));
        count += 1;
    }
    assert_eq!(QUANTILES[1..6], [0.1, 0.25, 0.5, 0.75, 0.9]);
    // 60 forecasts of four leads; the model, which needs four hours, says two extremes in most.
    assert!(count > 60 * 4 + 2 * 50, "{count}");
}

#[test]
fn extremes_that_no_thermometer_shows_are_said_and_others_forecast_instead() {
    let mut world = world();
    walk(&mut world, 0..10);
    world.pass(HOUR);
    let (station, time, values) = (name("roof"), at(10 * HOUR), weather(5.0));
    world.broker.push_back(Message { station, time, values });
    world.deliver();
    let window = world.windows.pop_front().unwrap();
    let mut outputs = outputs_with_extremes(&window.window);
    // The lowest quantile of the lowest temperature, behind four leads of seven.
    outputs[4 * QUANTILES.len()] = -150.0;
    world.answer_with(window, Ok(outputs));
    world.settle_all();
    let forecast = world.published_forecasts().pop().unwrap();
    assert_eq!((forecast.issued_at, forecast.source, forecast.day_ahead), (time, Source::Reference, None));
    let is_said = |event: &Event| matches!(event, Event::ForecastImplausible { .. });
    assert_eq!(world.events.iter().filter(|event| is_said(event)).count(), 1);
}

#[test]
fn extremes_and_frost_are_scored_when_their_hours_are_over_and_a_kill_changes_nothing() {
    let mut unbroken = world();
    walk(&mut unbroken, 0..5 * 24);
    assert_eq!(scores(&unbroken), None, "five days must be known before one is scored");
    walk(&mut unbroken, 5 * 24..11 * 24);
    let of_unbroken = scores(&unbroken).unwrap();
    assert!(of_unbroken.lifetime.lowest.weight > 24.0 * 4.0, "{of_unbroken:?}");
    let thresholds: Vec<f32> = of_unbroken.rolling.below.iter().map(|below| below.threshold_c()).collect();
    assert_eq!(thresholds, [0.0, 9.0]);
    assert_eq!(of_unbroken.rolling.below[0].frequency(), Some(0.0), "it is never below 4 °C");

    let mut broken = world();
    for (from, to) in [(0, 50), (50, 51), (51, 200), (200, 11 * 24)] {
        walk(&mut broken, from..to);
        broken.kill();
        broken.subscribe();
        broken.settle_all();
    }
    assert_eq!(broken.journal.experts, unbroken.journal.experts, "bit for bit");
    let restored = broken.events.iter().rev().find_map(|event| match event {
        Event::DaysScored(scores) => Some(scores.clone()),
        _ => None,
    });
    assert_eq!(restored, Some(of_unbroken), "all stations together are this one");
    assert_eq!(broken.journal.experts_written, unbroken.journal.experts_written, "once an hour");
}

#[test]
fn what_was_odd_about_the_days_is_not_any_more_once_the_days_are_not() {
    let Model { mut manifest, id } = (*model_with_extremes()).clone();
    manifest.ranges = Some(Ranges { daily_range_c: Some((0.0, 15.0)), ..Ranges::default() });
    let mut settings = Settings { experts: true, ..settings() };
    // Where the wave has its maximum at three in the afternoon.
    settings.places.default = Some(Place::given(Site::new(50.91, 135.0)));
    let mut world = World::with(settings, Arc::new(Model { manifest, id }));
    let odd = |world: &World| {
        world.retained(|publication| match publication {
            Publication::Status { odd, .. } => Some(odd.clone()),
            _ => None,
        })
    };
    // Days with 20 °C between morning and afternoon, then with 10 °C.
    let mut walk = |wave: f32, days: std::ops::Range<i64>| {
        for second in (days.start * 24 * HOUR..days.end * 24 * HOUR).step_by(1800) {
            world.reading("roof", second, 10.0 + wave * (temperature(second) - 10.0));
        }
        (odd(&world).unwrap(), world.oddities().len())
    };
    assert_eq!(walk(2.0, 0..10), (vec!["outside_training"], 1));
    assert_eq!(walk(1.0, 10..40), (vec![], 1));
    assert_eq!(walk(2.0, 40..70), (vec!["outside_training"], 2), "and said again when it is once more");
}

#[test]
fn a_move_leaves_the_scores_of_the_days_that_were_said() {
    let mut world = World::at_a_place(None);
    world.site = Some(Site::new(50.91, 11.57));
    walk(&mut world, 0..11 * 24);
    let scores = |world: &World| world.service.verification(&name("roof")).unwrap().day_ahead;
    let before = scores(&world).unwrap();
    world.site = Some(Site::new(39.74, -104.98));
    walk(&mut world, 11 * 24..11 * 24 + 6);
    assert_eq!(scores(&world), Some(before.clone()));
    // Five days there are needed until one is scored, and are over before it is said.
    walk(&mut world, 11 * 24 + 6..19 * 24);
    assert!(scores(&world).unwrap().lifetime.lowest.weight > before.lifetime.lowest.weight);
}
