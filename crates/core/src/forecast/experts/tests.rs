//! The experts of a station as a whole.

use jiff::Timestamp;
use proptest::prelude::*;
use rand::{Rng, SeedableRng};

use super::*;

const HOUR_S: i64 = 3600;

fn leads(count: u32) -> Vec<u32> {
    (1..=count).collect()
}

fn at(hour: i64) -> Timestamp {
    Timestamp::from_second(1_600_000_000 / HOUR_S * HOUR_S + hour * HOUR_S).unwrap()
}

/// The hour that `at` was given.
fn hour(time: Timestamp) -> i64 {
    (time.as_second() - at(0).as_second()) / HOUR_S
}

/// A day's course with weather.
fn weather(hour: i64) -> f32 {
    let day = (hour as f32 / 24.0 * std::f32::consts::TAU).sin();
    let front = (hour as f32 / 90.0).sin() + 0.4 * (hour as f32 / 7.3).cos();
    10.0 + 5.0 * day + 4.0 * front
}

type Leads = Vec<Option<LeadAdvice>>;

fn point(temperature_c: f32) -> Option<LeadAdvice> {
    Some(LeadAdvice { temperature_c, spread: Spread::TypicalMae(1.0) })
}

/// An hour of the station: experts learn, combine, and the combination is kept.
fn step(experts: &mut Experts, origin: i64, advices: &[Advice<'_>]) -> Combination {
    experts.learn_until(at(origin), |time| Some(weather(hour(time))));
    let combination = experts.combine(at(origin), advices);
    experts.issued(&combination);
    combination
}

fn references(lead_h: &[u32], origin: i64) -> References {
    References::new(lead_h, at(origin), weather(origin), |time| Some(weather(hour(time))))
}

/// A model that is wrong by noise and by a constant.
fn model(lead_h: &[u32], origin: i64, bias_c: f32, noise_c: f32) -> Leads {
    let mut random = rand_pcg::Pcg64::seed_from_u64(origin as u64 ^ f32::to_bits(bias_c + noise_c) as u64);
    let leads = lead_h.iter().map(|&lead_h| {
        let temperature_c =
            weather(origin + i64::from(lead_h)) + bias_c + noise_c * (random.random::<f32>() - 0.5);
        let quantiles = [(0.1, temperature_c - 1.0), (0.9, temperature_c + 1.0)];
        let distances = Distances::from_quantiles(temperature_c, &quantiles)?;
        Some(LeadAdvice { temperature_c, spread: Spread::Distances(distances) })
    });
    leads.collect()
}

fn advice<'a>(name: &'a str, prior: f32, leads: &'a [Option<LeadAdvice>]) -> Advice<'a> {
    Advice { name, prior, leads }
}

/// Mean absolute error of the combination and of one model by lead, over the last hours of a run.
fn run(hours: i64, with: impl Fn(i64) -> Vec<(&'static str, f32, Leads)>) -> (Experts, Vec<f32>) {
    let lead_h = leads(24);
    let mut experts = Experts::new(&lead_h);
    let mut errors = vec![(0.0, 0); 24];
    for origin in 0..hours {
        let references = references(&lead_h, origin);
        let others = with(origin);
        let mut advices = references.advices().to_vec();
        advices.extend(others.iter().map(|(name, prior, leads)| advice(name, *prior, leads)));
        let combination = step(&mut experts, origin, &advices);
        for (lead, combined) in combination.leads().enumerate().filter(|_| origin >= hours / 2) {
            errors[lead].0 += (combined.temperature_c - weather(origin + i64::from(combined.lead_h))).abs();
            errors[lead].1 += 1;
        }
    }
    (experts, errors.into_iter().map(|(sum, count)| sum / count as f32).collect())
}

#[test]
fn a_good_model_is_followed_and_its_constant_error_taken_off() {
    let lead_h = leads(24);
    let (experts, errors) = run(1000, |origin| vec![("model", 20.0, model(&lead_h, origin, 1.5, 0.4))]);
    assert!(errors.iter().skip(5).all(|error| *error < 0.6), "{errors:?}");
    let standings = experts.standings();
    let model = standings.iter().find(|standing| standing.name == "model").unwrap();
    assert!(model.leads[11].weight > 0.9, "{:?}", model.leads[11]);
}

#[test]
fn a_model_that_is_of_no_use_costs_next_to_nothing() {
    let lead_h = leads(24);
    let (_, without) = run(1000, |_| Vec::new());
    let (experts, with) = run(1000, |origin| vec![("model", 20.0, model(&lead_h, origin, -4.0, 30.0))]);
    for (lead, (with, without)) in with.iter().zip(&without).enumerate() {
        assert!(with - without < 0.1, "lead {lead}: {with} against {without}");
    }
    let standings = experts.standings();
    let model = standings.iter().find(|standing| standing.name == "model").unwrap();
    assert!(model.leads.iter().all(|lead| lead.weight < 0.2), "{:?}", model.leads);
}

#[test]
fn an_expert_that_is_gone_sleeps_and_is_forgotten_and_the_others_go_on() {
    let lead_h = leads(24);
    let until = |last: i64, hours: i64| {
        run(hours, |origin| match origin < last {
            true => vec![("model", 20.0, model(&lead_h, origin, 0.0, 0.5))],
            false => Vec::new(),
        })
    };
    let names = |experts: &Experts| -> Vec<(String, bool)> {
        experts.standings().into_iter().map(|standing| (standing.name, standing.is_asleep)).collect()
    };
    let (experts, _) = until(300, 500);
    assert_eq!(
        names(&experts),
        [
            ("mixture".to_owned(), false),
            ("model".to_owned(), true),
            ("persistence".to_owned(), false),
            ("yesterday".to_owned(), false)
        ]
    );
    let (experts, _) = until(300, 300 + 60 * 24 + 2);
    assert_eq!(names(&experts).len(), 3);
}

/// Each day another version of a model comes and the one before is gone: long before those are forgotten they fill the room.
#[test]
fn where_there_is_no_room_the_expert_gives_way_that_has_slept_for_the_longest() {
    let lead_h = leads(6);
    let mut experts = Experts::new(&lead_h);
    for day in 0..30 {
        let (own, version) = (model(&lead_h, day, 0.0, 0.4), format!("own@{day:02}"));
        for origin in 24 * day..24 * (day + 1) {
            let references = references(&lead_h, origin);
            let mut advices = references.advices().to_vec();
            advices.push(advice(&version, 5.0, &own));
            step(&mut experts, origin, &advices);
        }
        let standings = experts.standings();
        let names: Vec<&str> = standings.iter().map(|standing| standing.name.as_str()).collect();
        let oldest = format!("own@{:02}", (day - 12).max(0));
        let mut expected = vec!["mixture".to_owned()];
        expected.extend((0..=day).map(|day| format!("own@{day:02}")).filter(|name| *name >= oldest));
        expected.extend(["persistence".to_owned(), "yesterday".to_owned()]);
        assert_eq!(names, expected, "day {day}");
        let own = standings.iter().find(|standing| standing.name == version).unwrap();
        assert!(!own.is_asleep && own.leads[0].mae_c.is_some());
    }
}

#[test]
fn with_one_hour_of_history_there_is_a_forecast_with_an_interval() {
    let lead_h = leads(24);
    let experts = Experts::new(&lead_h);
    let references = References::new(&lead_h, at(0), 7.0, |_| None);
    let combination = experts.combine(at(0), &references.advices());
    assert_eq!(combination.leads().count(), 24);
    for lead in combination.leads() {
        let (low_c, high_c) = lead.interval_c(0.8).unwrap();
        assert!(low_c < 7.0 && high_c > 7.0, "{lead:?}");
    }
    // The mean absolute error of persistence where nothing is known: 4.95 °C at 12 h, as of a normal distribution.
    let (low_c, high_c) = combination.leads().nth(11).unwrap().interval_c(0.8).unwrap();
    let expected = 2.0 * 1.281_55 * 4.95 / (2.0 / std::f32::consts::PI).sqrt();
    assert!((high_c - low_c - expected).abs() < 0.11, "{low_c} to {high_c}");
}

#[test]
fn an_hour_is_learned_from_once_whatever_the_cadence() {
    let lead_h = leads(3);
    let by_cadence = |minutes: &[i64]| {
        let mut experts = Experts::new(&lead_h);
        for origin in 0..200 {
            for minute in minutes {
                let time = Timestamp::from_second(at(origin).as_second() + 60 * minute).unwrap();
                experts.learn_until(time, |time| Some(weather(hour(time))));
                let references = references(&lead_h, origin);
                let combination = experts.combine(time, &references.advices());
                assert_eq!(experts.issued(&combination), *minute == 0);
            }
        }
        experts.learn_until(at(200), |time| Some(weather(hour(time))));
        experts
    };
    assert_eq!(by_cadence(&[0]), by_cadence(&[0, 1, 10, 50]));
}

#[test]
fn hours_that_were_not_measured_teach_nothing() {
    let lead_h = leads(24);
    let mut experts = Experts::new(&lead_h);
    for origin in 0..30 {
        let references = references(&lead_h, origin);
        let combination = experts.combine(at(origin), &references.advices());
        experts.issued(&combination);
    }
    let before = experts.standings();
    assert!(experts.learn_until(at(300), |time| (hour(time) > 100).then_some(f32::NAN)));
    assert_eq!(experts.standings(), before);
    assert!(!experts.learn_until(at(900), |_| Some(1.0)), "nothing waits any more");
}

#[test]
fn what_is_no_temperature_never_gets_in() {
    let lead_h = leads(4);
    let mut experts = Experts::new(&lead_h);
    let broken: Leads = vec![
        point(f32::NAN),
        point(f32::INFINITY),
        Some(LeadAdvice { temperature_c: 5.0, spread: Spread::TypicalMae(f32::NAN) }),
        point(400.0),
    ];
    for origin in 0..50 {
        let references = references(&lead_h, origin);
        let mut advices = references.advices().to_vec();
        advices.push(advice("broken", 1000.0, &broken));
        advices.push(advice("prior", f32::NAN, &broken));
        let combination = step(&mut experts, origin, &advices);
        let alone = experts.combine(at(origin), &references.advices());
        assert!(combination.leads().eq(alone.leads()));
        assert!(combination.leads().flat_map(|lead| lead.quantiles_c).all(f32::is_finite));
    }
    assert!(Experts::decode(&experts.encode()).is_some());
}

#[test]
fn other_leads_keep_what_is_known_of_those_that_stay() {
    let lead_h = leads(24);
    let (mut experts, _) = run(200, |origin| vec![("model", 20.0, model(&lead_h, origin, 1.0, 0.5))]);
    let before = experts.standings();
    experts.set_leads(&[6, 48]);
    let after = experts.standings();
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(after.leads[0], before.leads[5]);
        assert_eq!(after.leads[1].mae_c, None);
    }
    step(&mut experts, 200, &references(&[6, 48], 200).advices());
    assert_eq!(Experts::decode(&experts.encode()), Some(experts));
}

#[test]
fn what_an_earlier_version_wrote_is_taken_as_it_was() {
    let (experts, _) = run(200, |origin| vec![("model", 20.0, model(&leads(24), origin, 1.0, 0.5))]);
    let unpacked = postcard::to_extend(&experts, vec![1]).unwrap();
    assert_eq!(Experts::decode(&unpacked).unwrap(), experts);
    let packed = experts.encode();
    assert_eq!(Experts::decode(&packed).unwrap(), experts);
    assert!(packed.len() < unpacked.len(), "{} of {}", packed.len(), unpacked.len());
}

#[test]
fn an_expert_that_sleeps_for_two_weeks_keeps_its_weight_and_no_bias() {
    let lead_h = leads(24);
    let said = |origin| vec![("model", 20.0, model(&lead_h, origin, 3.0, 0.5))];
    let size_after = |hours: i64| {
        let (mut experts, _) = run(300, said);
        for origin in 300..300 + hours {
            step(&mut experts, origin, &references(&lead_h, origin).advices());
        }
        let standing = experts.standings().into_iter().find(|standing| standing.name == "model");
        assert!(standing.is_some_and(|standing| standing.is_asleep && standing.leads[5].mae_c.is_some()));
        experts.encode().len()
    };
    let (fortnight, later) = (size_after(14 * 24), size_after(14 * 24 + 1));
    assert!(later + 500 < fortnight, "{fortnight} bytes, then {later}");
}

#[test]
fn what_is_no_state_is_not_taken_for_one() {
    let (experts, _) = run(30, |_| Vec::new());
    let bytes = experts.encode();
    assert!(Experts::decode(&[]).is_none());
    assert!(Experts::decode(&bytes[1..]).is_none());
    assert!(Experts::decode(&[bytes.clone(), vec![0]].concat()).is_none());
    for length in 0..bytes.len() {
        assert!(Experts::decode(&bytes[..length]).is_none(), "{length} bytes");
    }
}

/// What happens to a station in an hour.
#[derive(Debug, Clone)]
struct Hour {
    /// By expert: what it says of each lead, if it is awake.
    said: Vec<Option<f32>>,
    observed: Option<f32>,
    gap_h: i64,
}

fn hours() -> impl Strategy<Value = Vec<Hour>> {
    let temperature = prop_oneof![8 => -40.0_f32..45.0, 1 => Just(f32::NAN), 1 => Just(3e30_f32)];
    let said = prop::collection::vec(prop::option::weighted(0.8, temperature), 3);
    let observed = prop::option::weighted(0.9, -40.0_f32..45.0);
    let gap = prop_oneof![9 => Just(1_i64), 1 => 2_i64..40];
    let hour = (said, observed, gap).prop_map(|(said, observed, gap_h)| Hour { said, observed, gap_h });
    prop::collection::vec(hour, 1..80)
}

const NAMES: [&str; 3] = ["a", "b", "c"];

fn live(experts: &mut Experts, origin: &mut i64, next: &Hour, is_reversed: bool) -> Combination {
    *origin += next.gap_h;
    experts.learn_until(at(*origin), |_| next.observed);
    let said: Vec<Leads> = next
        .said
        .iter()
        .enumerate()
        .map(|(expert, said_c)| (0..3).map(|lead| point((*said_c)? + (lead * expert) as f32)).collect())
        .collect();
    let mut advices: Vec<Advice<'_>> = said
        .iter()
        .enumerate()
        .map(|(expert, said)| advice(NAMES[expert], 1.0 + expert as f32, said))
        .collect();
    if is_reversed {
        advices.reverse();
    }
    let combination = experts.combine(at(*origin), &advices);
    experts.issued(&combination);
    combination
}

proptest! {
    #[test]
    fn a_restart_at_any_moment_goes_on_bit_for_bit(hours in hours(), restarts in prop::collection::vec(any::<bool>(), 80)) {
        let (mut whole, mut restarted) = (Experts::new(&[1, 2, 24]), Experts::new(&[1, 2, 24]));
        let (mut origin, mut again) = (0, 0);
        for (next, restarts) in hours.iter().zip(restarts) {
            let left = live(&mut whole, &mut origin, next, false);
            let right = live(&mut restarted, &mut again, next, false);
            prop_assert_eq!(left, right);
            if restarts {
                restarted = Experts::decode(&restarted.encode()).unwrap();
            }
            prop_assert_eq!(whole.encode(), restarted.encode());
        }
    }

    #[test]
    fn the_order_of_experts_changes_no_bit(hours in hours()) {
        let (mut forward, mut backward) = (Experts::new(&[1, 2, 24]), Experts::new(&[1, 2, 24]));
        let (mut origin, mut again) = (0, 0);
        for next in &hours {
            live(&mut forward, &mut origin, next, false);
            live(&mut backward, &mut again, next, true);
        }
        prop_assert_eq!(forward.encode(), backward.encode());
    }

    /// What is on a disk may be anything.
    #[test]
    fn bytes_that_were_changed_are_no_state_or_one_that_can_be_lived_with(
        hours in hours(),
        later in hours(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut experts = Experts::new(&[1, 2, 24]);
        let mut origin = 0;
        for next in &hours {
            live(&mut experts, &mut origin, next, false);
        }
        let mut bytes = experts.encode();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Some(mut changed) = Experts::decode(&bytes) {
            for next in &later {
                let combination = live(&mut changed, &mut origin, next, false);
                for lead in combination.leads() {
                    prop_assert!(lead.quantiles_c.iter().all(|quantile| quantile.is_finite()));
                }
            }
            prop_assert!(Experts::decode(&changed.encode()).is_some());
        }
    }

    #[test]
    fn quantiles_are_in_order_and_weights_of_those_awake_sum_to_one(hours in hours()) {
        let mut experts = Experts::new(&[1, 2, 24]);
        let mut origin = 0;
        for next in &hours {
            let combination = live(&mut experts, &mut origin, next, false);
            for lead in combination.leads() {
                prop_assert!(lead.quantiles_c.is_sorted());
                prop_assert!(lead.quantiles_c.iter().all(|quantile| quantile.is_finite()));
            }
            let standings = experts.standings();
            for lead in 0..3 {
                let sum: f32 = standings.iter().map(|standing| standing.leads[lead].weight).sum();
                prop_assert!(standings.is_empty() || (sum - 1.0).abs() < 1e-5, "{sum}");
                prop_assert!(standings.iter().all(|standing| !standing.is_asleep || standing.leads[lead].weight == 0.0));
            }
        }
    }
}
