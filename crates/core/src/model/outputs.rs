//! What the outputs of a network mean: the one spelling for live forecasts and for scores.

use crate::forecast::experts::QUANTILES;
use crate::forecast::quantiles::{move_outward, published};
use crate::model::manifest::Manifest;
use crate::weather::quantity::Quantity;

/// What a network says of one lead.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DecodedLead {
    /// The lead in hours.
    pub lead_h: u32,
    /// The point forecast, °C: the median where the network gives quantiles.
    pub temperature_c: f32,
    /// The ends of the [interval](Manifest::interval), °C; `None` where the network gives points.
    pub interval_c: Option<(f32, f32)>,
    /// The quantiles of [`QUANTILES`], rising, °C; `None` where the network does not give them all.
    pub quantiles_c: Option<[f32; QUANTILES.len()]>,
}

/// How far a forecast may lie beyond what a thermometer shows, °C: the ends of an interval may, beyond what was ever measured.
const MARGIN_C: f32 = 20.0;

/// Whether every output is a temperature that can be forecast.
pub(crate) fn are_temperatures(manifest: &Manifest, newest_c: f32, outputs: &[f32]) -> bool {
    let (lowest, highest) = Quantity::AirTemperature.plausible_range();
    let plausible = lowest - MARGIN_C..=highest + MARGIN_C;
    outputs.iter().all(|&output| plausible.contains(&manifest.target.temperature_c(output, newest_c)))
}

/// What one row of outputs means, °C: a point, or quantiles, which are put in order should the network have crossed them.
pub(crate) fn decode_row(manifest: &Manifest, newest_c: f32, row: &[f32]) -> Vec<f32> {
    let mut row_c: Vec<f32> =
        row.iter().map(|&output| manifest.target.temperature_c(output, newest_c)).collect();
    move_outward(&mut row_c, manifest.median());
    row_c
}

/// Decodes the outputs of one window, `[lead]` or `[lead, quantile]`, of which the newest temperature is `newest_c`.
///
/// Quantiles are put in order, outward from the median, should the network have crossed them.
pub fn decode_outputs<'a>(
    manifest: &'a Manifest,
    newest_c: f32,
    outputs: &'a [f32],
) -> impl Iterator<Item = DecodedLead> + 'a {
    let quantiles = manifest.quantiles.len().max(1);
    let (median, interval) = (manifest.median(), manifest.interval());
    manifest.lead_h.iter().zip(outputs.chunks_exact(quantiles)).map(move |(&lead_h, own)| {
        let row_c = decode_row(manifest, newest_c, own);
        DecodedLead {
            lead_h,
            temperature_c: row_c[median],
            interval_c: interval.map(|(low, high)| (row_c[low], row_c[high])),
            quantiles_c: published(&manifest.quantiles, &row_c),
        }
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
        assert_eq!((decoded[1].temperature_c, decoded[1].interval_c), (7.0, Some((5.0, 7.0))));
        assert_eq!(decoded[0].quantiles_c, None, "four are not there");
    }

    #[test]
    fn an_interval_has_the_ends_that_its_quantiles_have_whichever_cross() {
        let manifest = manifest(TargetKind::Value, &QUANTILES);
        let outputs = [
            /* lower */ -1.0, 2.0, -2.0, 0.0, 1.0, 2.0, 3.0, /* upper */ -3.0, -2.0, -1.0, 0.0,
            4.0, 1.0, 2.0,
        ];
        let decoded: Vec<DecodedLead> = decode_outputs(&manifest, 0.0, &outputs).collect();
        for lead in &decoded {
            let quantiles_c = lead.quantiles_c.unwrap();
            assert!(quantiles_c.is_sorted() && lead.temperature_c == quantiles_c[3], "{lead:?}");
            assert_eq!(lead.interval_c, Some((quantiles_c[1], quantiles_c[5])));
        }
        // 0.1 is moved to 0.25, and 0.9 to 0.75; in °C, twice as far from 1.
        assert_eq!([decoded[0].interval_c, decoded[1].interval_c], [Some((-3.0, 5.0)), Some((-3.0, 9.0))]);
    }
}
