//! Where a station stands, and whether the model is for that place.

use std::sync::Arc;

use forecastd_core::{
    Event, MissingValues, Model, Normalisation, Place, Publication, Readiness, Settings, Site, Source,
    StationState,
};

use crate::world::{HOUR, Message, World, at, model, name, settings, temperature, weather};

/// State and distance of the model's site, as they were last published.
fn status(world: &World) -> (StationState, Option<u32>) {
    let status = world.retained(|publication| match publication {
        Publication::Status { state, model_distance_km, .. } => Some((*state, *model_distance_km)),
        _ => None,
    });
    status.unwrap()
}

/// Stations without a place, elsewhere, and with a model for another site, as they were last counted.
fn counted(world: &World) -> (usize, usize, usize) {
    let counts = world.events.iter().rev().find_map(|event| match event {
        Event::Stations { without_place, elsewhere, foreign_model, .. } => {
            Some((*without_place, *elsewhere, *foreign_model))
        }
        _ => None,
    });
    counts.unwrap()
}

fn sources(world: &World) -> Vec<Source> {
    world.published_forecasts().iter().map(|forecast| forecast.source).collect()
}

fn after_some_hours(settings: Settings, model: Arc<Model>) -> World {
    let mut world = World::with(settings, model);
    for hour in 0..6 {
        world.reading("roof", hour * HOUR, temperature(hour * HOUR));
        world.settle_all();
    }
    world.tick();
    world
}

#[test]
fn a_model_for_one_site_does_not_run_elsewhere_unless_that_is_asked_for_and_then_it_is_said() {
    let mut settings = settings();
    // Jena's model at the Cape: 9,456.6 km along the great circle, worked out apart.
    settings.places.default = Some(Place::given(Site::new(-33.92, 18.42)));
    let world = after_some_hours(settings.clone(), model(4));
    let (state, distance_km) = status(&world);
    assert_eq!(state, StationState::Fresh(Readiness::Elsewhere(9457)));
    assert_eq!(distance_km, Some(9457));
    assert_eq!(counted(&world), (0, 1, 0));
    assert!(sources(&world).iter().all(|source| *source == Source::Persistence));

    let world = after_some_hours(Settings { runs_anywhere: true, ..settings.clone() }, model(4));
    assert_eq!(status(&world), (StationState::Fresh(Readiness::Ready), distance_km));
    assert_eq!(counted(&world), (0, 0, 1));
    assert!(sources(&world).contains(&Source::Model));

    // Thirty kilometres are the same weather.
    settings.places.default = Some(Place::given(Site::new(50.91, 12.0)));
    for runs_anywhere in [false, true] {
        let world = after_some_hours(Settings { runs_anywhere, ..settings.clone() }, model(4));
        assert_eq!(status(&world), (StationState::Fresh(Readiness::Ready), None));
        assert_eq!(counted(&world), (0, 0, 0));
    }
}

/// The newest row of the window that a model is given at noon UTC of a station at `site`, of features that the place decides.
fn row_at_noon(model_site: Option<Site>, site: Option<Site>) -> Vec<f32> {
    let names = ["air_temperature", "time_of_day_sin", "solar_elevation_sin", "latitude", "elevation"];
    let mut manifest = model(1).manifest.clone();
    manifest.window.site = model_site;
    manifest.window.missing = MissingValues::Mean;
    manifest.window.features = names.map(|name| name.parse().unwrap()).to_vec();
    manifest.normalisation = Normalisation { mean: vec![0.0; 5], standard_deviation: vec![1.0; 5] };
    manifest.validate().unwrap();
    let mut settings = Settings { runs_anywhere: true, ..settings() };
    settings.places.default = site.map(Place::given);
    let mut world = World::with(settings, Arc::new(Model { manifest, id: "sun@0".into() }));
    world.pass(12 * HOUR);
    let (station, time, values) = (name("roof"), at(12 * HOUR), weather(5.0));
    world.broker.push_back(Message { station, time, values });
    world.deliver();
    world.windows.pop_front().unwrap().window
}

#[test]
fn a_model_for_one_site_that_runs_elsewhere_sees_the_sun_over_the_station() {
    let jena = Site::new(50.91, 11.57).at_elevation(155.0);
    let denver = Site::new(39.74, -104.98).at_elevation(1609.0);
    let at_denver = row_at_noon(None, Some(denver));
    assert_eq!(row_at_noon(Some(jena), Some(denver)), at_denver);
    let at_jena = row_at_noon(None, Some(jena));
    assert!(at_jena != at_denver);
    assert_eq!(row_at_noon(Some(jena), None), at_jena, "where the station has no place, the model has one");
    let nearby = Site::new(50.92, 11.58);
    let low = row_at_noon(None, Some(nearby.at_elevation(155.0)));
    assert_eq!(row_at_noon(Some(jena), Some(nearby)), low, "an elevation that is not known is the model's");
}

#[test]
fn a_model_for_any_place_waits_until_it_is_known_where_the_station_stands() {
    let for_any = |model: &Model| {
        let mut manifest = model.manifest.clone();
        manifest.window.site = None;
        Arc::new(Model { manifest, id: Arc::clone(&model.id) })
    };
    let mut settings = settings();
    let world = after_some_hours(settings.clone(), for_any(&model(4)));
    assert_eq!(status(&world), (StationState::Fresh(Readiness::NoPlace), None));
    assert_eq!(counted(&world), (1, 0, 0));

    settings.places.default = Some(Place::of_time_zone("Africa/Johannesburg").unwrap());
    let world = after_some_hours(settings, for_any(&model(4)));
    assert_eq!(status(&world), (StationState::Fresh(Readiness::Ready), None));
    assert!(sources(&world).contains(&Source::Model));
}
