//! Clocks that are behind, ahead, or jump.

use std::collections::BTreeMap;
use std::sync::Arc;

use forecastd_core::{Event, Model, Oddity, Place, Ranges, Site, StationName};
use jiff::{SignedDuration, Timestamp};

use crate::world::{HOUR, Message, World, at, model_with_extremes, name, settings, temperature, weather};

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
    assert!(world.events.iter().any(|event| matches!(event, Event::ClockJumped { .. })));
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
        world.jump(ahead_h * HOUR);
        let poisoned = 5 * HOUR + ahead_h * HOUR;
        world.send("roof", at(poisoned), weather(9.0));
        // Machine and station are corrected.
        world.jump(-ahead_h * HOUR);
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
        world.jump(ahead_h * HOUR);
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
    world.jump(48 * HOUR);
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

fn says_behind(world: &World) -> Vec<bool> {
    let says = world.events.iter().filter_map(|event| match event {
        Event::ClockBehind { is_behind, .. } => Some(*is_behind),
        _ => None,
    });
    says.collect()
}

/// Two stations send every ten minutes; their clock is `ahead_s` ahead of ours, minute by minute.
fn send_ahead(world: &mut World, minutes: std::ops::Range<i64>, ahead_s: i64) {
    for minute in minutes {
        if minute % 10 == 0 {
            for station in ["roof", "alp"] {
                let second = minute * 60 + ahead_s;
                let values = weather(temperature(second));
                world.broker.push_back(Message { station: name(station), time: at(second), values });
            }
        }
        world.settle_all();
        world.pass(60);
        world.tick();
    }
    world.settle_all();
}

#[test]
fn stations_ahead_of_a_clock_that_never_jumps_are_late_and_lose_nothing() {
    let mut world = World::new();
    world.tick();
    send_ahead(&mut world, 0..240, 600);
    // One alone says nothing against the clock.
    assert_eq!(refused(&world), 1);
    assert_eq!(says_behind(&world), [true], "said once, not with every reading");
    assert!(world.unacknowledged.is_empty());
    assert_eq!(world.journal.readings.len(), 2 * 24 - 1);
}

#[test]
fn what_waits_for_the_clock_waits_for_hours_and_longer_than_a_jump_that_does_not_help() {
    let mut world = World::new();
    world.tick();
    send_ahead(&mut world, 0..150, 24 * HOUR);
    world.now.wall += SignedDuration::from_hours(1);
    for _ in 0..3 {
        world.pass(1);
        world.tick();
    }
    world.settle_all();
    assert_eq!((refused(&world), world.unacknowledged.len()), (1, 2 * 15 - 1));
    world.now.wall = at(24 * HOUR + 150 * 60);
    world.tick();
    world.settle_all();
    assert_eq!((refused(&world), world.unacknowledged.len()), (1, 0));
    assert_eq!(world.journal.readings.len(), 2 * 15 - 1);
    assert_eq!(says_behind(&world), [true, false]);
}

#[test]
fn stations_that_were_ahead_for_one_reading_do_not_speak_against_the_clock_once_they_are_on_time() {
    let mut world = World::new();
    world.tick();
    for station in ["roof", "alp"] {
        world.send(station, at(40 * HOUR + 60), weather(5.0));
    }
    assert_eq!((refused(&world), world.unacknowledged.len()), (1, 1));
    for second in [60, 120] {
        world.pass(60);
        for station in ["roof", "alp"] {
            world.send(station, at(second), weather(5.0));
        }
        world.tick();
        world.settle_all();
    }
    assert_eq!((refused(&world), world.unacknowledged.len()), (2, 0));
    assert_eq!(says_behind(&world), [true, false]);
}

#[test]
fn no_more_of_what_waited_for_the_clock_is_taken_at_once_than_the_model_can_follow() {
    let mut world = World::new();
    world.tick();
    let stations = ["roof", "alp", "dike", "moor"];
    for step in 0..120 {
        for station in stations {
            let second = 24 * HOUR + step * 600;
            let values = weather(temperature(second));
            world.broker.push_back(Message { station: name(station), time: at(second), values });
        }
    }
    while world.deliver() {}
    world.flush();
    assert_eq!(world.unacknowledged.len(), 4 * 120 - 1);
    world.now.wall = at(60 * HOUR);
    world.tick();
    assert!(world.windows.len() <= 256, "{} windows in flight", world.windows.len());
    assert!(!world.service.accepts_readings(), "what waited comes first");
    for _ in 0..60 {
        world.settle_all();
        world.pass(1);
        world.tick();
    }
    world.settle_all();
    assert!(world.unacknowledged.is_empty() && world.service.accepts_readings());
    assert_eq!((refused(&world), world.journal.readings.len()), (1, 4 * 120 - 1));
    assert_eq!(says_behind(&world), [true, false]);
}

