//! What a start reads from the journal. A journal that cannot be read is no reason not to start.

use forecastd_core::{Batch, Entry, Models};
use forecastd_journal::{Journal, JournalError, Opened, RestoreLimits, RestoreReport, Retention, Store};
use jiff::{SignedDuration, Timestamp};
use tracing::{error, warn};

use super::intentions::{Intentions, union};
use super::observers::JournalWatch;
use crate::config::{Config, HomeAssistantSettings};

/// The random part of the client id that was drawn at the first start.
const CLIENT_ID: &str = "mqtt.client_id";
/// The filters that are subscribed to at the broker, or may be, one a line.
const FILTERS: &str = "topics.reading";
/// The prefixes under which Home Assistant is told of stations, or was and still hears it, one a line.
const DISCOVERY_PREFIXES: &str = "home_assistant.prefix";
/// The batch of settings, before those of the service.
pub(super) const SETTINGS_BATCH: u64 = 0;

/// What a start reads from the journal.
pub(super) struct Memory {
    /// The journal, if there is to be one.
    pub(super) journal: Option<Journal>,
    /// What the journal holds of the stations, and what of it could not be read.
    pub(super) restored: RestoreReport,
    /// The client id: configured, or drawn once and kept.
    pub(super) client_id: String,
    /// Filters that were subscribed to before and are not wanted any more.
    pub(super) obsolete: Vec<String>,
    /// Prefixes under which Home Assistant was told of stations before, and is not any more.
    pub(super) withdrawn: Vec<String>,
    /// What is to be written once that is so at the broker.
    pub(super) intentions: Intentions,
}

impl Memory {
    /// Opens the journal and reads it, on a thread where that may wait.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(super) async fn read(
        config: &Config,
        models: &Models,
        watch: JournalWatch,
    ) -> std::io::Result<Memory> {
        let config = config.clone();
        let limits = restore_limits(&config, models);
        let read = move || read(&config, limits, watch);
        match tokio::task::spawn_blocking(read).await {
            Ok(memory) => memory,
            Err(error) => Err(std::io::Error::other(error)),
        }
    }
}

fn read(config: &Config, limits: RestoreLimits, watch: JournalWatch) -> std::io::Result<Memory> {
    let random = || crate::config::new_client_id(&mut rand::rng());
    let configured = Some(config.mqtt.client_id.clone()).filter(|client_id| !client_id.is_empty());
    if !config.journal.enabled {
        let client_id = configured.unwrap_or_else(random);
        let restored = RestoreReport::default();
        return Ok(Memory {
            journal: None,
            restored,
            client_id,
            obsolete: Vec::new(),
            withdrawn: Vec::new(),
            intentions: Intentions::default(),
        });
    }
    let mut store = Store::new(&config.journal.path);
    let restored = restore(&mut store, limits, &watch);
    let kept = |store: &mut Store, key: &str| store.setting(key).ok().flatten();
    let mut entries = Vec::new();
    let mut keep = |key: &str, value: &str| {
        entries.push(Entry::Setting { key: key.to_owned(), value: value.to_owned() });
    };
    let client_id = configured.or_else(|| kept(&mut store, CLIENT_ID)).unwrap_or_else(|| {
        let drawn = random();
        keep(CLIENT_ID, &drawn);
        drawn
    });
    let lines = |store: &mut Store, key: &str| -> Vec<String> {
        kept(store, key).unwrap_or_default().lines().map(str::to_owned).collect()
    };
    // Until the broker has done it, the journal has both what was wanted before and what is now.
    let mut change = |store: &mut Store, key: &str, now: Vec<String>| {
        let before = lines(store, key);
        if before == now {
            return (Vec::new(), None);
        }
        keep(key, &union(&before, &now));
        let done = Entry::Setting { key: key.to_owned(), value: now.join("\n") };
        let gone: Vec<String> = before.into_iter().filter(|own| !now.contains(own)).collect();
        let done = (!gone.is_empty()).then_some(done);
        (gone, done)
    };
    let mut filters = config.filters();
    filters.extend(config.live_filters());
    let (obsolete, subscribed) = change(&mut store, FILTERS, filters);
    let HomeAssistantSettings { discovery, prefix, .. } = &config.home_assistant;
    let told: Vec<String> = discovery.then(|| prefix.clone()).into_iter().collect();
    let (withdrawn, is_withdrawn) = change(&mut store, DISCOVERY_PREFIXES, told);
    let intentions = Intentions { subscribed, withdrawn: is_withdrawn };
    let retention = Retention {
        readings_days: config.journal.keep_days,
        forecasts_days: config.journal.keep_forecasts_days,
    };
    let journal = Journal::start(store, retention, watch)?;
    if !entries.is_empty() {
        journal.write(Batch { id: SETTINGS_BATCH, entries });
    }
    Ok(Memory { journal: Some(journal), restored, client_id, obsolete, withdrawn, intentions })
}

fn restore_limits(config: &Config, models: &Models) -> RestoreLimits {
    let manifest = &models.main().manifest;
    let max_lead_h = manifest.max_lead_h();
    let max_ahead = SignedDuration::from_secs(config.stations.max_reading_ahead_s as i64);
    RestoreLimits {
        max_stations: config.stations.max,
        history_s: models.history_slots() as i64 * i64::from(manifest.window.grid_step_s),
        forecasts_s: i64::from(max_lead_h + 1) * 3600,
        not_after: Timestamp::now().checked_add(max_ahead).unwrap_or(Timestamp::MAX),
    }
}

fn restore(store: &mut Store, limits: RestoreLimits, watch: &JournalWatch) -> RestoreReport {
    let failed = |error: &JournalError| {
        watch.unusable(error);
        RestoreReport::default()
    };
    match store.open() {
        Ok(Opened::Existing) => {}
        Ok(Opened::Recreated { aside }) => {
            let (path, aside) = (store.path().display(), aside.display());
            error!(%path, %aside, "journal is damaged: moved aside, a new one begun");
        }
        Err(error) => return failed(&error),
    }
    match store.restore(limits) {
        Ok(report) => {
            if let Some(aside) = &report.damaged {
                error!(aside = %aside.display(), "journal is damaged: moved aside, what could be read is in a new one");
            }
            if report.skipped_rows > 0 {
                watch.rows_skipped(report.skipped_rows);
                warn!(rows = report.skipped_rows, "rows of the journal cannot be and are skipped");
            }
            report
        }
        Err(error) => failed(&error),
    }
}
