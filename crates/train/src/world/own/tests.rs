use super::*;
use crate::world::pool::{QUANTITIES, hourly};
use crate::world::window::SAMPLES;
use forecastd_core::Values;

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

#[test]
fn a_hole_of_two_months_costs_the_day_before_it_and_nothing_else() {
    let (history, hole) = with_a_hole();
    let own = OwnHistory::new(&history, Site::new(40.0, -80.0), &scaling());
    // Every hour that was measured, of which the 24 hours after it were measured, too.
    let wanted: Vec<Slot> =
        (0..24 * 182 - 24).filter(|slot| (*slot..=slot + 24).all(|hour| !hole.contains(&hour))).collect();
    assert_eq!(own.slots, wanted);
    assert_eq!(own.inputs.len(), wanted.len() * window::count());
    assert!(own.inputs.iter().chain(own.observed.iter().flatten()).all(|value| value.is_finite()));
}

#[test]
fn blocks_left_out_have_no_hour_in_common_with_what_is_learned_from_whatever_hole_lies_between() {
    let (history, hole) = with_a_hole();
    let own = OwnHistory::new(&history, Site::new(40.0, -80.0), &scaling());
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
