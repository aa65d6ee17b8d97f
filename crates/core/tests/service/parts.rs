//! Readings that come in parts.

use forecastd_core::{Event, Implausible, Input, Publication, Quantity, ReducedPressure, Reduction, Values};
use jiff::SignedDuration;

use crate::world::{HOUR, Message, World, at, name};

fn world() -> World {
    let mut world = World::new();
    world.is_in_parts = true;
    world
}

fn part(quantity: Quantity, value: f32) -> Values {
    let mut values = Values::NONE;
    values.set(quantity, value);
    values
}

fn air(temperature_c: f32) -> Values {
    part(Quantity::AirTemperature, temperature_c)
}

impl World {
    /// A part arrives when it is measured.
    fn part(&mut self, station: &str, second: i64, values: Values) {
        let ahead = at(second).duration_since(self.now.wall).as_secs();
        self.pass(ahead.max(0));
        self.send(station, at(second), values);
    }

    /// Time passes until a second, with a tick at its end, and what follows from it.
    fn tick_at(&mut self, second: i64) {
        let ahead = at(second).duration_since(self.now.wall).as_secs();
        self.pass(ahead);
        self.tick();
        self.settle_all();
    }

    /// Second and temperature of the station's readings in the journal.
    fn kept(&self, station: &str) -> Vec<(i64, Option<f32>)> {
        let own = self.journal.readings.iter().filter(|((own, _), _)| own.as_str() == station);
        own.map(|((_, time), values)| {
            let second = time.duration_since(at(0)).as_secs();
            (second, values.0.get(Quantity::AirTemperature))
        })
        .collect()
    }

    fn refusals(&self) -> Vec<&'static str> {
        let reasons = self.events.iter().filter_map(|event| match event {
            Event::ReadingRefused { reason, .. } => Some(*reason),
            _ => None,
        });
        reasons.collect()
    }
}

#[test]
fn a_slot_is_one_reading_when_it_is_over_and_its_parts_are_acknowledged_before() {
    let mut world = world();
    world.part("roof", 120, air(4.0));
    world.part("roof", 130, part(Quantity::AirPressure, 990.0));
    assert!(world.unacknowledged.is_empty());
    world.tick_at(660);
    assert!(world.journal.readings.is_empty(), "the slot takes the whole of its last second");
    world.part("roof", 660, air(5.0));
    world.tick_at(661);
    assert_eq!(world.kept("roof"), [(660, Some(4.5))]);
    let taken = world.events.iter().filter(|event| matches!(event, Event::ReadingTaken { .. })).count();
    assert_eq!(taken, 1);
    assert!(world.published.iter().any(|published| matches!(published, Publication::Forecast { .. })));
    // The next part ends a slot, too.
    world.part("roof", 700, air(6.0));
    world.part("roof", 1300, air(7.0));
    assert_eq!(world.kept("roof"), [(660, Some(4.5)), (700, Some(6.0))]);
}

#[test]
fn a_part_far_ahead_of_the_clock_is_refused_and_those_after_it_are_merged() {
    let mut world = world();
    world.send("roof", at(80 * 365 * 24 * HOUR), air(4.0));
    assert_eq!(world.refusals(), ["in_future"]);
    world.part("roof", 120, air(4.0));
    world.part("roof", 130, air(5.0));
    world.tick_at(661);
    assert_eq!(world.kept("roof"), [(130, Some(4.5))]);
    assert!(world.unacknowledged.is_empty());
}

#[test]
fn parts_wait_unacknowledged_for_a_clock_that_is_behind_and_are_merged_when_it_is_right() {
    let mut world = world();
    let boot = 24 * HOUR + 660;
    for second in [10, 20, 30] {
        for station in ["roof", "alp"] {
            world.broker.push_back(Message {
                station: name(station),
                time: at(boot + second),
                values: air(second as f32 / 10.0),
            });
        }
    }
    world.settle_all();
    assert!(world.unacknowledged.len() >= 5, "one alone says nothing against the clock");
    world.tick();
    world.tick_at(boot + 601);
    assert_eq!(world.kept("alp"), [(boot + 30, Some(2.0))]);
    assert!(world.unacknowledged.is_empty());
}

#[test]
fn a_slot_that_a_clock_which_was_ahead_has_opened_does_not_mute_the_station() {
    let mut world = world();
    world.jump(48 * HOUR);
    world.send("roof", at(48 * HOUR), air(9.0));
    world.now.wall -= SignedDuration::from_hours(48);
    world.tick();
    world.part("roof", 120, air(4.0));
    world.part("roof", 130, air(5.0));
    world.tick_at(661);
    assert_eq!(world.kept("roof"), [(130, Some(4.5))]);
    assert!(world.events.iter().any(|event| matches!(event, Event::FutureDropped { .. })));
}

