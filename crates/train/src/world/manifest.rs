//! What every file of the world's network says of itself: windows in, changes of temperature out.

use forecastd_core::{FORMAT_VERSION, Manifest, PROGRAM, Quantity, Target, TargetKind};

use super::network::QUANTILES;
use super::window::{LEADS, normalisation, window};

/// The manifest of a network that nothing is known of: without training, scores and the ranges that it has seen.
pub(crate) fn manifest(name: &str, grid_step_s: u32) -> Manifest {
    Manifest {
        format_version: FORMAT_VERSION,
        name: name.to_owned(),
        window: window(grid_step_s),
        normalisation: normalisation(),
        target: Target {
            quantity: Quantity::AirTemperature.name().to_owned(),
            kind: TargetKind::DifferenceToNewest,
            mean: 0.0,
            standard_deviation: 1.0,
        },
        stations: Vec::new(),
        lead_h: (1..=LEADS as u32).collect(),
        quantiles: QUANTILES.to_vec(),
        extremes_h: Some(LEADS as u32),
        ranges: None,
        training: None,
        scores: Vec::new(),
        tool: format!("{PROGRAM} {}", env!("CARGO_PKG_VERSION")),
        graph_sha256: None,
    }
}
