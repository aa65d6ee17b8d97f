//! Tests of the outbox, without a broker.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn message(topic: &str, payload: &str, retain: bool) -> Message {
    Message { retain, ..Message::new(topic, payload.to_owned()) }
}

fn accepted(outbox: &mut Outbox, topic: &str, payload: &str, retain: bool) -> u64 {
    match outbox.offer(message(topic, payload, retain), Instant::now()) {
        Offer::Accepted { sequence, .. } => sequence,
        other => panic!("{other:?}"),
    }
}

fn connect(outbox: &mut Outbox, window: usize) {
    outbox.connect(window, None, Instant::now());
}

fn take(outbox: &mut Outbox) -> Option<(u64, Message)> {
    outbox.take(Instant::now())
}

fn take_all(outbox: &mut Outbox) -> Vec<String> {
    std::iter::from_fn(|| take(outbox))
        .map(|(_, message)| format!("{}={}", message.topic, String::from_utf8_lossy(&message.payload)))
        .collect()
}

#[test]
fn while_the_broker_is_away_the_newest_retained_message_by_topic_is_kept() {
    let mut outbox = Outbox::new(4, 4);
    for payload in ["1", "2", "3", "4", "5", "6"] {
        accepted(&mut outbox, "state", payload, true);
    }
    accepted(&mut outbox, "reading", "a", false);
    accepted(&mut outbox, "reading", "b", false);
    assert!(take(&mut outbox).is_none());
    outbox.connect(10, Some(message("status", "online", true)), Instant::now());
    assert_eq!(take_all(&mut outbox), ["status=online", "state=6", "reading=a", "reading=b"]);
}

#[test]
fn a_status_is_settled_though_a_message_before_it_is_not() {
    let mut outbox = Outbox::new(4, 4);
    connect(&mut outbox, 10);
    accepted(&mut outbox, "reading", "a", false);
    let (before, _) = take(&mut outbox).unwrap();
    outbox.push_status(message("status", "offline", true));
    let (goodbye, status) = take(&mut outbox).unwrap();
    assert_eq!(&*status.topic, "status");
    assert!(!outbox.is_settled(goodbye));
    outbox.settle(goodbye);
    assert!(outbox.is_settled(goodbye) && !outbox.is_settled(before));
    outbox.settle(before);
    assert!(outbox.is_settled(goodbye) && outbox.is_settled(before));
}

#[test]
fn while_the_broker_is_there_every_message_goes_out_in_order() {
    let mut outbox = Outbox::new(10, 4);
    connect(&mut outbox, 10);
    for payload in ["1", "2", "3"] {
        accepted(&mut outbox, "state", payload, true);
    }
    assert_eq!(take_all(&mut outbox), ["state=1", "state=2", "state=3"]);
    assert_eq!(outbox.settled(), 0);
    outbox.settle(1);
    assert_eq!(outbox.settled(), 0);
    outbox.settle(0);
    assert_eq!(outbox.settled(), 2);
    outbox.settle(2);
    assert_eq!(outbox.settled(), 3);
    assert!(outbox.is_idle());
}

#[test]
fn what_was_not_acknowledged_is_sent_again_first_and_in_order() {
    let mut outbox = Outbox::new(10, 4);
    connect(&mut outbox, 3);
    for payload in ["1", "2", "3", "4"] {
        accepted(&mut outbox, "reading", payload, false);
    }
    assert_eq!(take_all(&mut outbox), ["reading=1", "reading=2", "reading=3"]);
    outbox.settle(1);
    assert_eq!(outbox.disconnect(false), None);
    assert_eq!(outbox.settled(), 0);
    connect(&mut outbox, 10);
    assert_eq!(take_all(&mut outbox), ["reading=1", "reading=3", "reading=4"]);
}

#[test]
fn a_full_queue_takes_every_state_and_refuses_a_reading() {
    let mut outbox = Outbox::new(2, 4);
    connect(&mut outbox, 1);
    accepted(&mut outbox, "state", "1", true);
    assert!(outbox.has_room());
    accepted(&mut outbox, "reading", "a", false);
    assert!(!outbox.has_room());
    assert_eq!(outbox.offer(message("reading", "b", false), Instant::now()), Offer::Full);
    for payload in ["2", "3"] {
        let offer = outbox.offer(message("state", payload, true), Instant::now());
        assert!(matches!(offer, Offer::Accepted { replaced: false, .. }), "{offer:?}");
    }
    let mut sent = Vec::new();
    while let Some((token, message)) = take(&mut outbox) {
        sent.push(String::from_utf8_lossy(&message.payload).into_owned());
        outbox.settle(token);
    }
    assert_eq!(sent, ["1", "a", "2", "3"]);
    assert!(outbox.has_room());
}

