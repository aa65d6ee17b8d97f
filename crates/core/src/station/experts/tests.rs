//! What is written of a station's experts.

use std::ops::Range;

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;

use super::*;
use crate::forecast::day_ahead::{Below, Extreme};
use crate::forecast::experts::QUANTILES;

const HOUR_S: i64 = 3600;
const YEAR_H: i64 = 365 * 24;
const MONTH_H: i64 = 30 * 24;

fn at(hour: i64) -> Timestamp {
    Timestamp::from_second(1_600_000_000 / HOUR_S * HOUR_S + hour * HOUR_S).unwrap()
}

/// A day's course with weather.
fn weather(hour: i64) -> f32 {
    let day = (hour as f32 / 24.0 * std::f32::consts::TAU).sin();
    let front = (hour as f32 / 90.0).sin() + 0.4 * (hour as f32 / 7.3).cos();
    10.0 + 5.0 * day + 4.0 * front
}

/// What a model says: wrong by what the weather does otherwise, in the hours alike and the more the later, and by a bias with a
/// course over the day.
fn said(lead_h: &[u32], origin: i64, model: usize) -> Vec<Option<LeadAdvice>> {
    let error_of_weather = |valid: i64| {
        let mut random = Pcg64::seed_from_u64((valid as u64).wrapping_mul(64) + model as u64);
        2.0 * (random.random::<f32>() - 0.5)
    };
    let leads = lead_h.iter().map(|&lead_h| {
        let valid = origin + i64::from(lead_h);
        let weather_c = (-5..=0).map(|hour| error_of_weather(valid + hour)).sum::<f32>() / 6.0_f32.sqrt();
        let angle = (valid as f32 / 24.0 + model as f32 / 7.0) * std::f32::consts::TAU;
        let bias_c = 0.3 - model as f32 / 10.0 + 0.5 * angle.sin();
        let temperature_c = weather(valid) + bias_c + weather_c * (lead_h as f32).sqrt() * 0.7;
        let quantiles = [(0.1, temperature_c - 2.0), (0.9, temperature_c + 2.0)];
        let distances = Distances::from_quantiles(temperature_c, &quantiles)?;
        Some(LeadAdvice { temperature_c, spread: Spread::Distances(distances) })
    });
    leads.collect()
}

fn day_ahead(origin: i64) -> DayAhead {
    let extreme = |lowest_c: f32| {
        let quantiles_c: [f32; QUANTILES.len()] = std::array::from_fn(|index| lowest_c + index as f32 * 0.75);
        let interval_c = (quantiles_c[1], quantiles_c[5]);
        Extreme { temperature_c: quantiles_c[3], interval_c, quantiles_c: Some(quantiles_c) }
    };
    let below = [0.0, 4.5].map(|threshold_c| Below { threshold_c, probability: 0.345 });
    let (lowest, highest) = (extreme(weather(origin) - 9.0), extreme(weather(origin) + 5.0));
    DayAhead { hours: 24, lowest, highest, below: below.to_vec() }
}

/// How many experts there are, and how many bytes are written of them, at most within the last three months of a year of hours
/// with the reference experts and models, each by its name and the hours in which it speaks.
fn most_in_a_year(lead_h: &[u32], models: &[(String, Range<i64>)]) -> (usize, usize) {
    let mut own = StationExperts::from_parts(Experts::new(lead_h), DayVerification::default());
    let mut most = (0, 0);
    for origin in 0..YEAR_H {
        let observed = |time: Timestamp| Some(weather((time.as_second() - at(0).as_second()) / HOUR_S));
        own.experts.learn_until(at(origin), observed);
        own.days.learn_until(at(origin), observed);
        let references = References::new(lead_h, at(origin), weather(origin), observed);
        let awake = models.iter().enumerate().filter(|(_, (_, hours))| hours.contains(&origin));
        let said: Vec<(&str, Vec<Option<LeadAdvice>>)> =
            awake.map(|(index, (name, _))| (name.as_str(), said(lead_h, origin, index))).collect();
        let models = said.iter().map(|(name, leads)| Advice { name, prior: MODEL_PRIOR, leads });
        let advices: Vec<Advice<'_>> = references.advices().into_iter().chain(models).collect();
        let combination = own.experts.combine(at(origin), &advices);
        own.experts.issued(&combination);
        own.days.issued(at(origin), &day_ahead(origin));
        if origin >= YEAR_H - 3 * MONTH_H {
            let (experts, bytes) = most;
            most = (own.experts.standings().len().max(experts), own.encode().len().max(bytes));
        }
    }
    most
}

/// Models that stay, and one of the station's own for every month, each of which speaks until a third comes, as a monthly retrain
/// leaves them.
fn retrained_monthly(staying: &[&str]) -> Vec<(String, Range<i64>)> {
    let staying = staying.iter().map(|name| ((*name).to_owned(), 0..YEAR_H));
    let months = (0..13).map(|month| {
        let name = format!("roof.2026-{:02}@{:08x}", month + 1, 0x8765_4321_u32 + month as u32);
        (name, month * MONTH_H..(month + 2) * MONTH_H)
    });
    staying.chain(months).collect()
}

/// The room that a hundred thousand stations must find: the model for any place, and the station's own of two months.
#[test]
fn what_is_written_of_the_usual_experts_fits_16_kib_through_monthly_retrains() {
    let lead_h: Vec<u32> = (1..=24).collect();
    let (experts, bytes) = most_in_a_year(&lead_h, &retrained_monthly(&["world@b6d2f3a1"]));
    // The reference experts, three models, and two of the months before, which are asleep.
    assert_eq!(experts, 3 + 3 + 2);
    assert!(bytes <= 16 * 1024, "{bytes} bytes");
    // Every further model takes what docs/operations.md says.
    let five = ["world@b6d2f3a1", "jena@0abaf1f1", "a@00000001", "b@00000002", "c@00000003"];
    let (experts, with_four) = most_in_a_year(&lead_h, &retrained_monthly(&five));
    assert_eq!(experts, 3 + 7 + 2);
    assert!(with_four - bytes <= 4 * 1500, "{with_four} bytes");
}
