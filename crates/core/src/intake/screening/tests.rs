use proptest::prelude::*;

use super::*;

const HOUR: i64 = 3600;

fn reading(values: &[(Quantity, f32)]) -> Values {
    let mut reading = Values::NONE;
    for &(quantity, value) in values {
        reading.set(quantity, value);
    }
    reading
}

/// Screens one reading; gives what was dropped.
fn screen_all(
    screening: &mut Screening,
    second: i64,
    values: &[(Quantity, f32)],
) -> Vec<(Quantity, Implausible)> {
    let mut values = reading(values);
    let before = values;
    let dropped = screening.screen(Timestamp::from_second(second).unwrap(), &mut values);
    for dropped in &dropped {
        assert_eq!(values.get(dropped.quantity), None);
        assert_eq!(before.get(dropped.quantity), Some(dropped.value));
    }
    assert_eq!(values.iter().count() + dropped.len(), before.iter().count());
    dropped.into_iter().map(|dropped| (dropped.quantity, dropped.reason)).collect()
}

fn screen(screening: &mut Screening, second: i64, quantity: Quantity, value: f32) -> Option<Implausible> {
    screen_all(screening, second, &[(quantity, value)]).first().map(|&(_, reason)| reason)
}

#[test]
fn a_sentinel_is_dropped_and_the_other_quantities_stay() {
    let values = [(Quantity::WindSpeed, -9999.0), (Quantity::AirTemperature, 4.0)];
    let dropped = screen_all(&mut Screening::default(), 0, &values);
    assert_eq!(dropped, [(Quantity::WindSpeed, Implausible::OutOfRange)]);
}

mod leaps {
    use super::*;

    #[test]
    fn a_spike_is_dropped_but_a_new_level_is_believed_at_the_third_reading() {
        let t = Quantity::AirTemperature;
        let mut screening = Screening::default();
        assert_eq!(screen(&mut screening, 0, t, 10.0), None);
        assert_eq!(screen(&mut screening, 600, t, 55.0), Some(Implausible::Leap));
        assert_eq!(screen(&mut screening, 1200, t, 10.1), None);
        assert_eq!(screen(&mut screening, 1800, t, -30.0), Some(Implausible::Leap));
        assert_eq!(screen(&mut screening, 2400, t, -30.1), Some(Implausible::Leap));
        assert_eq!(screen(&mut screening, 3000, t, -30.2), None);
        assert_eq!(screen(&mut screening, 3600, t, -30.3), None);
        // After a long silence any value can follow.
        assert_eq!(screen(&mut screening, 3600 + 24 * HOUR, t, 20.0), None);
    }

    #[test]
    fn a_spiking_sensor_is_never_believed_though_the_true_value_does_not_move() {
        for (quantity, base, spike) in
            [(Quantity::AirTemperature, 10.0, 55.0), (Quantity::AirPressure, 1000.0, 800.0)]
        {
            let mut screening = Screening::default();
            for round in 0..20 {
                assert_eq!(screen(&mut screening, round * 1200, quantity, base), None, "round {round}");
                let spiked = screen(&mut screening, round * 1200 + 600, quantity, spike);
                assert_eq!(spiked, Some(Implausible::Leap), "round {round}");
            }
        }
    }

    #[test]
    fn readings_further_apart_than_an_hour_are_checked_too() {
        let mut screening = Screening::default();
        assert_eq!(screen(&mut screening, 0, Quantity::AirTemperature, 10.0), None);
        assert_eq!(screen(&mut screening, 3601, Quantity::AirTemperature, 55.0), Some(Implausible::Leap));
        assert_eq!(screen(&mut screening, 2 * HOUR, Quantity::AirTemperature, 12.0), None);
    }