#[test]
fn a_topic_too_many_is_refused_and_waits_for_nothing() {
    for is_connected in [false, true] {
        let mut outbox = Outbox::new(1, 2);
        if is_connected {
            connect(&mut outbox, 1);
        }
        let now = Instant::now();
        let brief = message("brief", "1", true).expires_at(now + Duration::from_secs(1));
        assert!(matches!(outbox.offer(brief, now), Offer::Accepted { .. }));
        accepted(&mut outbox, "state", "1", true);
        assert_eq!(outbox.offer(message("more", "1", true), now), Offer::TooManyTopics);
        accepted(&mut outbox, "state", "2", true);
        // A topic whose newest message has expired gives its place up.
        let later = now + Duration::from_secs(1);
        let offer = outbox.offer(message("more", "1", true), later);
        assert!(matches!(offer, Offer::Accepted { .. }), "{offer:?}");
    }
}

#[test]
fn what_was_handed_in_while_the_broker_is_away_is_not_settled_before_it_is_acknowledged() {
    let mut outbox = Outbox::new(4, 4);
    for payload in ["1", "2", "3"] {
        accepted(&mut outbox, "state", payload, true);
    }
    assert_eq!(outbox.settled(), 0);
    connect(&mut outbox, 10);
    let (token, sent) = take(&mut outbox).unwrap();
    assert_eq!(sent.payload, "3");
    assert_eq!(outbox.settled(), 0);
    // A newer one does not make the older ones count.
    assert_eq!(accepted(&mut outbox, "state", "4", true), 3);
    assert_eq!(outbox.settled(), 0);
    outbox.settle(token);
    assert_eq!(outbox.settled(), 3);
}

#[test]
fn a_replaced_message_is_settled_with_the_one_that_took_its_place() {
    let mut outbox = Outbox::new(4, 4);
    connect(&mut outbox, 10);
    accepted(&mut outbox, "state", "0", true);
    accepted(&mut outbox, "other", "1", true);
    assert_eq!(take_all(&mut outbox).len(), 2);
    outbox.settle(1);
    // In flight when the connection is lost, and replaced twice before the next one.
    assert_eq!(outbox.disconnect(false), None);
    for payload in ["2", "3"] {
        let offer = outbox.offer(message("state", payload, true), Instant::now());
        assert!(matches!(offer, Offer::Accepted { replaced: true, .. }));
    }
    assert_eq!(outbox.settled(), 0);
    connect(&mut outbox, 10);
    // What the broker never acknowledged comes first.
    let (token, newest) = take(&mut outbox).unwrap();
    assert_eq!((&*newest.topic, newest.payload.as_ref()), ("state", b"3".as_slice()));
    assert_eq!(take_all(&mut outbox), ["other=1"]);
    outbox.settle(token);
    assert_eq!(outbox.settled(), 4);
}

#[test]
fn what_is_refused_does_not_settle_the_newer_one_of_its_topic() {
    let mut outbox = Outbox::new(4, 4);
    connect(&mut outbox, 1);
    accepted(&mut outbox, "state", "0", true);
    assert_eq!(outbox.disconnect(false), None);
    connect(&mut outbox, 1);
    let (token, _) = take(&mut outbox).unwrap();
    accepted(&mut outbox, "state", "1", true);
    outbox.refuse(token);
    assert_eq!(outbox.settled(), 1);
    assert_eq!(outbox.disconnect(false), None);
    assert_eq!(outbox.settled(), 1, "the newer one has not reached the broker");
    connect(&mut outbox, 1);
    assert_eq!(take_all(&mut outbox), ["state=1"]);
    outbox.settle(0);
    assert_eq!(outbox.settled(), 2);
}

