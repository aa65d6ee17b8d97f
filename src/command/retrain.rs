//! A model of its own for every station that has enough history: the model for any place, gone on from with what the journal
//! holds of the station. It joins the experts beside the one before (`own_models`), which has earned its weight. What gains
//! nothing on blocks that were left out is not written, and what the daemon would have no room for is not trained.

mod own_models;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use forecastd_atomic_file::{self as atomic_file, WriteError};
use forecastd_core::{Place, Precision, Recall, Restored, StationName};
use forecastd_journal::JournalError;
use forecastd_model::{Artefact, ArtefactError};
use forecastd_train::{OwnGain, TrainError, TrainOptions, run};

use jiff::Timestamp;

use crate::BUILT_IN;
use crate::config::Config;
use crate::error_chain::chain;
use own_models::{FileName, OwnModels};

/// Why nothing can be trained.
#[derive(Debug, thiserror::Error)]
pub enum RetrainError {
    /// There is nothing to train on.
    #[error("journal.enabled is false: there is no history to train on")]
    NoJournal,
    /// There is no folder for the models.
    #[error("model.folder is empty: there is nowhere to put a station's model")]
    NoFolder,
    /// No station would use them.
    #[error("forecast.experts is false: the daemon would use no station's model")]
    NoExperts,
    /// The journal cannot be read.
    #[error("journal {path}", path = .path.display())]
    Journal {
        /// The journal's file.
        path: PathBuf,
        /// What the journal says.
        source: JournalError,
    },
    /// The folder may not be written to.
    #[error(
        "model.folder {path}, where the models go, cannot be written to; name another one in [model], such as \
         folder = \"/var/lib/forecastd/models.d\"", path = .path.display()
    )]
    Folder {
        /// The folder of the configuration.
        path: PathBuf,
        /// What the trial to write into it gave.
        source: WriteError,
    },
    /// The folder cannot be read, or what is said not written.
    #[error("{path}", path = .path.display())]
    Io {
        /// Which folder or file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The main model cannot be read.
    #[error("model {path}", path = .path.display())]
    Model {
        /// The model's file.
        path: PathBuf,
        /// What is wrong with the file.
        source: Box<ArtefactError>,
    },
    /// Nothing came of any training.
    #[error("none of {0} trainings came to a good end")]
    AllFailed(usize),
    /// It was interrupted.
    #[error("interrupted")]
    Interrupted,
}

/// The outcome for one station.
#[derive(Debug)]
enum Outcome {
    /// A model was written, which gains this.
    Written(PathBuf, Option<OwnGain>),
    /// A model was learned that gains nothing, and not written.
    NoGain(OwnGain),
    /// There is none, for this reason.
    Kept(String),
    /// The training came to no good end, for this reason.
    Failed(String),
}

/// Trains for every station of the journal, one after the other, and says a line for each. `now` is the time, whose month is
/// in the names of what is written.
///
/// # Errors
/// [`RetrainError`] when nothing can be trained at all, or every training fails; what goes wrong with one station costs no other.
pub fn retrain(
    config: &Config,
    now: Timestamp,
    interrupted: &AtomicBool,
    output: &mut dyn Write,
) -> Result<(), RetrainError> {
    if !config.journal.enabled {
        return Err(RetrainError::NoJournal);
    }
    let folder = config.model.folder.clone().ok_or(RetrainError::NoFolder)?;
    if !config.forecast.experts {
        return Err(RetrainError::NoExperts);
    }
    let journal = &config.journal.path;
    let stations = forecastd_journal::stations(journal)
        .map_err(|source| RetrainError::Journal { path: journal.clone(), source })?;
    // Before hours of work whose result could not be kept.
    atomic_file::check_writable(&folder.join("any"))
        .map_err(|source| RetrainError::Folder { path: folder.clone(), source })?;
    let mut models =
        OwnModels::read(&folder).map_err(|source| RetrainError::Io { path: folder.clone(), source })?;
    let from = base(config)?;
    let (mut trained, mut failed) = (0, 0);
    for station in &stations {
        if interrupted.load(Ordering::Relaxed) {
            return Err(RetrainError::Interrupted);
        }
        let name = FileName::new(station, now);
        let place = config.places.of(station);
        let outcome = match no_room(&models, &name, config.model.specialists_max) {
            Some(reason) => Outcome::Kept(reason),
            None => train_one(config, station, &name, place, from.as_deref(), &folder, interrupted)?,
        };
        match outcome {
            Outcome::Written(..) | Outcome::NoGain(..) => trained += 1,
            Outcome::Failed(_) => failed += 1,
            Outcome::Kept(_) => {}
        }
        let line = match outcome {
            Outcome::Written(path, gain) => {
                let gain = gain.map_or_else(String::new, |gain| format!(": {gain}"));
                let beside = beside(&mut models, &name);
                format!("{station}: written to {}{gain}{beside}", path.display())
            }
            Outcome::NoGain(gain) => {
                let stays =
                    models.newest(&name).map_or_else(String::new, |newest| format!("; {newest} stays"));
                format!("{station}: not written, as it gains too little: {gain}{stays}")
            }
            Outcome::Kept(reason) => format!("{station}: {reason}"),
            Outcome::Failed(reason) => format!("{station}: not trained: {reason}"),
        };
        let written = writeln!(output, "{line}");
        written.map_err(|source| RetrainError::Io { path: "standard output".into(), source })?;
    }
    if failed > 0 && trained == 0 { Err(RetrainError::AllFailed(failed)) } else { Ok(()) }
}

