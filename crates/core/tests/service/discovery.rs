//! What Home Assistant is told of the stations, and when.

use std::sync::Arc;

use forecastd_core::{
    Discovery, DiscoverySettings, Event, Input, Model, Models, Place, Places, Publication, Settings, Site,
};
use jiff::SignedDuration;

use crate::world::{HOUR, SAMPLES, World, model, model_with_extremes, name, settings};

fn telling(stations_max: usize) -> Settings {
    Settings { discovery: DiscoverySettings { stations_max, withdraws: false }, ..settings() }
}

/// A model that also forecasts the lowest and the highest temperature.
fn with_extremes() -> Arc<Model> {
    let Model { mut manifest, .. } = (*model(SAMPLES)).clone();
    manifest.extremes_h = Some(24);
    manifest.validate().unwrap();
    Arc::new(Model { manifest, id: "test@1".into() })
}

/// What was told since the last look, once all that waited had its turn.
fn told(world: &mut World) -> Vec<Discovery> {
    while world.service.waits_to_discover() {
        world.input(Input::Discover);
    }
    while world.settle() {}
    let published = std::mem::take(&mut world.published);
    let told = published.into_iter().filter_map(|publication| match publication {
        Publication::Discovery(discovery) => Some(discovery),
        _ => None,
    });
    told.collect()
}

fn names(told: &[Discovery]) -> Vec<&str> {
    told.iter().map(|discovery| discovery.station.as_str()).collect()
}

#[test]
fn a_station_is_told_of_once_with_its_first_reading_and_again_when_home_assistant_starts() {
    let mut world = World::with(telling(10), model(SAMPLES));
    world.reading("roof", 0, 10.0);
    let expected = Discovery {
        station: name("roof"),
        lead_h: 24,
        extremes_h: None,
        stale_after: SignedDuration::from_hours(2),
    };
    assert_eq!(told(&mut world), std::slice::from_ref(&expected));
    world.reading("roof", HOUR, 11.0);
    assert_eq!(told(&mut world), []);
    world.reading("garden", HOUR, 11.0);
    assert_eq!(names(&told(&mut world)), ["garden"]);
    world.input(Input::HomeAssistantStarted);
    world.input(Input::HomeAssistantStarted);
    assert_eq!(names(&told(&mut world)), ["garden", "roof"]);
    world.kill();
    world.subscribe();
    assert!(
        told(&mut world).contains(&expected),
        "what it was told before may be gone, or of another version"
    );
}

#[test]
fn home_assistant_is_told_nothing_by_default_of_the_service_and_nothing_while_the_broker_is_away() {
    let mut world = World::new();
    world.reading("roof", 0, 10.0);
    world.input(Input::HomeAssistantStarted);
    assert_eq!(told(&mut world), []);

    let mut world = World::with(telling(10), model(SAMPLES));
    world.reading("roof", 0, 10.0);
    world.disconnect();
    assert!(!world.service.waits_to_discover());
    world.subscribe();
    assert_eq!(names(&told(&mut world)), ["roof"]);
}

#[test]
fn extremes_are_told_of_when_a_model_brings_them_and_taken_away_when_it_leaves() {
    let mut world = World::with(telling(10), model(SAMPLES));
    world.reading("roof", 0, 10.0);
    assert_eq!(told(&mut world)[0].extremes_h, None);
    world.input(Input::ModelsLoaded(Models::new(with_extremes(), [])));
    assert_eq!(told(&mut world)[0].extremes_h, Some(24));
    let other = Model { id: "test@2".into(), ..(*with_extremes()).clone() };
    world.input(Input::ModelsLoaded(Models::new(Arc::new(other), [])));
    assert_eq!(told(&mut world), [], "another model of the same kind changes nothing");
    world.input(Input::ModelsLoaded(Models::new(model(SAMPLES), [])));
    assert_eq!(told(&mut world)[0].extremes_h, None);
}

#[test]
fn extremes_are_told_of_when_a_payload_says_where_the_station_stands() {
    let settings = Settings { experts: true, ..telling(10) };
    let mut world = World::with(settings, model_with_extremes());
    world.reading("roof", 0, 10.0);
    assert_eq!(told(&mut world)[0].extremes_h, None, "the model must know the place");
    world.site = Some(Site::new(50.91, 11.57));
    world.reading("roof", 600, 10.0);
    assert_eq!(told(&mut world)[0].extremes_h, Some(24));
}

#[test]
fn extremes_of_a_model_that_does_not_run_for_a_station_are_not_told_of() {
    let far = Place::given(Site::new(-33.0, 151.0));
    let places = Places { default: Some(far), ..Places::default() };
    let mut world = World::with(Settings { places, ..telling(10) }, with_extremes());
    world.reading("roof", 0, 10.0);
    assert_eq!(told(&mut world)[0].extremes_h, None);
}