#[test]
fn what_was_replaced_over_a_lost_connection_can_be_told_from_what_reached_the_broker() {
    let mut outbox = Outbox::new(10, 10);
    connect(&mut outbox, 10);
    for payload in ["0", "1", "2"] {
        accepted(&mut outbox, "state", payload, true);
    }
    let (first, _) = take(&mut outbox).unwrap();
    take(&mut outbox).unwrap();
    outbox.settle(first);
    let before = Settlement { settled: 1, connection: 1, since: 0, settled_before: 0 };
    assert_eq!(outbox.settlement(), before);
    outbox.disconnect(false);
    accepted(&mut outbox, "state", "3", true);
    let away = Settlement { settled: 1, connection: 1, since: 4, settled_before: 1 };
    assert_eq!(outbox.settlement(), away);
    // An attempt that fails is no connection.
    outbox.disconnect(false);
    assert_eq!(outbox.settlement(), away);
    connect(&mut outbox, 10);
    for payload in ["3", "4"] {
        if payload == "4" {
            accepted(&mut outbox, "state", payload, true);
        }
        let (token, message) = take(&mut outbox).unwrap();
        assert_eq!(message.payload, payload);
        outbox.settle(token);
    }
    // 1 and 2 were replaced by 3, and never reached the broker.
    let after = Settlement { settled: 5, connection: 2, since: 4, settled_before: 1 };
    assert_eq!(outbox.settlement(), after);
}

#[test]
fn what_has_expired_is_not_sent_and_not_repeated_and_counts_as_settled() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let brief = |topic: &str, retain| message(topic, "brief", retain).expires_at(at(10));
    let mut outbox = Outbox::new(9, 9);
    for offered in [brief("state", true), brief("reading", false), message("lasting", "1", true)] {
        assert!(matches!(outbox.offer(offered, start), Offer::Accepted { .. }));
    }
    assert_eq!(outbox.settled(), 0);
    outbox.connect(1, None, at(10));
    let (token, sent) = outbox.take(at(10)).unwrap();
    assert_eq!(&*sent.topic, "lasting");
    outbox.settle(token);
    assert!(outbox.take(at(10)).is_none());
    assert_eq!((outbox.settled(), outbox.expired()), (3, 2));
    assert!(outbox.is_idle());

    // In flight in time, and lost; and one that was acknowledged in time.
    for topic in ["acknowledged", "lost"] {
        assert!(matches!(outbox.offer(brief(topic, true), start), Offer::Accepted { .. }));
    }
    let (token, _) = outbox.take(at(9)).unwrap();
    outbox.settle(token);
    outbox.take(at(9)).unwrap();
    assert_eq!(outbox.disconnect(false), None);
    assert_eq!(outbox.settled(), 4);
    outbox.connect(9, None, at(10));
    let repeated: Vec<_> = std::iter::from_fn(|| outbox.take(at(10))).map(|(_, sent)| sent.topic).collect();
    assert_eq!(repeated.iter().map(|topic| &**topic).collect::<Vec<_>>(), ["lasting"]);
    assert_eq!((outbox.settled(), outbox.expired()), (5, 3));
}

#[test]
fn a_cleared_topic_is_forgotten_once_the_broker_knows_and_not_before() {
    let mut outbox = Outbox::new(9, 1);
    connect(&mut outbox, 9);
    accepted(&mut outbox, "state", "1", true);
    accepted(&mut outbox, "state", "", true);
    assert_eq!(take_all(&mut outbox), ["state=1", "state="]);
    assert_eq!(outbox.disconnect(false), None);
    connect(&mut outbox, 9);
    assert_eq!(take_all(&mut outbox), ["state="]);
    outbox.settle(0);
    assert_eq!(outbox.disconnect(false), None);
    connect(&mut outbox, 9);
    assert_eq!(take_all(&mut outbox), [""; 0]);
    // Its place is free, and one that comes back meanwhile is not forgotten.
    accepted(&mut outbox, "other", "", true);
    accepted(&mut outbox, "other", "2", true);
    assert_eq!(take_all(&mut outbox), ["other=", "other=2"]);
    outbox.settle(0);
    assert_eq!(outbox.disconnect(false), None);
    connect(&mut outbox, 9);
    assert_eq!(take_all(&mut outbox), ["other=2"]);
}

