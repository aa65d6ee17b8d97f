//! The experiments by name: those of the notebook that this project started from, the baselines, and our own.

use serde::Serialize;

use forecastd_core::Quantity;
use forecastd_core::Site;
use forecastd_core::TargetKind;
use forecastd_core::WindowSpec;
use forecastd_record::Record;

use super::dataset::TargetSpec;
use super::fit::{FitSettings, Schedule};
use super::imdb::objective::ReviewSettings;
use super::network::{CellKind, Direction, NetworkSettings, RecurrentSettings};
use super::optimiser::OptimiserKind;
use super::options::{GRID_STEP_S, OptimiserName, Protocol, ScheduleName, TrainOptions};
use super::pair::PairSettings;
use super::predictors;
use super::recurrent::Activation;
use super::ridge::RidgeRecipe;
use super::task::{STATION_QUANTITIES, Style, Task, window};
use super::world::{OwnSettings, WorldSettings};

/// The experiment that is run when none is named.
pub const DEFAULT: &str = "station-pair";

/// Steps over which the learning rate rises.
const WARM_UP: u64 = 200;

/// What `train --experiment` can be asked for: a name and a method.
#[derive(Debug, Clone, PartialEq)]
pub struct Experiment {
    /// The name that `train --experiment` takes.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// What is tried.
    pub method: Method,
}

/// What an experiment tries.
#[derive(Debug, Clone, PartialEq)]
pub enum Method {
    /// The temperature stays.
    Persistence,
    /// As at the same time yesterday.
    Yesterday,
    /// As usual at this time of the year and the day.
    Climatology,
    /// A linear regression on lags.
    Ridge(RidgeRecipe),
    /// A network on windows.
    Network(Recipe),
    /// The network that is shipped.
    Pair(PairRecipe),
    /// A network for any place.
    World(WorldRecipe),
    /// What a station's own history adds to that.
    Own(OwnRecipe),
    /// A network on film reviews.
    Reviews(ReviewRecipe),
}

impl Experiment {
    /// Whether it is a baseline: nothing is trained, and it takes no time worth speaking of.
    pub fn is_free(&self) -> bool {
        use Method::{Climatology, Persistence, Ridge, Yesterday};
        matches!(self.method, Persistence | Yesterday | Climatology | Ridge(_))
    }

    /// Whether it makes a model file by itself, beside which no other can be the best.
    pub fn makes_model_itself(&self) -> bool {
        matches!(self.method, Method::World(_) | Method::Own(_))
    }

    /// How many hours ahead the model file forecasts at most that can be made of it, if one can.
    pub fn exported_lead_h(&self, options: &TrainOptions) -> Option<u32> {
        let of = |task: &Task| task.clone().with_options(options).protocol.lead_h();
        match &self.method {
            Method::Ridge(recipe) => Some(of(&recipe.task)),
            Method::Network(recipe) => Some(of(&recipe.task)),
            Method::Pair(recipe) => recipe.target().lead_h.last().copied(),
            Method::World(_) | Method::Own(_) => Some(24),
            Method::Persistence | Method::Yesterday | Method::Climatology | Method::Reviews(_) => None,
        }
    }

