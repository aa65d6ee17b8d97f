//! Neighbours that fail, silence, seats, forgetting, outputs that cannot be.

use std::sync::Arc;

use forecastd_core::{Event, Input, Model, Publication, Readiness, Source, StationState};

use crate::world::{HOUR, Message, World, at, model, name, settings, temperature, weather};

fn ready_world() -> World {
    let mut world = World::new();
    for second in (0..=5 * HOUR).step_by(600) {
        world.reading("roof", second, temperature(second));
    }
    world
}

fn status(world: &World, station: &str) -> (StationState, Option<jiff::Timestamp>) {
    let status = world.retained(|publication| match publication {
        Publication::Status { station: own, state, newest_reading, .. } if own.as_str() == station => {
            Some((*state, *newest_reading))
        }
        _ => None,
    });
    status.unwrap()
}

/// Of which time the forecast on the topic is, and whether it is marked as stale.
fn retained_forecast(world: &World) -> (jiff::Timestamp, bool) {
    let forecast = world.retained(|publication| match publication {
        Publication::Forecast { forecast, is_stale } => Some((forecast.issued_at, *is_stale)),
        _ => None,
    });
    forecast.unwrap()
}

#[test]
fn a_silent_station_becomes_stale_and_its_forecast_is_marked() {
    let mut world = ready_world();
    for _ in 0..3 {
        world.pass(HOUR);
        world.tick();
        world.settle_all();
    }
    assert_eq!(status(&world, "roof"), (StationState::Stale, Some(at(5 * HOUR))));
    assert!(matches!(
        world.published.iter().rev().find(|publication| matches!(publication, Publication::Forecast { .. })),
        Some(Publication::Forecast { is_stale: true, .. })
    ));
    let counts = world.events.iter().rev().find_map(|event| match event {
        Event::Stations { known, ready, stale, oldest, .. } => {
            Some((*known, *ready, *stale, oldest.as_hours()))
        }
        _ => None,
    });
    assert_eq!(counts, Some((1, 0, 1, 3)));
    world.reading("roof", 8 * HOUR, temperature(8 * HOUR));
    assert!(matches!(status(&world, "roof").0, StationState::Fresh(_)));
}

#[test]
fn the_status_is_published_every_hour_with_the_newest_reading() {
    let mut world = ready_world();
    let count = |world: &World| {
        world.published.iter().filter(|publication| matches!(publication, Publication::Status { .. })).count()
    };
    let before = count(&world);
    for second in (5 * HOUR + 600..=11 * HOUR).step_by(600) {
        world.reading("roof", second, temperature(second));
    }
    assert_eq!(count(&world), before + 6);
    assert_eq!(status(&world, "roof"), (StationState::Fresh(Readiness::Ready), Some(at(11 * HOUR))));
}

#[test]
fn a_station_that_was_silent_for_days_is_stale_after_a_restart() {
    let mut world = ready_world();
    world.flush_all();
    world.pass(18 * 24 * HOUR);
    world.kill();
    world.subscribe();
    world.settle_all();
    assert_eq!(status(&world, "roof"), (StationState::Stale, Some(at(5 * HOUR))));
    let newest = world
        .events
        .iter()
        .any(|event| matches!(event, Event::NewestReading { time, .. } if *time == at(5 * HOUR)));
    assert!(newest, "its series is there before it sends again");
    assert_eq!(retained_forecast(&world), (at(5 * HOUR), true));
}

#[test]
fn a_station_that_falls_silent_while_the_broker_is_away_has_its_forecast_marked_when_it_is_back() {
    let mut world = ready_world();
    world.disconnect();
    world.pass(3 * HOUR);
    world.tick();
    world.subscribe();
    world.settle_all();
    assert_eq!(retained_forecast(&world), (at(5 * HOUR), true));
    world.reading("roof", 8 * HOUR, temperature(8 * HOUR));
    assert_eq!(retained_forecast(&world), (at(8 * HOUR), false));
}