    #[test]
    fn a_leap_that_is_delivered_again_is_no_second_one() {
        let t = Quantity::AirTemperature;
        let mut screening = Screening::default();
        screen(&mut screening, 0, t, 10.0);
        for _ in 0..5 {
            assert_eq!(screen(&mut screening, 600, t, 55.0), Some(Implausible::Leap));
        }
        assert_eq!(screen(&mut screening, 1200, t, 55.0), Some(Implausible::Leap));
        assert_eq!(screen(&mut screening, 1800, t, 55.0), None);
    }

    #[test]
    fn a_reading_out_of_order_is_checked_for_its_range_alone_and_changes_nothing() {
        let t = Quantity::AirTemperature;
        let mut screening = Screening::default();
        screen(&mut screening, HOUR, t, 10.0);
        let before = screening.clone();
        assert_eq!(screen(&mut screening, HOUR / 2, t, 55.0), None);
        assert_eq!(screen(&mut screening, HOUR / 2, t, 99.0), Some(Implausible::OutOfRange));
        assert_eq!(screening, before);
    }

    /// What a sensor says: the true value, or a spike.
    #[derive(Debug, Clone, Copy)]
    enum Said {
        True { moved: f32 },
        Spike(f32),
    }

    fn said() -> impl Strategy<Value = Said> {
        prop_oneof![
            prop_oneof![Just(0.0_f32), Just(0.1), -1.0_f32..1.0].prop_map(|moved| Said::True { moved }),
            prop_oneof![Just(55.0_f32), Just(-50.0), 52.0_f32..60.0, -80.0_f32..-45.0].prop_map(Said::Spike),
        ]
    }

    proptest! {
        /// At most two hours lie between two readings, so that at most six pass without a true one: the limit is then
        /// 40 K, and every spike is further away than that.
        #[test]
        fn no_pattern_of_spikes_is_believed_unless_three_come_in_a_row(
            feed in prop::collection::vec((1_i64..=7200, said(), 1_usize..4), 1..200),
        ) {
            let (mut screening, mut truth, mut second, mut in_a_row) = (Screening::default(), 5.0_f32, 0, 0);
            screen(&mut screening, second, Quantity::AirTemperature, truth);
            for (interval_s, mut said, deliveries) in feed {
                second += interval_s;
                if in_a_row == usize::from(LEAPS_BELIEVED) - 1 {
                    said = Said::True { moved: 0.0 };
                }
                let (value, expected) = match said {
                    Said::True { moved } => {
                        in_a_row = 0;
                        truth = (truth + moved).clamp(0.0, 10.0);
                        (truth, None)
                    }
                    Said::Spike(value) => {
                        in_a_row += 1;
                        (value, Some(Implausible::Leap))
                    }
                };
                for _ in 0..deliveries {
                    let dropped = screen(&mut screening, second, Quantity::AirTemperature, value);
                    // A truth that never moves is frozen some day; that is not asked here.
                    let dropped = dropped.filter(|&reason| reason != Implausible::Frozen);
                    prop_assert_eq!(dropped, expected);
                }
            }
        }

        #[test]
        fn a_new_level_is_believed_at_its_third_reading_whatever_came_before(
            feed in prop::collection::vec((1_i64..=7200, -80.0_f32..60.0), 0..100),
            level in -80.0_f32..59.0,
        ) {
            let (mut screening, mut second) = (Screening::default(), 0);
            for (interval_s, value) in feed {
                second += interval_s;
                screen(&mut screening, second, Quantity::AirTemperature, value);
            }
            let dropped: Vec<_> = (1..=4)
                .map(|reading| {
                    let value = level + 0.1 * reading as f32;
                    screen(&mut screening, second + 600 * reading, Quantity::AirTemperature, value)
                })
                .collect();
            prop_assert_eq!(&dropped[2..], [None, None]);
        }
    }
}

mod freezes {
    use super::*;

