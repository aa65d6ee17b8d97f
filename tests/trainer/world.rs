//! The model for any place, from a pool of stations that were made up, to a file that a station runs; and what the history
//! of one station adds to it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use forecastd::command::retrain::retrain;
use forecastd::config::Config;
use forecastd_core::{
    Batch, Entry, Models, Next, Place, Quantity, Setup, Site, Station, StationName, Values,
};
use forecastd_journal::{Journal, JournalError, Observer, Retention, Store};
use forecastd_model::{Artefact, Engine, EngineChoice, Runtime};
use forecastd_train::{TrainOptions, run};
use jiff::{SignedDuration, Timestamp};

/// Hours of every station: enough to choose and to evaluate on.
const HOURS: i64 = 2200;
const BEGIN_S: i64 = 1_546_300_800;

/// Temperature with a daily wave by the sun at the longitude, fronts, and a climate of the latitude, °C.
fn temperature(site: Site, hour: i64, seed: i64) -> f64 {
    let local = hour as f64 + site.longitude_deg / 15.0;
    let day = ((local - 15.0) / 24.0 * std::f64::consts::TAU).cos();
    let front = (hour as f64 / 37.0 + seed as f64).sin() + (hour as f64 / 61.0 + 2.0 * seed as f64).cos();
    let wide = 2.0 + (seed % 7) as f64;
    28.0 - site.latitude_deg.abs() * 0.45 + wide * day + 2.5 * front
}

/// A folder of stations in the format of a pool: temperature, and pressure at every other one.
fn write_pool(folder: &Path, stations: i64) {
    let mut list = String::from(
        "id,name,country,group,latitude_deg,longitude_deg,elevation_m,first_unix_s,rows,tmy,step_h,pressure,licence,source\n",
    );
    let file = std::fs::File::create(folder.join("hourly.bin.xz")).unwrap();
    let mut encoder = liblzma::write::XzEncoder::new(file, 1);
    for station in 0..stations {
        let site = Site::new(-55.0 + (station * 17 % 120) as f64, -170.0 + (station * 53 % 340) as f64);
        writeln!(
            list,
            "s{station},S{station},X,G,{},{},{},{BEGIN_S},{HOURS},0,1,station,none,made up",
            site.latitude_deg,
            site.longitude_deg,
            station * 10
        )
        .unwrap();
        let missing = vec![i16::MIN; HOURS as usize];
        let temperatures = (0..HOURS).map(|hour| (temperature(site, hour, station) * 10.0) as i16);
        let pressures = (0..HOURS).map(|hour| (10_000.0 + 50.0 * (hour as f64 / 37.0).cos()) as i16);
        let pressures = if station % 2 == 0 { pressures.collect() } else { missing.clone() };
        let columns =
            [temperatures.collect(), pressures, missing.clone(), missing.clone(), missing.clone(), missing];
        for column in columns {
            let mut before = 0_i16;
            for value in column {
                encoder.write_all(&value.wrapping_sub(before).to_le_bytes()).unwrap();
                before = value;
            }
        }
    }
    encoder.finish().unwrap();
    std::fs::write(folder.join("stations.csv"), list).unwrap();
}

