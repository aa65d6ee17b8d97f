//! How a station is set up, apart from its model.

use crate::weather::place::Place;

/// How a station is set up, apart from its model.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Setup {
    /// Where it stands, as the configuration says. What its payload has counts where this is rough.
    pub place: Option<Place>,
    /// Whether a model that is for one site may run elsewhere.
    pub runs_anywhere: bool,
    /// Whether forecasts are what experts say together; else the model or persistence alone forecasts.
    pub has_experts: bool,
    /// A threshold beside 0 °C of which it is said how likely it becomes colder, °C.
    pub threshold_c: Option<f32>,
}

impl Setup {
    /// The thresholds of which it is said how likely it becomes colder, °C: frost, and the user's own.
    pub(super) fn thresholds_c(self) -> impl Iterator<Item = f32> {
        std::iter::once(FROST_C).chain(self.threshold_c)
    }
}

/// Below this it is frost, °C.
const FROST_C: f32 = 0.0;
