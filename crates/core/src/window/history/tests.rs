use super::*;
use proptest::prelude::*;

const T: Quantity = Quantity::AirTemperature;
const D: Quantity = Quantity::WindFromDirection;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn value(quantity: Quantity, value: f32) -> Values {
    let mut values = Values::NONE;
    values.set(quantity, value);
    values
}

fn history(capacity: usize) -> History {
    History::new(Grid::new(600).unwrap(), &[T, D], capacity)
}

#[test]
fn a_quantity_that_is_not_measured_any_more_is_held_over_a_hole_and_gone_after_it() {
    let mut history = history(50);
    history.insert(at(600 * 10), &value(D, 90.0));
    for slot in 1..=40 {
        history.insert(at(600 * slot), &value(T, 1.0));
    }
    assert_eq!(history.filled(13, D, 13, 3), 90.0);
    assert!(history.filled(14, D, 14, 3).is_nan());
    assert!(history.filled(9, D, 9, 3).is_nan(), "a later value is not known yet");
    history.truncate(9);
    assert!(history.filled(13, D, 13, 3).is_nan());
    history.insert(at(600 * 12), &value(D, 45.0));
    assert_eq!(history.reshaped(&[D], 20).filled(13, D, 13, 3), 45.0);
}

#[test]
fn the_latest_reading_of_a_slot_stands_whatever_the_order() {
    let mut history = history(10);
    assert_eq!(history.insert(at(1190), &value(T, 2.0)), Inserted::Newest(2));
    assert_eq!(history.insert(at(900), &value(T, 1.0)), Inserted::Unchanged(2));
    assert_eq!(history.insert(at(1200), &value(T, 3.0)), Inserted::Refreshed(2));
    assert_eq!(history.insert(at(1200), &value(T, 3.0)), Inserted::Unchanged(2));
    assert_eq!(history.value(2, T), 3.0);
}

#[test]
fn of_one_second_what_came_last_stands_and_what_was_measured_before_what_was_derived() {
    let mut history = history(10);
    let derived = |direction: f32| {
        let mut values = value(T, 1.0);
        values.set(D, direction);
        values
    };
    history.insert_with_derived(at(1190), &value(T, 1.0), &derived(10.0));
    assert_eq!(history.insert(at(1190), &value(T, 2.0)), Inserted::Refreshed(2));
    assert_eq!(history.insert(at(1190), &value(T, 2.0)), Inserted::Unchanged(2));
    assert_eq!(history.value(2, D), 10.0);
    assert_eq!(history.measured_at(at(1190)), value(T, 2.0));
    assert_eq!(history.insert(at(1190), &value(D, 20.0)), Inserted::Refreshed(2));
    history.insert_with_derived(at(1190), &value(T, 1.0), &derived(30.0));
    assert_eq!((history.value(2, T), history.value(2, D)), (1.0, 20.0));
    assert_eq!(history.insert_with_derived(at(1191), &Values::NONE, &derived(40.0)), Inserted::Refreshed(2));
    assert_eq!(history.measured_at(at(1190)), Values::NONE);
}

#[test]
fn a_history_gives_back_second_by_second_what_stands_in_it() {
    // The coarsest grid reaches furthest back from its time.
    for step in [1, 600, i64::from(Grid::MAX_STEP_S)] {
        let mut history = History::new(Grid::new(step as u32).unwrap(), &[T, D], 3);
        let (first, last) = (10 * step + step / 10 + 1, 11 * step + step / 10);
        let mut derived = value(T, 1.0);
        derived.set(D, 5.0);
        history.insert_with_derived(at(first), &value(T, 1.0), &derived);
        assert_eq!(history.seconds().collect::<Vec<_>>(), [(at(first), value(T, 1.0), derived)]);
        history.insert(at(last), &value(T, 2.0));
        let expected = match step {
            1 => {
                derived.set(T, 2.0);
                vec![(at(last), value(T, 2.0), derived)]
            }
            _ => vec![(at(first), Values::NONE, value(D, 5.0)), (at(last), value(T, 2.0), value(T, 2.0))],
        };
        assert_eq!(history.seconds().collect::<Vec<_>>(), expected, "a grid of {step} s");
        assert_eq!(history.newest(), Some(11));
        let mut again = History::new(history.grid(), &[D, T], 5);
        for (time, measured, values) in history.seconds() {
            again.insert_with_derived(time, &measured, &values);
        }
        assert!(again.seconds().eq(history.seconds()));
    }
}

