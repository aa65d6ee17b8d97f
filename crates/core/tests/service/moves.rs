//! Stations whose payload says where they stand.

use forecastd_core::{Event, Oddity, Place, Publication, Readiness, Site, Source, StationState, Values};
use jiff::Timestamp;

use crate::world::{HOUR, Message, World, at, name, temperature, weather};

const JENA: Site = Site::new(50.91, 11.57);
const DENVER: Site = Site::new(39.74, -104.98);

fn walk(world: &mut World, site: Option<Site>, hours: std::ops::Range<i64>) {
    world.site = site;
    for hour in hours {
        world.reading("roof", hour * HOUR, temperature(hour * HOUR));
    }
}

fn status(world: &World) -> (StationState, Option<Place>, Vec<&'static str>) {
    let status = world.retained(|publication| match publication {
        Publication::Status { state, place, odd, .. } => Some((*state, *place, odd.clone())),
        _ => None,
    });
    status.unwrap()
}

#[test]
fn a_station_whose_payload_says_where_it_stands_needs_no_configuration_and_a_restart_knows_it() {
    let mut world = World::at_a_place(None);
    walk(&mut world, None, 0..6);
    assert_eq!(status(&world).0, StationState::Fresh(Readiness::NoPlace));
    // A receiver's position varies, and one that is nowhere on earth is none.
    walk(&mut world, Some(JENA), 6..7);
    walk(&mut world, Some(Site::new(50.95, 11.6)), 7..8);
    walk(&mut world, Some(Site::new(500.0, 11.6)), 8..9);
    let ready = StationState::Fresh(Readiness::Ready);
    assert_eq!(status(&world), (ready, Some(Place::from_payload(JENA)), vec![]));
    world.kill();
    world.subscribe();
    walk(&mut world, None, 9..10);
    assert_eq!(status(&world), (ready, Some(Place::from_payload(JENA)), vec![]));
    assert_eq!(world.published_forecasts().last().map(|forecast| forecast.source), Some(Source::Model));
    assert_eq!(world.oddities(), []);
}

#[test]
fn what_the_configuration_gives_counts_and_another_place_in_the_payload_is_said_once() {
    let mut precise = World::at_a_place(Some(Place::given(JENA)));
    walk(&mut precise, Some(DENVER), 0..6);
    let (state, place, odd) = status(&precise);
    assert_eq!((state, place), (StationState::Fresh(Readiness::Ready), Some(Place::given(JENA))));
    assert_eq!(odd, ["place_differs"]);
    // 8,203 km along the great circle, worked out apart.
    assert_eq!(precise.oddities(), [Oddity::PlaceDiffers { distance_km: 8203 }]);

    // A rough place is worse than the payload's.
    let mut rough = World::at_a_place(Some(Place::of_time_zone("Europe/Berlin").unwrap()));
    walk(&mut rough, Some(JENA), 0..6);
    assert_eq!((status(&rough).1, rough.oddities()), (Some(Place::from_payload(JENA)), vec![]));
}

#[test]
fn a_station_that_moves_is_said_to_and_begins_anew_where_it_stands() {
    let mut world = World::at_a_place(None);
    walk(&mut world, Some(JENA), 0..40);
    let before = world.journal.experts.clone();
    // Twice may be an error of the receiver.
    walk(&mut world, Some(DENVER), 40..42);
    assert_eq!(world.oddities(), []);
    walk(&mut world, Some(DENVER), 42..43);
    assert_eq!(world.oddities(), [Oddity::Moved { distance_km: 8203 }]);
    let (state, place, odd) = status(&world);
    assert!(matches!(state, StationState::Fresh(Readiness::WarmingUp(_))), "{state:?}");
    assert_eq!((place, odd), (Some(Place::from_payload(DENVER)), vec!["moved"]));
    assert!(world.journal.experts.values().all(|bytes| bytes.len() < before.values().next().unwrap().len()));
    // Its forecast is as good as the experts that are left, which know the newest temperature.
    let forecast = world.published_forecasts().pop().unwrap();
    assert_eq!(forecast.source, Source::Reference);
    assert!((forecast.leads[0].temperature_c - temperature(42 * HOUR)).abs() < 0.01);

    // What was measured before and comes late is of the other place.
    let refused = |world: &World| {
        let refused = |event: &&Event| matches!(event, Event::ReadingRefused { reason: "too_old", .. });
        world.events.iter().filter(refused).count()
    };
    world.site = None;
    world.reading("roof", 41 * HOUR + 1800, 3.0);
    assert_eq!(refused(&world), 1);
    walk(&mut world, Some(DENVER), 43..50);
    assert_eq!(status(&world).0, StationState::Fresh(Readiness::Ready));
}

