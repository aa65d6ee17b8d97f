//! The configuration: the shipped default, a TOML file over it, the environment over both.
//!
//! | module | contents |
//! | --- | --- |
//! | `settings` | the sections, typed |
//! | `layer` | what a file or the environment sets, with every fault in it |
//! | `schema` | the keys there are, read from the shipped default |
//! | `rules` | what the value of a key must be, beyond its type |
//! | `home_assistant` | whether Home Assistant is told of the stations, and where |
//! | `topic` | topic templates with `{station}` |
//! | `password` | the broker's password, looked at before a start |
//! | `reference` | the explanation of every key, for manuals |
//! | `diagnostic` | one thing that is wrong |
//! | `suggestion` | what somebody who mistyped a key may have meant |
//!
//! `deploy/forecastd.toml` is built in: it gives every key its default and its explanation, and what does not stand
//! there does not exist. So the documentation cannot fall behind the program.

mod diagnostic;
mod home_assistant;
mod layer;
mod password;
mod reference;
mod rules;
mod schema;
mod settings;
mod suggestion;
#[cfg(test)]
mod tests;
mod topic;

use std::path::{Path, PathBuf};

use rand::Rng;
use rand::distr::Distribution;
use serde::Deserialize;

use forecastd_core::{Places, StationName};
use forecastd_mapping::Source;
use forecastd_mqtt::{MqttSettings, SettingsError, check_filter};

pub use diagnostic::Diagnostic;
pub use home_assistant::{DiscoveryTopics, HomeAssistantSettings};
pub use password::password_diagnostics;
pub use reference::{KeyGroup, reference};
pub use settings::{
    ForecastSettings, HttpSettings, JournalSettings, LogFormat, LogLevel, LogSettings, MetricsSettings,
    ModelSettings, SiteSettings, StationSettings, Topics,
};
pub use topic::{TopicTemplate, TopicTemplateError};

use layer::Layer;
use schema::Schema;

/// The shipped default, with the explanation of every key.
pub const DEFAULT: &str = include_str!("../../deploy/forecastd.toml");

/// What environment variables that set a key begin with: `FORECASTD__MQTT__PORT` sets `mqtt.port`.
pub const ENVIRONMENT_PREFIX: &str = "FORECASTD__";

/// What a client id that the daemon makes for itself begins with; see [`new_client_id`].
const CLIENT_ID_PREFIX: &str = "forecastd-";

/// The journal's file when its path is left empty.
const JOURNAL_FILE: &str = "forecastd.sqlite";

/// The whole configuration. `deploy/forecastd.toml` explains every key.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `[mqtt]`: the broker.
    pub mqtt: MqttSettings,
    /// `[topics]`: where readings come from and where forecasts go.
    pub topics: Topics,
    /// `[site]`: where every station stands that has no place of its own.
    pub site: SiteSettings,
    /// Where stations stand: what `[site]` and every `[station.NAME]` come to.
    #[serde(skip)]
    pub places: Places,
    /// What of them contradicts itself, with the section.
    #[serde(skip)]
    place_contradictions: Vec<String>,
    /// `[model]`: which model, and what computes it.
    pub model: ModelSettings,
    /// `[forecast]`: what a forecast is made of.
    pub forecast: ForecastSettings,
    /// `[stations]`: how many are served, and for how long without readings.
    pub stations: StationSettings,
    /// `[journal]`: the database of readings and forecasts.
    pub journal: JournalSettings,
    /// `[http]`: metrics and health.
    pub http: HttpSettings,
    /// `[home_assistant]`: what Home Assistant is told.
    pub home_assistant: HomeAssistantSettings,
    /// `[metrics]`: how many stations have series of their own.
    pub metrics: MetricsSettings,
    /// `[log]`: what is logged, and how.
    pub log: LogSettings,
    /// Every `[[source]]`: what listens to the messages of other programs.
    #[serde(skip)]
    pub sources: Vec<Source>,
}

