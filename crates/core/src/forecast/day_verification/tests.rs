use super::super::day_ahead::Below;
use super::*;

fn at(hour: i64) -> Timestamp {
    Timestamp::from_second(1_600_000_000 / DAY_S * DAY_S + hour * HOUR_S).unwrap()
}

fn hour(time: Timestamp) -> i64 {
    (time.as_second() - at(0).as_second()) / HOUR_S
}

/// Between −1 and 1 °C over the day, and 10 °C warmer after `warm_from` hours.
fn temperature(hour: i64, warm_from: i64) -> f32 {
    let step = if hour >= warm_from { 10.0 } else { 0.0 };
    step + (hour as f32 / 24.0 * std::f32::consts::TAU).sin()
}

fn said(lowest_c: f32, highest_c: f32, frost: f32) -> DayAhead {
    let extreme = |temperature_c: f32| Extreme {
        temperature_c,
        interval_c: (temperature_c - 1.0, temperature_c + 1.0),
        quantiles_c: Some([-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5].map(|distance| temperature_c + distance)),
    };
    DayAhead {
        hours: 24,
        lowest: extreme(lowest_c),
        highest: extreme(highest_c),
        below: vec![Below { threshold_c: 0.0, probability: frost }],
    }
}

/// So many hours of a station that says the truth, but for `shift_c`.
fn walk(hours: i64, every_s: i64, shift_c: f32, frost: f32) -> (DayVerification, Vec<DayScore>) {
    let mut verification = DayVerification::default();
    let mut scores = Vec::new();
    for second in (0..hours * HOUR_S).step_by(every_s as usize) {
        let origin = at(0) + jiff::SignedDuration::from_secs(second);
        scores.extend(verification.learn_until(origin, |time| Some(temperature(hour(time), i64::MAX))));
        verification.issued(origin, &said(-1.0 + shift_c, 1.0 + shift_c, frost));
    }
    (verification, scores)
}

#[test]
fn a_day_is_scored_when_its_hours_are_over_and_five_days_before_it_are_known() {
    // The first day is over after 24 hours and learned from with the forecast an hour later, the fifth of the reference
    // four days on; the first day that began after that is over a day later.
    let (_, scores) = walk(6 * 24 + 1, HOUR_S, 0.0, 0.5);
    assert_eq!(scores.len(), 0);
    let (verification, scores) = walk(6 * 24 + 2, HOUR_S, 0.0, 0.5);
    assert_eq!(scores.len(), 1);
    let DayTotals { lowest, highest, below } = &verification.scores().rolling;
    assert_eq!((lowest.coverage(), highest.mae_c()), (Some(1.0), Some(0.0)));
    // Quantiles that lie 1.5, 1, 0.5 °C on either side of what is observed: twice (0.05·1.5 + 0.1·1 + 0.25·0.5) / 7.
    let expected = 2.0 * (0.05 * 1.5 + 0.1 + 0.25 * 0.5) / 7.0;
    assert!((lowest.pinball_c().unwrap() - expected).abs() < 1e-6, "{lowest:?}");
    // Every day had the same extremes, and frost: 5 of 5 days, of which the estimate is 5.5/6.
    assert_eq!(lowest.reference_pinball_c(), Some(0.0));
    assert!((below[0].brier_score().unwrap() - 0.25).abs() < 1e-9);
    assert!((below[0].reference_brier_score().unwrap() - (0.5_f64 / 6.0).powi(2)).abs() < 1e-9);
    assert_eq!((below[0].threshold_c(), below[0].frequency()), (0.0, Some(1.0)));
}

#[test]
fn one_forecast_an_hour_counts_whatever_the_cadence() {
    let (hourly, scores) = walk(10 * 24, HOUR_S, 0.7, 0.9);
    let (often, same) = walk(10 * 24, 600, 0.7, 0.9);
    assert_eq!(scores, same);
    assert_eq!(hourly.scores(), often.scores());
    assert!(hourly.pending.len() <= 25);
}

#[test]
fn what_is_off_by_more_than_the_interval_is_a_miss_and_costs_more_than_the_reference() {
    let (verification, _) = walk(20 * 24, HOUR_S, 3.0, 0.0);
    let DayTotals { lowest, below, .. } = &verification.scores().rolling;
    assert_eq!(lowest.coverage(), Some(0.0));
    assert!(lowest.pinball_c() > lowest.reference_pinball_c());
    assert_eq!(below[0].brier_score(), Some(1.0), "frost was called impossible and came every day");
}

#[test]
fn a_day_with_an_hour_that_was_not_observed_is_not_scored_and_the_next_ones_are() {
    let mut verification = DayVerification::default();
    let mut scores = 0;
    for hours in 0..12 * 24 {
        let observed = |time| (hour(time) != 8 * 24).then(|| temperature(hour(time), i64::MAX));
        scores += verification.learn_until(at(hours), observed).len();
        verification.issued(at(hours), &said(-1.0, 1.0, 1.0));
    }
    let (_, whole) = walk(12 * 24, HOUR_S, 0.0, 1.0);
    assert_eq!(scores, whole.len() - 24, "the hour belongs to the days ahead of 24 forecasts");
}

#[test]
fn what_is_written_and_read_goes_on_bit_for_bit() {
    let (mut verification, _) = walk(9 * 24 + 7, HOUR_S, 0.3, 0.4);
    let bytes = postcard::to_allocvec(&verification).unwrap();
    assert!(bytes.len() < 3000, "{} bytes", bytes.len());
    let mut again: DayVerification = postcard::from_bytes(&bytes).unwrap();
    assert!(again.is_sound());
    for hours in 9 * 24 + 7..12 * 24 {
        for one in [&mut verification, &mut again] {
            one.learn_until(at(hours), |time| Some(temperature(hour(time), 10 * 24)));
            one.issued(at(hours), &said(-1.0, 1.0, 0.25));
        }
    }
    assert_eq!(verification, again);
}

#[test]
fn what_was_said_by_a_clock_that_was_ahead_is_forgotten() {
    let (mut verification, _) = walk(9 * 24, HOUR_S, 0.0, 1.0);
    verification.drop_after(at(8 * 24));
    assert!(verification.pending.iter().all(|day| day.origin_s <= at(8 * 24).as_second()));
    assert!(verification.is_sound());
}

#[test]
fn scores_of_two_stations_together_weigh_what_their_age_says() {
    let (early, _) = walk(8 * 24, HOUR_S, 0.0, 1.0);
    let (late, _) = walk(20 * 24, HOUR_S, 0.0, 1.0);
    let mut both = DayScores::default();
    both.merge(early.scores());
    both.merge(late.scores());
    let weight = |scores: &DayScores| scores.rolling.lowest.weight;
    let age_s = (late.scores.newest_s - early.scores.newest_s) as f64;
    let expected = weight(late.scores()) + weight(early.scores()) * (-age_s / (30.0 * 86_400.0)).exp();
    assert!((weight(&both) - expected).abs() < 1e-9);
    assert_eq!(
        both.lifetime.lowest.weight,
        early.scores.lifetime.lowest.weight + late.scores.lifetime.lowest.weight
    );
}