#[test]
fn a_reading_from_elsewhere_now_and_then_is_refused_and_takes_away_nothing_that_was_learned() {
    let mut world = World::at_a_place(None);
    walk(&mut world, Some(JENA), 0..40);
    for hour in 40..60 {
        // A receiver that errs for two readings, and one that is somewhere else each time.
        let site = match hour {
            42 | 43 => DENVER,
            45..50 => Site::new(-60.0 + 20.0 * (hour - 45) as f64, 0.0),
            _ => JENA,
        };
        walk(&mut world, Some(site), hour..hour + 1);
    }
    let refused = |event: &&Event| matches!(event, Event::ReadingRefused { reason: "elsewhere", .. });
    assert_eq!(world.events.iter().filter(refused).count(), 7);
    assert_eq!((status(&world).1, world.oddities()), (Some(Place::from_payload(JENA)), vec![]));
    assert_eq!(world.published_forecasts().len(), 60 - 7);
}

#[test]
fn one_message_that_is_delivered_again_and_again_is_no_move() {
    let mut world = World::at_a_place(None);
    walk(&mut world, Some(JENA), 0..40);
    let before = world.journal.experts.clone();
    world.site = Some(DENVER);
    world.reading("roof", 40 * HOUR, 5.0);
    for _ in 0..5 {
        world.send("roof", at(40 * HOUR), weather(5.0));
    }
    assert_eq!(world.oddities(), []);
    assert!(world.journal.experts == before);
    world.kill();
    world.subscribe();
    for hour in [40, 40, 41, 40, 41] {
        world.reading("roof", hour * HOUR, 5.0);
    }
    assert_eq!(world.oddities(), []);
    assert!(world.journal.experts == before);
    walk(&mut world, Some(DENVER), 42..43);
    assert_eq!(world.oddities(), [Oddity::Moved { distance_km: 8203 }], "three readings are one");
}

#[test]
fn another_place_is_published_with_the_reading_that_says_it() {
    let mut world = World::at_a_place(Some(Place::of_time_zone("Europe/Berlin").unwrap()));
    let mut feed = |site: Site, seconds: std::ops::Range<i64>| {
        world.site = Some(site);
        for second in seconds.step_by(600) {
            world.reading("roof", second, temperature(second));
        }
        status(&world).1
    };
    // Between two hours nothing else is due to be said.
    let unknown = Site::new(500.0, 0.0);
    assert_ne!(feed(unknown, 0..6 * HOUR + 1200), Some(Place::from_payload(JENA)));
    assert_eq!(feed(JENA, 6 * HOUR + 1200..6 * HOUR + 1800), Some(Place::from_payload(JENA)));
}

#[test]
fn an_elevation_that_is_said_later_is_learned_and_what_was_known_of_the_place_stays() {
    let mut world = World::at_a_place(None);
    walk(&mut world, Some(DENVER), 0..10);
    walk(&mut world, Some(JENA), 10..20);
    assert_eq!(world.oddities(), [Oddity::Moved { distance_km: 8203 }]);
    let full = JENA.at_elevation(155.0);
    walk(&mut world, Some(full), 20..21);
    assert_eq!(status(&world).1, Some(Place::from_payload(full)));
    // A receiver's elevation varies as its position does, and one that is left out is not forgotten.
    walk(&mut world, Some(JENA.at_elevation(170.0)), 21..22);
    walk(&mut world, Some(JENA), 22..23);
    world.flush_all();
    world.kill();
    world.subscribe();
    walk(&mut world, None, 23..24);
    assert_eq!(
        status(&world),
        (StationState::Fresh(Readiness::Ready), Some(Place::from_payload(full)), vec!["moved"])
    );
    world.reading("roof", 9 * HOUR, 3.0);
    let is_too_old = |event: &&Event| matches!(event, Event::ReadingRefused { reason: "too_old", .. });
    assert_eq!(world.events.iter().filter(is_too_old).count(), 1, "it is of the place before");
}