impl Config {
    /// The configuration from the file at `path`, if one is given, and the environment (usually
    /// `std::env::vars_os()`; also `STATE_DIRECTORY` is taken from it). Relative paths are resolved: beside the file,
    /// the model also elsewhere ([`ModelSettings::candidates`]), the folder of models in the folder for state, if there is one.
    ///
    /// # Errors
    /// Every fault there is, those of the file first, by line.
    pub fn load<N, V>(
        path: Option<&Path>,
        environment: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Config, Vec<Diagnostic>>
    where
        N: Into<std::ffi::OsString>,
        V: Into<std::ffi::OsString>,
    {
        let text = match path.map(std::fs::read_to_string) {
            None => String::new(),
            Some(Ok(text)) => text,
            Some(Err(error)) => {
                return Err(vec![Diagnostic::of_file(None, format!("cannot be read: {error}"))]);
            }
        };
        let folder = path.and_then(Path::parent).unwrap_or(Path::new(""));
        Config::from_text(&text, folder, environment)
    }

    /// As [`Config::load`], with the text of a file that lies in `folder`.
    ///
    /// # Errors
    /// Every fault there is, those of the file first, by line.
    pub fn from_text<N, V>(
        text: &str,
        folder: &Path,
        environment: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Config, Vec<Diagnostic>>
    where
        N: Into<std::ffi::OsString>,
        V: Into<std::ffi::OsString>,
    {
        // What is no Unicode cannot be a key or a value of ours; such variables belong to others.
        let environment: Vec<(String, String)> = environment
            .into_iter()
            .filter_map(|(name, value)| {
                Some((name.into().into_string().ok()?, value.into().into_string().ok()?))
            })
            .collect();
        let schema = Schema::of_default();
        let mut layers = vec![Layer::of_file(&schema, text), Layer::of_environment(&schema, &environment)];
        let mut diagnostics: Vec<Diagnostic> = Vec::new();
        for layer in &mut layers {
            diagnostics.append(&mut layer.diagnostics);
        }
        let is_toml = diagnostics.iter().all(|diagnostic| !diagnostic.key.is_empty());
        let sources = Source::read_all(text).unwrap_or_else(|found| {
            // Of a file that is no TOML, that was said already.
            for diagnostic in found.into_iter().filter(|_| is_toml) {
                diagnostics.push(Diagnostic {
                    key: "source".to_owned(),
                    line: diagnostic.line,
                    message: diagnostic.message,
                });
            }
            Vec::new()
        });
        // Values with faults are left out, so that the faults between the others come to light at once.
        match merge(&layers) {
            Ok(mut config) => {
                config.sources = sources;
                let faulty: Vec<String> = layers.iter().flat_map(|layer| layer.faulty.clone()).collect();
                for (key, message) in config.contradictions() {
                    let cause_is_known = faulty.iter().any(|known| depends(&key, known));
                    if !cause_is_known {
                        diagnostics.push(locate(&layers, key, message));
                    }
                }
                match places(&config, &layers) {
                    Ok((places, contradictions)) => {
                        config.places = places;
                        config.place_contradictions = contradictions;
                    }
                    Err(mut found) => diagnostics.append(&mut found),
                }
                if diagnostics.is_empty() {
                    config.resolve_paths(folder, &environment);
                    return Ok(config);
                }
            }
            Err(message) => diagnostics.push(Diagnostic::of_file(None, message)),
        }
        diagnostics.sort_by_key(|diagnostic| (diagnostic.line.is_none(), diagnostic.line));
        Err(diagnostics)
    }

    /// Values that are good alone and cannot be together: the key to blame, and why.
    fn contradictions(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut mqtt = self.mqtt.clone();
        if mqtt.client_id.is_empty() {
            // One is made at the first start.
            mqtt.client_id = CLIENT_ID_PREFIX.to_owned();
        }
        for fault in mqtt.faults() {
            found.push(match fault {
                SettingsError::Value { key, reason } => (format!("mqtt.{key}"), reason),
                other => (String::new(), other.to_string()),
            });
        }
        let topics = self.topics.by_key();
        for (index, (key, template)) in topics.iter().enumerate() {
            for (earlier_key, earlier) in &topics[..index] {
                if template.collides_with(earlier) {
                    found.push((
                        format!("topics.{key}"),
                        format!(
                            "\"{template}\" and topics.{earlier_key} \"{earlier}\" can be the same topic"
                        ),
                    ));
                }
            }
        }
        if self.home_assistant.discovery {
            let contradictions = self.home_assistant.contradictions(&self.topics);
            found.extend(
                contradictions.into_iter().map(|message| ("home_assistant.prefix".to_owned(), message)),
            );
        }
        for (index, source) in self.sources.iter().enumerate() {
            if let Some(first) = self.sources[..index].iter().position(|first| first.hides(source)) {
                let message = format!(
                    "{} hears nothing: all its topics are those of {}, which is asked first",
                    shown_source(&self.sources, index),
                    shown_source(&self.sources, first)
                );
                found.push(("source".to_owned(), message));
            }
        }
        for filter in self.sources.iter().flat_map(Source::filters) {
            if let Err(error) = check_filter(&filter) {
                found.push(("source".to_owned(), format!("topic {filter:?}: {error}")));
            }
        }
        found
    }

    /// The topic filters of what Home Assistant says, and of what others tell it in our name.
    pub fn live_filters(&self) -> Vec<String> {
        self.home_assistant.topics().map(|topics| topics.filters()).unwrap_or_default()
    }

    /// The topic filters that the daemon subscribes to: of readings, and of every source.
    pub fn filters(&self) -> Vec<String> {
        let mut filters = self.source_filters();
        filters.insert(0, self.topics.reading.filter());
        filters
    }

    /// The topic filters of the sources, but for one that is that of readings.
    pub fn source_filters(&self) -> Vec<String> {
        let readings = self.topics.reading.filter();
        let mut filters = Vec::new();
        for filter in self.sources.iter().flat_map(Source::filters) {
            if filter != readings && !filters.contains(&filter) {
                filters.push(filter);
            }
        }
        filters
    }

    /// What is not wrong and yet should be known.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = self.mqtt.warnings().iter().map(ToString::to_string).collect();
        if self.places == Places::default() && !self.sources.iter().any(Source::has_place) {
            warnings.push(
                "site: it is not known where the stations stand: a model for any place cannot run; give [site] a \
                 latitude_deg and longitude_deg, or a time_zone"
                    .to_owned(),
            );
        }
        warnings.extend_from_slice(&self.place_contradictions);
        for (index, source) in self.sources.iter().enumerate() {
            if let Some(first) = self.sources[..index].iter().position(|first| first.meets(source)) {
                warnings.push(format!(
                    "source: a message may be of {} and of {}: the former takes it",
                    shown_source(&self.sources, first),
                    shown_source(&self.sources, index)
                ));
            }
        }
        for (precision, count) in self.places.rough() {
            let said = precision.name();
            warnings.push(format!(
                "site: {count} {} known by {said} alone: good enough, but latitude_deg and longitude_deg are better",
                if count == 1 { "place is" } else { "places are" }
            ));
        }
        warnings
    }

    fn resolve_paths(&mut self, folder: &Path, environment: &[(String, String)]) {
        self.model.path = ModelSettings::find(&self.model.path, folder);
        let optional = [
            &mut self.mqtt.ca_file,
            &mut self.mqtt.client_certificate_file,
            &mut self.mqtt.client_key_file,
            &mut self.mqtt.password_file,
            &mut self.model.onnxruntime_library,
        ];
        for path in optional.into_iter().flatten() {
            *path = folder.join(&*path);
        }
        // Models are made there, too, and a service may write nothing beside its configuration.
        let state = state_directory(environment);
        if let Some(path) = &mut self.model.folder {
            *path = state.as_deref().unwrap_or(folder).join(&*path);
        }
        self.journal.path = if self.journal.path.as_os_str().is_empty() {
            state.unwrap_or_default().join(JOURNAL_FILE)
        } else {
            folder.join(&self.journal.path)
        };
    }
}

/// A source for a person: which it is of all, counted from 1, its preset and its topics.
fn shown_source(sources: &[Source], index: usize) -> String {
    let source = &sources[index];
    let preset = source.preset().map_or_else(String::new, |preset| format!("preset {preset:?}, "));
    format!("[[source]] {} ({preset}{})", index + 1, source.filters().join(", "))
}

/// A client id for a daemon whose `mqtt.client_id` is empty: `forecastd-` and twelve random letters and digits, so that no
/// neighbour on the broker can guess it and take the session over.
///
/// 23 bytes at most are what every broker must take (MQTT 5, section 3.1.3.1); this has 22.
pub fn new_client_id(random: &mut impl Rng) -> String {
    let letters = rand::distr::Alphanumeric.sample_iter(random).take(12).map(char::from);
    CLIENT_ID_PREFIX.chars().chain(letters).collect()
}

/// Every fault of the file at `path`, if one is given, and of the environment; empty when [`Config::load`] succeeds.
pub fn check<N, V>(path: Option<&Path>, environment: impl IntoIterator<Item = (N, V)>) -> Vec<Diagnostic>
where
    N: Into<std::ffi::OsString>,
    V: Into<std::ffi::OsString>,
{
    Config::load(path, environment).err().unwrap_or_default()
}

/// Where stations stand, by `[site]` and every `[station.NAME]`, and what of that contradicts itself.
fn places(config: &Config, layers: &[Layer]) -> Result<(Places, Vec<String>), Vec<Diagnostic>> {
    let mut diagnostics = Vec::new();
    let of_site = config.site.contradictions().into_iter().map(|message| format!("site: {message}"));
    let mut contradictions: Vec<String> = of_site.collect();
    let mut places = Places::default();
    match config.site.place(None) {
        Ok(place) => places.default = place,
        Err((key, message)) => diagnostics.push(locate(layers, format!("site.{key}"), message)),
    }
    for (name, entries) in layers.iter().flat_map(|layer| &layer.stations) {
        let mut table = config::Map::new();
        for entry in entries {
            table.insert(entry.key.clone(), entry.value.clone());
        }
        let settings = config::Value::new(None, config::ValueKind::Table(table));
        let diagnostic = |key: &str, message: String| {
            let own = entries.iter().find(|entry| entry.key == key).or(entries.first());
            let line = own.and_then(|entry| entry.line);
            Diagnostic { key: format!("station.{name}.{key}"), line, message }
        };
        let settings: SiteSettings = match settings.try_deserialize() {
            Ok(settings) => settings,
            Err(error) => {
                diagnostics.push(diagnostic("", error.to_string()));
                continue;
            }
        };
        let of_station = settings.contradictions().into_iter();
        contradictions.extend(of_station.map(|message| format!("station.{name}: {message}")));
        match (settings.place(places.default), StationName::new(name)) {
            (Ok(Some(place)), Ok(name)) => {
                places.stations.insert(name, place);
            }
            (Ok(_), _) => {}
            (Err((key, message)), _) => diagnostics.push(diagnostic(key, message)),
        }
    }
    if diagnostics.is_empty() { Ok((places, contradictions)) } else { Err(diagnostics) }
}

/// The default with the layers over it, later ones over earlier ones.
fn merge(layers: &[Layer]) -> Result<Config, String> {
    let default = config::File::from_str(DEFAULT, config::FileFormat::Toml);
    let mut builder = config::Config::builder().add_source(default);
    for entry in layers.iter().flat_map(|layer| &layer.entries) {
        builder = builder.set_override(&entry.key, entry.value.clone()).map_err(|error| error.to_string())?;
    }
    let merged = builder.build().map_err(|error| error.to_string())?;
    merged.try_deserialize().map_err(|error| error.to_string())
}

/// The fault of `key` where it was set last; a key that nobody set is blamed by its name.
fn locate(layers: &[Layer], key: String, message: String) -> Diagnostic {
    let entry = layers.iter().rev().flat_map(|layer| &layer.entries).find(|entry| entry.key == key);
    match entry {
        Some(entry) => Diagnostic { key: entry.name.clone(), line: entry.line, message },
        None => Diagnostic { key, line: None, message },
    }
}

/// Whether a contradiction blamed on `key` may only come from `faulty` having been left out.
fn depends(key: &str, faulty: &str) -> bool {
    key == faulty
        || matches!(
            (key, faulty),
            ("mqtt.ca_file" | "mqtt.client_certificate_file", "mqtt.tls")
                | ("mqtt.client_key_file", "mqtt.client_certificate_file")
                | ("mqtt.client_certificate_file", "mqtt.client_key_file")
                | ("mqtt.reconnect_max_s", "mqtt.reconnect_min_s")
                | ("mqtt.password", "mqtt.password_file")
        )
        || (key.starts_with("topics.") && faulty.starts_with("topics."))
}

/// The folder for state that systemd gives: the first, when it names several.
fn state_directory(environment: &[(String, String)]) -> Option<PathBuf> {
    let (_, folders) = environment.iter().find(|(name, _)| name == "STATE_DIRECTORY")?;
    folders.split(':').next().filter(|first| !first.is_empty()).map(PathBuf::from)
}
