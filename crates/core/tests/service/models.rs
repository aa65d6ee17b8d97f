//! Stations that several models serve: a main one, and specialists that come and go.

use std::sync::Arc;

use forecastd_core::{
    Event, ForNobody, Forecast, Input, Manifest, Model, Models, Place, Places, Publication, Quantity,
    Readiness, Settings, Site, Source, SpecialistError, Standing, StationState,
};

use crate::world::without_quantiles;
use crate::world::{
    HOUR, Message, SAMPLES, World, at, model, name, outputs_of_specialist, settings, specialist, temperature,
    weather,
};

fn world() -> World {
    World::with(Settings { experts: true, ..settings() }, model(SAMPLES))
}

fn feed(world: &mut World, hours: std::ops::Range<i64>) {
    for second in (hours.start * HOUR..hours.end * HOUR).step_by(1800) {
        world.reading("roof", second, temperature(second));
    }
}

/// A reading arrives; what is asked of the models is not answered.
fn arrive(world: &mut World, second: i64) {
    world.pass(at(second).duration_since(world.now.wall).as_secs().max(0));
    let (time, values) = (at(second), weather(temperature(second)));
    world.broker.push_back(Message { station: name("roof"), time, values });
    assert!(world.deliver());
}

fn issued(world: &World) -> Vec<Forecast> {
    let forecasts = world.events.iter().filter_map(|event| match event {
        Event::ForecastIssued { forecast, .. } => Some((**forecast).clone()),
        _ => None,
    });
    forecasts.collect()
}

fn newest(world: &World) -> Forecast {
    issued(world).pop().unwrap()
}

fn standings(world: &World) -> Vec<Standing> {
    let experts = world.retained(|publication| match publication {
        Publication::Verification { experts, .. } => Some(experts.clone()),
        _ => None,
    });
    experts.unwrap()
}

fn asked(world: &World) -> Vec<&str> {
    world.windows.iter().map(|window| &*window.model).collect()
}

fn state(world: &World) -> StationState {
    let state = world.retained(|publication| match publication {
        Publication::Status { state, .. } => Some(*state),
        _ => None,
    });
    state.unwrap()
}

#[test]
fn a_forecast_asks_each_model_for_its_own_window_and_waits_for_all_of_them() {
    let mut world = world();
    world.load_specialists([specialist("own@1", 8)]);
    feed(&mut world, 0..10);
    let before = issued(&world).len();
    arrive(&mut world, 10 * HOUR);
    assert_eq!(asked(&world), ["test@0", "own@1"]);
    // Temperature and pressure of 4 hours, temperature of 8.
    let lengths: Vec<usize> = world.windows.iter().map(|window| window.window.len()).collect();
    assert_eq!((lengths, world.service.in_flight()), (vec![2 * SAMPLES, 8], 2));
    let of_specialist = world.windows[1].window.clone();
    let hourly = (3..=10).map(|hour| (temperature(hour * HOUR) - 10.0) / 5.0);
    for (value, expected) in of_specialist.iter().zip(hourly) {
        assert!((value - expected).abs() < 1e-5);
    }
    assert!(world.answer_specialist());
    assert_eq!(issued(&world).len(), before, "the main model has not answered");
    assert!(world.answer());
    let forecast = newest(&world);
    assert_eq!(
        (forecast.origin, forecast.source, &*forecast.model),
        (at(10 * HOUR), Source::Model, "test@0")
    );
    let lead_h: Vec<u32> = forecast.leads.iter().map(|lead| lead.lead_h).collect();
    assert_eq!(lead_h, [1, 2, 6, 24], "the leads are those of the main model");
    assert_eq!(world.service.in_flight(), 0);
}

#[test]
fn forecasts_are_issued_in_the_order_of_origins_whichever_model_answers_first() {
    let mut world = world();
    world.load_specialists([specialist("own@1", 8)]);
    feed(&mut world, 0..10);
    let before = issued(&world).len();
    arrive(&mut world, 10 * HOUR);
    // After three hours without pressure the main model cannot run.
    for hour in 11..=14 {
        world.pass(HOUR);
        let mut values = weather(temperature(hour * HOUR));
        values.remove(Quantity::AirPressure);
        world.broker.push_back(Message { station: name("roof"), time: at(hour * HOUR), values });
        assert!(world.deliver());
    }
    let (main, own): (Vec<_>, Vec<_>) = asked(&world).into_iter().partition(|model| *model == "test@0");
    assert_eq!((main.len(), own.len()), (4, 5));
    while world.answer_specialist() {}
    assert_eq!(issued(&world).len(), before, "the last waits for those before it");
    world.settle_all();
    let late = &issued(&world)[before..];
    let forecasts: Vec<_> = late.iter().map(|forecast| (forecast.origin, &*forecast.model)).collect();
    let hours = [(10, "test@0"), (11, "test@0"), (12, "test@0"), (13, "test@0"), (14, "own@1")];
    assert_eq!(forecasts, hours.map(|(hour, model)| (at(hour * HOUR), model)));
}

