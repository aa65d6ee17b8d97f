//! Clocks that are behind, ahead, or jump.

use forecastd_core::Event;
use jiff::SignedDuration;

use crate::world::{HOUR, Message, World, at, name, temperature, weather};

fn refused(world: &World) -> usize {
    world.events.iter().filter(|event| matches!(event, Event::ReadingRefused { .. })).count()
}

#[test]
fn a_machine_whose_clock_is_a_day_behind_loses_none_of_the_backlog() {
    let mut world = World::new();
    // Stations go on while the machine is off; it wakes a day and some minutes in the past.
    let boot = 24 * HOUR + 11 * 60;
    for step in 0..50 {
        for station in ["roof", "alp"] {
            let time = at(boot + step * 600);
            world.broker.push_back(Message {
                station: name(station),
                time,
                values: weather(temperature(step * 600)),
            });
        }
    }
    while world.deliver() {}
    world.flush();
    // One reading alone says nothing against the clock; from the second station on they wait.
    assert!(refused(&world) <= 1, "{} refused", refused(&world));
    assert!(world.unacknowledged.len() >= 99, "what waits is not acknowledged");
    assert!(world.events.iter().any(|event| matches!(event, Event::ClockBehind { is_behind: true, .. })));
    world.tick();
    // The network comes, and with it the time.
    world.now.wall = at(boot + 50 * 600);
    world.tick();
    world.settle_all();
    assert!(world.unacknowledged.is_empty());
    assert!(world.journal.readings.len() >= 99);
    assert!(world.events.iter().any(|event| matches!(event, Event::ClockJumped(_))));
}

#[test]
fn a_clock_behind_what_it_showed_before_the_restart_holds_even_one_station_back() {
    let mut world = World::new();
    for second in (0..=5 * HOUR).step_by(600) {
        world.reading("roof", second, temperature(second));
    }
    world.flush_all();
    world.now.wall = at(HOUR + 77 * 60);
    world.kill();
    world.subscribe();
    for step in 1..=50 {
        let second = 5 * HOUR + step * 600;
        world.broker.push_back(Message {
            station: name("roof"),
            time: at(second),
            values: weather(temperature(second)),
        });
    }
    world.settle_all();
    assert_eq!((refused(&world), world.unacknowledged.len()), (0, 50));
    world.now.wall = at(14 * HOUR);
    world.tick();
    world.settle_all();
    assert!(world.unacknowledged.is_empty());
    assert_eq!(world.journal.readings.len(), 31 + 50);
}

#[test]
fn one_station_with_a_wrong_clock_is_refused_and_holds_nobody_up() {
    let mut world = World::new();
    world.send("roof", at(0), weather(5.0));
    for day in 1..=60 {
        world.send("wrong", at(day * 24 * HOUR), weather(5.0));
    }
    world.pass(600);
    world.send("roof", at(600), weather(5.1));
    assert_eq!(refused(&world), 60);
    assert!(world.unacknowledged.is_empty());
    assert_eq!(world.service.stations(), 1, "who was refused has no seat");
}

#[test]
fn a_clock_that_was_ahead_and_is_right_again_does_not_mute_the_station() {
    for ahead_h in [5, 48, 20 * 24] {
        let mut world = World::new();
        for second in (0..=5 * HOUR).step_by(600) {
            world.reading("roof", second, temperature(second));
        }
        world.pass(ahead_h * HOUR);
        let poisoned = 5 * HOUR + ahead_h * HOUR;
        world.send("roof", at(poisoned), weather(9.0));
        // Machine and station are corrected.
        world.now.wall -= SignedDuration::from_hours(ahead_h);
        world.pass(600);
        world.send("roof", at(5 * HOUR + 600), weather(temperature(5 * HOUR + 600)));
        let newest = world.events.iter().rev().find_map(|event| match event {
            Event::NewestReading { time, .. } => Some(*time),
            _ => None,
        });
        assert_eq!(newest, Some(at(5 * HOUR + 600)), "{ahead_h} h ahead");
        assert!(world.events.iter().any(|event| matches!(event, Event::FutureDropped { .. })));
        assert!(world.journal.readings.keys().all(|(_, time)| *time < at(poisoned)), "{ahead_h} h ahead");
        let issued = world.events.iter().rev().find_map(|event| match event {
            Event::ForecastIssued { forecast, .. } => Some(forecast.issued_at),
            _ => None,
        });
        assert_eq!(issued, Some(at(5 * HOUR + 600)));
    }
}

