//! How good the forecasts have been, by lead: the sums of their scores.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How fast a rolling score forgets: after so long a score weighs 1/e.
pub const ROLLING_DAYS: i64 = 30;

/// A forecast beside what was observed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// The lead of the forecast, in hours.
    pub lead_h: u32,
    /// The hour that it was for.
    pub valid_at: Timestamp,
    /// The observation, °C.
    pub observed_c: f32,
    /// The model's forecast, °C.
    pub model_c: f32,
    /// Whether the observation lay within the interval, where there was one.
    pub within_interval: Option<bool>,
    /// The forecast of persistence, °C.
    pub persistence_c: f32,
    /// The forecast of the same time yesterday, °C, if that was measured.
    pub yesterday_c: Option<f32>,
}

/// Weighted sums over the scores of one lead; each lifetime score weighs 1, each rolling one less with age.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct LeadTotals {
    /// Sum of the weights.
    pub weight: f64,
    /// Sum of the model's absolute errors, °C.
    pub model_absolute: f64,
    /// Sum of the model's squared errors, °C².
    pub model_squared: f64,
    /// Sum of the model's errors, forecast minus observation, °C.
    pub model_error: f64,
    /// Sum of persistence's absolute errors, °C.
    pub persistence_absolute: f64,
    /// Weight of the scores that had a same time yesterday.
    pub yesterday_weight: f64,
    /// Sum of its absolute errors, °C.
    pub yesterday_absolute: f64,
    /// Weight of the scores that had an interval.
    pub interval_weight: f64,
    /// Weight of those whose observation lay within it.
    pub interval_hits: f64,
}

impl LeadTotals {
    /// Adds a score of weight 1.
    pub fn add(&mut self, score: &Score) {
        self.add_weighted(score, 1.0);
    }

    fn add_weighted(&mut self, score: &Score, weight: f64) {
        let error = |forecast_c: f32| f64::from(forecast_c) - f64::from(score.observed_c);
        self.weight += weight;
        self.model_absolute += weight * error(score.model_c).abs();
        self.model_squared += weight * error(score.model_c).powi(2);
        self.model_error += weight * error(score.model_c);
        self.persistence_absolute += weight * error(score.persistence_c).abs();
        if let Some(yesterday_c) = score.yesterday_c {
            self.yesterday_weight += weight;
            self.yesterday_absolute += weight * error(yesterday_c).abs();
        }
        if let Some(within) = score.within_interval {
            self.interval_weight += weight;
            self.interval_hits += weight * f64::from(u8::from(within));
        }
    }

    /// Adds `factor` times other sums.
    pub fn add_totals(&mut self, other: &LeadTotals, factor: f64) {
        self.weight += factor * other.weight;
        self.model_absolute += factor * other.model_absolute;
        self.model_squared += factor * other.model_squared;
        self.model_error += factor * other.model_error;
        self.persistence_absolute += factor * other.persistence_absolute;
        self.yesterday_weight += factor * other.yesterday_weight;
        self.yesterday_absolute += factor * other.yesterday_absolute;
        self.interval_weight += factor * other.interval_weight;
        self.interval_hits += factor * other.interval_hits;
    }

    fn scaled(&self, factor: f64) -> LeadTotals {
        let mut scaled = LeadTotals::default();
        scaled.add_totals(self, factor);
        scaled
    }

    /// How many scores these sums are of; a fraction for rolling ones.
    pub fn count(&self) -> f64 {
        self.weight
    }

    /// Mean absolute error of the model, °C; `None` before the first score.
    pub fn mae(&self) -> Option<f64> {
        ratio(self.model_absolute, self.weight)
    }

    /// Root mean square error of the model, °C.
    pub fn rmse(&self) -> Option<f64> {
        ratio(self.model_squared, self.weight).map(f64::sqrt)
    }

    /// Mean error of the model, forecast minus observation, °C.
    pub fn bias(&self) -> Option<f64> {
        ratio(self.model_error, self.weight)
    }

    /// Mean absolute error of persistence, °C, over the same hours.
    pub fn persistence_mae(&self) -> Option<f64> {
        ratio(self.persistence_absolute, self.weight)
    }

    /// Mean absolute error of the same time yesterday, °C.
    pub fn yesterday_mae(&self) -> Option<f64> {
        ratio(self.yesterday_absolute, self.yesterday_weight)
    }

