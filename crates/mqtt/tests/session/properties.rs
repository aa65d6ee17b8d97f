//! Properties of acknowledgements and of waits, whatever happens.

use std::collections::BTreeSet;
use std::time::Duration;

use forecastd_mqtt::{Acknowledgements, Backoff, Ticket};
use proptest::prelude::*;
use rand::SeedableRng;

proptest! {
    /// Whatever the order of completion: packets go out in the order of arrival, each once, none before it is
    /// completed, and all in the end.
    #[test]
    fn packets_go_out_in_the_order_of_arrival(steps in prop::collection::vec((0_u8..4, any::<prop::sample::Index>()), 0..400)) {
        let mut acknowledgements = Acknowledgements::default();
        let mut open: Vec<(u32, Ticket)> = Vec::new();
        let mut stale: Vec<Ticket> = Vec::new();
        let mut completed = BTreeSet::new();
        let mut arrived = 0_u32;
        let mut next_out = 0_u32;
        for (step, which) in steps {
            match step {
                0 | 1 => {
                    open.push((arrived, acknowledgements.arrived(arrived)));
                    arrived += 1;
                }
                2 if !open.is_empty() => {
                    let (number, ticket) = open.swap_remove(which.index(open.len()));
                    completed.insert(number);
                    acknowledgements.complete(ticket);
                    // a second time, and those of older connections: no effect
                    acknowledgements.complete(ticket);
                    if !stale.is_empty() {
                        acknowledgements.complete(stale[which.index(stale.len())]);
                    }
                }
                3 if which.index(10) == 0 => {
                    acknowledgements.begin_generation();
                    stale.extend(open.drain(..).map(|(_, ticket)| ticket));
                    completed.clear();
                    next_out = arrived;
                }
                _ => {}
            }
            while let Some(packet) = acknowledgements.next_ready() {
                prop_assert_eq!(packet, next_out);
                prop_assert!(completed.contains(&packet));
                next_out += 1;
            }
            prop_assert_eq!(acknowledgements.owed() as u32, arrived - next_out);
        }
        for (_, ticket) in open {
            acknowledgements.complete(ticket);
        }
        while acknowledgements.next_ready().is_some() {
            next_out += 1;
        }
        prop_assert_eq!(next_out, arrived);
    }

    /// The n-th wait lies between 0 and min(longest, shortest · 2ⁿ), and success begins again.
    #[test]
    fn waits_stay_under_their_ceiling(seed: u64, shortest_ms in 1_u64..5000, longest_ms in 1_u64..600_000, failures in 0_u32..80) {
        let shortest = Duration::from_millis(shortest_ms);
        let longest = Duration::from_millis(longest_ms.max(shortest_ms));
        let mut backoff = Backoff::new(shortest, Duration::from_millis(longest_ms));
        let mut chance = rand_pcg::Pcg64::seed_from_u64(seed);
        for failure in 0..failures {
            let ceiling_ms = (shortest_ms as f64 * 2_f64.powi(failure as i32)).min(longest.as_millis() as f64);
            let wait = backoff.next_wait(&mut chance);
            prop_assert!(wait.as_secs_f64() * 1000.0 <= ceiling_ms * 1.000_001);
        }
        prop_assert_eq!(backoff.failures(), failures);
        backoff.succeeded();
        prop_assert_eq!(backoff.ceiling(), shortest);
    }
}

/// Full jitter spreads evenly: the mean wait is half the ceiling, and every tenth of it is used.
#[test]
fn waits_are_spread_over_the_whole_range() {
    let mut chance = rand_pcg::Pcg64::seed_from_u64(7);
    let mut tenths = [0_u32; 10];
    let mut sum = 0.0;
    for _ in 0..10_000 {
        let wait = Backoff::new(Duration::from_secs(1), Duration::from_secs(60)).next_wait(&mut chance);
        sum += wait.as_secs_f64();
        tenths[((wait.as_secs_f64() * 10.0) as usize).min(9)] += 1;
    }
    assert!((sum / 10_000.0 - 0.5).abs() < 0.01, "{sum}");
    assert!(tenths.iter().all(|&count| (900..1100).contains(&count)), "{tenths:?}");
}
