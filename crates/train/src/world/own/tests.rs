use rand::{Rng, SeedableRng};

use super::*;
use crate::world::base::persistence;
use crate::world::pool::{QUANTITIES, hourly};
use crate::world::window::SAMPLES;
use forecastd_core::{Grid, Values};

/// Half a year, hour by hour, with a hole of two months after the second.
fn with_a_hole() -> (History, std::ops::Range<i64>) {
    let (hours, hole) = (24 * 182, 24 * 60..24 * 121);
    let mut history = History::new(hourly(), &QUANTITIES, hours as usize + 1);
    for slot in (0..hours).filter(|slot| !hole.contains(slot)) {
        let mut values = Values::NONE;
        let celsius = 10.0 + 6.0 * (slot as f32 * 0.2618).sin() + (slot as f32 * 0.013).cos();
        values.set(Quantity::AirTemperature, celsius);
        history.insert(hourly().time(slot), &values);
    }
    (history, hole)
}

fn scaling() -> Scaling {
    let count = window::count();
    Scaling {
        mean: vec![0.0; count],
        deviation: vec![1.0; count],
        row_c: vec![1.0; ROWS],
        width: vec![1.0; ROWS],
    }
}

/// The same half a year without the hole, but of every hour one in twenty is lost.
fn with_lost_hours() -> History {
    let hours = 24 * 182;
    let mut generator = Pcg64::seed_from_u64(5);
    let mut history = History::new(hourly(), &QUANTITIES, hours as usize + 1);
    for slot in (0..hours).filter(|_| !generator.random_bool(0.05)) {
        let mut values = Values::NONE;
        let celsius = 10.0 + 6.0 * (slot as f32 * 0.2618).sin() + (slot as f32 * 0.013).cos();
        values.set(Quantity::AirTemperature, celsius);
        history.insert(hourly().time(slot), &values);
    }
    history
}

fn own(history: &History) -> OwnHistory {
    OwnHistory::new(history, Site::new(40.0, -80.0), &scaling())
}

#[test]
fn a_hole_of_two_months_costs_nothing_but_what_was_not_measured() {
    let (history, hole) = with_a_hole();
    let own = own(&history);
    let is_measured = |hour: i64| (0..24 * 182).contains(&hour) && !hole.contains(&hour);
    let wanted: Vec<Slot> =
        (0..24 * 182).filter(|&slot| is_measured(slot) && (slot + 1..=slot + 24).any(is_measured)).collect();
    assert_eq!(own.slots, wanted);
    assert_eq!(own.inputs.len(), wanted.len() * window::count());
    assert!(own.inputs.iter().all(|value| value.is_finite()));
    for (slot, observed) in own.slots.iter().zip(&own.observed) {
        for (value, ahead) in observed[..LEADS].iter().zip(1..) {
            assert_eq!(value.is_nan(), !is_measured(slot + ahead), "{ahead} h after {slot}");
        }
    }
    // Each of the two parts lacks the last 24 of its hours at the longest lead.
    assert_eq!(own.days(), (182 - 61 - 2) as f64);
}

/// They were taken as of the next full hour, with the sun of half an hour later.
#[test]
fn readings_at_half_past_are_windows_of_half_past() {
    let ten_minutes = Grid::new(600).unwrap();
    let mut history = History::new(ten_minutes, &QUANTITIES, 6 * 24 * 40);
    let celsius = |hour: i64| 10.0 + 6.0 * (hour as f32 * 0.2618).sin() + (hour as f32 * 0.013).cos();
    for hour in 0..24 * 30 {
        let mut values = Values::NONE;
        values.set(Quantity::AirTemperature, celsius(hour));
        history.insert(ten_minutes.time(6 * hour + 3), &values);
    }
    let site = Site::new(40.0, -80.0);
    let own = OwnHistory::new(&history, site, &scaling());
    assert_eq!(own.slots, (0..24 * 30 - 1).map(|hour| 6 * hour + 3).collect::<Vec<Slot>>());
    let (spec, normalisation, positions) =
        (window::window(600), window::normalisation(), window::Positions::new());
    let (hour, mut numbers, mut row) = (100, vec![0.0; spec.len()], vec![0.0; window::count()]);
    spec.fill(&history, site, 6 * hour + 3, &mut numbers).unwrap();
    normalisation.apply(&mut numbers);
    window::gather(&numbers, &positions, &mut row);
    let index = hour as usize;
    assert_eq!(own.inputs[index * window::count()..(index + 1) * window::count()], row);
    for lead in 0..LEADS {
        let valid = hour + lead as i64 + 1;
        assert!((own.observed[index][lead] - (celsius(valid) - celsius(hour))).abs() < 1e-5);
        assert!((own.yesterday[index][lead] - (celsius(valid - 24) - celsius(hour))).abs() < 1e-5);
    }
    assert_eq!(own.days(), 29.0);
}

#[test]
fn a_reading_that_comes_every_ten_minutes_makes_a_window_an_hour() {
    let ten_minutes = Grid::new(600).unwrap();
    let mut history = History::new(ten_minutes, &QUANTITIES, 6 * 24 * 10);
    for slot in (0..6 * 24 * 10).filter(|slot| slot % 50 != 0) {
        let mut values = Values::NONE;
        values.set(Quantity::AirTemperature, 10.0 + (slot as f32 * 0.0436).sin());
        history.insert(ten_minutes.time(slot), &values);
    }
    let own = own(&history);
    assert!(own.slots.windows(2).all(|pair| (6..=7).contains(&(pair[1] - pair[0]))), "{:?}", own.slots);
    assert!(own.observed[0][..LEADS].iter().all(|value| !value.is_nan()), "a lost reading has a neighbour");
}