    /// Skill against persistence: 1 is perfect, 0 no better (Wilks, Statistical Methods in the Atmospheric
    /// Sciences, 4th ed., section 9.1.4).
    pub fn skill(&self) -> Option<f64> {
        let persistence = self.persistence_mae().filter(|&mae| mae > 0.0)?;
        Some(1.0 - self.mae()? / persistence)
    }

    /// The empirical coverage of the interval: the fraction of observations within it.
    pub fn coverage(&self) -> Option<f64> {
        ratio(self.interval_hits, self.interval_weight)
    }
}

pub(super) fn ratio(sum: f64, weight: f64) -> Option<f64> {
    (weight > 0.0).then(|| sum / weight)
}

/// How good one lead has been: since the beginning, and lately.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct LeadScores {
    /// Over all scores.
    pub lifetime: LeadTotals,
    /// Weighted by exp(−age / [`ROLLING_DAYS`]), age counted from the newest score of the lead.
    pub rolling: LeadTotals,
    /// Second of the newest score's hour.
    newest_s: i64,
}

impl LeadScores {
    /// Adds a score.
    pub(super) fn add(&mut self, score: &Score) {
        self.lifetime.add(score);
        let time_s = score.valid_at.as_second();
        if self.rolling.weight == 0.0 {
            self.newest_s = time_s;
        }
        self.age_until(time_s);
        self.rolling.add_weighted(score, rolling_weight(self.newest_s - time_s));
    }

    /// Adds the scores of another station at the same lead.
    pub(super) fn merge(&mut self, other: &LeadScores) {
        self.lifetime.add_totals(&other.lifetime, 1.0);
        if self.rolling.weight == 0.0 {
            self.newest_s = other.newest_s;
        }
        self.age_until(other.newest_s);
        self.rolling.add_totals(&other.rolling, rolling_weight(self.newest_s - other.newest_s));
    }

    pub(super) fn age_until(&mut self, time_s: i64) {
        if time_s > self.newest_s {
            self.rolling = self.rolling.scaled(rolling_weight(time_s - self.newest_s));
            self.newest_s = time_s;
        }
    }
}

/// The weight of a rolling score of some age, in seconds.
pub(crate) fn rolling_weight(age_s: i64) -> f64 {
    (-(age_s as f64) / (ROLLING_DAYS * 86_400) as f64).exp()
}

/// Scores by lead.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// By rising lead.
    by_lead: Vec<(u16, LeadScores)>,
}

impl Scores {
    /// Adds a score.
    pub fn add(&mut self, score: &Score) {
        if let Ok(lead_h) = u16::try_from(score.lead_h) {
            self.entry(lead_h).add(score);
        }
    }

    /// Adds the scores of another station.
    pub fn merge(&mut self, other: &Scores) {
        for (lead_h, scores) in &other.by_lead {
            self.entry(*lead_h).merge(scores);
        }
    }

    pub(super) fn entry(&mut self, lead_h: u16) -> &mut LeadScores {
        let index = match self.by_lead.binary_search_by_key(&lead_h, |(lead_h, _)| *lead_h) {
            Ok(index) => index,
            Err(index) => {
                self.by_lead.insert(index, (lead_h, LeadScores::default()));
                index
            }
        };
        &mut self.by_lead[index].1
    }

    /// The scores of one lead.
    pub fn lead(&self, lead_h: u32) -> LeadScores {
        let found = self.by_lead.iter().find(|(own, _)| u32::from(*own) == lead_h);
        found.map(|(_, scores)| *scores).unwrap_or_default()
    }

    /// The leads with scores, rising.
    pub fn leads(&self) -> impl Iterator<Item = (u32, &LeadScores)> + '_ {
        self.by_lead.iter().map(|(lead_h, scores)| (u32::from(*lead_h), scores))
    }

    /// The newest hour that a forecast was scored for; `None` before the first score.
    pub fn newest(&self) -> Option<Timestamp> {
        let newest_s = self.by_lead.iter().map(|(_, scores)| scores.newest_s).max()?;
        Timestamp::from_second(newest_s).ok()
    }

    /// Whether there is no score yet.
    pub fn is_empty(&self) -> bool {
        self.by_lead.is_empty()
    }
}
