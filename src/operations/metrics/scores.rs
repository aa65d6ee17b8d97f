//! How good the forecasts of all stations have been.

use std::collections::BTreeMap;
use std::sync::Mutex;

use forecastd_core::{DayScores, LeadScores, LeadTotals, Score, Scores};
use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounterVec};

use super::{HISTOGRAM_LEADS_H, Maker, Metrics, lock};

/// How good the forecasts of all stations have been.
pub(super) struct ScoreMetrics {
    verified: IntCounterVec,
    absolute_error: HistogramVec,
    mean_absolute_error: GaugeVec,
    lifetime_mean_absolute_error: GaugeVec,
    skill: GaugeVec,
    coverage: GaugeVec,
    extreme_pinball: GaugeVec,
    extreme_coverage: GaugeVec,
    brier: GaugeVec,
    /// As last told; made into gauges at a scrape.
    last_told: Mutex<BTreeMap<u32, LeadScores>>,
}

impl ScoreMetrics {
    pub(super) fn new(make: &Maker<'_>) -> ScoreMetrics {
        let absolute_error = make.register(HistogramVec::new(
            HistogramOpts::new(
                "forecastd_forecast_absolute_error_celsius",
                "Absolute errors of forecasts whose hour has come.",
            )
            .buckets(vec![0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0]),
            &["forecast", "lead_h"],
        ));
        for lead_h in HISTOGRAM_LEADS_H {
            for forecast in ["model", "persistence", "yesterday"] {
                absolute_error.with_label_values(&[forecast, &lead_h.to_string()]);
            }
        }
        ScoreMetrics {
            verified: make.counters(
                "forecasts_verified_total",
                "Forecasts scored against observations, by lead.",
                "lead_h",
                &[],
            ),
            absolute_error,
            mean_absolute_error: make.gauges(
                "forecast_mean_absolute_error_celsius",
                "Mean absolute error of the forecasts scored lately, each weighing exp(-age / 30 days).",
                &["forecast", "lead_h"],
            ),
            lifetime_mean_absolute_error: make.gauges(
                "forecast_lifetime_mean_absolute_error_celsius",
                "Mean absolute error of all forecasts that were ever scored.",
                &["forecast", "lead_h"],
            ),
            skill: make.gauges(
                "forecast_skill_ratio",
                "1 - MAE of the model / MAE of persistence, of the forecasts scored lately.",
                &["lead_h"],
            ),
            coverage: make.gauges(
                "forecast_interval_coverage_ratio",
                "Fraction of the observations scored lately that lay within the interval.",
                &["lead_h"],
            ),
            extreme_pinball: make.gauges(
                "forecast_extreme_pinball_loss_celsius",
                "Mean pinball loss of the quantiles of the lowest and the highest temperature ahead, and of the station's own \
                 last days, scored lately.",
                &["extreme", "forecast"],
            ),
            extreme_coverage: make.gauges(
                "forecast_extreme_coverage_ratio",
                "Fraction of the lowest and highest temperatures scored lately that lay within the interval of 80 %.",
                &["extreme"],
            ),
            brier: make.gauges(
                "forecast_brier_score_ratio",
                "Mean Brier score of the probability of frost, or of becoming colder than forecast.threshold_c, and of the \
                 station's own frequency, scored lately.",
                &["event", "forecast"],
            ),
            last_told: Mutex::new(BTreeMap::new()),
        }
    }
}

impl Metrics {
    /// A forecast was scored; these are the scores of all stations at its lead.
    pub fn scored(&self, score: &Score, scores: &LeadScores) {
        lock(&self.scores.last_told).insert(score.lead_h, *scores);
        if HISTOGRAM_LEADS_H.contains(&score.lead_h) {
            let lead_h = score.lead_h.to_string();
            let observe = |forecast: &str, forecast_c: f32| {
                let error = f64::from((forecast_c - score.observed_c).abs());
                self.scores.absolute_error.with_label_values(&[forecast, &lead_h]).observe(error);
            };
            observe("model", score.model_c);
            observe("persistence", score.persistence_c);
            if let Some(yesterday_c) = score.yesterday_c {
                observe("yesterday", yesterday_c);
            }
        }
    }

    /// What was said of days ahead was scored; these are the scores of all stations.
    pub fn days_scored(&self, scores: &DayScores) {
        let rolling = &scores.rolling;
        let set = |gauges: &GaugeVec, labels: &[&str], value: Option<f64>| {
            if let Some(value) = value {
                gauges.with_label_values(labels).set(value);
            }
        };
        for (extreme, totals) in [("lowest", &rolling.lowest), ("highest", &rolling.highest)] {
            set(&self.scores.extreme_pinball, &[extreme, "model"], totals.pinball_c());
            set(&self.scores.extreme_pinball, &[extreme, "own_days"], totals.reference_pinball_c());
            set(&self.scores.extreme_coverage, &[extreme], totals.coverage());
        }
        for below in &rolling.below {
            let event = if below.threshold_c() == 0.0 { "frost" } else { "below_threshold" };
            set(&self.scores.brier, &[event, "model"], below.brier_score());
            set(&self.scores.brier, &[event, "own_days"], below.reference_brier_score());
        }
    }

    /// The scores of all stations were restored.
    pub fn scores_restored(&self, scores: &Scores) {
        lock(&self.scores.last_told).extend(scores.leads().map(|(lead_h, scores)| (lead_h, *scores)));
    }

    pub(super) fn collect_scores(&self) {
        for (lead_h, scores) in lock(&self.scores.last_told).iter() {
            let lead_h = lead_h.to_string();
            let verified = self.scores.verified.with_label_values(&[&lead_h]);
            verified.inc_by((scores.lifetime.count() as u64).saturating_sub(verified.get()));
            let set = |gauges: &GaugeVec, totals: &LeadTotals| {
                for (forecast, mae) in [
                    ("model", totals.mae()),
                    ("persistence", totals.persistence_mae()),
                    ("yesterday", totals.yesterday_mae()),
                ] {
                    if let Some(mae) = mae {
                        gauges.with_label_values(&[forecast, &lead_h]).set(mae);
                    }
                }
            };
            set(&self.scores.mean_absolute_error, &scores.rolling);
            set(&self.scores.lifetime_mean_absolute_error, &scores.lifetime);
            for (gauges, ratio) in [
                (&self.scores.skill, scores.rolling.skill()),
                (&self.scores.coverage, scores.rolling.coverage()),
            ] {
                if let Some(ratio) = ratio {
                    gauges.with_label_values(&[&lead_h]).set(ratio);
                }
            }
        }
    }
}