#[test]
fn a_forecast_that_was_owed_from_before_a_long_stop_is_marked_when_it_comes() {
    let mut world = ready_world();
    world.pass(600);
    let time = at(5 * HOUR + 600);
    world.broker.push_back(Message { station: name("roof"), time, values: weather(1.0) });
    world.deliver();
    world.flush_all();
    world.pass(3 * HOUR);
    world.kill();
    world.subscribe();
    world.settle_all();
    for _ in 0..30 {
        world.tick();
    }
    world.settle_all();
    assert_eq!(retained_forecast(&world), (time, true));
}

#[test]
fn a_forecast_that_cannot_be_handed_in_is_not_mistaken_for_one_that_was_delivered() {
    let mut world = ready_world();
    world.reading("roof", 6 * HOUR, 1.0);
    let station = name("roof");
    for second in [6 * HOUR + 600, 6 * HOUR + 1200] {
        world.pass(600);
        let (time, values) = (at(second), weather(second as f32 / 10_000.0));
        world.broker.push_back(Message { station: station.clone(), time, values });
        world.deliver();
        world.answer();
    }
    // The first is refused by the outbox, the second is delivered.
    world.outbox.clear();
    world.input(Input::NotHandedIn { station: station.clone(), origin: at(6 * HOUR + 600) });
    world.input(Input::Delivered(station));
    world.flush_all();
    world.kill();
    world.subscribe();
    let again = world.outbox.iter().filter(|own| matches!(own, Publication::Forecast { .. }));
    assert_eq!(again.count(), 0, "what was delivered is not published again");
}

#[test]
fn no_message_since_the_subscription_is_said_once_and_taken_back() {
    let mut world = World::new();
    for _ in 0..20 {
        world.pass(60);
        world.tick();
    }
    let said = |world: &World| {
        let said = world.events.iter().filter_map(|event| match event {
            Event::NoReadings(says) => Some(*says),
            _ => None,
        });
        said.collect::<Vec<_>>()
    };
    assert_eq!(said(&world), [true]);
    world.reading("roof", 20 * 60, 5.0);
    assert_eq!(said(&world), [true, false]);
}

#[test]
fn refused_readings_take_no_seat_and_silent_stations_give_theirs_up() {
    let mut world = World::new();
    for index in 0..100 {
        world.send(&format!("nobody{index}"), jiff::Timestamp::UNIX_EPOCH, weather(5.0));
    }
    assert_eq!(world.service.stations(), 0);
    for index in 0..10 {
        world.send(&format!("station{index}"), at(0), weather(5.0));
    }
    world.pass(600);
    world.send("late", at(600), weather(5.0));
    assert!(
        world
            .events
            .iter()
            .any(|event| { matches!(event, Event::ReadingRefused { reason: "too_many_stations", .. }) })
    );
    world.pass(31 * 24 * HOUR);
    world.tick();
    assert_eq!(world.service.stations(), 0);
    // Nothing more is said of them, so that nothing of theirs need be kept to be said again.
    let given_up = |publication: &&Publication| matches!(publication, Publication::GiveUp(_));
    assert_eq!(world.outbox.iter().filter(given_up).count(), 10);
    let time = world.now.wall;
    world.send("late", time, weather(5.0));
    assert_eq!(world.service.stations(), 1);
}

#[test]
fn a_station_that_comes_again_after_it_was_served_no_longer_has_the_history_that_a_restart_gives_it() {
    for is_restarted in [false, true] {
        let idle_after = Some(jiff::SignedDuration::from_hours(6));
        let settings = forecastd_core::Settings { idle_after, ..settings() };
        let mut world = World::with(settings, model(4));
        for second in (0..=5 * HOUR).step_by(600) {
            world.reading("roof", second, temperature(second));
        }
        world.flush_all();
        world.pass(7 * HOUR);
        match is_restarted {
            true => {
                world.kill();
                world.subscribe();
            }
            false => world.tick(),
        }
        assert_eq!(world.service.stations(), 0);
        world.reading("roof", 12 * HOUR + 600, temperature(12 * HOUR + 600));
        let remembered = |world: &World| world.service.remembered(&name("roof")).unwrap();
        let before = remembered(&world);
        assert_eq!(before.len(), 31 + 1);
        world.flush_all();
        world.kill();
        assert_eq!(remembered(&world), before);
    }
}

