//! Whether a station's window is complete.

use crate::window::spec::{Missing, Unready};

/// Whether a station's window is complete.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Readiness {
    /// No reading yet.
    Silent,
    /// History is missing.
    WarmingUp(Missing),
    /// The model can run.
    Ready,
    /// The model is for any place, and it is not known where the station stands.
    NoPlace,
    /// The model is for one site, so many kilometres away.
    Elsewhere(u32),
}

impl From<Unready> for Readiness {
    fn from(unready: Unready) -> Readiness {
        match unready {
            Unready::Missing(missing) => Readiness::WarmingUp(missing),
            Unready::NoPlace => Readiness::NoPlace,
            Unready::Elsewhere(distance_km) => Readiness::Elsewhere(distance_km),
        }
    }
}