    /// A sensor of this resolution that has moved for `hours`, every ten minutes.
    fn learned(quantities: &[(Quantity, f32, f32)], hours: i64) -> (Screening, i64) {
        let mut screening = Screening::default();
        for index in 0..hours * 6 {
            let values: Vec<_> = quantities
                .iter()
                .map(|&(quantity, base, step)| {
                    (quantity, base + step * [0.0, 1.0, 2.0, 3.0, 2.0, 1.0][index as usize % 6])
                })
                .collect();
            assert_eq!(screen_all(&mut screening, index * 600, &values), [], "{index}");
        }
        (screening, hours * HOUR)
    }

    /// How many hours into a feed the first value of a quantity is dropped as frozen.
    fn first_frozen(
        screening: &mut Screening,
        from: i64,
        hours: i64,
        quantity: Quantity,
        values: impl Fn(i64) -> Vec<(Quantity, f32)>,
    ) -> Option<i64> {
        (0..hours * 6).find_map(|index| {
            let dropped = screen_all(screening, from + index * 600, &values(index));
            dropped.contains(&(quantity, Implausible::Frozen)).then_some(index / 6)
        })
    }

    use Quantity::{AirPressure, AirTemperature, RelativeHumidity, WindSpeed};

    #[test]
    fn a_frozen_thermometer_is_found_after_a_day_while_humidity_moves() {
        let sensors = [(AirTemperature, 3.0, 0.1), (RelativeHumidity, 60.0, 1.0)];
        let (mut screening, from) = learned(&sensors, 24);
        let values = |index: i64| vec![(AirTemperature, 3.2), (RelativeHumidity, 60.0 + (index % 30) as f32)];
        let found = first_frozen(&mut screening, from, 240, AirTemperature, values);
        // 24 h, and a tenth of 48 h for its resolution.
        assert_eq!(found, Some(28));
        // It is believed again as soon as it moves.
        assert_eq!(screen(&mut screening, from + 300 * HOUR, AirTemperature, 3.3), None);
    }

    #[test]
    fn whole_degrees_stand_in_fog_and_are_believed() {
        let sensors = [(AirTemperature, 1.0, 1.0), (RelativeHumidity, 90.0, 1.0), (AirPressure, 1000.0, 0.1)];
        let (mut screening, from) = learned(&sensors, 24);
        let values = |index: i64| {
            vec![
                (AirTemperature, 1.0),
                (RelativeHumidity, 100.0),
                (AirPressure, 1000.0 + (index % 50) as f32 / 10.0),
            ]
        };
        let found = first_frozen(&mut screening, from, 140, AirTemperature, values);
        assert_eq!(found, None, "almost six days");
        // A sensor of both that has died is found in the end.
        let found = first_frozen(&mut screening, from + 140 * HOUR, 24, AirTemperature, values);
        assert_eq!(found, Some(4), "after twice 72 h");
    }

    #[test]
    fn a_thermometer_that_froze_together_with_its_hygrometer_is_found_where_there_is_no_fog() {
        let sensors = [(AirTemperature, 1.0, 0.1), (RelativeHumidity, 60.0, 1.0), (AirPressure, 1000.0, 0.1)];
        let (mut screening, from) = learned(&sensors, 24);
        let values = |index: i64| {
            vec![
                (AirTemperature, 1.2),
                (RelativeHumidity, 71.0),
                (AirPressure, 1000.0 + (index % 50) as f32 / 10.0),
            ]
        };
        assert_eq!(first_frozen(&mut screening, from, 240, AirTemperature, values), Some(28));
    }

    #[test]
    fn whole_hectopascals_stand_for_days_in_an_anticyclone_and_are_believed() {
        let sensors = [(AirPressure, 1010.0, 1.0), (AirTemperature, 10.0, 0.1)];
        let (mut screening, from) = learned(&sensors, 24);
        let values =
            |index: i64| vec![(AirPressure, 1023.0), (AirTemperature, 10.0 + (index % 80) as f32 / 10.0)];
        let found = first_frozen(&mut screening, from, 240, AirPressure, values);
        assert_eq!(found, Some(72));
    }