#[test]
fn a_value_that_cannot_be_is_dropped_and_counted_before_it_is_averaged() {
    let mut world = world();
    for (second, temperature) in [(120, 7.0), (130, 85.0), (140, 7.5), (150, -9999.0)] {
        world.part("roof", second, air(temperature));
    }
    world.part("shed", 160, air(85.0));
    world.tick_at(662);
    assert_eq!(world.kept("roof"), [(140, Some(7.25))]);
    let dropped = world.events.iter().filter_map(|event| match event {
        Event::ValueDropped { dropped, .. } => Some(dropped.value),
        _ => None,
    });
    assert_eq!(dropped.collect::<Vec<_>>(), [85.0, -9999.0, 85.0]);
    assert!(world.unacknowledged.is_empty());
    assert_eq!(world.service.stations(), 1, "who has said nothing good has no seat");
}

#[test]
fn a_value_that_leaps_from_the_others_of_its_slot_is_dropped_and_counted_and_not_averaged() {
    let leaps = |world: &World| {
        let dropped = world.events.iter().filter_map(|event| match event {
            Event::ValueDropped { dropped, .. } if dropped.reason == Implausible::Leap => Some(dropped.value),
            _ => None,
        });
        dropped.collect::<Vec<_>>()
    };
    let mut world = world();
    // Errors of a bit on the air, both within the range of temperatures on earth.
    let temperatures = [5.0, 5.5, 60.0, 5.0, -40.0, 5.5];
    for (second, temperature) in (120..).step_by(10).zip(temperatures) {
        world.part("roof", second, air(temperature));
    }
    world.tick_at(662);
    assert_eq!(world.kept("roof"), [(170, Some(5.25))]);
    assert_eq!(leaps(&world), [60.0, -40.0]);
    // Of two that contradict each other nobody knows which is wrong: what the station measured before decides.
    world.part("roof", 700, air(5.0));
    world.part("roof", 710, air(60.0));
    world.tick_at(1262);
    assert_eq!(world.kept("roof").len(), 1, "neither one nor the mean of both");
    world.part("roof", 1310, air(60.0));
    world.part("roof", 1320, air(6.0));
    world.tick_at(1862);
    assert_eq!(world.kept("roof").last(), Some(&(1320, Some(6.0))));
}

#[test]
fn of_what_waited_at_the_broker_and_has_no_time_the_newest_counts_and_what_comes_steadily_is_averaged() {
    let mut world = world();
    world.is_timed_by_arrival = true;
    // A day of temperatures that arrives within two seconds.
    for hour in 0..24 {
        world.part("roof", 120 + hour / 12, air(10.0 + hour as f32));
        world.part("roof", 120 + hour / 12, part(Quantity::WindSpeedOfGust, 24.0 - hour as f32));
    }
    world.tick_at(662);
    assert_eq!(world.kept("roof"), [(121, Some(33.0))]);
    let newest = world.journal.readings.get(&(name("roof"), at(121))).unwrap().0;
    assert_eq!(newest.get(Quantity::WindSpeedOfGust), Some(1.0), "the gusts of the day are not those of now");
    // A source that sends every ten seconds.
    for (second, temperature) in [(700, 33.0), (710, 30.0), (720, 27.0), (730, 26.0)] {
        world.part("roof", second, air(temperature));
    }
    world.tick_at(1262);
    assert_eq!(world.kept("roof").last(), Some(&(730, Some(29.0))));
    // What says when it was measured is no backlog, however it arrives.
    world.is_timed_by_arrival = false;
    world.part("roof", 1310, air(26.0));
    world.part("roof", 1311, air(24.0));
    world.tick_at(1862);
    assert_eq!(world.kept("roof").last(), Some(&(1311, Some(25.0))));
}

#[test]
fn a_pressure_at_sea_level_is_brought_to_the_station_with_the_temperature_of_its_slot() {
    let mut world = world();
    let told = |hpa| Some(ReducedPressure { hpa, reduction: Reduction::SeaLevel, elevation_m: 500.0 });
    for hpa in [1013.25, -9999.0] {
        world.reduced_pressure = told(hpa);
        world.part("roof", 120, Values::NONE);
    }
    world.reduced_pressure = None;
    world.part("roof", 130, air(-10.0));
    world.tick_at(662);
    let pressure = |second| {
        let kept = world.journal.readings.get(&(name("roof"), at(second)));
        kept.and_then(|kept| kept.0.get(Quantity::AirPressure)).unwrap()
    };
    // 954.6 hPa, were the air that of the standard atmosphere.
    assert!((pressure(130) - 949.945).abs() < 0.01, "{}", pressure(130));
    // A part that is late is brought there by itself.
    world.part("roof", 1000, air(-10.0));
    world.reduced_pressure = told(1013.25);
    world.part("roof", 140, air(-10.0));
    let late = world.journal.readings.get(&(name("roof"), at(140))).unwrap().0;
    assert!((late.get(Quantity::AirPressure).unwrap() - 949.945).abs() < 0.01, "{late:?}");
}