#[test]
fn a_reading_that_waits_for_a_window_of_a_future_that_is_dropped_is_taken() {
    let mut world = World::new();
    for second in (0..=5 * HOUR).step_by(600) {
        world.reading("roof", second, temperature(second));
    }
    let arrives = |world: &mut World, second: i64| {
        let values = weather(temperature(second));
        world.broker.push_back(Message { station: name("roof"), time: at(second), values });
        world.deliver();
    };
    world.jump(2 * HOUR);
    arrives(&mut world, 7 * HOUR);
    assert_eq!(world.windows.len(), 1);
    world.now.wall = at(5 * HOUR + 600);
    arrives(&mut world, 5 * HOUR + 600);
    world.tick();
    world.settle_all();
    assert!(world.unacknowledged.is_empty());
    for second in [5 * HOUR + 1200, 5 * HOUR + 1800] {
        world.reading("roof", second, temperature(second));
    }
    assert!(world.unacknowledged.is_empty());
    let newest = world.service.view(world.now, &name("roof")).and_then(|view| view.newest_reading);
    assert_eq!(newest, Some(at(5 * HOUR + 1800)));
}

#[test]
fn what_a_clock_that_was_ahead_left_in_the_journal_goes_an_hour_after_a_restart() {
    let feed = |world: &mut World, seconds: std::ops::RangeInclusive<i64>| {
        for second in seconds.step_by(600) {
            world.reading("roof", second, temperature(second));
        }
    };
    let last = 9 * HOUR;
    let mut undisturbed = World::new();
    feed(&mut undisturbed, 0..=last);
    for ahead_h in [3, 48] {
        let mut world = World::new();
        feed(&mut world, 0..=5 * HOUR);
        world.pass(ahead_h * HOUR);
        for step in 1..4 {
            // A little later in each slot than the true readings that will come.
            let second = (5 + ahead_h) * HOUR + step * 600 + 30;
            world.pass(600);
            world.send("roof", at(second), weather(9.0));
        }
        world.flush_all();
        world.now.wall = at(5 * HOUR + 60);
        world.kill();
        world.subscribe();
        // A reading of before the restart says nothing about the clock.
        world.send("roof", at(5 * HOUR), weather(temperature(5 * HOUR)));
        assert!(world.journal.readings.keys().any(|(_, time)| *time > at(5 * HOUR + 600)));
        world.reading("roof", 5 * HOUR + 600, temperature(5 * HOUR + 600));
        assert!(world.journal.readings.keys().any(|(_, time)| *time > at(5 * HOUR + 600)), "{ahead_h} h");
        // A forecast that does not reach the broker is published after a kill, whatever reached it of the future.
        world.pass(600);
        let (time, values) = (at(5 * HOUR + 1200), weather(temperature(5 * HOUR + 1200)));
        world.broker.push_back(Message { station: name("roof"), time, values });
        world.deliver();
        world.answer();
        world.flush();
        while world.commit() {}
        world.kill();
        world.subscribe();
        world.settle_all();
        assert!(world.published_forecasts().iter().any(|forecast| forecast.issued_at == time), "{ahead_h} h");
        let newest = 6 * HOUR + 1800;
        feed(&mut world, 5 * HOUR + 1800..=newest);
        assert!(world.journal.readings.keys().all(|(_, time)| *time <= at(newest)), "{ahead_h} h");
        assert!(world.journal.forecasts.keys().all(|(_, time)| *time <= at(newest)), "{ahead_h} h");
        feed(&mut world, newest + 600..=last);
        assert_eq!(world.journal.readings, undisturbed.journal.readings, "{ahead_h} h ahead");
        let differs = |(key, forecast): &(&_, &_)| undisturbed.journal.forecasts.get(*key) != Some(*forecast);
        assert_eq!(world.journal.forecasts.iter().find(differs), None, "{ahead_h} h ahead");
        assert_eq!(world.journal.forecasts.len(), undisturbed.journal.forecasts.len());
        let counts = |world: &mut World| {
            scores(world).into_iter().map(|(lead_h, count, _)| (lead_h, count)).collect::<Vec<_>>()
        };
        // A kill while the clock is doubted may cost the verification of its hour.
        for ((lead_h, found), (_, expected)) in counts(&mut world).into_iter().zip(counts(&mut undisturbed)) {
            assert!(
                (0.0..=1.0).contains(&(expected - found)),
                "{ahead_h} h ahead, lead {lead_h}: {found} of {expected}"
            );
        }
    }
}

