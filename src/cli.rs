//! The command line: arguments and the one call that each of them is.

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use tokio::sync::mpsc;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use forecastd::command::replay::ReplayOptions;
use forecastd::config::{self, Config, LogFormat, LogLevel, LogSettings};
#[cfg(feature = "demo")]
use forecastd::demo::{self, DemoOptions, fetch};
use forecastd::{
    ModelLocation,
    command::{
        evaluate, forget, healthcheck, import, inspect, listen, manual, probe, quantities, replay, windows,
    },
    daemon,
    operations::descriptors,
};
use forecastd_core::StationName;
use forecastd_model::EngineProgram;

use crate::printable::Printable;

/// The name that shells know the program by.
const PROGRAM: &str = "forecastd";

/// The exit code of what an interrupt ended, as shells have it: 128 and the number of the signal.
const INTERRUPTED: u8 = 130;

/// The environment variable with the broker's password, for `replay`.
const BROKER_PASSWORD: &str = "FORECASTD_BROKER_PASSWORD";

/// How long each step of a health check may take.
const HEALTHCHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// A live temperature forecast for every weather station.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show everything at once on this machine: broker, daemon and a replayed station
    #[cfg(feature = "demo")]
    Demo(DemoOptions),
    /// Show everything at once on this machine (needs the build feature "demo")
    #[cfg(not(feature = "demo"))]
    Demo {
        /// Not looked at in this build
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
        arguments: Vec<std::ffi::OsString>,
    },
    /// Run the daemon
    Run(ConfigOptions),
    /// List every fault of a configuration
    Check(ConfigOptions),
    /// Ask a running daemon whether it works; exit code 0 when it does
    Healthcheck(ConfigOptions),
    /// Forget a station that was renamed or retired: its retained topics at the broker and its rows in the journal
    Forget {
        /// The station's name, as in its topic
        #[arg(value_name = "STATION", value_parser = station_name)]
        station: StationName,
        #[command(flatten)]
        options: ConfigOptions,
    },
    /// Show what arrives on the broker, what each preset makes of it, and the [[source]] for it
    Listen {
        #[command(flatten)]
        config: ConfigOptions,
        #[command(flatten)]
        options: listen::ListenOptions,
    },
    /// Bring the history that another program has of a station into the journal
    #[command(subcommand)]
    Import(import::ImportCommand),
    /// List the quantities, units and presets that a mapping can name
    Quantities,
    /// Replay a CSV as a live sensor feed over MQTT
    Replay(ReplayOptions),
    /// Train a model of its own for every station of the journal that has enough history
    ///
    /// It is written to model.folder as STATION.YYYY-MM.onnx, if it gains anything on blocks of the history that were left out,
    /// and joins the station's experts there beside the model of the month before, which stays until the next one comes. A
    /// second run of a month replaces its own. What model.specialists_max leaves no room for is not trained.
    #[cfg(feature = "train")]
    Retrain(ConfigOptions),
    /// Train a network on a station's history
    #[cfg(feature = "train")]
    Train(Box<forecastd_train::TrainOptions>),
    /// Train a network on a station's history (needs the build feature "train")
    #[cfg(not(feature = "train"))]
    Train {
        /// Not looked at in this build
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
        arguments: Vec<std::ffi::OsString>,
    },
    /// Score a model on a record, beside the reference forecasts
    Evaluate(evaluate::EvaluateOptions),
    /// Write the windows of a record as arrays of NumPy, for training with anything else
    Windows(Box<windows::WindowsOptions>),
    /// Print what is in a model
    Inspect {
        /// The model file [default: the model that is built in]
        file: Option<PathBuf>,
        /// Print the manifest as JSON
        #[arg(long)]
        json: bool,
    },
    /// Try a model in a process of its own: whether it runs, how fast, in how much memory
    Probe(probe::ProbeOptions),
    /// The Jena climate record
    #[command(subcommand)]
    Data(DataCommand),
    /// Print a completion script for a shell
    #[command(after_help = COMPLETIONS_HELP)]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page, or write those of every command and of the configuration
    #[command(after_help = "Without a folder: forecastd man | man --local-file -")]
    Man {
        /// The folder that the pages go into
        #[arg(value_name = "FOLDER")]
        folder: Option<PathBuf>,
    },
    /// Serve as the engine of the process that starts this
    #[command(hide = true)]
    Engine,
}

/// Where shells look for completions.
const COMPLETIONS_HELP: &str = "\
For one user:
  bash  forecastd completions bash > ~/.local/share/bash-completion/completions/forecastd
  fish  forecastd completions fish > ~/.config/fish/completions/forecastd.fish
  zsh   forecastd completions zsh > FOLDER/_forecastd, with a FOLDER of $fpath";