#[test]
fn the_age_of_the_oldest_message_in_flight_is_known() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut outbox = Outbox::new(9, 1);
    connect(&mut outbox, 9);
    assert_eq!(outbox.oldest_in_flight(), None);
    for second in 0..3 {
        accepted(&mut outbox, "reading", "x", false);
        outbox.take(at(second)).unwrap();
    }
    outbox.settle(1);
    assert_eq!(outbox.oldest_in_flight(), Some(at(0)));
    outbox.settle(0);
    assert_eq!(outbox.oldest_in_flight(), Some(at(2)));
    outbox.settle(2);
    assert_eq!(outbox.oldest_in_flight(), None);
}

#[test]
fn a_message_that_costs_connection_after_connection_is_given_up_and_the_others_go_out() {
    let mut outbox = Outbox::new(10, 4);
    accepted(&mut outbox, "poison", "p", true);
    for payload in ["1", "2", "3"] {
        accepted(&mut outbox, "reading", payload, false);
    }
    let mut at_broker = Vec::new();
    let mut given_up = Vec::new();
    for _ in 0..20 {
        outbox.connect(10, Some(message("status", "online", true)), Instant::now());
        let mut in_flight: VecDeque<(u64, Message)> = VecDeque::new();
        loop {
            while let Some(sent) = take(&mut outbox) {
                in_flight.push_back(sent);
            }
            let Some((token, message)) = in_flight.pop_front() else { break };
            if &*message.topic == "poison" {
                given_up.extend(outbox.disconnect(true));
                break;
            }
            at_broker.push(String::from_utf8_lossy(&message.payload).into_owned());
            outbox.settle(token);
        }
    }
    assert_eq!(given_up.iter().map(|topic| &**topic).collect::<Vec<_>>(), ["poison"]);
    at_broker.retain(|payload| payload != "online");
    at_broker.dedup();
    assert_eq!(at_broker, ["1", "2", "3"]);
}

