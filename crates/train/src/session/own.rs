//! What a station's own history adds to the model for any place: a specialist, where it gains anything.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use jiff::Timestamp;

use forecastd_atomic_file as atomic_file;
use forecastd_core::{
    FORMAT_VERSION, LeadScore, Manifest, PROGRAM, PartScores, Recall, Refit, Restored, StationName, Training,
    WindowSpec,
};
use forecastd_model::Artefact;
use forecastd_record::{About, DEFAULT_SPLIT, Readings, Record, RecordError};

use super::{JENA_GAIN, TrainingRun};
use crate::error::TrainError;
use crate::experiment::{Experiment, OwnRecipe};
use crate::fit::StopRule;
use crate::options;
use crate::summary::{ExperimentResult, OwnGain};
use crate::world::{
    OwnErrors, OwnHistory, OwnObjective, Specialist, SpecialistMethod, normalisation, read_base, window,
};

/// Fewer days are not trained on.
const FEWEST_DAYS: f64 = 30.0;

impl TrainingRun<'_> {
    /// Learns from a station's own history, from the world's network on.
    pub(super) fn own(&mut self, experiment: &Experiment, recipe: &OwnRecipe) -> Result<(), TrainError> {
        let (path, artefact) = match (self.options.from.clone(), self.options.built_in) {
            (Some(path), _) => (path.clone(), Artefact::read(&path)),
            (None, Some(bytes)) => (PathBuf::from("(built in)"), Artefact::parse(bytes)),
            (None, None) => return Err(TrainError::NoBase(experiment.name)),
        };
        let base = |source| TrainError::Base { path: path.clone(), source: Box::new(source) };
        let artefact = artefact
            .map_err(|source| TrainError::BaseFile { path: path.clone(), source: Box::new(source) })?;
        let device = Device::flex().autodiff();
        let (network, scaling) = read_base(&artefact, &device).map_err(base)?;
        // As the daemon cuts them: on the hours of a coarser grid a reading of half past would be one of the next hour.
        let spec = window(artefact.manifest.window.grid_step_s);
        let record = match self.options.journal.clone() {
            Some(path) => self.journalled(&path, &spec)?,
            None => Record::read_for(&self.source()?, &spec)?,
        };
        self.check_interrupted()?;
        self.describe(&record);
        self.note(&format!("what is learned is added to the model for any place: at Jena {JENA_GAIN}"));
        let site = self.site(&record)?;
        let history = OwnHistory::new(record.history(), site, &scaling);
        self.note(&format!("{} windows, {:.0} days of them", history.len(), history.days()));
        if history.days() < FEWEST_DAYS {
            let why = what_there_is(&record);
            return Err(TrainError::TooLittle { days: history.days(), needed: FEWEST_DAYS, why });
        }
        let settings = &recipe.own;
        let refit = |indices: &[usize]| {
            let network =
                Specialist::refit_last_layer(&history, indices, &network, &scaling, settings, &device);
            Ok::<_, TrainError>(network)
        };
        let method = SpecialistMethod::LastLayer;
        let mut best = Specialist::new(method, &history, &network, &scaling, settings, &device, refit)?;
        self.say("the last layer refitted", &best);
        if history.days() >= settings.fine_tuned_from_days {
            let refit = |indices: &[usize]| {
                let objective = OwnObjective::new(
                    &history,
                    indices.to_vec(),
                    &network,
                    &scaling,
                    settings,
                    device.clone(),
                );
                let until = StopRule::Epoch(recipe.fit.epochs);
                Ok::<_, TrainError>(self.fit(&objective, network.clone(), &recipe.fit, until, None)?.model)
            };
            let method = SpecialistMethod::FineTuned;
            let tuned = Specialist::new(method, &history, &network, &scaling, settings, &device, refit)?;
            self.say("all layers trained further", &tuned);
            if tuned.mean.own_c < best.mean.own_c {
                best = tuned;
            }
        }
        self.summary.results.push(ExperimentResult {
            name: experiment.name,
            seed: Some(recipe.fit.seed),
            leads_h: 1..=24,
            validation_c: best.mean.own_c,
            validation_normalised: None,
            persistence_c: best.mean.persistence_c,
            fits: Vec::new(),
        });
        let OwnErrors { world_c, own_c, yesterday_c, .. } = best.mean;
        let (better, blocks) = best.better;
        let gain = OwnGain { own_c, world_c, yesterday_c, better, blocks };
        self.summary.own = Some(gain);
        let Some(out) = self.options.out.clone() else { return Ok(()) };
        if !gain.is_gain() && !self.options.ship_anyway {
            // What is refused is what its user wants to look at.
            self.finish()?;
            return Err(TrainError::NoOwnGain(gain));
        }
        let manifest = self.own_manifest(&record, site, &artefact, recipe, &best);
        let model = best.network.export(&best.scaling);
        atomic_file::write(&out, &Artefact::assemble(model, &manifest)?)?;
        self.summary.written = Some(out);
        Ok(())
    }

    /// The readings of a station that the daemon has kept, of the place where it stands now, which is known if the station's
    /// payload says it.
    fn journalled(&mut self, path: &Path, spec: &WindowSpec) -> Result<Record, TrainError> {
        let name = self.options.station.clone().unwrap_or_default();
        let station =
            StationName::new(&name).map_err(|error| TrainError::StationName(name.clone(), error))?;
        let wanted = Recall { station, readings_from: Timestamp::MIN, forecasts_from: Timestamp::MAX };
        let failed = |source| TrainError::Journal { path: path.to_owned(), source };
        let found = forecastd_journal::recall(path, &[wanted]).map_err(failed)?;
        let restored = found.into_iter().next();
        let place = restored.as_ref().and_then(Restored::reported_place);
        let mut readings = restored.map(|restored| restored.readings).unwrap_or_default();
        if let Some(since) = place.and_then(|place| place.since) {
            self.note(&format!("it stands where it does since {since}; older readings are of another place"));
            readings.retain(|(time, _)| *time >= since);
        }
        if readings.is_empty() {
            return Err(TrainError::NoStation { path: path.to_owned(), station: name });
        }
        let site = self.options.site().or(place.map(|place| place.place.site));
        let is_rough = match self.options.site() {
            Some(_) => self.options.is_place_rough,
            None => place.is_some_and(|place| place.place.precision.is_rough()),
        };
        let about = About {
            path,
            site: site.filter(|_| !is_rough),
            // The model is given how pressure changes: by how much it is reduced does not matter.
            elevation_m: None,
            others: &[],
            is_sure: &|what| self.options.sure.iter().any(|sure| sure == what),
        };
        let mut readings = Readings::validated(readings, &about).map_err(|error| match error {
            RecordError::Suspicious { path, suspicions } => {
                TrainError::Suspicious { path, station: name.clone(), suspicions }
            }
            error => error.into(),
        })?;
        // A rough one, by whose sun no clock was checked, too.
        readings.site = site;
        let required = spec.required_quantities();
        let record = Record::from_validated(path, &readings, spec.grid(), &spec.quantities(), &required)?;
        Ok(record.called(&name))
    }

    fn say(&mut self, what: &str, specialist: &Specialist) {
        let OwnErrors { world_c, own_c, yesterday_c, .. } = specialist.mean;
        let (better, blocks) = specialist.better;
        self.note(&format!(
            "{what}: {own_c:.3} °C over all leads on blocks left out, the model for any place {world_c:.3} °C, the same \
             time yesterday {yesterday_c:.3} °C; better on {better} of {blocks}; coverage of the 80 % interval {:.1} % before it was refitted",
            100.0 * specialist.coverage
        ));
    }

    fn own_manifest(
        &self,
        record: &Record,
        site: forecastd_core::Site,
        base: &Artefact,
        recipe: &OwnRecipe,
        specialist: &Specialist,
    ) -> Manifest {
        let facts = record.facts();
        let stem = self.options.out.as_deref().and_then(options::stem);
        let name = self.options.name.clone().or(stem).unwrap_or_else(|| "own".to_owned());
        let mut settings = serde_json::to_value(recipe).unwrap_or_default();
        settings["base"] = serde_json::json!(base.id());
        settings["method"] = serde_json::json!(specialist.method);
        let leads =
            specialist.leads.iter().zip(&specialist.rmse_c).zip(1..).map(|((mae, rmse), lead_h)| LeadScore {
                lead_h,
                mae: mae.own_c,
                rmse: *rmse,
                persistence_mae: mae.persistence_c,
                yesterday_mae: Some(mae.yesterday_c).filter(|yesterday_c| yesterday_c.is_finite()),
                climatology_mae: None,
                coverage: None,
            });
        let scores = PartScores {
            part: "blocks left out".to_owned(),
            before_refit: true,
            forecasts: specialist.windows,
            leads: leads.collect(),
        };
        let mut window = base.manifest.window.clone();
        window.site = Some(site);
        Manifest {
            format_version: FORMAT_VERSION,
            name,
            // A history of the journal is that of a station by its name; of a file, who knows.
            stations: self.options.station.iter().cloned().collect(),
            window,
            normalisation: normalisation(),
            training: Some(Training {
                file: facts.file.clone(),
                sha256: facts.sha256.clone(),
                rows: facts.readings,
                first: facts.first,
                last: facts.last,
                split: DEFAULT_SPLIT,
                refit: Some(Refit::Whole),
                seed: recipe.fit.seed,
                experiment: "own".to_owned(),
                settings,
                climatology: None,
                // What the base was trained on, this one was.
                records: base.manifest.training.as_ref().map_or_else(Vec::new, |base| base.records.clone()),
            }),
            scores: vec![scores],
            tool: format!("{PROGRAM} {}", env!("CARGO_PKG_VERSION")),
            graph_sha256: None,
            ..base.manifest.clone()
        }
    }
}

