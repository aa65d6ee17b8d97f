//! What is said of stations to whoever asks.

use forecastd_core::{Readiness, Service, Source, StationQuery, StationState, StationView};

use crate::world::{HOUR, World, at, name, temperature};

fn names(views: &[StationView]) -> Vec<&str> {
    views.iter().map(|view| view.station.as_str()).collect()
}

#[test]
fn a_station_shows_its_last_day_its_newest_forecast_and_when_it_has_fallen_silent() {
    let mut world = World::new();
    for second in (0..=30 * HOUR).step_by(3600) {
        world.reading("roof", second, temperature(second));
    }
    let view = world.service.view(world.now, &name("roof")).unwrap();
    assert_eq!(view.state, StationState::Fresh(Readiness::Ready));
    assert_eq!(view.newest_reading, Some(at(30 * HOUR)));
    assert_eq!(view.temperature_c, Some(temperature(30 * HOUR)));
    let forecast = view.forecast.unwrap();
    assert_eq!((forecast.source, forecast.origin), (Source::Model, at(30 * HOUR)));
    // Of the last day; the history of this small model need not reach so far.
    assert!(view.recent.len() >= 4 && view.recent.len() <= 25, "{}", view.recent.len());
    assert!(view.recent.is_sorted_by_key(|(time, _)| *time));
    assert_eq!(view.recent.last(), Some(&(at(30 * HOUR), temperature(30 * HOUR))));
    assert!(view.recent.iter().all(|(time, _)| *time >= at(6 * HOUR)));

    world.pass(48 * HOUR);
    let view = world.service.view(world.now, &name("roof")).unwrap();
    assert_eq!(view.state, StationState::Stale);
    assert_eq!(world.service.view(world.now, &name("cellar")), None);
}

#[test]
fn stations_are_listed_by_name_page_by_page_and_found_in_whichever_case() {
    let mut world = World::new();
    for station in ["Zugspitze", "alp 2", "alp 1", "Alp 3", "dach"] {
        world.reading(station, 0, 1.0);
    }
    let now = world.now;
    let list = |service: &Service, search: &str, after: &str, most| {
        let query = StationQuery { search: search.to_owned(), after: after.to_owned(), most };
        service.list(now, &query)
    };
    let all = list(&world.service, "", "", 100);
    assert_eq!((all.served, all.matching), (5, 5));
    assert_eq!(names(&all.stations), ["Alp 3", "Zugspitze", "alp 1", "alp 2", "dach"]);
    let first = list(&world.service, "ALP", "", 2);
    assert_eq!((first.served, first.matching, names(&first.stations)), (5, 3, vec!["Alp 3", "alp 1"]));
    let next = list(&world.service, "ALP", "alp 1", 2);
    assert_eq!((next.matching, names(&next.stations)), (3, vec!["alp 2"]));
    assert_eq!(list(&world.service, "", "", 0).stations, []);
}
