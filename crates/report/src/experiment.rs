//! What was trained, and how its loss went.

/// One training of an experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingCurve {
    /// Which of several networks; empty for the only one.
    pub name: String,
    /// The best epoch, counted from 1.
    pub best_epoch: usize,
    /// Mean training loss of each epoch.
    pub loss: Vec<f64>,
    /// Validation loss after each epoch.
    pub validation_loss: Vec<f64>,
}

/// An experiment with one seed.
#[derive(Debug, Clone, PartialEq)]
pub struct Experiment {
    /// The name that the trainer knows it by.
    pub name: String,
    /// What its random numbers started from, where there are any.
    pub seed: Option<u64>,
    /// How good it is on the validation part.
    pub score: String,
    /// Its trainings; none of a baseline.
    pub trainings: Vec<TrainingCurve>,
}