#[test]
fn a_model_without_the_lead_of_a_day_is_shown_with_its_longest() {
    let Model { mut manifest, .. } = (*model(SAMPLES)).clone();
    manifest.lead_h = vec![1, 2, 6];
    let mut world = World::with(telling(10), Arc::new(Model { manifest, id: "short@0".into() }));
    world.reading("roof", 0, 10.0);
    assert_eq!(told(&mut world)[0].lead_h, 6);
}

#[test]
fn a_start_of_home_assistant_is_answered_in_parts() {
    let mut world = World::with(Settings { max_stations: 300, ..telling(300) }, model(SAMPLES));
    for index in 0..300 {
        world.reading(&format!("station-{index:03}"), 0, 10.0);
    }
    assert_eq!(told(&mut world).len(), 300);
    world.input(Input::HomeAssistantStarted);
    let mut parts = Vec::new();
    while world.service.waits_to_discover() {
        world.input(Input::Discover);
        parts.push(world.outbox.len());
        world.outbox.clear();
    }
    assert_eq!(parts.iter().sum::<usize>(), 300);
    assert!(parts.iter().all(|&part| part <= 128), "{parts:?}");
}

#[test]
fn more_stations_than_may_be_are_served_and_not_told_of_which_is_said_once() {
    let mut world = World::with(telling(2), model(SAMPLES));
    for station in ["a", "b", "c", "d"] {
        world.reading(station, 0, 10.0);
    }
    assert_eq!(names(&told(&mut world)), ["a", "b"]);
    world.reading("e", 0, 10.0);
    assert_eq!(told(&mut world), []);
    let said = world.events.iter().filter(|event| **event == Event::DiscoveryFull { announced: 2 });
    assert_eq!(said.count(), 1);
    assert_eq!(world.service.stations(), 5);
    // A seat that is given up is another's.
    world.input(Input::Forget { station: name("a"), token: None });
    world.reading("c", HOUR, 10.0);
    world.input(Input::HomeAssistantStarted);
    assert_eq!(names(&told(&mut world)), ["b"]);
    world.reading("f", HOUR, 10.0);
    assert_eq!(names(&told(&mut world)), ["f"]);
}

#[test]
fn a_broker_that_refuses_is_asked_no_more_which_is_said_once() {
    let mut world = World::with(telling(10), model(SAMPLES));
    world.reading("roof", 0, 10.0);
    assert_eq!(told(&mut world).len(), 1);
    world.input(Input::DiscoveryRefused);
    world.input(Input::DiscoveryRefused);
    world.reading("garden", 0, 10.0);
    world.input(Input::HomeAssistantStarted);
    assert_eq!(told(&mut world), []);
    assert_eq!(world.events.iter().filter(|event| **event == Event::DiscoveryRefused).count(), 1);
}

#[test]
fn another_program_under_the_id_of_a_station_is_noticed_and_not_fought() {
    let mut world = World::with(telling(10), model(SAMPLES));
    world.reading("roof", 0, 10.0);
    assert_eq!(told(&mut world).len(), 1);
    let overwritten = |station| Input::DiscoveryOverwritten { station: name(station), by: "x".to_owned() };
    world.input(overwritten("roof"));
    world.input(overwritten("of-another-daemon"));
    assert_eq!(told(&mut world), []);
    let said = world.events.iter().filter(|event| matches!(event, Event::DiscoveryOverwritten { .. }));
    assert_eq!(said.count(), 1);
}

#[test]
fn what_an_earlier_run_told_is_taken_back_of_every_station_that_it_knew() {
    let mut world = World::with(telling(10), model(SAMPLES));
    world.reading("roof", 0, 10.0);
    world.reading("garden", 0, 10.0);
    assert_eq!(told(&mut world).len(), 2);
    world.settings.discovery = DiscoverySettings { stations_max: 0, withdraws: true };
    world.kill();
    world.subscribe();
    assert_eq!(told(&mut world), []);
    world.kill();
    world.subscribe();
    while world.service.waits_to_discover() {
        world.input(Input::Discover);
    }
    let withdrawn: Vec<&Publication> = world
        .outbox
        .iter()
        .filter(|publication| matches!(publication, Publication::WithdrawDiscovery(_)))
        .collect();
    let expected = ["garden", "roof"].map(|station| Publication::WithdrawDiscovery(name(station)));
    assert_eq!(withdrawn, expected.iter().collect::<Vec<_>>());
}