#[test]
fn a_model_that_fails_or_gives_no_temperatures_costs_the_others_nothing() {
    for (is_specialist, bad) in
        [(true, Err("gone".to_owned())), (true, Ok(vec![f32::NAN; 3])), (true, Ok(vec![0.0; 2]))]
            .into_iter()
            .chain([(false, Err("gone".to_owned())), (false, Ok(vec![9999.0; 12]))])
    {
        let mut world = world();
        world.load_specialists([specialist("own@1", 8)]);
        feed(&mut world, 0..10);
        arrive(&mut world, 10 * HOUR);
        let window = world.windows.remove(usize::from(is_specialist)).unwrap();
        let failed = Arc::clone(&window.model);
        let is_error = bad.is_err();
        world.answer_with(window, bad);
        world.settle_all();
        let forecast = newest(&world);
        let expected = if is_specialist { "test@0" } else { "own@1" };
        assert_eq!((forecast.source, &*forecast.model, forecast.leads.len()), (Source::Model, expected, 4));
        let said = world.events.iter().any(|event| match event {
            Event::InferenceFailed { model, .. } => is_error && *model == failed,
            Event::ForecastImplausible { model, .. } => !is_error && *model == failed,
            _ => false,
        });
        assert!(said);
    }
}

#[test]
fn a_model_whose_window_is_not_complete_is_not_asked() {
    let mut world = world();
    world.load_specialists([specialist("own@1", 8)]);
    feed(&mut world, 0..5);
    arrive(&mut world, 5 * HOUR);
    assert_eq!(asked(&world), ["test@0"]);
    world.settle_all();
    assert_eq!(state(&world), StationState::Fresh(Readiness::Ready));
    feed(&mut world, 6..7);
    arrive(&mut world, 7 * HOUR);
    assert_eq!(asked(&world), ["test@0", "own@1"]);
}

#[test]
fn a_specialist_forecasts_where_the_main_model_is_for_another_site() {
    let denver = Site::new(39.74, -104.98);
    let places = Places { default: Some(Place::given(denver)), ..Places::default() };
    let mut own = (*specialist("own@1", SAMPLES)).clone();
    own.manifest.window.site = Some(denver);
    let of_jena = specialist("jena@1", SAMPLES);
    let models = Models::new(model(SAMPLES), [Arc::new(own), of_jena]);
    let mut world = World::with(Settings { experts: true, places, ..settings() }, models);
    feed(&mut world, 0..2);
    assert!(matches!(state(&world), StationState::Fresh(Readiness::Elsewhere(_))));
    feed(&mut world, 2..10);
    assert_eq!(state(&world), StationState::Fresh(Readiness::Ready));
    let forecast = newest(&world);
    assert_eq!((forecast.source, &*forecast.model), (Source::Model, "own@1"));
    let awake: Vec<String> = standings(&world).into_iter().map(|standing| standing.name).collect();
    assert!(!awake.contains(&"jena@1".to_owned()) && !awake.contains(&"test@0".to_owned()), "{awake:?}");
    // A journal that is begun anew does not get it as the main model's.
    let before = world.journal.forecasts.clone();
    world.journal = Default::default();
    world.input(Input::JournalRecreated);
    world.settle_all();
    assert_eq!(world.journal.forecasts.len(), before.len());
    for (key, forecast) in before {
        let again = world.journal.forecasts.remove(&key).map(without_quantiles);
        assert_eq!(again, Some(without_quantiles(forecast)));
    }
}