#[test]
fn what_leaves_the_buffer_is_gone_and_a_leap_clears_it() {
    let mut history = history(3);
    for slot in 1..=5 {
        history.insert(at(slot * 600), &value(T, slot as f32));
    }
    assert!(history.value(2, T).is_nan());
    assert_eq!(history.value(3, T), 3.0);
    assert_eq!(history.insert(at(600), &value(T, 9.0)), Inserted::TooOld(1));
    assert_eq!(history.insert(at(600 * 1_000_000), &value(T, 7.0)), Inserted::Newest(1_000_000));
    assert!(history.value(999_999, T).is_nan());
    assert!(history.value(5, T).is_nan());
}

#[test]
fn holes_are_filled_up_to_the_limit_and_never_from_the_future() {
    let mut history = history(100);
    history.insert(at(600 * 10), &value(T, 1.0));
    history.insert(at(600 * 14), &value(T, 3.0));
    assert_eq!(history.filled(11, T, 14, 4), 1.5);
    assert_eq!(history.filled(12, T, 20, 4), 2.0);
    assert!(history.filled(12, T, 14, 3).is_nan());
    assert_eq!(history.filled(12, T, 13, 4), 1.0, "at slot 13 the reading of slot 14 is not known yet");
    assert_eq!(history.filled(18, T, 18, 4), 3.0);
    assert!(history.filled(19, T, 19, 4).is_nan());
    assert!(history.filled(9, T, 14, 4).is_nan());
}

#[test]
fn a_history_of_another_shape_holds_what_both_keep_and_when_it_was_measured() {
    let mut history = history(10);
    for slot in 1..=8 {
        history.insert(at(slot * 600 - 60), &value(T, slot as f32));
    }
    history.insert(at(8 * 600 - 60), &value(D, 90.0));
    for (capacity, oldest) in [(3, 6), (10, 1), (50, 1)] {
        let mut reshaped = history.reshaped(&[Quantity::AirPressure, T], capacity);
        assert_eq!((reshaped.newest(), reshaped.capacity()), (Some(8), capacity));
        for slot in 0..=9 {
            let expected = if (oldest..=8).contains(&slot) { slot as f32 } else { f32::NAN };
            assert_eq!(reshaped.value(slot, T).to_bits(), expected.to_bits(), "slot {slot} of {capacity}");
        }
        assert!(reshaped.value(8, D).is_nan(), "it is not kept any more");
        // A reading counts beside those of before as it would have then.
        assert_eq!(reshaped.insert(at(8 * 600 - 90), &value(T, 0.0)), Inserted::Unchanged(8));
        assert_eq!(reshaped.insert(at(8 * 600 - 30), &value(T, 9.0)), Inserted::Refreshed(8));
    }
    assert_eq!(History::new(history.grid(), &[T], 3).reshaped(&[D], 5).newest(), None);
}

#[test]
fn a_direction_is_interpolated_across_north() {
    let mut history = history(10);
    history.insert(at(600), &value(D, 350.0));
    history.insert(at(1800), &value(D, 20.0));
    assert_eq!(history.filled(2, D, 3, 6), 5.0);
}

proptest! {
    #[test]
    fn a_history_does_not_depend_on_the_order_of_readings(
        readings in prop::collection::vec((0_i64..30_000, any::<bool>()), 1..60),
        seed in any::<u64>(),
    ) {
        use rand::seq::SliceRandom;
        use rand::SeedableRng;
        // A reading's value follows from its time: two readings of one time are a repetition.
        let readings: Vec<(Timestamp, Values)> = readings
            .into_iter()
            .map(|(second, is_temperature)| {
                let quantity = if is_temperature { T } else { D };
                (at(second), value(quantity, (second % 300) as f32))
            })
            .collect();
        let mut shuffled = readings.clone();
        shuffled.shuffle(&mut rand_pcg::Pcg64::seed_from_u64(seed));
        let mut in_order = history(60);
        let mut out_of_order = history(60);
        for (time, values) in &readings {
            in_order.insert(*time, values);
        }
        for (time, values) in &shuffled {
            out_of_order.insert(*time, values);
        }
        for slot in 0..=60 {
            for quantity in [T, D] {
                prop_assert_eq!(
                    in_order.value(slot, quantity).to_bits(),
                    out_of_order.value(slot, quantity).to_bits()
                );
            }
        }
    }
}