#[test]
fn a_restart_after_a_move_gives_the_same_station_bit_for_bit() {
    let journals = [false, true].map(|is_killed| {
        let mut world = World::at_a_place(None);
        walk(&mut world, Some(JENA), 0..40);
        for (from, to) in [(40, 41), (41, 47), (47, 60)] {
            walk(&mut world, Some(DENVER), from..to);
            if is_killed {
                world.kill();
                world.subscribe();
                world.settle_all();
            }
        }
        walk(&mut world, None, 60..70);
        world.flush_all();
        (world.journal.forecasts, world.journal.experts, world.journal.readings)
    });
    assert_eq!(journals[0], journals[1]);
    assert!(journals[0].1.values().all(|bytes| !bytes.is_empty()));
    assert!(journals[0].0.keys().any(|(_, origin)| *origin == at(69 * HOUR)));
}

#[test]
fn the_first_forecast_where_a_station_stands_now_is_published_after_a_kill() {
    let mut world = World::at_a_place(None);
    walk(&mut world, Some(JENA), 0..40);
    walk(&mut world, Some(DENVER), 40..42);
    // It comes half a minute after the time that its slot stands for.
    world.pass(HOUR);
    let (time, values) = (at(42 * HOUR + 30), weather(temperature(42 * HOUR)));
    world.broker.push_back(Message { station: name("roof"), time, values });
    world.deliver();
    world.flush();
    while world.commit() {}
    assert_eq!(world.oddities(), [Oddity::Moved { distance_km: 8203 }]);
    world.kill();
    world.subscribe();
    let view = world.service.view(world.now, &name("roof")).unwrap();
    assert_eq!(view.forecast.map(|forecast| forecast.origin), Some(at(42 * HOUR)));
    world.settle_all();
    assert!(world.published_forecasts().iter().any(|forecast| forecast.origin == at(42 * HOUR)));
}

#[test]
fn a_reading_that_is_repeated_with_the_place_of_its_station_leaves_the_place_in_the_journal() {
    let mut world = World::at_a_place(None);
    walk(&mut world, None, 0..6);
    walk(&mut world, Some(JENA), 5..6);
    assert_eq!(status(&world).1, Some(Place::from_payload(JENA)));
    assert!(world.unacknowledged.is_empty());
    world.kill();
    world.subscribe();
    world.settle_all();
    assert_eq!(status(&world).1, Some(Place::from_payload(JENA)));
}

/// Every hour from `hours`, by a payload that says the place so.
fn walk_roughly(world: &mut World, place: Place, hours: std::ops::Range<i64>) {
    world.rough = Some(place);
    walk(world, None, hours);
    world.rough = None;
}

#[test]
fn a_time_zone_in_the_payload_is_a_place_until_degrees_are_there_and_a_restart_knows_it() {
    let (berlin, germany) = (Place::of_time_zone("Europe/Berlin").unwrap(), Place::of_country("DE").unwrap());
    let mut world = World::at_a_place(None);
    walk_roughly(&mut world, germany, 0..6);
    let ready = StationState::Fresh(Readiness::Ready);
    assert_eq!(status(&world), (ready, Some(germany), vec![]));
    walk_roughly(&mut world, berlin, 6..8);
    walk_roughly(&mut world, germany, 8..9);
    assert_eq!(status(&world).1, Some(berlin), "a country beside a zone says nothing more");
    for hours in [9..10, 10..11] {
        world.kill();
        world.subscribe();
        walk(&mut world, None, hours);
        assert_eq!(status(&world), (ready, Some(berlin), vec![]));
    }
    let known = world.journal.restored().remove(0);
    assert_eq!(known.reported_place().unwrap().place, berlin);
    // Jena is more than 200 km from Berlin, and no other place.
    walk(&mut world, Some(JENA), 11..12);
    walk_roughly(&mut world, Place::of_time_zone("America/Denver").unwrap(), 12..20);
    assert_eq!(status(&world), (ready, Some(Place::from_payload(JENA)), vec![]));
    assert_eq!(world.oddities(), []);
}