#[test]
fn parts_and_messages_without_a_value_are_messages() {
    let silence = |world: &World| {
        let said = world.events.iter().any(|event| matches!(event, Event::NoReadings(true)));
        said.then_some("no message has come")
    };
    let mut silent = world();
    silent.tick_at(16 * 60);
    assert!(silence(&silent).is_some());
    let mut world = world();
    world.part("roof", 10, air(7.0));
    world.tick_at(16 * 60);
    assert_eq!(silence(&world), None);
    world.subscribe();
    world.unacknowledged.insert(99, Message { station: name("plug"), time: at(0), values: Values::NONE });
    world.input(Input::WithoutValue { token: 99 });
    world.flush();
    assert!(world.unacknowledged.is_empty());
    world.tick_at(40 * 60);
    assert_eq!(silence(&world), None);
}

#[test]
fn an_orderly_end_keeps_what_is_merged_and_a_kill_loses_no_more_than_open_slots() {
    for is_orderly in [true, false] {
        let mut world = world();
        world.part("roof", 120, air(4.0));
        world.part("roof", 720, air(5.0));
        world.part("roof", 730, air(6.0));
        if is_orderly {
            world.end();
        }
        world.kill();
        let end = if is_orderly { &[(730, Some(5.5))][..] } else { &[] };
        assert_eq!(world.kept("roof"), [&[(120, Some(4.0))], end].concat());
    }
}

#[test]
fn what_is_merged_of_a_forgotten_station_is_forgotten() {
    let mut world = world();
    world.part("roof", 120, air(4.0));
    world.input(Input::Forget { station: name("roof"), token: None });
    world.tick_at(661);
    assert_eq!(world.kept("roof"), []);
    assert_eq!(world.service.stations(), 0);
}

#[test]
fn slots_that_end_together_are_taken_one_by_one_while_there_is_room() {
    let mut world = world();
    for station in ["a", "b", "c"] {
        world.part(station, 120, air(4.0));
    }
    world.pass(600);
    world.tick();
    assert_eq!(world.service.stations(), 0);
    for taken in 1..=3 {
        assert!(world.close_slot());
        assert_eq!(world.service.stations(), taken);
    }
    assert!(!world.service.waits_to_close_slots());
}

#[test]
fn a_slot_of_the_past_stays_open_while_its_parts_still_come() {
    let mut world = world();
    world.pass(48 * HOUR);
    world.part("roof", 120, air(4.0));
    world.tick();
    world.settle_all();
    world.part("roof", 130, air(6.0));
    assert_eq!(world.kept("roof"), []);
    world.pass(1);
    // One tick finds that it is over, the next that nothing more has come.
    world.tick();
    world.settle_all();
    assert_eq!(world.kept("roof"), [(130, Some(5.0))]);
    // What comes later still is a reading of its own.
    world.part("roof", 140, air(8.0));
    world.pass(1);
    world.tick();
    world.settle_all();
    assert_eq!(world.kept("roof").last(), Some(&(140, Some(8.0))));
}

#[test]
fn a_slot_that_ends_while_its_station_is_forecast_waits_and_holds_no_message() {
    let mut world = world();
    for hour in 0..5 {
        world.part("roof", hour * HOUR, air(7.0));
        world.part("roof", hour * HOUR, part(Quantity::AirPressure, 1000.0));
    }
    world.pass(HOUR);
    world.tick();
    assert!(world.close_slot());
    assert_eq!(world.windows.len(), 1);
    // What changes an older slot must wait for the forecast; its message need not.
    world.broker.push_back(Message { station: name("roof"), time: at(HOUR + 30), values: air(8.0) });
    assert!(world.deliver());
    world.pass(1);
    world.tick();
    assert!(world.close_slot());
    world.flush();
    while world.commit() {}
    assert!(world.unacknowledged.is_empty());
    assert!(!world.kept("roof").contains(&(HOUR + 30, Some(8.0))));
    world.settle_all();
    assert!(world.kept("roof").contains(&(HOUR + 30, Some(8.0))));
}

#[test]
fn made_up_names_take_no_room_once_the_seats_are_taken() {
    let mut world = world();
    for index in 0..10 {
        world.part(&format!("station-{index}"), 120, air(4.0));
    }
    world.tick_at(662);
    assert_eq!(world.service.stations(), 10);
    world.part("made-up", 700, air(4.0));
    assert_eq!(world.refusals(), ["too_many_stations"]);
    world.part("station-3", 710, air(5.0));
    world.tick_at(1262);
    assert_eq!(world.kept("station-3"), [(120, Some(4.0)), (710, Some(5.0))]);
}