    /// The first option given that it would pass over.
    pub fn ignored_option(&self, options: &TrainOptions) -> Option<&'static str> {
        let is_trained = !self.is_free();
        let (recurrent_layers, cells, head, window) = match &self.method {
            Method::Persistence | Method::Yesterday | Method::Climatology => (0, false, false, false),
            Method::Ridge(_) => (0, false, false, true),
            Method::Network(recipe) => {
                let is_recurrent = !recipe.network.recurrent.is_empty();
                (if is_recurrent { usize::MAX } else { 0 }, is_recurrent, true, true)
            }
            Method::Pair(_) => (1, false, true, false),
            Method::World(_) => (1, false, true, false),
            Method::Own(_) => (0, false, false, false),
            Method::Reviews(_) => (1, true, false, false),
        };
        let is_world = matches!(self.method, Method::World(_));
        let is_own = matches!(self.method, Method::Own(_));
        let is_review = matches!(self.method, Method::Reviews(_));
        let of_one_record = !is_world && !is_review;
        let reads_csv = of_one_record && options.journal.is_none();
        let has_protocol =
            !matches!(self.method, Method::Pair(_) | Method::World(_) | Method::Own(_) | Method::Reviews(_));
        let heeded = [
            ("--epochs", options.epochs.is_some(), is_trained),
            ("--steps", options.steps.is_some(), is_trained),
            ("--batch", options.batch.is_some(), is_trained),
            ("--learning-rate", options.learning_rate.is_some(), is_trained),
            ("--schedule", options.schedule.is_some(), is_trained),
            ("--optimiser", options.optimiser.is_some(), is_trained),
            ("--clip-norm", options.clip_norm.is_some(), is_trained),
            ("--averaging", options.averaging.is_some(), is_trained),
            ("--patience", options.patience.is_some(), is_trained && !is_own),
            ("--checkpoint", options.checkpoint.is_some(), is_trained && !is_own),
            ("--refit", options.refit.is_some(), of_one_record && !is_own),
            ("--grid-step-s", options.grid_step_s != GRID_STEP_S, of_one_record && !is_own),
            ("--latitude", options.latitude.is_some(), of_one_record),
            ("--mapping", options.mapping.is_some(), reads_csv),
            ("--units", !options.units.is_empty(), recurrent_layers > 0),
            ("--units with more than one number", options.units.len() > 1, recurrent_layers > 1),
            ("--cell", options.cell.is_some(), cells),
            ("--head", !options.head.is_empty(), head),
            ("--samples", options.samples.is_some(), window),
            ("--protocol", options.protocol.is_some(), has_protocol),
        ];
        heeded.into_iter().find(|(_, given, heeded)| *given && !heeded).map(|(option, ..)| option)
    }

    /// Which of the options that name data it reads.
    pub fn reads(&self) -> &'static [&'static str] {
        match self.method {
            Method::World(_) => &["--pool"],
            Method::Own(_) => &["--csv", "--journal", "--from"],
            Method::Reviews(_) => &["--imdb"],
            _ => &["--csv"],
        }
    }
}

/// The network that is shipped, and how its branches are trained.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PairRecipe {
    /// How large its branches are.
    pub network: PairSettings,
    /// How the dense branch is trained.
    pub dense: FitSettings,
    /// How the recurrent branch is trained.
    pub recurrent: FitSettings,
}

impl PairRecipe {
    /// How windows are cut from `record`, which keeps the wind's direction if that is to be used.
    pub fn window(&self, record: &Record, site: Site) -> WindowSpec {
        let with_direction = record.history().quantities().contains(&Quantity::WindFromDirection);
        window(record, site, predictors::SAMPLES, predictors::features(with_direction))
    }

    /// What is forecast.
    pub fn target(&self) -> TargetSpec {
        TargetSpec {
            kind: TargetKind::DifferenceToNewest,
            lead_h: (1..=24).collect(),
            windows_within_part: false,
        }
    }

    /// The quantities that a record must keep for it, with the wind's direction or without.
    pub fn quantities(&self, with_direction: bool) -> Vec<Quantity> {
        let mut quantities = STATION_QUANTITIES.to_vec();
        if with_direction {
            quantities.push(Quantity::WindFromDirection);
        }
        quantities
    }

    /// The recipe with what the user wants otherwise.
    pub fn with_options(mut self, options: &TrainOptions, seed: u64) -> PairRecipe {
        self.dense = self.dense.with_options(options, seed);
        self.recurrent = self.recurrent.with_options(options, seed);
        if let Some(&units) = options.units.first() {
            self.network.units = units;
        }
        if !options.head.is_empty() {
            self.network.hidden.clone_from(&options.head);
        }
        self
    }
}

/// The network for any place, and how it is trained.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorldRecipe {
    /// The networks, whose mean is the model.
    pub network: WorldSettings,
    /// How the dense one is trained.
    pub dense: FitSettings,
    /// How the recurrent one is trained.
    pub recurrent: FitSettings,
}