proptest! {
    /// Whatever happens, readings arrive at the broker in order (repetitions aside) and none is lost; of every
    /// state the newest arrives last.
    #[test]
    fn nothing_is_lost_and_order_is_kept(steps in prop::collection::vec(0_u8..7, 1..300), window in 1_usize..6) {
        let mut outbox = Outbox::new(8, 2);
        let mut connected = false;
        let mut handed_in = 0_u32;
        let mut newest_state: Option<u32> = None;
        let mut in_flight: Vec<(u64, Message)> = Vec::new();
        let mut at_broker: Vec<Message> = Vec::new();
        let mut counter = 0_u32;
        // One makes suspicious, and one fewer than would give up.
        let mut young_losses_left = u32::from(STRIKES);
        let mut finish = steps.len() as u32 + 200;
        let mut steps = steps.into_iter().chain(std::iter::repeat(5));
        loop {
            let step = if finish == 200 && !connected { 2 } else { steps.next().unwrap() };
            match step {
                0 => {
                    let offer = outbox.offer(message("reading", &handed_in.to_string(), false), Instant::now());
                    if offer != Offer::Full { handed_in += 1; }
                }
                1 => {
                    counter += 1;
                    let offer = outbox.offer(message("state", &counter.to_string(), true), Instant::now());
                    prop_assert!(matches!(offer, Offer::Accepted { .. }), "{:?}", offer);
                    newest_state = Some(counter);
                }
                2 if !connected => { connect(&mut outbox, window); connected = true; }
                3 if connected && finish > 200 => {
                    let was_young = counter.is_multiple_of(2) && young_losses_left > 0;
                    young_losses_left -= u32::from(was_young);
                    prop_assert_eq!(outbox.disconnect(was_young), None);
                    in_flight.clear();
                    connected = false;
                }
                4 if !in_flight.is_empty() => {
                    // out of order: the last one first
                    let (token, _) = in_flight.pop().unwrap();
                    outbox.settle(token);
                }
                5 => {
                    while let Some((token, message)) = take(&mut outbox) {
                        at_broker.push(message.clone());
                        in_flight.push((token, message));
                    }
                    prop_assert!(in_flight.len() <= window);
                    if finish < 200 { for (token, _) in in_flight.drain(..) { outbox.settle(token); } }
                }
                _ => {}
            }
            finish -= 1;
            if finish == 0 { break; }
        }
        prop_assert!(outbox.is_idle());
        let mut seen = 0_u32;
        let mut last = None;
        for message in &at_broker {
            let number: u32 = std::str::from_utf8(&message.payload).unwrap().parse().unwrap();
            if message.retain { last = Some(number); continue; }
            prop_assert!(number <= seen, "reading {} before {}", number, seen);
            if number == seen { seen += 1; }
        }
        prop_assert_eq!(seen, handed_in);
        prop_assert_eq!(last, newest_state);
    }

    /// Whatever happens, a message never counts as settled too early; and in the end all do, every state's newest
    /// message has reached the broker or has expired, and what is cleared is forgotten.
    #[test]
    fn nothing_is_settled_too_early(steps in prop::collection::vec((0_u8..9, 0_u8..3, 0_u8..4), 1..300), window in 1_usize..5) {
        let start = Instant::now();
        let mut clock = start;
        let mut outbox = Outbox::new(4, 3);
        let mut connected = false;
        // By number: the message, and whether it has ended by itself (acknowledged, refused, expired).
        let mut handed_in: Vec<(Message, bool)> = Vec::new();
        let mut in_flight: Vec<(u64, Message)> = Vec::new();
        let mut last_settled = 0;
        let number_of = |message: &Message| -> Option<usize> {
            let text = std::str::from_utf8(&message.payload).unwrap();
            text.strip_prefix('#').map(|number| number.parse().unwrap())
        };
        let end = (0..40).flat_map(|_| [(3, 0, 0), (6, 0, 0), (5, 0, 0)]);
        for (step, topic, detail) in steps.into_iter().chain(end) {
            match step {
                0..=2 => {
                    let number = handed_in.len();
                    let retain = topic > 0;
                    let is_clearing = retain && detail == 0;
                    let payload = if is_clearing { String::new() } else { format!("#{number}") };
                    let mut offered = message(&format!("t{topic}"), &payload, retain);
                    if detail == 1 {
                        offered = offered.expires_at(clock + Duration::from_secs(2));
                    }
                    let offer = outbox.offer(offered.clone(), clock);
                    if let Offer::Accepted { sequence, .. } = offer {
                        prop_assert_eq!(sequence, number as u64);
                        handed_in.push((offered, false));
                    } else {
                        prop_assert!(!retain && !outbox.has_room(), "{:?}", offer);
                    }
                }
                3 if !connected => { outbox.connect(window, None, clock); connected = true; }
                4 if connected => {
                    prop_assert_eq!(outbox.disconnect(false), None);
                    connected = false;
                    in_flight.clear();
                }
                // Acknowledged out of order, or, sometimes, refused.
                5 => for (token, sent) in in_flight.drain(..).rev() {
                    let is_refused = detail == 3 && !sent.is_clearing();
                    if is_refused { outbox.refuse(token) } else { outbox.settle(token) }
                    match number_of(&sent) {
                        Some(number) => handed_in[number].1 = true,
                        // A clearing has no number of its own: the latest of its topic that may have been sent.
                        None => for (message, ended) in &mut handed_in {
                            if message.topic == sent.topic && message.is_clearing() { *ended = true; }
                        },
                    }
                },
                6 => while let Some((token, sent)) = outbox.take(clock) {
                    prop_assert!(!sent.has_expired(clock));
                    in_flight.push((token, sent));
                    prop_assert!(in_flight.len() <= window);
                },
                7 => clock += Duration::from_secs(1),
                _ => {}
            }
            let settled = outbox.settled();
            prop_assert!(settled >= last_settled);
            last_settled = settled;
            let is_over = |(message, ended): &(Message, bool)| *ended || message.has_expired(clock);
            for number in 0..usize::try_from(settled).unwrap() {
                let (message, _) = &handed_in[number];
                let replaced = || message.retain && handed_in[number..].iter().any(|newer| newer.0.topic == message.topic && is_over(newer));
                prop_assert!(is_over(&handed_in[number]) || replaced(), "{} of {:#?}", number, handed_in);
            }
        }
        prop_assert!(outbox.is_idle());
        prop_assert_eq!(outbox.settled(), handed_in.len() as u64);
        prop_assert!(outbox.unsettled.is_empty());
        prop_assert!(handed_in.iter().all(|entry| entry.0.retain || entry.1 || entry.0.has_expired(clock)));
        prop_assert!(outbox.kept.values().all(|kept| !kept.payload.is_empty()));
    }
}
