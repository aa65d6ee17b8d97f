//! A daemon with stations that have sent readings up to now.

use forecastd_testkit::artefact;
use forecastd_testkit::client::Client;
use forecastd_testkit::mosquitto::{Mosquitto, Options};
use forecastd_testkit::patience::until;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::support::installation::{Daemon, Installation};

/// Samples of the model's window, an hour apart.
pub(crate) const SAMPLES: usize = 3;
/// The model says so much more for each hour ahead, °C.
pub(crate) const CHANGE_C: f64 = 0.5;
/// What the model's interval reaches to either side, °C.
pub(crate) const HALF_WIDTH_C: f64 = 1.5;

pub(crate) struct World {
    pub(crate) daemon: Daemon,
    pub(crate) home: Client,
    /// The last full hour.
    pub(crate) now: Timestamp,
    pub(crate) installation: Installation,
    pub(crate) mosquitto: Mosquitto,
}

impl World {
    pub(crate) async fn start() -> World {
        World::start_with(|installation| installation).await
    }

    pub(crate) async fn start_with(settings: impl FnOnce(Installation) -> Installation) -> World {
        let mosquitto = Mosquitto::start(&Options::default());
        let home = Client::connect(&mosquitto, "home", &["forecast/#"]).await;
        let model = artefact::trend_file_with_interval(SAMPLES, CHANGE_C as f32, HALF_WIDTH_C as f32);
        let installation = settings(Installation::new(mosquitto.port(), &model));
        let daemon = installation.start().await;
        let now = Timestamp::from_second(Timestamp::now().as_second() / 3600 * 3600).unwrap();
        World { daemon, home, now, installation, mosquitto }
    }

    /// A time so many hours before the last full one.
    pub(crate) fn ago(&self, hours: i64) -> Timestamp {
        self.now - SignedDuration::from_hours(hours)
    }

    /// A station sends what it measured.
    pub(crate) async fn read(&self, station: &str, time: Timestamp, temperature_c: f64) {
        let pressure_hpa = 1000.0 + (time.as_second() / 3600).rem_euclid(1000) as f64 / 100.0;
        let reading = format!(
            r#"{{"time":"{time}","air_temperature_c":{temperature_c},"air_pressure_hpa":{pressure_hpa}}}"#
        );
        self.home.hand_in(&format!("weather/{station}/reading"), reading).await;
    }

    /// A station sends a reading for every hour from so many hours ago up to now, and the daemon has it all.
    pub(crate) async fn fill(&self, station: &str, hours: i64, temperature_c: impl Fn(i64) -> f64) {
        for hour in (0..=hours).rev() {
            self.read(station, self.ago(hour), temperature_c(hour)).await;
        }
        let newest = self.now.to_string();
        self.reaches(&format!("/api/v1/stations/{}", encoded(station)), |answer| {
            let forecast = &answer["forecast"];
            // With fewer readings than the window has samples there is none of the model.
            forecast["issued_at"] == newest.as_str()
        })
        .await;
    }

    /// The daemon starts anew, and knows of its stations no more than what they sent, and when: one that sent nothing for hours is
    /// then stale.
    pub(crate) async fn restart_without_states(&mut self) {
        self.daemon.signal("TERM");
        assert!(self.daemon.ended().await.success());
        let journal = rusqlite::Connection::open(self.installation.journal_path()).unwrap();
        journal.execute("UPDATE station SET state = NULL, active_at = NULL", []).unwrap();
        drop(journal);
        self.daemon = self.installation.start().await;
    }

    /// The same, and what it forecast is not known any more.
    pub(crate) async fn restart_with_readings_alone(&mut self) {
        self.daemon.signal("TERM");
        assert!(self.daemon.ended().await.success());
        let journal = rusqlite::Connection::open(self.installation.journal_path()).unwrap();
        journal
            .execute_batch(
                "UPDATE station SET state = NULL, active_at = NULL, forecasts_from = NULL;
                 DELETE FROM stored_forecast; DELETE FROM experts;",
            )
            .unwrap();
        drop(journal);
        self.daemon = self.installation.start().await;
    }

    /// A JSON answer.
    pub(crate) fn json(&self, path: &str) -> Value {
        let (status, body) = self.daemon.get(path);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
    }

    /// Waits until the answer is as wanted.
    pub(crate) async fn reaches(&self, path: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
        let look = || {
            let (status, body) = self.daemon.get(path);
            let answer: Value = serde_json::from_str(&body).ok().filter(|_| status == 200)?;
            is_wanted(&answer).then_some(answer)
        };
        until(|| format!("{path}: {:?}", self.daemon.get(path)), look).await
    }

    /// The address of the page, or of a station's.
    pub(crate) fn page(&self, station: Option<&str>) -> String {
        let query = station.map_or_else(String::new, |station| format!("?station={}", encoded(station)));
        format!("http://{}/{query}", self.daemon.address())
    }
}

/// A name as it stands in addresses.
pub(crate) fn encoded(name: &str) -> String {
    name.bytes()
        .map(
            |byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            },
        )
        .collect()
}