#[test]
fn a_time_zone_in_the_payload_goes_behind_degrees_of_the_configuration_and_before_its_country() {
    let [berlin, denver] = ["Europe/Berlin", "America/Denver"].map(|zone| Place::of_time_zone(zone).unwrap());
    for (configured, known) in [
        (Place::given(JENA), Place::given(JENA)),
        (berlin, berlin),
        (Place::of_country("DE").unwrap(), denver),
    ] {
        let mut world = World::at_a_place(Some(configured));
        walk_roughly(&mut world, denver, 0..6);
        assert_eq!((status(&world).1, world.oddities()), (Some(known), vec![]));
    }
}

#[test]
fn a_time_zone_between_degrees_from_elsewhere_does_not_keep_a_station_from_moving() {
    let mut world = World::at_a_place(None);
    walk(&mut world, Some(JENA), 0..6);
    for hour in [6, 8, 10] {
        walk(&mut world, Some(DENVER), hour..hour + 1);
        walk_roughly(&mut world, Place::of_country("DE").unwrap(), hour + 1..hour + 2);
    }
    assert_eq!(status(&world).1, Some(Place::from_payload(DENVER)));
}

#[test]
fn a_place_that_an_earlier_version_journalled_was_said_in_degrees() {
    let mut world = World::at_a_place(None);
    walk(&mut world, Some(JENA), 0..6);
    let mut restored = world.journal.restored().remove(0);
    let state = restored.state.as_mut().unwrap();
    // It ended before the byte that says by what the place is known.
    state.pop();
    assert_eq!(restored.reported_place().unwrap().place, Place::from_payload(JENA));
}

#[test]
fn a_station_whose_payload_says_another_time_zone_thrice_has_moved() {
    let [berlin, denver] = ["Europe/Berlin", "America/Denver"].map(|zone| Place::of_time_zone(zone).unwrap());
    let mut world = World::at_a_place(None);
    walk_roughly(&mut world, berlin, 0..6);
    walk_roughly(&mut world, denver, 6..8);
    assert_eq!(status(&world).1, Some(berlin));
    walk_roughly(&mut world, denver, 8..9);
    assert_eq!(status(&world).1, Some(denver));
    assert!(matches!(world.oddities()[..], [Oddity::Moved { .. }]), "{:?}", world.oddities());
}

/// A clock that is 20 days ahead while a station moves, or while it is seen elsewhere twice; then it is right again.
#[test]
fn a_move_that_was_seen_by_a_clock_that_was_ahead_does_not_mute_the_station() {
    let ahead = 20 * 24;
    for is_killed in [false, true] {
        let mut world = World::at_a_place(None);
        walk(&mut world, Some(JENA), 0..40);
        walk(&mut world, Some(DENVER), ahead + 40..ahead + 43);
        assert_eq!(world.oddities(), [Oddity::Moved { distance_km: 8203 }]);
        world.now.wall = at(42 * HOUR);
        if is_killed {
            world.kill();
            world.subscribe();
        }
        walk(&mut world, Some(DENVER), 43..53);
        let refused = |event: &&Event| matches!(event, Event::ReadingRefused { .. });
        assert_eq!(world.events.iter().filter(refused).count(), 2, "the first two from elsewhere");
        assert_eq!(status(&world).0, StationState::Fresh(Readiness::Ready));
        // A trainer that reads the journal knows since when the station stands there.
        let known = world.journal.restored().remove(0);
        assert_eq!(known.reported_place().unwrap().since, Some(at(43 * HOUR)));
        let is_here = |(time, _): &(Timestamp, Values)| *time >= at(43 * HOUR);
        assert_eq!(known.readings.iter().filter(|reading| is_here(reading)).count(), 10);
    }
}

#[test]
fn readings_from_elsewhere_that_a_clock_ahead_has_seen_do_not_count_once_it_is_right() {
    for is_killed in [false, true] {
        let mut world = World::at_a_place(None);
        walk(&mut world, Some(JENA), 0..40);
        let ahead = 20 * 24;
        walk(&mut world, Some(DENVER), ahead + 40..ahead + 42);
        world.now.wall = at(40 * HOUR);
        world.tick();
        if is_killed {
            world.kill();
            world.subscribe();
        }
        walk(&mut world, Some(DENVER), 40..42);
        assert_eq!(world.oddities(), []);
        walk(&mut world, Some(DENVER), 42..43);
        assert_eq!(world.oddities(), [Oddity::Moved { distance_km: 8203 }]);
    }
}