/// All scores of a run, as a restart finds them: lead, how many, and the sum of absolute errors.
fn scores(world: &mut World) -> Vec<(u32, f64, f64)> {
    world.flush_all();
    world.kill();
    let scores = world.events.iter().rev().find_map(|event| match event {
        Event::ScoresRestored(scores) => Some(scores.clone()),
        _ => None,
    });
    let lead = |(lead_h, scores): (u32, &forecastd_core::LeadScores)| {
        (lead_h, scores.lifetime.count(), scores.lifetime.mae().unwrap())
    };
    scores.unwrap().leads().map(lead).collect()
}

#[test]
fn after_a_clock_that_was_far_ahead_the_journal_gives_the_weather_of_before_back() {
    let last = 40 * HOUR;
    let feed = |world: &mut World, seconds: std::ops::RangeInclusive<i64>| {
        for second in seconds.step_by(600) {
            world.reading("roof", second, temperature(second));
        }
    };
    let mut undisturbed = World::new();
    feed(&mut undisturbed, 0..=last);
    for ahead_h in [5, 48, 20 * 24] {
        let mut world = World::new();
        feed(&mut world, 0..=30 * HOUR);
        world.pass(ahead_h * HOUR);
        world.send("roof", at((30 + ahead_h) * HOUR), weather(9.0));
        world.tick();
        // The machine notices the jump back before the next reading comes.
        world.now.wall -= SignedDuration::from_hours(ahead_h);
        world.pass(60);
        world.tick();
        world.settle_all();
        assert_eq!(world.service.ready_stations(), 1, "{ahead_h} h ahead");
        feed(&mut world, 30 * HOUR + 600..=last);
        assert_eq!(world.journal.readings, undisturbed.journal.readings, "{ahead_h} h ahead");
        assert_eq!(world.journal.forecasts, undisturbed.journal.forecasts, "{ahead_h} h ahead");
        let (found, expected) = (scores(&mut world), scores(&mut undisturbed));
        assert_eq!(found.len(), expected.len());
        for ((lead_h, count, mae), (_, expected_count, expected_mae)) in found.into_iter().zip(expected) {
            assert_eq!(count, expected_count, "{ahead_h} h ahead, lead {lead_h}");
            assert!((mae - expected_mae).abs() < 1e-9, "{ahead_h} h ahead, lead {lead_h}");
        }
    }
}

#[test]
fn a_reading_that_comes_before_the_jump_of_the_clock_is_noticed_warms_nothing_up_anew() {
    let mut world = World::new();
    for second in (0..=30 * HOUR).step_by(600) {
        world.reading("roof", second, temperature(second));
    }
    world.pass(48 * HOUR);
    world.send("roof", at(78 * HOUR), weather(9.0));
    world.now.wall -= SignedDuration::from_hours(48);
    for second in [30 * HOUR + 600, 30 * HOUR + 1200] {
        world.reading("roof", second, temperature(second));
        assert_eq!(world.service.ready_stations(), 1);
    }
    let forecasts = world.published_forecasts();
    let newest = forecasts.iter().find(|forecast| forecast.issued_at == at(30 * HOUR + 1200)).unwrap();
    assert_eq!(newest.source, forecastd_core::Source::Model);
}

#[test]
fn what_the_journal_holds_of_the_future_is_not_restored() {
    let mut world = World::new();
    for second in (0..=5 * HOUR).step_by(600) {
        world.reading("roof", second, temperature(second));
    }
    world.pass(48 * HOUR);
    world.send("roof", at(53 * HOUR), weather(9.0));
    world.flush_all();
    world.now.wall = at(5 * HOUR + 60);
    world.kill();
    world.subscribe();
    world.now.wall = at(5 * HOUR + 600);
    world.send("roof", at(5 * HOUR + 600), weather(temperature(5 * HOUR + 600)));
    let issued = world.events.iter().rev().find_map(|event| match event {
        Event::ForecastIssued { forecast, .. } => Some(forecast.issued_at),
        _ => None,
    });
    assert_eq!(issued, Some(at(5 * HOUR + 600)));
}
