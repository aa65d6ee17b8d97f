//! Runs the daemon inside a program of one's own: a configuration goes in, every forecast comes out as a value, beside what is
//! published over MQTT.
//!
//! ```text
//! cargo run --release --example embed_the_daemon -- HOST
//! mosquitto_pub -h HOST -t weather/roof/reading -m '{"time": "'$(date -u +%FT%TZ)'", "air_temperature_c": 4.2}'
//! ```

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::path::Path;
use std::process::ExitCode;

use forecastd::config::Config;
use forecastd::daemon::{self, Overrides};
use forecastd::operations::events::Notice;
use tokio::sync::mpsc;

fn main() -> ExitCode {
    let first = std::env::args().nth(1);
    // The daemon runs each network in a process of its own, which is this program started once more.
    if first.as_deref() == Some("engine") {
        return forecastd_model::serve_engine();
    }
    let host = first.unwrap_or_else(|| "localhost".to_owned());
    // As in a file: what is not said has the default of deploy/forecastd.toml.
    let text = format!(
        "mqtt.host = \"{host}\"\njournal.enabled = false\n[site]\nlatitude_deg = 50.9\nlongitude_deg = 11.6\n"
    );
    let config = match Config::from_text(&text, Path::new(""), std::env::vars_os()) {
        Ok(config) => config,
        Err(faults) => {
            faults.iter().for_each(|fault| println!("{fault}"));
            return ExitCode::FAILURE;
        }
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    match runtime.block_on(run(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(config: Config) -> Result<(), daemon::DaemonError> {
    let (sender, mut notices) = mpsc::unbounded_channel();
    let overrides = Overrides { notices: Some(sender), ..Overrides::default() };
    tokio::spawn(async move {
        while let Some(notice) = notices.recv().await {
            if let Notice::Issued { forecast, .. } = notice
                && let Some(lead) = forecast.at(24)
            {
                println!("{}: {:.1} °C at {}", forecast.station, lead.temperature_c, lead.valid_at);
            }
        }
    });
    // Whoever holds the other end asks for the model to be loaded anew.
    let (_reload, reloads) = mpsc::unbounded_channel();
    let interrupted = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    daemon::run(config, overrides, reloads, interrupted).await
}