#[test]
fn hours_lost_here_and_there_cost_no_window() {
    let history = with_lost_hours();
    let own = own(&history);
    let measured = (0..24 * 182).filter(|&slot| !history.value(slot, Quantity::AirTemperature).is_nan());
    assert_eq!(own.len(), measured.count() - 1, "after the last there is nothing");
    // An hour counts with its outcome: 0.95 of 0.95.
    assert!((own.days() / 181.0 - 0.9).abs() < 0.02, "{}", own.days());
}

#[test]
fn a_row_is_refitted_to_the_windows_that_have_its_outcome_and_to_no_other() {
    let own = own(&with_lost_hours());
    let device = Device::flex();
    let (base, scaling) = persistence(&device);
    let settings = OwnSettings { prior_days: 3.0, fine_tuned_from_days: 1e9, penalty: 0.0, blocks: 6 };
    let all: Vec<usize> = (0..own.len()).collect();
    let refit = |indices: &[usize]| {
        let network = Specialist::refit_last_layer(&own, indices, &base, &scaling, &settings, &device);
        let output: DenseNumbers = network.output.numbers();
        output
    };
    let of_all = refit(&all);
    for row in [0, 11, LEADS - 1, LEADS] {
        let with_outcome: Vec<usize> =
            all.iter().copied().filter(|&index| !own.observed[index][row].is_nan()).collect();
        assert!(with_outcome.len() < all.len(), "row {row}");
        let of_these = refit(&with_outcome);
        let column = row * QUANTILES.len() + MEDIAN;
        let numbers = |output: &DenseNumbers| -> Vec<f32> {
            let weights = output.weight.iter().skip(column).step_by(output.outputs).copied();
            weights.chain([output.bias[column]]).collect()
        };
        let (own, expected) = (numbers(&of_all), numbers(&of_these));
        assert!(expected.iter().any(|value| value.abs() > 1e-3), "row {row}: {expected:?}");
        for (own, expected) in own.iter().zip(&expected) {
            assert!((own - expected).abs() < 1e-4 * (1.0 + expected.abs()), "row {row}: {own}, {expected}");
        }
    }
}

#[test]
fn errors_are_means_over_what_was_measured() {
    let history = with_lost_hours();
    let own = own(&history);
    let device = Device::flex();
    let (base, scaling) = persistence(&device);
    let settings = OwnSettings { prior_days: 3.0, fine_tuned_from_days: 1e9, penalty: 0.0, blocks: 6 };
    let unchanged = |_: &[usize]| Ok::<_, std::convert::Infallible>(base.clone());
    let Ok(specialist) =
        Specialist::new(Method::LastLayer, &own, &base, &scaling, &settings, &device, unchanged);
    for (lead, errors) in specialist.leads.iter().enumerate() {
        let observed = own.observed.iter().map(|observed| f64::from(observed[lead]).abs());
        let measured: Vec<f64> = observed.filter(|value| !value.is_nan()).collect();
        let expected = measured.iter().sum::<f64>() / measured.len() as f64;
        let of_persistence = [errors.world_c, errors.own_c, errors.persistence_c];
        let is_expected = |error: &f64| (error - expected).abs() < 1e-4;
        assert!(of_persistence.iter().all(is_expected), "{lead}: {errors:?}, {expected}");
        // Of a day before and the hour itself, of every window with its newest reading.
        let celsius = |slot: Slot| f64::from(history.value(slot, Quantity::AirTemperature));
        let changes = own
            .slots
            .iter()
            .map(|slot| slot + lead as Slot + 1)
            .map(|valid| celsius(valid) - celsius(valid - 24));
        let known: Vec<f64> = changes.filter(|change| !change.is_nan()).map(f64::abs).collect();
        let expected = known.iter().sum::<f64>() / known.len() as f64;
        assert!((errors.yesterday_c - expected).abs() < 1e-4, "{lead}: {errors:?}, {expected}");
    }
    assert_eq!(specialist.windows, own.len() as u64);
}

#[test]
fn what_was_not_measured_is_no_part_of_the_loss() {
    let own = own(&with_lost_hours());
    let device = Device::flex().autodiff();
    let (base, scaling) = persistence(&device);
    let settings = OwnSettings { prior_days: 3.0, fine_tuned_from_days: 1e9, penalty: 0.0, blocks: 6 };
    let all: Vec<usize> = (0..own.len()).collect();
    let objective = OwnObjective::new(&own, all, &base, &scaling, &settings, device);
    let loss: f32 = objective.loss(&base, &[0, 1, 2, 3], &mut Pcg64::seed_from_u64(1)).into_scalar::<f32>();
    assert!(own.observed[..4].iter().flatten().any(|value| value.is_nan()));
    assert!(loss.is_finite() && loss > 0.0, "{loss}");
}

#[test]
fn blocks_left_out_have_no_hour_in_common_with_what_is_learned_from_whatever_hole_lies_between() {
    let (history, hole) = with_a_hole();
    let own = own(&history);
    const BLOCKS: usize = 6;
    let mut left_out = Vec::new();
    for block in 0..BLOCKS {
        let (held, rest) = own.split(block, BLOCKS);
        // A window looks 72 hours back, and 24 ahead.
        let reach = SAMPLES as i64 - 1 + LEADS as i64;
        for &index in &rest {
            let is_far = |&held: &usize| (own.slots[index] - own.slots[held]).abs() > reach;
            assert!(held.iter().all(is_far), "block {block}, window {index}");
        }
        assert!(rest.len() > own.len() / 2, "block {block}: {} windows are left", rest.len());
        left_out.extend(held);
    }
    assert_eq!(left_out, (0..own.len()).collect::<Vec<usize>>(), "every window is left out once");
    assert!(
        own.slots.iter().any(|&slot| slot < hole.start) && own.slots.iter().any(|&slot| slot >= hole.end)
    );
}