/// Why the daemon would not use another model of a station, if it would not.
fn no_room(models: &OwnModels, name: &FileName, most: usize) -> Option<String> {
    let files = models.len();
    (!models.has_room(name, most)).then(|| {
        format!(
            "not trained, as the daemon would not use its model: model.folder has {files} files, and \
             model.specialists_max is {most}"
        )
    })
}

/// What happens to the station's other models now that there is a new one, as clauses.
fn beside(models: &mut OwnModels, name: &FileName) -> String {
    let removed = models.written(name);
    let mut clauses =
        models.before(name).map_or_else(String::new, |before| format!("; {before} stays beside it"));
    clauses += &match removed {
        Ok(removed) => removed.iter().map(|file| format!("; {file} is removed")).collect(),
        Err((file, error)) => format!("; {file} cannot be removed: {error}"),
    };
    clauses
}

/// The file of the main model, to go on from; none where that is built in, or for one place alone.
fn base(config: &Config) -> Result<Option<PathBuf>, RetrainError> {
    let Some(path) = config.model.path.path() else { return Ok(None) };
    let artefact = Artefact::read(path)
        .map_err(|source| RetrainError::Model { path: path.to_owned(), source: Box::new(source) })?;
    Ok(artefact.manifest.window.site.is_none().then(|| path.to_owned()))
}

fn train_one(
    config: &Config,
    station: &StationName,
    name: &FileName,
    place: Option<Place>,
    from: Option<&Path>,
    folder: &Path,
    interrupted: &AtomicBool,
) -> Result<Outcome, RetrainError> {
    // What is known best goes first, and the configuration where both know it as well; what the station's payload says the
    // trainer finds in the journal.
    let reported = match reported_precision(&config.journal.path, station) {
        Ok(reported) => reported,
        Err(error) => return Ok(Outcome::Failed(chain(&error))),
    };
    let goes_first = |place: &Place| reported.is_none_or(|reported| place.precision <= reported);
    let site = match (place.filter(goes_first), reported) {
        (Some(Place { site, .. }), _) => Some(site),
        (None, Some(_)) => None,
        (None, None) => {
            let wanted =
                "[station.NAME] or [site], or latitude_deg and longitude_deg, or a time_zone, in its payload";
            return Ok(Outcome::Kept(format!("it is not known where it stands: {wanted}")));
        }
    };
    let out = folder.join(name.file());
    let options = TrainOptions {
        experiment: vec!["own".to_owned()],
        from: from.map(Path::to_owned),
        built_in: Some(BUILT_IN),
        journal: Some(config.journal.path.clone()),
        station: Some(station.to_string()),
        latitude: site.map(|site| site.latitude_deg),
        longitude: site.map(|site| site.longitude_deg),
        elevation: site.and_then(|site| site.elevation_m),
        is_place_rough: site.is_some() && place.is_some_and(|place| place.precision != Precision::Given),
        name: Some(name.model()),
        out: Some(out.clone()),
        ..TrainOptions::default()
    };
    Ok(match run(&options, interrupted, &mut ()) {
        Ok(summary) => Outcome::Written(out, summary.own),
        Err(TrainError::Interrupted(_)) => return Err(RetrainError::Interrupted),
        Err(TrainError::NoOwnGain(gain)) => Outcome::NoGain(gain),
        Err(
            error @ (TrainError::TooLittle { .. } | TrainError::NoStation { .. } | TrainError::Record(_)),
        ) => Outcome::Kept(chain(&error)),
        Err(error) => Outcome::Failed(chain(&error)),
    })
}