    #[test]
    fn fog_and_calm_are_never_frozen_while_temperature_moves() {
        let sensors = [(AirTemperature, 3.0, 0.1), (RelativeHumidity, 60.0, 1.0), (WindSpeed, 1.0, 0.1)];
        let (mut screening, from) = learned(&sensors, 24);
        for index in 0..60 * 6 {
            let values = [
                (AirTemperature, 3.0 + (index % 4) as f32 / 10.0),
                (RelativeHumidity, 100.0),
                (WindSpeed, 0.0),
            ];
            assert_eq!(screen_all(&mut screening, from + index * 600, &values), []);
        }
    }

    #[test]
    fn a_logger_that_repeats_its_whole_payload_is_frozen_altogether() {
        let sensors = [
            (AirTemperature, 3.0, 0.1),
            (RelativeHumidity, 60.0, 1.0),
            (AirPressure, 1000.0, 0.1),
            (WindSpeed, 1.0, 0.1),
        ];
        let (mut screening, from) = learned(&sensors, 24);
        let values =
            [(AirTemperature, 3.2), (RelativeHumidity, 71.0), (AirPressure, 1003.3), (WindSpeed, 2.2)];
        let found = first_frozen(&mut screening, from, 100, WindSpeed, |_| values.to_vec());
        assert_eq!(found, Some(28));
        let all = [AirTemperature, AirPressure, RelativeHumidity, WindSpeed]
            .map(|quantity| (quantity, Implausible::Frozen));
        let mut dropped = screen_all(&mut screening, from + 28 * HOUR + 3000, &values);
        dropped.sort_unstable_by_key(|(quantity, _)| *quantity);
        assert_eq!(dropped, all);
        let before = screening.clone();
        let mut again = screen_all(&mut screening, from + 28 * HOUR + 3000, &values);
        again.sort_unstable_by_key(|(quantity, _)| *quantity);
        assert_eq!(again, all, "what is delivered again is no more believed than before");
        assert_eq!(screening, before);
        // When it comes to life, all of it is believed at once.
        let alive =
            [(AirTemperature, 25.0), (RelativeHumidity, 20.0), (AirPressure, 990.0), (WindSpeed, 2.2)];
        assert_eq!(screen_all(&mut screening, from + 28 * HOUR + 3000 + 600, &alive), []);
    }

    #[test]
    fn an_unknown_sensor_is_given_the_time_of_a_coarse_one() {
        let mut screening = Screening::default();
        let found = first_frozen(&mut screening, 0, 240, AirTemperature, |_| vec![(AirTemperature, 3.0)]);
        assert_eq!(found, Some(120));
    }

    #[test]
    fn a_silence_does_not_thaw_a_frozen_thermometer() {
        let sensors = [(AirTemperature, 3.0, 0.1), (RelativeHumidity, 60.0, 1.0)];
        let (mut screening, from) = learned(&sensors, 24);
        let values = |index: i64| vec![(AirTemperature, 3.2), (RelativeHumidity, 60.0 + (index % 30) as f32)];
        assert_eq!(first_frozen(&mut screening, from, 48, AirTemperature, values), Some(28));
        let after = first_frozen(&mut screening, from + 96 * HOUR, 48, AirTemperature, values);
        assert_eq!(after, Some(0));
    }

    #[test]
    fn a_silence_between_equal_values_is_no_freeze() {
        let sensors = [(AirTemperature, 3.0, 0.1), (RelativeHumidity, 60.0, 1.0)];
        let (mut screening, from) = learned(&sensors, 24);
        for half in [0, 48 * HOUR] {
            for index in 0..20 {
                let values = [(AirTemperature, 3.2), (RelativeHumidity, 60.0 + index as f32)];
                assert_eq!(screen_all(&mut screening, from + half + index * 600, &values), []);
            }
        }
    }
}

mod storage {
    use super::*;

    fn any_value() -> impl Strategy<Value = f32> {
        prop_oneof![
            Just(0.0_f32),
            Just(-0.0),
            Just(20.0),
            -95.0_f32..65.0,
            440.0_f32..1100.0,
            any::<u32>().prop_map(f32::from_bits).prop_filter("a number", |value| value.is_finite()),
        ]
    }