/// What a record has and lacks, as clauses for a message that says that it is too little.
fn what_there_is(record: &Record) -> String {
    let facts = record.facts();
    let hours = facts.last.duration_since(facts.first).as_secs() / 3600 + 1;
    let measured = record.rows().len() as f64 / hours as f64;
    let mut why = format!(
        "; {:.0} % of the hours of {:.0} days have a temperature",
        100.0 * measured,
        hours as f64 / 24.0
    );
    let cadence_h = record.cadence_s() / 3600.0;
    if cadence_h > 1.0 {
        why += &format!(", mostly one every {cadence_h:.0} h, but the model forecasts every hour");
    }
    for hole in facts.quality.of_holes() {
        why += &format!("; {hole}");
    }
    why + &facts.quality.of_most()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    use forecastd_core::{Batch, Entry, Place, Quantity, Site, Split, Station, TrainedRecord, Values};
    use forecastd_journal::{Journal, Retention, Store};
    use jiff::SignedDuration;
    use rand::{Rng, SeedableRng};
    use rand_pcg::Pcg64;

    use super::*;
    use crate::options::TrainOptions;
    use crate::progress::{Observer, TrainingEvent};
    use crate::world::{Network, manifest, persistence};

    /// Keeps what is noted.
    #[derive(Default)]
    struct Notes(Vec<String>);

    impl Observer for Notes {
        fn event(&mut self, event: &TrainingEvent) {
            if let TrainingEvent::Note { text } = event {
                self.0.push((*text).to_owned());
            }
        }
    }

    const SITE: Site = Site::new(50.0, 10.0);

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(978_307_200 + 3600 * hour).unwrap()
    }

    /// A model for any place that says that the temperature stays, and was trained on one record of another station.
    fn base() -> (Vec<u8>, TrainedRecord) {
        let record = TrainedRecord {
            file: "jena.csv".to_owned(),
            sha256: "abc".to_owned(),
            site: Site::new(50.91, 11.57),
            first: at(0),
            last: at(1),
        };
        let (network, scaling): (Network, _) = persistence(&Device::flex());
        let manifest = Manifest {
            training: Some(Training {
                file: "pool".to_owned(),
                sha256: "abd".to_owned(),
                rows: 2,
                first: at(0),
                last: at(1),
                split: Split { train: 1.0, validation: 0.0 },
                refit: None,
                seed: 1,
                experiment: "world".to_owned(),
                settings: serde_json::Value::Null,
                climatology: None,
                records: vec![record.clone()],
            }),
            ..manifest("world", 3600)
        };
        (Artefact::assemble(network.export(&scaling), &manifest).unwrap(), record)
    }

    #[test]
    fn what_is_refused_leaves_a_report_and_what_is_written_says_what_it_was_evaluated_on() {
        const HOURS: i64 = 24 * 60;
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let (bytes, of_base) = base();
        std::fs::write(path("world.onnx"), bytes).unwrap();
        // It stays, but for steps upward that nobody can foresee: to say that it stays errs least.
        let mut generator = Pcg64::seed_from_u64(3);
        let mut celsius = 10.0;
        let mut text = "time,air_temperature_c\n".to_owned();
        for hour in 0..HOURS {
            celsius += if generator.random_bool(0.01) { 1.0 } else { 0.0 };
            text += &format!("{},{celsius:.2}\n", at(hour));
        }
        std::fs::write(path("roof.csv"), text).unwrap();
        let options = TrainOptions {
            experiment: vec!["own".to_owned()],
            from: Some(path("world.onnx")),
            csv: vec![path("roof.csv")],
            latitude: Some(SITE.latitude_deg),
            longitude: Some(SITE.longitude_deg),
            out: Some(path("own.onnx")),
            report: Some(path("report.html")),
            ..TrainOptions::default()
        };
        let error = crate::run(&options, &AtomicBool::default(), &mut ()).unwrap_err();
        assert!(matches!(error, TrainError::NoOwnGain(_)), "{error}");
        assert!(!path("own.onnx").exists());
        let report = std::fs::read_to_string(path("report.html")).unwrap();
        assert!(report.contains("What the station's own history adds"), "{report}");

        let anyway = TrainOptions { ship_anyway: true, report: None, ..options };
        let mut notes = Notes::default();
        let summary = crate::run(&anyway, &AtomicBool::default(), &mut notes).unwrap();
        assert_eq!(
            (summary.results[0].leads_h.clone(), summary.results[0].validation_normalised),
            (1..=24, None)
        );
        let manifest = Artefact::read(&path("own.onnx")).unwrap().manifest;
        assert_eq!(manifest.training.unwrap().records, [of_base]);
        let forecasts = manifest.scores[0].forecasts;
        assert!(forecasts < HOURS as u64, "after the last reading there is nothing");
        let said = format!("{forecasts} windows, ");
        assert!(notes.0.iter().any(|note| note.starts_with(&said)), "{forecasts}: {:?}", notes.0);
    }

    /// What a model for any place is gone on from with, in a folder of its own.
    fn options(folder: &Path) -> TrainOptions {
        let path = folder.join("world.onnx");
        std::fs::write(&path, base().0).unwrap();
        TrainOptions {
            experiment: vec!["own".to_owned()],
            from: Some(path),
            latitude: Some(SITE.latitude_deg),
            longitude: Some(SITE.longitude_deg),
            ..TrainOptions::default()
        }
    }

    fn run(options: &TrainOptions) -> (Result<(), String>, Vec<String>) {
        let mut notes = Notes::default();
        let result = crate::run(options, &AtomicBool::default(), &mut notes);
        (result.map(|_| ()).map_err(|error| error.to_string()), notes.0)
    }

    /// Air that is warmest `late_h` hours later than usual, which is at 14.7 h of solar time.
    fn celsius(time: Timestamp, late_h: f64) -> f32 {
        let solar_h = SITE.day_phase(time) * 24.0;
        (10.0 + 6.0 * ((solar_h - 14.7 - late_h) / 24.0 * std::f64::consts::TAU).cos()) as f32
    }

    #[test]
    fn of_too_little_history_is_said_what_there_is_and_what_spoils_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("roof.csv");
        let said = |hours: &mut dyn Iterator<Item = i64>| {
            let mut text = "time,air_temperature_c\n".to_owned();
            for hour in hours {
                text += &format!("{},{:.2}\n", at(hour), celsius(at(hour), 0.0));
            }
            std::fs::write(&path, text).unwrap();
            let (result, notes) = run(&TrainOptions { csv: vec![path.clone()], ..options(folder.path()) });
            (result.unwrap_err(), notes)
        };
        let (error, _) = said(&mut (0..24 * 300).step_by(3));
        assert!(error.starts_with("0 days of history are too little to train on: "), "{error}");
        assert!(
            error.contains("; 33 % of the hours of 300 days have a temperature, mostly one every 3 h, "),
            "{error}"
        );

        let hole = format!("no temperature for 70 days, from {} to {}", at(24 * 10 - 1), at(24 * 80));
        let (error, notes) = said(&mut (0..24 * 90).filter(|hour| !(24 * 10..24 * 80).contains(hour)));
        assert!(error.starts_with("18 days of history are too little") && error.contains(&hole), "{error}");
        assert!(notes.iter().any(|note| note.contains(&hole)), "{notes:?}");
    }

    /// Takes what a journal tells.
    struct Quiet;

    impl forecastd_journal::Observer for Quiet {
        fn committed(&self, _: u64, _: usize, _: Duration) {}

        fn failed(&self, error: &forecastd_journal::JournalError, _: u64, _: usize, _: usize) {
            panic!("{error}");
        }

        fn recreated(&self) {}

        fn size(&self, _: u64) {}
    }

    /// Options for the journal of the station `roof`, written with `entries`.
    fn journal(folder: &Path, entries: Vec<Entry>) -> TrainOptions {
        let path = folder.join("journal.sqlite");
        let retention = Retention { readings_days: 36_500, forecasts_days: 60 };
        let writer = Journal::start(Store::new(&path), retention, Quiet).unwrap();
        writer.write(Batch { id: 1, entries });
        writer.close(Duration::from_secs(60)).unwrap();
        TrainOptions { journal: Some(path), station: Some("roof".to_owned()), ..options(folder) }
    }

    fn reading(time: Timestamp, celsius: f32) -> Entry {
        let station = StationName::new("roof").unwrap();
        let mut values = Values::NONE;
        values.set(Quantity::AirTemperature, celsius);
        Entry::Reading { station, time, values, slot_begins: time }
    }

    #[test]
    fn two_stations_under_one_name_in_the_journal_are_not_learned_from() {
        let folder = tempfile::tempdir().unwrap();
        // In turn, every ten minutes; one in the valley, one on the mountain.
        let entries = (0..6 * 24 * 40).map(|slot| {
            let time = at(0) + SignedDuration::from_mins(10 * slot);
            reading(time, celsius(time, 0.0) - if slot % 2 == 0 { 0.0 } else { 8.0 })
        });
        let options = journal(folder.path(), entries.collect());
        let (result, _) = run(&options);
        let error = result.unwrap_err();
        assert!(error.contains("journal.sqlite: roof: station: air_temperature jumps to and fro"), "{error}");
        assert!(error.ends_with("--station \"roof\" --sure station"), "{error}");
        let (result, _) = run(&TrainOptions { sure: vec!["station".to_owned()], ..options });
        assert_eq!(result, Ok(()));
    }

    #[test]
    fn local_time_that_was_called_utc_is_noticed_in_the_journal_by_a_sun_that_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let entries = (0..24 * 40).map(|hour| reading(at(hour), celsius(at(hour), 5.0)));
        let options = journal(folder.path(), entries.collect());
        let (result, _) = run(&options);
        let error = result.unwrap_err();
        assert!(error.contains(": roof: time: ") && error.contains("about 5 hours too late"), "{error}");
        // The middle of a country may be hours from the station.
        assert_eq!(run(&TrainOptions { is_place_rough: true, ..options.clone() }).0, Ok(()));
        assert_eq!(run(&TrainOptions { sure: vec!["time".to_owned()], ..options }).0, Ok(()));
    }

    #[test]
    fn what_a_station_measured_at_the_place_before_is_left_out_and_that_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let moved_at = at(24 * 20);
        let name = StationName::new("roof").unwrap();
        let model = Artefact::parse(&base().0).unwrap().description();
        let mut station = Station::new(name.clone(), Arc::new(model));
        station.sight(at(0), Place::from_payload(Site::new(-3.0, 12.5)));
        for hours_before in [2, 1, 0] {
            station.sight(moved_at - SignedDuration::from_hours(hours_before), Place::from_payload(SITE));
        }
        let mut entries: Vec<Entry> = (0..24 * 60)
            .map(|hour| reading(at(hour), if at(hour) < moved_at { 28.0 } else { celsius(at(hour), 0.0) }))
            .collect();
        entries.push(Entry::State {
            station: name,
            state: station.state(),
            readings_from: moved_at,
            forecasts_from: moved_at,
            active_at: moved_at,
        });
        let options = journal(folder.path(), entries);
        let (result, notes) = run(&TrainOptions { latitude: None, longitude: None, ..options });
        assert_eq!(result, Ok(()));
        let said = format!("it stands where it does since {moved_at}; older readings are of another place");
        assert!(notes.contains(&said), "{notes:?}");
        let record = format!("roof: {} readings from {moved_at} to ", 24 * 40);
        assert!(notes.iter().any(|note| note.starts_with(&record)), "{notes:?}");
    }
}