/// How well the journal knows where a station stands, if it does.
fn reported_precision(journal: &Path, station: &StationName) -> Result<Option<Precision>, JournalError> {
    let never = Timestamp::MAX;
    let wanted = Recall { station: station.clone(), readings_from: never, forecasts_from: never };
    let found = forecastd_journal::recall(journal, &[wanted])?;
    let reported = found.first().and_then(Restored::reported_place);
    Ok(reported.map(|reported| reported.place.precision))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use forecastd_core::{Batch, Entry, Quantity, Site, Values, WindowSpec};
    use forecastd_journal::{Journal, Observer, Retention, Store};
    use forecastd_testkit::artefact;

    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_700_000_000, 0);

    fn config(folder: &Path, model: &Path) -> Config {
        let text = format!(
            "[journal]\npath = {:?}\n[model]\npath = {model:?}\nfolder = {:?}\n[station.roof]\nlatitude_deg = 41.5\n\
             longitude_deg = 12.5\n",
            folder.join("journal.sqlite"),
            folder.join("models.d"),
        );
        let nothing: [(&str, &str); 0] = [];
        Config::from_text(&text, folder, nothing).unwrap()
    }

    /// A journal that holds one reading of the station `roof`.
    fn journal(folder: &Path) {
        let station = StationName::new("roof").unwrap();
        let time = Timestamp::from_second(978_307_200).unwrap();
        let mut values = Values::NONE;
        values.set(Quantity::AirTemperature, 10.0);
        let retention = Retention { readings_days: 36_500, forecasts_days: 60 };
        let store = Store::new(&folder.join("journal.sqlite"));
        let writer = Journal::start(store, retention, Silent).unwrap();
        writer.write(Batch {
            id: 1,
            entries: vec![Entry::Reading { station, time, values, slot_begins: time }],
        });
        writer.close(Duration::from_secs(60)).unwrap();
    }

    struct Silent;

    impl Observer for Silent {
        fn committed(&self, _: u64, _: usize, _: Duration) {}

        fn failed(&self, error: &JournalError, _: u64, _: usize, _: usize) {
            panic!("{error}");
        }

        fn recreated(&self) {}

        fn size(&self, _: u64) {}
    }

    #[test]
    fn a_main_model_for_one_place_is_not_gone_on_from() {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        let folder = tempfile::tempdir().unwrap();
        let from = |name: &str| base(&config(folder.path(), &models.join(name))).unwrap();
        assert_eq!(from("jena.onnx"), None);
        assert_eq!(from("world.onnx"), Some(models.join("world.onnx")));
    }

    #[test]
    fn a_run_of_which_every_training_fails_or_is_interrupted_is_no_success() {
        let folder = tempfile::tempdir().unwrap();
        journal(folder.path());
        // A model for any place that is none of the experiment world.
        let model = folder.path().join("other.onnx");
        let spec = WindowSpec { site: None, ..artefact::spec(6) };
        let manifest = artefact::manifest(spec);
        let bytes = Artefact::assemble(artefact::trend_graph(&manifest, 0.1), &manifest).unwrap();
        std::fs::write(&model, bytes).unwrap();
        let config = config(folder.path(), &model);
        let mut said = Vec::new();
        let error = retrain(&config, NOW, &AtomicBool::default(), &mut said).unwrap_err();
        let said = String::from_utf8(said).unwrap();
        assert!(matches!(error, RetrainError::AllFailed(1)), "{error}: {said}");
        assert!(said.contains("roof: not trained: --from ") && said.contains("other.onnx"), "{said}");

        // As where it comes while the last station is trained.
        let (station, place) = (StationName::new("roof").unwrap(), Place::given(Site::new(41.5, 12.5)));
        let interrupted = AtomicBool::new(true);
        let name = FileName::new(&station, NOW);
        let outcome = train_one(&config, &station, &name, Some(place), None, folder.path(), &interrupted);
        assert!(matches!(outcome, Err(RetrainError::Interrupted)), "{outcome:?}");
    }

    #[test]
    fn a_folder_that_cannot_be_written_to_is_said_before_anything_is_trained() {
        let folder = tempfile::tempdir().unwrap();
        journal(folder.path());
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/world.onnx");
        let mut config = config(folder.path(), &models);
        // A folder that is there, and one that cannot be.
        for path in ["/proc/self", "/proc/self/status/models.d"] {
            config.model.folder = Some(path.into());
            let error = retrain(&config, NOW, &AtomicBool::default(), &mut Vec::new()).unwrap_err();
            assert!(matches!(error, RetrainError::Folder { .. }), "{error}");
            let said = chain(&error);
            assert!(said.starts_with(&format!("model.folder {path}, ")), "{said}");
            assert!(said.contains("folder = \"/var/lib/forecastd/models.d\": "), "{said}");
        }
    }

    #[test]
    fn what_the_daemon_would_not_use_is_not_trained() {
        let folder = tempfile::tempdir().unwrap();
        journal(folder.path());
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/world.onnx");
        let mut config = config(folder.path(), &models);
        let run = |config: &Config| {
            let mut said = Vec::new();
            retrain(config, NOW, &AtomicBool::default(), &mut said).map(|()| String::from_utf8(said).unwrap())
        };
        let specialists = folder.path().join("models.d");
        std::fs::create_dir(&specialists).unwrap();
        std::fs::write(specialists.join("zoo.onnx"), b"a model").unwrap();
        let is_tried = |said: &str| said.contains("are too little to train on");
        config.model.specialists_max = 2;
        let said = run(&config).unwrap();
        assert!(is_tried(&said), "{said}");
        config.model.specialists_max = 1;
        let said = run(&config).unwrap();
        assert!(!is_tried(&said) && said.starts_with("roof: not trained"), "{said}");
        assert!(said.contains("has 1 files, and model.specialists_max is 1"), "{said}");
        // Its own of this month is replaced, however full the folder is.
        std::fs::write(specialists.join("roof.2023-11.onnx"), b"a model").unwrap();
        let said = run(&config).unwrap();
        assert!(is_tried(&said), "{said}");
        config.forecast.experts = false;
        assert!(matches!(run(&config), Err(RetrainError::NoExperts)));
    }
}