#[test]
fn a_forgotten_station_is_gone_everywhere_and_may_come_again() {
    let mut world = ready_world();
    world.broker.push_back(Message { station: name("roof"), time: at(5 * HOUR + 600), values: weather(1.0) });
    world.pass(600);
    world.deliver();
    assert_eq!(world.windows.len(), 1, "one window is in flight");
    world.input(Input::Forget { station: name("roof"), token: None });
    world.settle_all();
    assert_eq!(world.service.stations(), 0);
    assert_eq!(world.service.in_flight(), 0);
    assert!(world.journal.readings.is_empty() && world.journal.forecasts.is_empty());
    assert!(world.journal.states.is_empty());
    assert!(world.published.contains(&Publication::Clear(name("roof"))));
    assert!(world.unacknowledged.is_empty());
    world.reading("roof", 6 * HOUR, 5.0);
    assert!(matches!(status(&world, "roof").0, StationState::Fresh(Readiness::WarmingUp(_))));
}

#[test]
fn the_answer_for_a_station_that_was_forgotten_is_not_taken_for_a_new_one_of_its_name() {
    let mut world = World::new();
    let feed = |world: &mut World, hours: std::ops::Range<i64>| {
        for second in (hours.start * HOUR..hours.end * HOUR).step_by(600) {
            world.reading("roof", second, temperature(second));
        }
        let (time, values) = (at(hours.end * HOUR), weather(temperature(hours.end * HOUR)));
        world.pass(600);
        world.broker.push_back(Message { station: name("roof"), time, values });
        world.deliver();
        world.windows.pop_front().expect("the first window is complete")
    };
    let before = feed(&mut world, 0..3);
    world.input(Input::Forget { station: name("roof"), token: None });
    world.settle_all();
    let own = feed(&mut world, 4..7);
    world.answer_with(before, Ok(vec![0.0; 12]));
    let issued = |world: &World| {
        let issued = world.events.iter().filter_map(|event| match event {
            Event::ForecastIssued { forecast, .. } if forecast.origin == at(7 * HOUR) => {
                Some(forecast.clone())
            }
            _ => None,
        });
        issued.collect::<Vec<_>>()
    };
    assert_eq!(issued(&world), []);
    world.answer_with(own, Ok(vec![1.5; 12]));
    let issued = issued(&world);
    assert_eq!(issued.len(), 1);
    assert!((issued[0].leads[0].temperature_c - temperature(7 * HOUR) - 1.5).abs() < 0.01);
    assert_eq!(world.service.in_flight(), 0);
}

#[test]
fn outputs_that_no_thermometer_shows_are_counted_and_persistence_stands_in() {
    for hostile in [f32::NAN, f32::INFINITY, 3e38, 5000.0, -400.0] {
        let mut world = ready_world();
        world.pass(600);
        let time = at(5 * HOUR + 600);
        world.broker.push_back(Message { station: name("roof"), time, values: weather(1.0) });
        world.deliver();
        let window = world.windows.pop_front().unwrap();
        let mut outputs = vec![0.0; 12];
        outputs[7] = hostile;
        world.answer_with(window, Ok(outputs));
        world.settle_all();
        let forecast = world.published_forecasts().pop().unwrap();
        assert_eq!((forecast.source, forecast.issued_at), (Source::Persistence, time), "{hostile}");
        assert!(world.events.iter().any(|event| matches!(event, Event::ForecastImplausible { .. })));
    }
}

