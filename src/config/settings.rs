//! The sections of the configuration that belong to no other module. `deploy/forecastd.toml` explains every key.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};

use super::topic::TopicTemplate;
use crate::ModelLocation;
use forecastd_core::{Place, PlaceError, Site};
use forecastd_model::EngineChoice;

/// `[topics]`: where readings come from and where forecasts go.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topics {
    /// The topics that readings arrive on.
    pub reading: TopicTemplate,
    /// Forecasts out, by station.
    pub forecast: TopicTemplate,
    /// Whether a station is ready, by station.
    pub station_status: TopicTemplate,
    /// How good past forecasts were, by station.
    pub verification: TopicTemplate,
    /// Whether the daemon is online; without `{station}`.
    pub status: TopicTemplate,
}

impl Topics {
    /// Each template with its name in `[topics]`.
    pub(super) fn by_key(&self) -> [(&'static str, &TopicTemplate); 5] {
        [
            ("reading", &self.reading),
            ("forecast", &self.forecast),
            ("station_status", &self.station_status),
            ("verification", &self.verification),
            ("status", &self.status),
        ]
    }
}

/// `[model]`: which models, and what computes them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSettings {
    /// Where the model is, as configured; [`super::Config::load`] makes a relative path that of the file found.
    pub path: ModelLocation,
    /// The folder of specialists; none = there are none.
    #[serde(deserialize_with = "path_or_none")]
    pub folder: Option<PathBuf>,
    /// So many of its files are used at most.
    pub specialists_max: usize,
    /// Whether a model that is for one site runs for stations that stand elsewhere.
    pub anywhere: bool,
    /// What computes the model.
    pub engine: EngineChoice,
    /// The ONNX Runtime library; none = found by `ORT_DYLIB_PATH` or beside the program.
    #[serde(deserialize_with = "path_or_none")]
    pub onnxruntime_library: Option<PathBuf>,
    /// Seconds between two looks whether the file, or one of the folder, has changed; 0 = never.
    pub watch_s: u64,
}

/// Where a relative model path is looked for after the folder of the configuration file.
const MODEL_FOLDERS: [&str; 3] = ["", "/usr/local/share/forecastd", "/usr/share/forecastd"];

impl ModelSettings {
    /// Where the model may be: the path beside the configuration file, in the working directory and in the
    /// folders of installed models. An absolute path is the only one.
    pub fn candidates(path: &Path, folder: &Path) -> Vec<PathBuf> {
        if path.is_absolute() {
            return vec![path.to_owned()];
        }
        let mut candidates = vec![folder.join(path)];
        for folder in MODEL_FOLDERS {
            let candidate = Path::new(folder).join(path);
            if !candidates.contains(&candidate) {
                candidates.push(candidate);
            }
        }
        candidates
    }

    /// The first candidate that exists, or the first of all, where the model is in a file.
    pub(super) fn find(location: &ModelLocation, folder: &Path) -> ModelLocation {
        let ModelLocation::File(path) = location else { return ModelLocation::BuiltIn };
        let mut candidates = ModelSettings::candidates(path, folder);
        let found = candidates.iter().position(|candidate| candidate.exists());
        ModelLocation::File(candidates.swap_remove(found.unwrap_or(0)))
    }
}

/// `[site]` and `[station.NAME]`: where stations stand.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SiteSettings {
    /// The latitude, degrees north; none where the file says `nan`.
    #[serde(deserialize_with = "number_or_none")]
    pub latitude_deg: Option<f64>,
    /// The longitude, degrees east; none where the file says `nan`.
    #[serde(deserialize_with = "number_or_none")]
    pub longitude_deg: Option<f64>,
    /// Metres above sea level.
    #[serde(deserialize_with = "number_or_none")]
    pub elevation_m: Option<f64>,
    /// The time zone, by its IANA name; empty where it is not known.
    pub time_zone: String,
    /// The country, by its code (ISO 3166); empty where it is not known.
    pub country: String,
}

impl SiteSettings {
    /// The place that the keys say; `default` where they do not say one.
    ///
    /// # Errors
    /// The key to blame, and why.
    pub fn place(&self, default: Option<Place>) -> Result<Option<Place>, (&'static str, String)> {
        let place = match (self.latitude_deg, self.longitude_deg) {
            (Some(latitude_deg), Some(longitude_deg)) => {
                Some(Place::given(Site::new(latitude_deg, longitude_deg)))
            }
            (Some(_), None) => return Err(("longitude_deg", "is missing beside latitude_deg".to_owned())),
            (None, Some(_)) => return Err(("latitude_deg", "is missing beside longitude_deg".to_owned())),
            (None, None) if !self.time_zone.is_empty() => {
                Some(Place::of_time_zone(&self.time_zone).map_err(|error| ("time_zone", error.to_string()))?)
            }
            (None, None) if !self.country.is_empty() => {
                Some(Place::of_country(&self.country).map_err(|error| ("country", error.to_string()))?)
            }
            (None, None) => default,
        };
        let Some(mut place) = place else { return Ok(None) };
        place.site.elevation_m = self.elevation_m.or(place.site.elevation_m);
        Ok(Some(place))
    }