#[derive(Debug, clap::Args)]
struct ConfigOptions {
    /// The configuration file [default: the built-in defaults]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum DataCommand {
    /// Download the Jena climate record once, check it, and print where it is
    Fetch,
}

impl Arguments {
    /// Does what was asked for.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            #[cfg(feature = "demo")]
            Command::Demo(options) => {
                start_log(&LogSettings { level: LogLevel::Warn, format: LogFormat::Text });
                runtime()?.block_on(demo::run(options, terminated()))?;
            }
            #[cfg(not(feature = "demo"))]
            Command::Demo { .. } => {
                anyhow::bail!("this build has no demo: cargo run --release --features demo -- demo …");
            }
            Command::Run(options) => return run_daemon(&options),
            Command::Check(options) => return check(&options),
            Command::Healthcheck(options) => return check_health(&options),
            Command::Forget { station, options } => return forget_station(&station, &options),
            Command::Listen { config: file, options } => {
                let config = match Config::load(file.config.as_deref(), std::env::vars_os()) {
                    Ok(config) => config,
                    Err(diagnostics) => return Ok(print_diagnostics(&file, &diagnostics)),
                };
                start_log(&LogSettings { level: LogLevel::Warn, format: LogFormat::Text });
                let mut output = stdout();
                runtime()?.block_on(listen::run(&config, &options, &mut output, terminated()))?;
            }
            Command::Import(command) => return import_history(&command),
            Command::Quantities => {
                let mut text = Vec::new();
                quantities::run(&mut text)?;
                stdout().write_all(&text)?;
            }
            Command::Replay(mut options) => {
                start_log(&LogSettings { level: LogLevel::Warn, format: LogFormat::Text });
                options.password = std::env::var(BROKER_PASSWORD).ok().map(Into::into);
                let progress = replay::ReplayProgress::standard(options.quiet);
                let summary = runtime()?.block_on(replay::run(options, progress, terminated()))?;
                writeln!(stdout(), "{summary}")?;
                if summary.go_on_from.is_some() {
                    return Ok(ExitCode::from(INTERRUPTED));
                }
            }
            #[cfg(feature = "train")]
            Command::Retrain(options) => return retrain(&options),
            #[cfg(feature = "train")]
            Command::Train(mut options) => {
                options.built_in = Some(forecastd::BUILT_IN);
                return train(&options);
            }
            #[cfg(not(feature = "train"))]
            Command::Train { .. } => {
                anyhow::bail!("this build has no trainer: cargo run --release --features train -- train …");
            }
            Command::Evaluate(options) => {
                // A model may end the process that loads it, and an evaluation has better things to say than SIGABRT.
                // What is wrong with the file itself, it says.
                let library = options.onnxruntime_library.as_deref();
                let specialists = options.specialist.iter().cloned().map(Some);
                for model in std::iter::once(options.model.clone()).chain(specialists) {
                    let program = EngineProgram::itself();
                    let tried = probe::start(&model.into(), options.engine, library, program);
                    if let Err(error @ probe::ProbeError::Engine { .. }) = tried {
                        return Err(error.into());
                    }
                }
                if options.online {
                    let online = evaluate::run_online(&options)?;
                    online.write(options.format, &mut stdout().lock())?;
                    return Ok(ExitCode::SUCCESS);
                }
                let evaluation = evaluate::run(&options)?;
                evaluation.write(options.format, &mut stdout().lock())?;
            }
            Command::Windows(options) => writeln!(stdout(), "{}", windows::run(&options)?)?,
            Command::Inspect { file, json } => {
                let mut text = Vec::new();
                let location = ModelLocation::from(file);
                inspect::run(&location, json, &mut text)
                    .with_context(|| format!("{location} cannot be shown"))?;
                stdout().write_all(&text)?;
            }
            Command::Probe(options) => {
                let mut text = Vec::new();
                probe::run(&options, EngineProgram::itself(), &mut text)?;
                stdout().write_all(&text)?;
            }
            Command::Completions { shell } => {
                let mut text = Vec::new();
                clap_complete::generate(shell, &mut Arguments::command(), PROGRAM, &mut text);
                stdout().write_all(&text)?;
            }
            Command::Man { folder: None } => {
                let mut text = Vec::new();
                manual::print(Arguments::command(), &mut text)?;
                stdout().write_all(&text)?;
            }
            Command::Man { folder: Some(folder) } => {
                manual::write(Arguments::command(), &folder)
                    .with_context(|| format!("manual pages cannot be written to {}", folder.display()))?;
            }
            Command::Engine => {
                start_engine_log();
                return Ok(forecastd_model::serve_engine());
            }
            #[cfg(feature = "demo")]
            Command::Data(DataCommand::Fetch) => fetch_data()?,
            #[cfg(not(feature = "demo"))]
            Command::Data(DataCommand::Fetch) => {
                anyhow::bail!(
                    "this build downloads nothing: cargo run --release --features demo -- data fetch"
                );
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn run_daemon(options: &ConfigOptions) -> anyhow::Result<ExitCode> {
    let config = match Config::load(options.config.as_deref(), std::env::vars_os()) {
        Ok(config) => config,
        Err(diagnostics) => return Ok(print_diagnostics(options, &diagnostics)),
    };
    start_log(&config.log);
    if let Err(error) = descriptors::raise_limit() {
        tracing::warn!(%error, "limit of file descriptors cannot be raised");
    }
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    let runtime = runtime()?;
    runtime.block_on(async {
        let (reload, reloads) = mpsc::unbounded_channel();
        let mut hangup = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?;
        tokio::spawn(async move { while hangup.recv().await.is_some() && reload.send(()).is_ok() {} });
        // As a task on the runtime's threads, where it and the session wake each other without a call of the system.
        let daemon = daemon::run(config, daemon::Overrides::default(), reloads, terminated());
        tokio::spawn(daemon).await??;
        anyhow::Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}

fn check(options: &ConfigOptions) -> anyhow::Result<ExitCode> {
    let mut diagnostics = config::check(options.config.as_deref(), std::env::vars_os());
    if diagnostics.is_empty()
        && let Ok(config) = Config::load(options.config.as_deref(), std::env::vars_os())
    {
        let checked = daemon::check(&config);
        for warning in checked.warnings {
            eprintln!("warning: {warning}");
        }
        diagnostics = checked.diagnostics;
        if diagnostics.is_empty() {
            writeln!(stdout(), "configuration is good")?;
            return Ok(ExitCode::SUCCESS);
        }
    }
    Ok(print_diagnostics(options, &diagnostics))
}

fn print_diagnostics(options: &ConfigOptions, diagnostics: &[config::Diagnostic]) -> ExitCode {
    let name = options.config.as_ref().map_or("configuration".to_owned(), |path| path.display().to_string());
    for diagnostic in diagnostics {
        eprintln!("{name}: {diagnostic}");
    }
    let count = diagnostics.len();
    eprintln!("{count} fault{}", if count == 1 { "" } else { "s" });
    ExitCode::FAILURE
}

fn check_health(options: &ConfigOptions) -> anyhow::Result<ExitCode> {
    let config = match Config::load(options.config.as_deref(), std::env::vars_os()) {
        Ok(config) => config,
        Err(diagnostics) => return Ok(print_diagnostics(options, &diagnostics)),
    };
    healthcheck::run(config.http.listen, HEALTHCHECK_TIMEOUT)?;
    writeln!(stdout(), "ok")?;
    Ok(ExitCode::SUCCESS)
}

fn forget_station(station: &StationName, options: &ConfigOptions) -> anyhow::Result<ExitCode> {
    let config = match Config::load(options.config.as_deref(), std::env::vars_os()) {
        Ok(config) => config,
        Err(diagnostics) => return Ok(print_diagnostics(options, &diagnostics)),
    };
    start_log(&LogSettings { level: LogLevel::Warn, format: LogFormat::Text });
    let has_rows = |path: &std::path::Path, station: &StationName| {
        forecastd_journal::stations(path).map(|known| known.contains(station))
    };
    let forgotten =
        runtime()?.block_on(forget::run(&config, station, has_rows, forecastd_journal::forget))?;
    writeln!(stdout(), "{forgotten}")?;
    Ok(ExitCode::SUCCESS)
}

fn import_history(command: &import::ImportCommand) -> anyhow::Result<ExitCode> {
    let options = ConfigOptions { config: command.options().config.clone() };
    let config = match Config::load(options.config.as_deref(), std::env::vars_os()) {
        Ok(config) => config,
        Err(diagnostics) => return Ok(print_diagnostics(&options, &diagnostics)),
    };
    start_log(&LogSettings { level: LogLevel::Warn, format: LogFormat::Text });
    let (interrupted, _runtime) = interruption()?;
    let summary = import::run(command, &config, &interrupted, &mut stdout())?;
    Ok(if summary.is_interrupted { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS })
}

fn station_name(text: &str) -> Result<StationName, String> {
    StationName::new(text).map_err(|error| error.to_string())
}

#[cfg(feature = "train")]
fn train(options: &forecastd_train::TrainOptions) -> anyhow::Result<ExitCode> {
    use forecastd_train::TrainError;

    let (interrupted, _runtime) = interruption()?;
    match forecastd_train::run_on_terminal(options, &interrupted) {
        Err(error @ TrainError::Interrupted(_)) => {
            eprintln!("{error}");
            Ok(ExitCode::from(INTERRUPTED))
        }
        result => Ok(result.map(|()| ExitCode::SUCCESS)?),
    }
}

#[cfg(feature = "demo")]
fn fetch_data() -> anyhow::Result<()> {
    let bar = indicatif::ProgressBar::new(0);
    let fetched = fetch::fetch(|come, all| {
        bar.set_length(all);
        bar.set_position(come);
    })?;
    bar.finish_and_clear();
    if !fetched.is_known_copy {
        eprintln!("note: structure is right, but it is none of the copies known byte for byte");
    }
    writeln!(stdout(), "{}", fetched.path.display())?;
    Ok(())
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("async runtime")
}

/// Completes at the first SIGTERM or SIGINT.
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// The engine's process writes lines for the daemon to log.
fn start_engine_log() {
    let levels = Targets::new().with_target("ort", LevelFilter::WARN);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = lines.with_ansi(false).without_time().with_target(false);
    tracing_subscriber::registry().with(levels).with(lines).init();
}

/// Logs to standard error; `RUST_LOG` overrides the level: `debug`, or by the module, `info,forecastd_mqtt=debug`.
fn start_log(settings: &LogSettings) {
    let level = tracing::Level::from(settings.level);
    // What libraries say, the broker of the demo among them, is ours to say.
    let quiet = ["rumqttd", "rumqttc", "rumqttc_v5", "tract"].map(|library| (library, LevelFilter::OFF));
    let usual =
        || Targets::new().with_default(level).with_targets(quiet).with_target("ort", LevelFilter::WARN);
    let asked = std::env::var("RUST_LOG").ok().filter(|text| !text.trim().is_empty());
    let (levels, refused) = match asked.map(|text| text.parse::<Targets>()) {
        Some(Ok(levels)) => (levels, None),
        Some(Err(error)) => (usual(), Some(error)),
        None => (usual(), None),
    };
    let registry = tracing_subscriber::registry().with(levels);
    let lines = tracing_subscriber::fmt::layer().with_writer(Printable::stderr).with_target(false);
    // The journal of systemd has its own time stamps.
    let is_journal = std::env::var_os("JOURNAL_STREAM").is_some();
    match (settings.format, is_journal) {
        (LogFormat::Json, _) => registry.with(lines.json().flatten_event(true)).init(),
        (LogFormat::Text, true) => registry.with(lines.with_ansi(false).without_time()).init(),
        (LogFormat::Text, false) => {
            let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
            registry.with(lines.with_ansi(is_terminal)).init();
        }
    }
    if let Some(error) = refused {
        tracing::warn!(%error, "RUST_LOG is not understood, the configured level holds");
    }
}

/// What is set when the process is asked to end, with the runtime that waits for that.
fn interruption() -> anyhow::Result<(std::sync::Arc<std::sync::atomic::AtomicBool>, tokio::runtime::Runtime)>
{
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    let interrupted = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&interrupted);
    let runtime = runtime()?;
    runtime.spawn(async move {
        terminated().await;
        asked.store(true, Ordering::Relaxed);
        // Whoever asks again will not wait for the end of what is being done.
        terminated().await;
        std::process::exit(INTERRUPTED.into());
    });
    Ok((interrupted, runtime))
}

#[cfg(feature = "train")]
fn retrain(options: &ConfigOptions) -> anyhow::Result<ExitCode> {
    use forecastd::command::retrain::{RetrainError, retrain};

    let config = match Config::load(options.config.as_deref(), std::env::vars_os()) {
        Ok(config) => config,
        Err(diagnostics) => return Ok(print_diagnostics(options, &diagnostics)),
    };
    let (interrupted, _runtime) = interruption()?;
    match retrain(&config, jiff::Timestamp::now(), &interrupted, &mut stdout()) {
        Err(error @ RetrainError::Interrupted) => {
            eprintln!("{error}");
            Ok(ExitCode::from(INTERRUPTED))
        }
        result => Ok(result.map(|()| ExitCode::SUCCESS)?),
    }
}