impl WorldRecipe {
    /// The recipe with what the user wants otherwise.
    pub fn with_options(mut self, options: &TrainOptions, seed: u64) -> WorldRecipe {
        self.dense = self.dense.with_options(options, seed);
        self.recurrent = self.recurrent.with_options(options, seed);
        if !options.head.is_empty() {
            self.network.hidden.clone_from(&options.head);
            self.network.recurrent_hidden.clone_from(&options.head);
        }
        self.network.units = options.units.first().copied().unwrap_or(self.network.units);
        self
    }
}

/// What a station's own history adds to the network for any place, and how it is trained further.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OwnRecipe {
    /// How it is learned.
    pub own: OwnSettings,
    /// How all layers are trained further, where there is enough history.
    pub fit: FitSettings,
}

impl OwnRecipe {
    /// The recipe with what the user wants otherwise.
    pub fn with_options(mut self, options: &TrainOptions, seed: u64) -> OwnRecipe {
        self.fit = self.fit.with_options(options, seed);
        self
    }
}

/// A network on film reviews, and how it is trained.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReviewRecipe {
    /// How reviews become sequences, and the layers of the network.
    pub network: ReviewSettings,
    /// How it is trained.
    pub fit: FitSettings,
    /// The share of the validation part that the notebook's network takes for what it is, in its best epoch.
    pub notebook_accuracy: f64,
}

impl ReviewRecipe {
    /// The recipe with what the user wants otherwise.
    pub fn with_options(mut self, options: &TrainOptions, seed: u64) -> ReviewRecipe {
        self.fit = self.fit.with_options(options, seed);
        let recurrent = &mut self.network.recurrent;
        recurrent.cell = options.cell.unwrap_or(recurrent.cell);
        recurrent.units = options.units.first().copied().unwrap_or(recurrent.units);
        self
    }
}

/// A network, and how it is trained.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recipe {
    /// What a window holds and what is forecast.
    #[serde(rename = "problem")]
    pub task: Task,
    /// The layers of the network.
    pub network: NetworkSettings,
    /// How it is trained.
    pub fit: FitSettings,
}

impl Recipe {
    /// The recipe with what the user wants otherwise.
    pub fn with_options(mut self, options: &TrainOptions, seed: u64) -> Recipe {
        self.fit = self.fit.with_options(options, seed);
        self.task = self.task.with_options(options);
        let network = &mut self.network;
        if let (false, Some(&last)) = (options.units.is_empty(), network.recurrent.last()) {
            let layer = |(index, &units)| RecurrentSettings {
                units,
                ..network.recurrent.get(index).copied().unwrap_or(last)
            };
            network.recurrent = options.units.iter().enumerate().map(layer).collect();
        }
        if let Some(cell) = options.cell {
            network.recurrent.iter_mut().for_each(|layer| layer.cell = cell);
        }
        if !options.head.is_empty() {
            network.hidden.clone_from(&options.head);
        }
        self
    }
}

impl FitSettings {
    /// The settings with what the user wants otherwise.
    fn with_options(mut self, options: &TrainOptions, seed: u64) -> FitSettings {
        self.seed = seed;
        self.epochs = options.epochs.unwrap_or(self.epochs);
        self.steps = options.steps.or(self.steps);
        self.batch = options.batch.unwrap_or(self.batch);
        self.learning_rate = options.learning_rate.unwrap_or(self.learning_rate);
        self.clip_norm = options.clip_norm.or(self.clip_norm);
        self.averaging = options.averaging.or(self.averaging);
        self.patience = options.patience.or(self.patience);
        match options.schedule {
            Some(ScheduleName::Constant) => self.schedule = Schedule::Constant,
            Some(ScheduleName::Cosine) => self.schedule = Schedule::Cosine { warm_up: WARM_UP },
            None => {}
        }
        match options.optimiser {
            Some(OptimiserName::Rmsprop) => self.optimiser = OptimiserKind::RmsProp,
            Some(OptimiserName::Adamw) => self.optimiser = OptimiserKind::AdamW { weight_decay: 0.01 },
            None => {}
        }
        self
    }
}