#[test]
fn a_specialist_serves_the_stations_that_it_names_and_without_experts_none() {
    let mut named = (*specialist("own@1", SAMPLES)).clone();
    named.manifest.stations = vec!["roof".to_owned()];
    let models = Models::new(model(SAMPLES), [Arc::new(named)]);
    for (experts, expected) in [(true, &["test@0", "own@1", "test@0"][..]), (false, &["test@0", "test@0"])] {
        let mut world = World::with(Settings { experts, ..settings() }, models.clone());
        for second in (0..=4 * HOUR).step_by(1800) {
            for station in ["roof", "alp"] {
                world.reading(station, second, temperature(second));
            }
        }
        world.pass(600);
        for station in ["roof", "alp"] {
            let (time, values) = (at(4 * HOUR + 600), weather(8.0));
            world.broker.push_back(Message { station: name(station), time, values });
        }
        while world.deliver() {}
        assert_eq!(asked(&world), expected);
        // It is tried on the windows of the one that it names.
        let samples = world.service.sample_windows(&models.specialists()[0], 10);
        assert_eq!(samples.len(), SAMPLES);
    }
}

#[test]
fn a_specialist_that_is_for_no_station_is_said_to_be_and_why() {
    let said = |stations: &[&str], change: fn(&mut Manifest)| {
        let mut settings = Settings { experts: true, ..settings() };
        settings.places.default = Some(Place::given(Site::new(39.74, -104.98)));
        let mut world = World::with(settings, model(SAMPLES));
        for station in stations {
            world.reading(station, 0, 10.0);
        }
        let Model { mut manifest, id } = (*specialist("own@1", SAMPLES)).clone();
        manifest.window.site = None;
        change(&mut manifest);
        world.load_specialists([Arc::new(Model { manifest, id })]);
        let joined = world.events.iter().find_map(|event| match event {
            Event::SpecialistJoined { stations, for_nobody, .. } => Some((*stations, *for_nobody)),
            _ => None,
        });
        joined.unwrap()
    };
    let stations = ["roof", "alp"];
    assert_eq!(said(&stations, |_| {}), (2, None));
    assert_eq!(said(&[], |_| {}), (0, None), "nobody knows yet");
    let names_another = |manifest: &mut Manifest| manifest.stations = vec!["garden".to_owned()];
    assert_eq!(said(&stations, names_another), (0, Some(ForNobody::NotNamed)));
    // 8,203 km along the great circle, worked out apart.
    let is_for_jena = |manifest: &mut Manifest| manifest.window.site = Some(Site::new(50.91, 11.57));
    assert_eq!(said(&stations, is_for_jena), (0, Some(ForNobody::Elsewhere(8203))));
}

#[test]
fn a_specialist_joins_with_its_prior_earns_its_weight_and_sleeps_when_it_is_gone() {
    let mut world = world();
    let wave = |second: i64| 10.0 + 4.0 * (second as f32 / (36.0 * 3600.0) * std::f32::consts::TAU).sin();
    let feed = |world: &mut World, hours: std::ops::Range<i64>| {
        for second in (hours.start * HOUR..hours.end * HOUR).step_by(1800) {
            world.reading("roof", second, wave(second));
        }
    };
    let standing = |world: &World| {
        let own = standings(world).into_iter().find(|standing| standing.name == "own@1").unwrap();
        let lead = *own.leads.iter().find(|lead| lead.lead_h == 6).unwrap();
        (lead.weight, lead.mae_c, own.is_asleep)
    };
    let days = |days: i64| 24 * days;
    feed(&mut world, 0..days(6));
    world.load_specialists([specialist("own@1", 8)]);
    assert!(world.events.iter().any(|event| matches!(event, Event::SpecialistJoined { stations: 1, .. })));
    // Until the first hour has come that it spoke of, it has no more than its prior: 5 of 20 + 5 + 5.
    feed(&mut world, days(6)..days(6) + 2);
    let (joined, mae_c, is_asleep) = standing(&world);
    assert!((joined - 5.0 / 30.0).abs() < 1e-6 && mae_c.is_none() && !is_asleep, "{joined}");
    feed(&mut world, days(6) + 2..days(12));
    let (earned, mae_c, _) = standing(&world);
    assert!(earned > 0.9 && mae_c.unwrap() < 0.2, "{earned}, {mae_c:?}");
    world.load_specialists([]);
    feed(&mut world, days(12)..days(12) + 3);
    let (weight, _, is_asleep) = standing(&world);
    assert!(weight == 0.0 && is_asleep);
    assert!(world.events.iter().any(|event| matches!(event, Event::SpecialistLeft { .. })));
    // What it has earned waits for it.
    world.load_specialists([specialist("own@1", 8)]);
    feed(&mut world, days(12) + 3..days(12) + 5);
    assert!(standing(&world).0 > 0.8, "{:?}", standing(&world));
}