#[test]
fn a_model_that_fails_leaves_the_reference_forecast() {
    let mut world = ready_world();
    world.pass(600);
    let time = at(5 * HOUR + 600);
    world.broker.push_back(Message { station: name("roof"), time, values: weather(1.0) });
    world.deliver();
    let window = world.windows.pop_front().unwrap();
    world.answer_with(window, Err("it is gone".to_owned()));
    world.settle_all();
    assert_eq!(world.published_forecasts().pop().unwrap().source, Source::Persistence);
    assert!(world.events.iter().any(|event| matches!(event, Event::InferenceFailed { .. })));
}

#[test]
fn readings_are_acknowledged_when_they_are_durable_or_the_journal_fails() {
    let mut world = World::new();
    world.broker.push_back(Message { station: name("roof"), time: at(0), values: weather(1.0) });
    world.deliver();
    world.flush();
    assert_eq!(world.unacknowledged.len(), 1);
    let id = world.uncommitted[0].id;
    world.input(Input::JournalFailed(id));
    assert!(world.unacknowledged.is_empty(), "memory must do");
}

#[test]
fn no_more_readings_are_accepted_than_the_model_can_follow() {
    let mut world = ready_world();
    for station in 0..9 {
        for second in (0..=5 * HOUR).step_by(600) {
            world.broker.push_back(Message {
                station: name(&format!("s{station}")),
                time: at(second),
                values: weather(temperature(second)),
            });
        }
    }
    while world.deliver() {}
    assert!(world.windows.len() <= 256);
    world.settle_all();
    assert!(world.broker.is_empty() && world.service.accepts_readings());
}

#[test]
fn a_model_that_wants_more_history_says_so_at_once() {
    let mut world = ready_world();
    let longer = Arc::new(Model { id: "test@1".into(), ..(*model(24)).clone() });
    world.input(Input::ModelsLoaded(longer.into()));
    world.settle_all();
    assert!(matches!(status(&world, "roof").0, StationState::Fresh(Readiness::WarmingUp(_))));
    assert_eq!(world.service.ready_stations(), 0);
}

#[test]
fn a_model_waits_until_nothing_is_in_flight() {
    let mut world = ready_world();
    world.pass(600);
    world.broker.push_back(Message { station: name("roof"), time: at(5 * HOUR + 600), values: weather(1.0) });
    world.deliver();
    let other = Model { id: "test@1".into(), ..(*model(4)).clone() };
    world.input(Input::ModelsLoaded(Arc::new(other).into()));
    assert!(!world.service.accepts_readings());
    assert!(!world.events.iter().any(|event| matches!(event, Event::ModelSwitched { .. })));
    world.answer();
    assert!(world.service.accepts_readings());
    assert!(world.events.iter().any(|event| matches!(event, Event::ModelSwitched { .. })));
}

#[test]
fn beyond_the_seats_the_most_recently_active_stations_are_restored_and_the_rest_is_said() {
    let mut world = World::new();
    for index in 0..10 {
        world.send(&format!("station{index}"), at(0), weather(5.0));
    }
    world.flush_all();
    world.settings = forecastd_core::Settings { max_stations: 4, ..settings() };
    world.kill();
    let restored = world.events.iter().rev().find_map(|event| match event {
        Event::Restored { stations, omitted, .. } => Some((*stations, *omitted)),
        _ => None,
    });
    assert_eq!(restored, Some((4, 6)));
}

#[test]
fn a_reading_delivered_again_is_not_acknowledged_before_its_first_copy_is_durable() {
    let mut world = World::new();
    let message = Message { station: name("roof"), time: at(0), values: weather(1.0) };
    for _ in 0..2 {
        world.broker.push_back(message.clone());
        world.deliver();
        world.flush();
    }
    assert_eq!(world.unacknowledged.len(), 2);
    world.commit();
    assert!(world.unacknowledged.is_empty());
    world.broker.push_back(message);
    world.deliver();
    world.flush();
    assert!(world.unacknowledged.is_empty(), "nothing is on its way to the disk");
}