/// A station that has reported for thirty hours, all of it in the journal.
fn after_thirty_hours() -> World {
    let mut world = World::new();
    for second in (0..=30 * HOUR).step_by(600) {
        world.reading("roof", second, temperature(second));
    }
    world.flush_all();
    world
}

/// How many of these readings the journal has lost; not counted is the slot that a `wrong` clock named, whose newer reading is that of
/// then.
fn lost<T>(world: &World, readings: &BTreeMap<(StationName, Timestamp), T>, wrong: Timestamp) -> usize {
    let is_of_wrong = |time: Timestamp| time.duration_since(wrong).as_secs().abs() < 600;
    let is_lost =
        |key: &&(StationName, Timestamp)| !world.journal.readings.contains_key(*key) && !is_of_wrong(key.1);
    readings.keys().filter(is_lost).count()
}

/// The next reading gives a forecast by the model.
fn assert_forecasts_on(world: &mut World) {
    world.reading("roof", 30 * HOUR + 600, temperature(30 * HOUR + 600));
    let newest = world.published_forecasts().pop().unwrap();
    assert_eq!((newest.issued_at, newest.source), (at(30 * HOUR + 600), forecastd_core::Source::Model));
}

/// It was deleted, all but three rows of 3,000, by a clock that showed 2016 for two seconds.
#[test]
fn a_clock_that_goes_back_for_a_moment_removes_nothing() {
    for back in [HOUR, 24 * HOUR, 20 * 24 * HOUR, 3650 * 24 * HOUR] {
        let mut world = after_thirty_hours();
        let (readings, forecasts) = (world.journal.readings.clone(), world.journal.forecasts.clone());
        world.jump(-back);
        // Of a station that does not say when it measured, or has its time from this machine.
        world.pass(2);
        let wrong = world.now.wall;
        world.send("roof", wrong, weather(5.0));
        world.jump(back);
        world.settle_all();
        world.flush_all();
        assert_eq!(lost(&world, &readings, wrong), 0, "{back} s");
        assert!(forecasts.keys().all(|key| world.journal.forecasts.contains_key(key)), "{back} s");
        assert_forecasts_on(&mut world);
    }
}

#[test]
fn a_clock_that_was_ahead_at_the_start_is_believed_at_once_when_the_time_of_the_network_comes() {
    let mut world = World::new();
    for second in (0..=5 * HOUR).step_by(600) {
        world.reading("roof", second, temperature(second));
    }
    world.flush_all();
    world.now.wall += SignedDuration::from_hours(2);
    world.kill();
    world.subscribe();
    world.tick();
    for minute in [10, 20] {
        world.pass(600);
        world.send("roof", at(7 * HOUR + minute * 60), weather(9.0));
    }
    world.jump(-2 * HOUR);
    world.settle_all();
    assert!(world.events.iter().any(|event| matches!(event, Event::FutureDropped { .. })));
    world.reading("roof", 5 * HOUR + 1800, temperature(5 * HOUR + 1800));
    assert!(world.journal.readings.keys().all(|(_, time)| *time <= at(5 * HOUR + 1800)));
    let issued = world.events.iter().rev().find_map(|event| match event {
        Event::ForecastIssued { forecast, .. } => Some(forecast.issued_at),
        _ => None,
    });
    assert_eq!(issued, Some(at(5 * HOUR + 1800)));
}

/// A day of it waited at the broker, was taken, and gone after two seconds.
#[test]
fn a_clock_that_goes_back_for_a_moment_soon_after_the_start_removes_no_backlog() {
    let mut world = World::new();
    world.now.wall = at(30 * HOUR);
    world.tick();
    for second in (0..=30 * HOUR).step_by(600) {
        world.send("roof", at(second), weather(temperature(second)));
    }
    world.settle_all();
    world.flush_all();
    let readings = world.journal.readings.len();
    world.jump(-24 * HOUR);
    world.pass(2);
    world.send("roof", world.now.wall, weather(5.0));
    world.jump(24 * HOUR);
    world.settle_all();
    world.flush_all();
    assert!(world.journal.readings.len() >= readings, "{} of {readings}", world.journal.readings.len());
}

