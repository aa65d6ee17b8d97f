//! What the outputs of a network mean: the one spelling for live forecasts and for scores.

use crate::model::manifest::Manifest;

/// What a network says of one lead.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DecodedLead {
    /// Hours.
    pub lead_h: u32,
    /// The point forecast, °C: the median where the network gives quantiles.
    pub temperature_c: f32,
    /// The ends of the [interval](Manifest::interval), °C; `None` where the network gives points.
    pub interval_c: Option<(f32, f32)>,
}

/// Decodes the outputs of one window, `[lead]` or `[lead, quantile]`, of which the newest temperature is `newest_c`.
///
/// An interval is put in order and holds the point forecast, should the network have crossed its quantiles.
pub fn decode_outputs<'a>(
    manifest: &'a Manifest,
    newest_c: f32,
    outputs: &'a [f32],
) -> impl Iterator<Item = DecodedLead> + 'a {
    let quantiles = manifest.quantiles.len().max(1);
    let median = manifest.quantiles.iter().position(|&quantile| quantile == 0.5).unwrap_or(0);
    let interval = manifest.interval();
    let temperature_c = move |output: f32| manifest.target.temperature_c(output, newest_c);
    manifest.lead_h.iter().zip(outputs.chunks_exact(quantiles)).map(move |(&lead_h, own)| {
        let point_c = temperature_c(own[median]);
        let interval_c = interval.map(|(low, high)| {
            let (low_c, high_c) = (temperature_c(own[low]), temperature_c(own[high]));
            (low_c.min(high_c).min(point_c), high_c.max(low_c).max(point_c))
        });
        DecodedLead { lead_h, temperature_c: point_c, interval_c }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::manifest::FORMAT_VERSION;
    use crate::model::normalisation::Normalisation;
    use crate::model::target::{Target, TargetKind};
    use crate::weather::site::Site;
    use crate::window::spec::{MissingValues, WindowSpec};

    fn manifest(kind: TargetKind, quantiles: &[f32]) -> Manifest {
        let quantity = "air_temperature".to_owned();
        Manifest {
            format_version: FORMAT_VERSION,
            name: "two leads".to_owned(),
            window: WindowSpec {
                grid_step_s: 3600,
                sample_every_s: 3600,
                samples: 1,
                max_hole_s: 3600,
                site: Some(Site::new(0.0, 0.0)),
                missing: MissingValues::Refused,
                features: Vec::new(),
            },
            normalisation: Normalisation { mean: Vec::new(), standard_deviation: Vec::new() },
            target: Target { quantity, kind, mean: 1.0, standard_deviation: 2.0 },
            lead_h: vec![3, 6],
            quantiles: quantiles.to_vec(),
            extremes_h: None,
            ranges: None,
            training: None,
            scores: Vec::new(),
            tool: "test".to_owned(),
            stations: Vec::new(),
            graph_sha256: None,
        }
    }

    #[test]
    fn points_are_differences_to_the_newest_temperature_or_values() {
        type Lead = (u32, f32, Option<(f32, f32)>);
        let decoded = |kind| -> Vec<Lead> {
            decode_outputs(&manifest(kind, &[]), 10.0, &[0.5, -1.0])
                .map(|lead| (lead.lead_h, lead.temperature_c, lead.interval_c))
                .collect()
        };
        assert_eq!(decoded(TargetKind::DifferenceToNewest), [(3, 12.0, None), (6, 9.0, None)]);
        assert_eq!(decoded(TargetKind::Value), [(3, 2.0, None), (6, -1.0, None)]);
    }

    #[test]
    fn an_interval_is_in_order_and_holds_the_median_though_quantiles_cross() {
        let manifest = manifest(TargetKind::Value, &[0.1, 0.5, 0.9]);
        let outputs = [0.0, 1.0, 2.0, /* crossed */ 2.0, 3.0, 1.0];
        let decoded: Vec<DecodedLead> = decode_outputs(&manifest, 0.0, &outputs).collect();
        assert_eq!((decoded[0].temperature_c, decoded[0].interval_c), (3.0, Some((1.0, 5.0))));
        assert_eq!((decoded[1].temperature_c, decoded[1].interval_c), (7.0, Some((3.0, 7.0))));
    }
}