#[test]
fn a_model_for_any_place_is_trained_on_many_stations_and_goes_on_with_the_history_of_one() {
    let folder = tempfile::tempdir().unwrap();
    write_pool(folder.path(), 90);
    let out = folder.path().join("world.onnx");
    let card = folder.path().join("card.md");
    let options = TrainOptions {
        experiment: vec!["world".to_owned()],
        pool: vec![folder.path().display().to_string()],
        out: Some(out.clone()),
        report: Some(card.clone()),
        epochs: Some(2),
        steps: Some(150),
        batch: Some(128),
        units: vec![12],
        head: vec![64, 64],
        ..TrainOptions::default()
    };
    let summary = run(&options, &AtomicBool::default(), &mut ()).unwrap();
    assert_eq!(summary.written.as_deref(), Some(out.as_path()));
    let artefact = Artefact::read(&out).unwrap();
    assert_eq!(artefact.manifest.window.site, None);
    assert_eq!((artefact.manifest.quantiles.len(), artefact.manifest.extremes_h), (7, Some(24)));
    let scores = &artefact.manifest.scores[0];
    assert!(scores.leads.iter().all(|lead| lead.mae < lead.persistence_mae), "{:?}", scores.leads);
    let text = std::fs::read_to_string(&card).unwrap();
    assert!(text.contains("| temperature alone | 26 |") && text.contains("0 h of history"), "{text}");

    // A station at a place that was not in the pool speaks with its first reading.
    let site = Site::new(41.5, 12.5);
    let setup = Setup { place: Some(Place::given(site)), ..Setup::default() };
    let name = StationName::new("roof").unwrap();
    let mut station = Station::new(name, Arc::new(artefact.description())).set_up(setup);
    let mut engine = Engine::load(&Runtime::start(EngineChoice::Tract, None).unwrap(), &artefact).unwrap();
    let mut values = Values::NONE;
    values.set(Quantity::AirTemperature, 15.0);
    let time = Timestamp::from_second(BEGIN_S).unwrap();
    let next = station.observe(time, values, time, Duration::ZERO).unwrap().next;
    let Next::Infer(number, windows) = next else { panic!("{next:?}") };
    let outputs = engine.run(&windows[0].window, 1).unwrap();
    assert_eq!(station.answer(number, &windows[0].model.id, Some(outputs)), Some(true));
    let forecast = station.next_completed().unwrap().forecast;
    assert_eq!(forecast.leads.len(), 24);
    let day = forecast.day_ahead.unwrap();
    assert!(day.lowest.temperature_c < day.highest.temperature_c, "{day:?}");

    // What its own history of two months adds: its days are wider than any in the pool.
    let csv = folder.path().join("own.csv");
    let mut rows = String::from("time,air_temperature_c\n");
    for hour in 0..24 * 70 {
        let wave = 4.0 * ((hour as f64 - 3.0) / 24.0 * std::f64::consts::TAU).cos();
        let time = Timestamp::from_second(BEGIN_S + hour * 3600).unwrap();
        writeln!(rows, "{time},{:.1}", temperature(site, hour, 6) + wave).unwrap();
    }
    std::fs::write(&csv, rows).unwrap();
    let own = folder.path().join("own.onnx");
    let options = TrainOptions {
        experiment: vec!["own".to_owned()],
        from: Some(out),
        csv: vec![csv],
        latitude: Some(site.latitude_deg),
        longitude: Some(site.longitude_deg),
        out: Some(own.clone()),
        ..TrainOptions::default()
    };
    run(&options, &AtomicBool::default(), &mut ()).unwrap();
    let specialist = Artefact::read(&own).unwrap();
    assert_eq!(specialist.manifest.window.site, Some(site));
    let mae = |lead: usize| specialist.manifest.scores[0].leads[lead].mae;
    assert!(mae(11) < specialist.manifest.scores[0].leads[11].persistence_mae);

    // The same from the journal, for every station of it: one with history, one with little, one of which nobody knows where
    // it stands.
    let journal = folder.path().join("journal.sqlite");
    let history = |name: &str, hours: i64| {
        let station = StationName::new(name).unwrap();
        (0..hours).map(move |hour| {
            let wave = 4.0 * ((hour as f64 - 3.0) / 24.0 * std::f64::consts::TAU).cos();
            let mut values = Values::NONE;
            let celsius = ((temperature(site, hour, 6) + wave) * 10.0).round() / 10.0;
            values.set(Quantity::AirTemperature, celsius as f32);
            let time = Timestamp::from_second(BEGIN_S + hour * 3600).unwrap();
            Entry::Reading { station: station.clone(), time, values, slot_begins: time }
        })
    };
    let mut entries: Vec<Entry> =
        history("roof", 24 * 70).chain(history("new", 48)).chain(history("lost", 24 * 70)).collect();
    // One that was another station before, in the tropics, and says itself where it stands.
    let moved_at = Timestamp::from_second(BEGIN_S).unwrap();
    let mut buoy = Station::new(StationName::new("buoy").unwrap(), Arc::new(artefact.description()));
    buoy.sight(moved_at - SignedDuration::from_hours(24 * 70), Place::from_payload(Site::new(-3.0, 12.5)));
    for hours_before in [2, 1, 0] {
        buoy.sight(moved_at - SignedDuration::from_hours(hours_before), Place::from_payload(site));
    }
    entries.extend((1..24 * 70).map(|hour| {
        let mut values = Values::NONE;
        values.set(Quantity::AirTemperature, 28.0 + (hour % 24) as f32 / 10.0);
        let time = moved_at - SignedDuration::from_hours(hour);
        Entry::Reading { station: buoy.name().clone(), time, values, slot_begins: time }
    }));
    entries.extend(history("buoy", 24 * 70));
    entries.push(Entry::State {
        station: buoy.name().clone(),
        state: buoy.state(),
        readings_from: moved_at,
        forecasts_from: moved_at,
        active_at: moved_at,
    });
    let retention = Retention { readings_days: 3650, forecasts_days: 60 };
    let writer = Journal::start(Store::new(&journal), retention, Quiet).unwrap();
    writer.write(Batch { id: 1, entries });
    writer.close(Duration::from_secs(60)).unwrap();
    let text = format!(
        "[journal]\npath = {journal:?}\n[model]\npath = {:?}\nfolder = {:?}\n[station.roof]\nlatitude_deg = 41.5\n\
         longitude_deg = 12.5\n[station.new]\nlatitude_deg = 41.5\nlongitude_deg = 12.5\n",
        folder.path().join("world.onnx"),
        folder.path().join("models.d"),
    );
    let nothing: [(&str, &str); 0] = [];
    let config = Config::from_text(&text, folder.path(), nothing).unwrap();
    let retrain = |time: &str| {
        let mut said = Vec::new();
        retrain(&config, time.parse().unwrap(), &AtomicBool::default(), &mut said).unwrap();
        String::from_utf8(said).unwrap()
    };
    let said = retrain("2019-03-20T03:00:00Z");
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("buoy: written to "), "{said}");
    assert!(lines[1].starts_with("lost: it is not known where it stands"), "{said}");
    assert!(lines[2].starts_with("new: ") && lines[2].contains("days of history are too little"), "{said}");
    assert!(lines[3].starts_with("roof: written to "), "{said}");
    assert!(lines[3].contains(" less than the model for any place ("), "what was gained is said: {said}");
    let specialist = |file: &str| {
        Artefact::read(&folder.path().join("models.d").join(file)).map_err(|error| error.to_string())
    };
    let first = specialist("roof.2019-03.onnx").unwrap();
    assert_eq!(first.manifest.stations, ["roof"]);
    assert_eq!(first.manifest.window.site, Some(site));
    let of_buoy = specialist("buoy.2019-03.onnx").unwrap();
    assert_eq!(of_buoy.manifest.window.site, Some(site));
    assert_eq!(of_buoy.manifest.training.unwrap().first, moved_at, "none of the place before");

    // A month later, even of the same history: the one that has earned its weight is an expert beside the new one.
    let said = retrain("2019-04-02T03:00:00Z");
    assert!(
        said.contains("roof.2019-04.onnx: ") && said.contains("; roof.2019-03.onnx stays beside it"),
        "{said}"
    );
    let both = ["roof.2019-03.onnx", "roof.2019-04.onnx"]
        .map(|file| Arc::new(specialist(file).unwrap().description()));
    assert_eq!(both[0].id, first.id().into());
    let models = Models::new(Arc::new(artefact.description()), both);
    assert_eq!(models.refused(), []);
    assert_eq!(models.of_station(&StationName::new("roof").unwrap(), Some(site)).len(), 2);
}

/// Takes what a journal tells.
struct Quiet;

impl Observer for Quiet {
    fn committed(&self, _: u64, _: usize, _: Duration) {}

    fn failed(&self, error: &JournalError, _: u64, _: usize, _: usize) {
        panic!("{error}");
    }

    fn recreated(&self) {}

    fn size(&self, _: u64) {}
}
