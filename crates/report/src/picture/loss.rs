//! How the loss of a training went down.

use crate::chart::{Chart, Divider, Horizontal, Hue, Mark, Series};
use crate::experiment::TrainingCurve;

impl TrainingCurve {
    /// Losses by epoch; `of` is what was trained.
    pub(crate) fn chart(&self, of: &str) -> Chart {
        let epochs = |losses: &[f64]| {
            losses.iter().enumerate().map(|(index, &loss)| ((index + 1) as f64, loss)).collect()
        };
        Chart {
            title: format!("Loss of {of}"),
            horizontal: Horizontal::Numbers("epoch"),
            vertical: "loss",
            from_zero: false,
            series: vec![
                Series {
                    name: "training".to_owned(),
                    hue: Hue::Orange,
                    mark: Mark::Line,
                    points: epochs(&self.loss),
                },
                Series {
                    name: "validation".to_owned(),
                    hue: Hue::Blue,
                    mark: Mark::Line,
                    points: epochs(&self.validation_loss),
                },
            ],
            dividers: vec![Divider { at: self.best_epoch as f64, label: "best".to_owned() }],
        }
    }
}