    proptest! {
        /// At any point of any feed, a screening that was stored and read again goes on as the one that was not.
        #[test]
        fn a_screening_that_was_stored_goes_on_as_if_it_had_not_been(
            feed in prop::collection::vec(
                (-600_i64..100_000, prop::collection::vec(prop::option::of(any_value()), Quantity::COUNT)),
                1..150,
            ),
            stored_at in 0_usize..150,
        ) {
            let (mut live, mut stored, mut second) = (Screening::default(), Screening::default(), 0);
            for (index, (interval_s, numbers)) in feed.into_iter().enumerate() {
                if index == stored_at {
                    let text = serde_json::to_string(&stored).unwrap();
                    stored = serde_json::from_str(&text).unwrap();
                    prop_assert_eq!(&stored, &live);
                    prop_assert_eq!(serde_json::to_string(&stored).unwrap(), text);
                }
                second += interval_s;
                let time = Timestamp::from_second(second).unwrap();
                let numbers = Quantity::ALL.into_iter().zip(numbers);
                let values: Vec<_> = numbers.filter_map(|(quantity, number)| Some((quantity, number?))).collect();
                let (mut left, mut right) = (reading(&values), reading(&values));
                prop_assert_eq!(live.screen(time, &mut left), stored.screen(time, &mut right));
                prop_assert_eq!(left, right);
            }
            prop_assert_eq!(stored, live);
        }
    }

    #[test]
    fn what_is_stored_of_six_quantities_is_small() {
        let mut screening = Screening::default();
        for index in 0..200_i64 {
            let mut values = Values::NONE;
            for quantity in &Quantity::ALL[..6] {
                let (low, high) = quantity.plausible_range();
                values.set(*quantity, (low + high) / 2.0 + (index % 9) as f32 * 0.01);
            }
            screening.screen(Timestamp::from_second(1_577_836_800 + 600 * index).unwrap(), &mut values);
        }
        let text = serde_json::to_string(&screening).unwrap();
        assert!(text.len() < 1000, "{} bytes: {text}", text.len());
    }

    #[test]
    fn what_could_never_have_been_stored_is_refused() {
        let row = |key: &str, value: &str, second: &str| {
            format!(
                "{{\"{key}\":[{value},{second},0,0,1,null,{{\"newest\":null,\"changes\":255,\"before\":null}}]}}"
            )
        };
        let read = |text: String| serde_json::from_str::<Screening>(&text).map_err(|error| error.to_string());
        let mut good = read(row("air_temperature_c", "3.5", "0")).unwrap();
        for second in 1..3 {
            assert_eq!(screen(&mut good, second, Quantity::AirTemperature, second as f32), None);
        }
        for (text, fault) in [
            (row("snow_cm", "3.5", "0"), "unknown quantity \"snow_cm\""),
            (row("air_temperature_c", "350", "0"), "air_temperature = 350, which is not plausible"),
            (row("air_temperature_c", "3.5", "9223372036854775807"), "which is no time"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(fault), "{error}");
        }
    }

    #[test]
    fn what_a_clock_ahead_has_left_can_be_forgotten() {
        let mut screening = Screening::default();
        screen(&mut screening, 10 * HOUR, Quantity::AirTemperature, 20.0);
        screen(&mut screening, HOUR, Quantity::AirPressure, 1000.0);
        screening.forget_after(Timestamp::from_second(HOUR).unwrap());
        screen(&mut screening, 2 * HOUR, Quantity::AirTemperature, 10.0);
        assert_eq!(screen(&mut screening, 3 * HOUR, Quantity::AirTemperature, 55.0), Some(Implausible::Leap));
        assert_eq!(screen(&mut screening, 2 * HOUR, Quantity::AirPressure, 800.0), Some(Implausible::Leap));
    }
}