#[test]
fn a_specialist_that_looks_further_back_finds_what_the_journal_has() {
    let mut world = world();
    feed(&mut world, 0..24 * 8);
    // The history of the main model goes back two days.
    world.load_specialists([specialist("own@1", 120)]);
    assert_eq!(world.recalls.len(), 1);
    world.settle_all();
    arrive(&mut world, 24 * 8 * HOUR);
    assert_eq!(asked(&world), ["test@0", "own@1"]);
    let expected = outputs_of_specialist(&world.windows[1].window);
    world.settle_all();
    world.flush_all();
    // It came while the service was not there.
    world.models = Models::from(model(SAMPLES));
    world.kill();
    world.subscribe();
    world.settle_all();
    world.flush_all();
    world.models = Models::new(model(SAMPLES), [specialist("own@1", 120)]);
    world.kill();
    world.subscribe();
    world.settle_all();
    arrive(&mut world, 24 * 8 * HOUR + 300);
    assert_eq!(asked(&world), ["test@0", "own@1"]);
    assert!((outputs_of_specialist(&world.windows[1].window)[0] - expected[0]).abs() < 0.5);
}

#[test]
fn what_the_journal_gives_back_waits_for_the_windows_in_flight_and_readings_wait_for_it() {
    let mut world = world();
    feed(&mut world, 0..24 * 8);
    world.load_specialists([specialist("own@1", 120)]);
    let end = 24 * 8 * HOUR;
    arrive(&mut world, end);
    assert_eq!(asked(&world), ["test@0"]);
    let oldest = |world: &World| world.service.remembered(&name("roof")).unwrap()[0].0;
    let before = oldest(&world);
    assert!(world.recall());
    arrive(&mut world, end + 600);
    assert_eq!((oldest(&world), asked(&world)), (before, vec!["test@0"]));
    assert!(world.answer());
    assert!(oldest(&world) < at(end - 119 * HOUR));
    assert_eq!(asked(&world), ["test@0", "own@1"]);
    world.settle_all();
    assert!(world.unacknowledged.is_empty());
    assert_eq!(newest(&world).origin, at(end + 600));
}

#[test]
fn models_are_exchanged_when_no_window_of_any_is_in_flight() {
    let mut world = world();
    world.load_specialists([specialist("own@1", 8)]);
    feed(&mut world, 0..10);
    arrive(&mut world, 10 * HOUR);
    world.load_specialists([specialist("own@2", 8)]);
    assert!(!world.service.accepts_readings());
    world.answer();
    assert!(!world.service.accepts_readings());
    world.answer();
    assert!(world.service.accepts_readings());
    let ids: Vec<&str> = world.service.models().specialists().iter().map(|model| &*model.id).collect();
    assert_eq!(ids, ["own@2"]);
}

#[test]
fn a_specialist_that_cannot_be_used_is_refused_and_that_is_said_once() {
    let mut world = world();
    feed(&mut world, 0..5);
    let mut finer = (*specialist("finer@1", 8)).clone();
    finer.manifest.window.grid_step_s = 300;
    let finer = Arc::new(finer);
    world.load_specialists([Arc::clone(&finer)]);
    world.load_specialists([Arc::clone(&finer), specialist("own@1", 4)]);
    let refused = |world: &World| {
        let refused = world.events.iter().filter_map(|event| match event {
            Event::SpecialistRefused { model, error } => Some((model.to_string(), error.clone())),
            _ => None,
        });
        refused.collect::<Vec<_>>()
    };
    let error = SpecialistError::Grid { own_s: 300, main_s: 600 };
    assert_eq!(refused(&world), [("finer@1".to_owned(), error)]);
    arrive(&mut world, 5 * HOUR);
    assert_eq!(asked(&world), ["test@0", "own@1"]);
    // It was not the main model that changed.
    assert!(!world.events.iter().any(|event| matches!(event, Event::ModelSwitched { .. })));
    // After a restart it is said again.
    world.settle_all();
    world.kill();
    assert_eq!(refused(&world).len(), 2);
}

#[test]
fn another_main_model_leaves_the_specialists() {
    let mut world = world();
    world.load_specialists([specialist("own@1", 8)]);
    feed(&mut world, 0..30);
    let other = Arc::new(Model { id: "test@1".into(), ..(*model(SAMPLES)).clone() });
    world.input(Input::ModelsLoaded(Models::new(other, [specialist("own@1", 8)])));
    assert!(world.events.iter().any(|event| matches!(event, Event::ModelSwitched { .. })));
    assert!(!world.events.iter().any(|event| matches!(event, Event::SpecialistLeft { .. })));
    arrive(&mut world, 30 * HOUR);
    assert_eq!(asked(&world), ["test@1", "own@1"]);
}