#[test]
fn a_quantity_that_comes_later_for_the_same_time_is_kept_though_the_model_does_not_look_at_it() {
    let mut world = ready_world();
    let mut gust = forecastd_core::Values::NONE;
    gust.set(forecastd_core::Quantity::WindSpeedOfGust, 7.5);
    world.send("roof", at(5 * HOUR), gust);
    let kept = world.journal.readings[&(name("roof"), at(5 * HOUR))].0;
    assert_eq!(kept.get(forecastd_core::Quantity::WindSpeedOfGust), Some(7.5));
    assert_eq!(kept.get(forecastd_core::Quantity::AirTemperature), Some(temperature(5 * HOUR)));
}

#[test]
fn no_more_forecasts_are_made_than_can_wait_for_a_broker_that_is_not_subscribed_to() {
    let mut world = World::new();
    world.now.wall = at(400 * 24 * HOUR);
    world.input(Input::Disconnected);
    for step in 0..3000 {
        let (time, values) = (at(step * 600), weather(temperature(step * 600)));
        world.broker.push_back(Message { station: name("roof"), time, values });
    }
    while world.deliver() || world.answer() {}
    assert!(!world.service.accepts_readings() && world.broker.len() > 1500, "{}", world.broker.len());
    world.subscribe();
    world.settle_all();
    assert_eq!((world.broker.len(), world.published_forecasts().len()), (0, 3000));
}

#[test]
fn a_journal_that_is_begun_anew_gets_the_forecasts_that_wait_for_their_hours() {
    let feed = |world: &mut World, hours: std::ops::Range<i64>| {
        for second in (hours.start * HOUR..hours.end * HOUR).step_by(600) {
            world.reading("roof", second, temperature(second));
        }
    };
    let counts = |world: &World| {
        let mut counts = [0; 4];
        for event in &world.events {
            if let Event::Scored { score, .. } = event {
                counts[[1, 2, 6, 24].iter().position(|&lead_h| lead_h == score.lead_h).unwrap()] += 1;
            }
        }
        counts
    };
    let mut undisturbed = World::new();
    feed(&mut undisturbed, 0..60);
    let mut world = World::new();
    feed(&mut world, 0..30);
    let before = world.journal.clone();
    world.journal = Default::default();
    world.input(Input::JournalRecreated);
    world.settle_all();
    // What is still waited for is written as it was: the day before the last reading.
    let waiting = before.forecasts.iter().filter(|((_, origin), _)| *origin >= at(6 * HOUR));
    let waiting: Vec<_> = waiting.map(|(key, forecast)| (key.clone(), forecast.clone())).collect();
    assert_eq!(waiting.len(), 24 * 6);
    for (key, forecast) in waiting {
        assert_eq!(world.journal.forecasts.get(&key), Some(&forecast));
    }
    world.flush_all();
    world.kill();
    world.subscribe();
    feed(&mut world, 30..60);
    assert_eq!(counts(&world), counts(&undisturbed));
}

#[test]
fn another_model_can_be_tried_on_the_windows_that_stations_would_give_it() {
    let mut world = ready_world();
    for index in 0..4 {
        world.reading(&format!("cold{index}"), 5 * HOUR, 1.0);
    }
    world.pass(600);
    world.broker.push_back(Message { station: name("roof"), time: at(5 * HOUR + 600), values: weather(1.0) });
    world.deliver();
    let window = world.windows[0].window.clone();
    // Those that warm up have none.
    assert_eq!(world.service.sample_windows(&model(4), 10), window);
    assert!(world.service.sample_windows(&model(24), 10).is_empty());
    assert_eq!(world.service.sample_windows(&model(3), 10), window[2..]);
    // One of five: the first that came.
    assert_eq!(world.service.sample_windows(&model(4), 1), window);
    assert_eq!(world.service.sample_windows(&model(4), 0), window);
}