#[test]
fn a_clock_that_has_gone_back_is_believed_after_an_hour() {
    let mut world = World::new();
    for second in (0..=30 * HOUR).step_by(600) {
        world.reading("roof", second, temperature(second));
    }
    world.jump(-2 * HOUR);
    let dropped = |world: &World| {
        world.events.iter().filter(|event| matches!(event, Event::FutureDropped { .. })).count()
    };
    for minute in 1..60 {
        world.pass(60);
        world.tick();
        assert_eq!(dropped(&world), 0, "minute {minute}");
    }
    world.pass(120);
    world.tick();
    world.settle_all();
    assert_eq!(dropped(&world), 1);
    world.reading("roof", 29 * HOUR + 600, temperature(29 * HOUR + 600));
    let issued = world.events.iter().rev().find_map(|event| match event {
        Event::ForecastIssued { forecast, .. } => Some(forecast.issued_at),
        _ => None,
    });
    assert_eq!(issued, Some(at(29 * HOUR + 600)));
    assert!(world.journal.readings.keys().all(|(_, time)| *time <= at(29 * HOUR + 600)));
}

#[test]
fn a_start_with_a_clock_that_is_behind_removes_nothing_and_what_it_did_not_take_comes_back_with_the_time() {
    for back in [2 * HOUR, 20 * 24 * HOUR, 3650 * 24 * HOUR] {
        let mut world = after_thirty_hours();
        let readings = world.journal.readings.clone();
        world.now.wall -= SignedDuration::from_secs(back);
        world.kill();
        world.subscribe();
        world.pass(60);
        let wrong = world.now.wall;
        world.send("roof", wrong, weather(5.0));
        world.jump(back);
        world.settle_all();
        world.flush_all();
        assert_eq!(lost(&world, &readings, wrong), 0, "{back} s");
        assert_forecasts_on(&mut world);
    }
}

#[test]
fn a_restart_with_a_clock_that_is_behind_and_jumps_keeps_what_the_journal_holds() {
    let mut world = World::new();
    for second in (0..=5 * HOUR).step_by(600) {
        world.reading("roof", second, temperature(second));
    }
    world.flush_all();
    let before = world.journal.readings.clone();
    world.now.wall = at(4 * HOUR + 60);
    world.kill();
    world.subscribe();
    world.tick();
    // What is sent again is of before the restart, whatever the clock shows.
    world.send("roof", at(4 * HOUR), weather(temperature(4 * HOUR)));
    world.pass(1);
    world.now.wall = at(5 * HOUR + 600);
    world.send("roof", at(5 * HOUR + 600), weather(temperature(5 * HOUR + 600)));
    assert!(before.iter().all(|(key, values)| world.journal.readings.get(key) == Some(values)));
    assert_eq!(world.journal.readings.len(), before.len() + 1);
}

#[test]
fn what_is_left_of_a_station_whose_clock_was_ahead_is_as_new_as_its_newest_reading() {
    let mut world = World::new();
    for second in (120..=5 * HOUR).step_by(600) {
        world.reading("roof", second, temperature(second));
    }
    let newest = |world: &World| {
        let view = world.service.view(world.now, &name("roof")).unwrap();
        (view.newest_reading, view.temperature_c)
    };
    let before = newest(&world);
    world.jump(48 * HOUR);
    world.send("roof", world.now.wall, weather(9.0));
    assert_ne!(newest(&world), before);
    world.now.wall -= SignedDuration::from_hours(48);
    world.pass(1200);
    world.tick();
    world.settle_all();
    assert_eq!(newest(&world), before);
}

#[test]
fn what_is_odd_is_looked_for_again_as_soon_as_a_clock_that_was_a_year_ahead_is_right() {
    let Model { mut manifest, id } = (*model_with_extremes()).clone();
    manifest.ranges = Some(Ranges { daily_range_c: Some((0.0, 5.0)), ..Ranges::default() });
    let mut settings = settings();
    settings.places.default = Some(Place::given(Site::new(50.91, 135.0)));
    for is_killed in [false, true] {
        let main = Arc::new(Model { manifest: manifest.clone(), id: Arc::clone(&id) });
        let mut world = World::with(settings.clone(), main);
        let walk = |world: &mut World, hours: std::ops::Range<i64>| {
            for hour in hours {
                world.reading("roof", hour * HOUR, temperature(hour * HOUR));
            }
        };
        walk(&mut world, 0..24);
        walk(&mut world, 366 * 24..366 * 24 + 2);
        world.now.wall = at(24 * HOUR);
        if is_killed {
            world.kill();
            world.subscribe();
        }
        walk(&mut world, 24..9 * 24);
        let odd = world.oddities();
        assert!(matches!(odd[..], [Oddity::OutsideTraining { .. }]), "{odd:?}");
    }
}