/// Training as Keras does it if it is not told otherwise, with RMSprop.
fn keras_fit(epochs: usize, steps: Option<usize>) -> FitSettings {
    FitSettings {
        epochs,
        steps,
        batch: 128,
        shards: 1,
        optimiser: OptimiserKind::RmsProp,
        learning_rate: 1e-3,
        schedule: Schedule::Constant,
        clip_norm: None,
        averaging: None,
        patience: None,
        seed: 1,
    }
}

/// A network of the notebook, trained as there.
fn notebook(recurrent: Vec<RecurrentSettings>, hidden: Vec<usize>, epochs: usize) -> Method {
    Method::Network(Recipe {
        task: Task { style: Style::Notebook, protocol: Protocol::Notebook, samples: 240 },
        network: NetworkSettings { recurrent, hidden, head_dropout: 0.0 },
        fit: keras_fit(epochs, Some(500)),
    })
}

/// A network of the notebook on film reviews, trained as there. Like the notebook, which reverses the reviews for its
/// first network and goes on with them, both read reviews from the end to the beginning.
fn reviews(width: usize, direction: Direction, notebook_accuracy: f64) -> Method {
    Method::Reviews(ReviewRecipe {
        network: ReviewSettings {
            num_words: 10_000,
            length: 500,
            reversed: true,
            width,
            recurrent: RecurrentSettings { direction, ..RecurrentSettings::plain(CellKind::Lstm, 32) },
        },
        fit: keras_fit(10, None),
        notebook_accuracy,
    })
}

/// Every experiment, in the order in which they are best read.
pub fn all() -> Vec<Experiment> {
    let gru = RecurrentSettings::plain(CellKind::Gru, 32);
    let lstm = RecurrentSettings::plain(CellKind::Lstm, 32);
    let dropped =
        |layer, dropout, recurrent_dropout| RecurrentSettings { dropout, recurrent_dropout, ..layer };
    let stacked = vec![
        dropped(gru, 0.1, 0.5),
        RecurrentSettings { units: 64, activation: Activation::Relu, ..dropped(gru, 0.1, 0.5) },
    ];
    let experiment = |name, about, method| Experiment { name, about, method };
    vec![
        experiment("persistence", "the temperature stays as it is", Method::Persistence),
        experiment("yesterday", "as at the same time yesterday", Method::Yesterday),
        experiment("climatology", "as usual at this time of the year and the day", Method::Climatology),
        experiment("ridge", "linear in the last 72 hours and the calendar, for all hours to 24", ridge()),
        experiment("dense", "window flattened, 32 relu units", notebook(vec![], vec![32], 20)),
        experiment("gru", "GRU of 32 units", notebook(vec![gru], vec![], 20)),
        experiment(
            "gru-dropout",
            "GRU of 32 units, dropout 0.2 of inputs and state",
            notebook(vec![dropped(gru, 0.2, 0.2)], vec![], 40),
        ),
        experiment(
            "gru-stacked",
            "GRUs of 32 and 64 relu units, dropout 0.1 of inputs and 0.5 of state",
            notebook(stacked, vec![], 40),
        ),
        experiment(
            "gru-reversed",
            "GRU of 32 units, time walked backwards",
            notebook(vec![RecurrentSettings { direction: Direction::Backward, ..gru }], vec![], 20),
        ),
        experiment(
            "gru-bidirectional",
            "GRUs of 32 units in both directions",
            notebook(vec![RecurrentSettings { direction: Direction::Bidirectional, ..gru }], vec![], 40),
        ),
        experiment("lstm", "LSTM of 32 units", notebook(vec![lstm], vec![], 20)),
        experiment(
            "station-gru",
            "GRU of 64 units for all hours to 24, on what every station has",
            station_gru(),
        ),
        experiment(
            "station-pair",
            "dense layers on changes until now, averaged with a GRU of 48 units, wind as a vector: what models/jena.onnx is, also called best",
            station_pair(),
        ),
        experiment(
            "world",
            "dense layers averaged with a GRU of 48 units for any place, from a --pool of many stations",
            world(),
        ),
        experiment("own", "the network for any place (--from), further on a station's own history", own()),
        experiment(
            "imdb-lstm-reversed",
            "film reviews (--imdb) from end to beginning: words as 128 numbers, LSTM of 32 units",
            reviews(128, Direction::Forward, 0.8754),
        ),
        experiment(
            "imdb-lstm-bidirectional",
            "film reviews (--imdb): words as 32 numbers, LSTMs of 32 units in both directions",
            reviews(32, Direction::Bidirectional, 0.8838),
        ),
    ]
}

