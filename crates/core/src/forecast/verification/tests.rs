use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::forecast::LeadForecast;
use crate::weather::reading::StationName;
use crate::window::feature::Feature;
use crate::window::spec::MissingValues;

fn score(day: i64, model_c: f32) -> Score {
    Score {
        lead_h: 24,
        valid_at: Timestamp::from_second(day * 86_400).unwrap(),
        observed_c: 0.0,
        model_c,
        within_interval: Some(model_c < 2.0),
        persistence_c: 2.0,
        yesterday_c: None,
    }
}

#[test]
fn a_drift_shows_in_the_rolling_score_and_hides_in_the_lifetime_one() {
    let mut scores = Scores::default();
    for day in 0..300 {
        scores.add(&score(day, 1.0));
    }
    for day in 300..360 {
        scores.add(&score(day, 3.0));
    }
    let lead = scores.lead(24);
    assert_eq!(lead.lifetime.count(), 360.0);
    assert!((lead.lifetime.mae().unwrap() - (300.0 + 180.0) / 360.0).abs() < 1e-9);
    // Geometric sums: the last 60 days weigh (1 − q⁶⁰) of the whole, q = exp(−1/30).
    let recent = 1.0 - (-2.0_f64).exp();
    let expected = 1.0 + 2.0 * recent;
    assert!((lead.rolling.mae().unwrap() - expected).abs() < 1e-4, "{:?}", lead.rolling.mae());
    assert!(lead.rolling.skill().unwrap() < 0.0 && lead.lifetime.skill().unwrap() > 0.3);
    assert!((lead.rolling.coverage().unwrap() - (1.0 - recent)).abs() < 1e-4);
}

#[test]
fn a_forecast_that_was_not_issued_near_its_origin_is_not_verified() {
    let spec = WindowSpec {
        grid_step_s: 600,
        sample_every_s: 3600,
        samples: 1,
        max_hole_s: 600,
        site: None,
        missing: MissingValues::Refused,
        features: vec![Feature::Quantity(Quantity::AirTemperature)],
    };
    let history = History::new(spec.grid(), &spec.quantities(), spec.history_slots(24));
    // As a row of the journal may say that somebody else wrote.
    let issued_after = |after_s: i64| {
        let origin = Timestamp::UNIX_EPOCH;
        let lead = LeadForecast {
            lead_h: 24,
            valid_at: origin + SignedDuration::from_hours(24),
            temperature_c: 1.0,
            interval_c: None,
            quantiles_c: None,
        };
        let forecast = Forecast {
            station: StationName::new("roof").unwrap(),
            issued_at: origin + SignedDuration::from_secs(after_s),
            origin,
            temperature_c: 0.0,
            model: "test@0".to_owned(),
            source: Source::Model,
            leads: vec![lead],
            day_ahead: None,
        };
        let mut verification = Verification::default();
        verification.restore(0, &forecast, Slot::MIN, &spec, &history);
        verification.waiting().map(|waiting| waiting.issued_after_s).collect::<Vec<_>>()
    };
    assert_eq!(issued_after(-3600), [-3600]);
    assert_eq!(issued_after(40_000), [0_i64; 0]);
}

#[test]
fn a_score_that_comes_late_weighs_what_its_age_says() {
    let mut in_order = Scores::default();
    let mut late = Scores::default();
    for day in [1, 2, 3] {
        in_order.add(&score(day, day as f32));
    }
    for day in [1, 3, 2] {
        late.add(&score(day, day as f32));
    }
    let mae = |scores: &Scores| scores.lead(24).rolling.mae().unwrap();
    assert!((mae(&in_order) - mae(&late)).abs() < 1e-12);
}