    /// What of the place is not looked at, and contradicts what is or cannot be.
    pub fn contradictions(&self) -> Vec<String> {
        let site = self.latitude_deg.zip(self.longitude_deg);
        let site = site.map(|(latitude_deg, longitude_deg)| Site::new(latitude_deg, longitude_deg));
        let mut found = Vec::new();
        let mut add = |key: &str, value: &str, far_km: Result<Option<f64>, PlaceError>| {
            match far_km {
            Ok(None) => {}
            Ok(Some(far_km)) => found.push(format!(
                "latitude_deg and longitude_deg, which count, are {far_km:.0} km from {key} {value:?}: is a sign of them wrong, \
                 or their order?"
            )),
            Err(error) => {
                found.push(format!("{key} is not looked at, as latitude_deg and longitude_deg count: {error}"));
            }
        }
        };
        match (site, self.time_zone.as_str(), self.country.as_str()) {
            (Some(site), zone, country) => {
                if !zone.is_empty() {
                    add("time_zone", zone, Place::far_from_time_zone_km(&site, zone));
                }
                if !country.is_empty() {
                    add("country", country, Place::far_from_country_km(&site, country));
                }
            }
            (None, zone, country) if !zone.is_empty() && !country.is_empty() => {
                if let Ok(of_zone) = Place::country_of_time_zone(zone)
                    && !of_zone.eq_ignore_ascii_case(country)
                {
                    found.push(format!(
                        "time_zone {zone:?}, which counts, is one of {of_zone}: country {country:?} is not looked at"
                    ));
                }
            }
            (None, ..) => {}
        }
        found
    }
}

/// `[forecast]`: what a forecast is made of.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForecastSettings {
    /// Whether a forecast is what models and reference forecasts say together.
    pub experts: bool,
    /// A threshold beside 0 °C of which it is said how likely it becomes colder, °C.
    #[serde(deserialize_with = "number_or_none")]
    pub threshold_c: Option<f64>,
}

/// `[stations]`: how many are served, and for how long without readings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StationSettings {
    /// The most stations served.
    pub max: usize,
    /// A station without a new reading for so long is stale, in seconds.
    pub stale_after_s: u64,
    /// A station without a new reading for so long is served no longer, in days; 0 = never.
    pub idle_days: u32,
    /// How far in the future a reading's time may lie, in seconds.
    pub max_reading_ahead_s: u64,
}

/// `[journal]`: the database of readings and forecasts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalSettings {
    /// Whether there is one.
    pub enabled: bool,
    /// The database file; [`super::Config::load`] fills in what an empty path stands for.
    pub path: PathBuf,
    /// Older readings and scores are removed, in days.
    pub keep_days: u32,
    /// Older forecasts are removed, in days.
    pub keep_forecasts_days: u32,
}

/// `[http]`: metrics, health and the page.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpSettings {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// The most connections at a time.
    pub max_connections: usize,
}

/// `[metrics]`: how many stations have series of their own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricsSettings {
    /// How many stations get series of their own.
    pub station_series_max: usize,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Something was lost or a person is needed.
    Error,
    /// Also what was unexpected, without loss.
    Warn,
    /// Also what an operator wants to know.
    Info,
    /// Also what a developer wants to know.
    Debug,
    /// Also every single step.
    Trace,
}

impl From<LogLevel> for tracing::Level {
    fn from(level: LogLevel) -> tracing::Level {
        match level {
            LogLevel::Error => tracing::Level::ERROR,
            LogLevel::Warn => tracing::Level::WARN,
            LogLevel::Info => tracing::Level::INFO,
            LogLevel::Debug => tracing::Level::DEBUG,
            LogLevel::Trace => tracing::Level::TRACE,
        }
    }
}

/// What a log line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line of text for people.
    Text,
    /// For machines: one JSON object per line.
    Json,
}

/// `[log]`: what is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    /// The least serious level that is logged.
    pub level: LogLevel,
    /// In which format.
    pub format: LogFormat,
}

/// `nan` is no number.
fn number_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let number = f64::deserialize(deserializer)?;
    Ok(number.is_finite().then_some(number))
}

/// An empty text is no path.
fn path_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok((!text.is_empty()).then(|| PathBuf::from(text)))
}