/// The experiment of a name; `best` is another one for [`DEFAULT`].
pub fn by_name(name: &str) -> Option<Experiment> {
    let name = if name == "best" { DEFAULT } else { name };
    all().into_iter().find(|experiment| experiment.name == name)
}

fn world() -> Method {
    let dense = FitSettings {
        epochs: 12,
        steps: Some(1600),
        batch: 1024,
        shards: 2,
        optimiser: OptimiserKind::AdamW { weight_decay: 0.01 },
        learning_rate: 2e-3,
        schedule: Schedule::Cosine { warm_up: WARM_UP },
        clip_norm: Some(1.0),
        averaging: Some(0.999),
        patience: None,
        seed: 1,
    };
    Method::World(WorldRecipe {
        network: WorldSettings {
            hidden: vec![448, 448, 448],
            units: 48,
            recurrent_hidden: vec![320, 320],
            dropout: 0.0,
            median_weight: 3.0,
            extremes_weight: 2.0,
            auxiliary_weight: 2.0,
        },
        recurrent: FitSettings { steps: Some(2000), learning_rate: 3e-3, ..dense.clone() },
        dense,
    })
}

fn own() -> Method {
    Method::Own(OwnRecipe {
        own: OwnSettings { prior_days: 1000.0, fine_tuned_from_days: 365.0, penalty: 1e-2, blocks: 6 },
        fit: FitSettings {
            epochs: 3,
            steps: None,
            batch: 256,
            shards: 1,
            optimiser: OptimiserKind::AdamW { weight_decay: 0.0 },
            learning_rate: 1e-4,
            schedule: Schedule::Cosine { warm_up: 50 },
            clip_norm: Some(1.0),
            averaging: Some(0.99),
            patience: None,
            seed: 1,
        },
    })
}

fn ridge() -> Method {
    Method::Ridge(RidgeRecipe {
        task: Task { style: Style::Station, protocol: Protocol::Aligned, samples: 72 },
        penalties: vec![1e-5, 1e-4, 1e-3, 1e-2, 1e-1],
    })
}

fn station_gru() -> Method {
    Method::Network(Recipe {
        task: Task { style: Style::Station, protocol: Protocol::Aligned, samples: 72 },
        network: NetworkSettings {
            recurrent: vec![RecurrentSettings::plain(CellKind::Gru, 64)],
            hidden: vec![],
            head_dropout: 0.3,
        },
        fit: FitSettings {
            epochs: 12,
            steps: None,
            batch: 256,
            shards: 1,
            optimiser: OptimiserKind::AdamW { weight_decay: 0.01 },
            learning_rate: 2e-3,
            schedule: Schedule::Cosine { warm_up: WARM_UP },
            clip_norm: Some(1.0),
            averaging: Some(0.998),
            patience: None,
            seed: 1,
        },
    })
}

fn station_pair() -> Method {
    let fit = |epochs| FitSettings {
        epochs,
        steps: None,
        batch: 256,
        shards: 1,
        optimiser: OptimiserKind::AdamW { weight_decay: 0.01 },
        learning_rate: 4e-3,
        schedule: Schedule::Cosine { warm_up: WARM_UP },
        clip_norm: Some(1.0),
        averaging: Some(0.998),
        patience: None,
        seed: 1,
    };
    Method::Pair(PairRecipe {
        network: PairSettings {
            hidden: vec![128, 128],
            units: 48,
            dropout: 0.2,
            state_dropout: 0.1,
            noise: 0.3,
        },
        dense: fit(10),
        recurrent: fit(5),
    })
}
