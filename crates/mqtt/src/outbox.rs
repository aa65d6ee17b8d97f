//! What waits to be published, what is not acknowledged yet, and the newest retained message of every topic.
//!
//! A pure state machine. The rules:
//! - While the broker is there, every message goes out, in the order in which it was handed in.
//! - While it is away, of retained messages only the newest by topic is kept; others are queued up to the capacity.
//! - On every connection the newest retained message of every topic goes out again, and before anything else what was
//!   not acknowledged on the last one, in its order.
//!
//! So memory is bounded by the capacity, the window and the number of topics.
//!
//! A message can be poison: some brokers (mosquitto 2.0.11 among them) close the connection over a message that they
//! refuse, and sending it again first on every connection would go on for ever. So what was in flight when a young
//! connection was lost is *suspicious*: on the next one it travels alone. When the connection was lost
//! [`STRIKES`] times while a message travelled alone, it is given up.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

/// A message to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// The topic.
    pub topic: Arc<str>,
    /// The payload.
    pub payload: Bytes,
    /// Whether the broker keeps it for those who come later.
    pub retain: bool,
}

/// Connections that a message may cost while it travels alone.
pub(crate) const STRIKES: u8 = 5;

/// What became of a message that was handed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offer {
    /// It will go out, or be replaced by a newer one for its topic.
    Accepted {
        /// Its number: see [`Outbox::settled`].
        sequence: u64,
        /// Whether it took the place of an older one that was not sent yet.
        replaced: bool,
    },
    /// There is no room for it now.
    Full,
}

/// What to do with a retained message when the queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenFull {
    /// Say so.
    Refuse,
    /// Send the topic's newest message when there is room.
    Defer,
}

/// A message in the queue.
#[derive(Debug)]
struct Queued {
    sequence: u64,
    message: Message,
}

/// A message that was sent on this connection.
#[derive(Debug)]
struct Sent {
    /// Absent for the status and for repetitions of retained messages.
    sequence: Option<u64>,
    message: Message,
    settled: bool,
}

/// The newest retained message of a topic.
#[derive(Debug)]
struct Retained {
    payload: Bytes,
    /// Whether the topic is in `deferred`.
    deferred: bool,
}

/// The state machine of this file.
#[derive(Debug)]
pub(crate) struct Outbox {
    /// Messages that the queue holds.
    capacity: usize,
    /// Topics whose newest message is kept.
    topics: usize,
    /// Whether a connection is there.
    connected: bool,
    /// Messages that may be sent ahead of the broker's acknowledgements on this connection.
    window: usize,
    /// The number of the next message.
    next_sequence: u64,
    /// The status: before all else.
    status: Option<Message>,
    /// Waiting, by sequence.
    queue: VecDeque<Queued>,
    /// Topics whose newest message waits, each with the sequence that must have left the queue before.
    deferred: VecDeque<(Arc<str>, u64)>,
    /// The newest message of every topic.
    retained: HashMap<Arc<str>, Retained>,
    /// Sent and not settled, by the order of sending.
    sent: VecDeque<Sent>,
    /// Of these, the ones not settled.
    unsettled: usize,
    /// The token of the first of `sent`.
    first_token: u64,
    /// Topics of suspicious messages, and how many connections they have cost while they travelled alone.
    suspects: HashMap<Arc<str>, u8>,
    /// A suspicious message whose turn it is, but which has to wait until nothing else is in flight.
    held: Option<(Option<u64>, Message)>,
    /// Whether the message in flight is suspicious: nothing may be sent beside it.
    travels_alone: bool,
    /// Whether the last message came from `deferred`: queue and deferred topics take turns.
    deferred_had_its_turn: bool,
}

impl Outbox {
    /// An outbox with room for `capacity` messages and the newest message of `topics` topics.
    pub fn new(capacity: usize, topics: usize) -> Outbox {
        Outbox {
            capacity,
            topics,
            connected: false,
            window: 0,
            next_sequence: 0,
            status: None,
            queue: VecDeque::new(),
            deferred: VecDeque::new(),
            retained: HashMap::new(),
            sent: VecDeque::new(),
            unsettled: 0,
            first_token: 0,
            suspects: HashMap::new(),
            held: None,
            travels_alone: false,
            deferred_had_its_turn: false,
        }
    }

    /// Takes a message.
    pub fn offer(&mut self, message: Message, when_full: WhenFull) -> Offer {
        if !message.retain {
            return self.enqueue(message);
        }
        let known = self.retained.contains_key(&message.topic);
        if !known && self.retained.len() >= self.topics {
            return self.enqueue(message);
        }
        let is_full = self.queue.len() >= self.capacity;
        let entry_deferred = self.retained.get(&message.topic).is_some_and(|entry| entry.deferred);
        if self.connected && !entry_deferred && is_full && when_full == WhenFull::Refuse {
            return Offer::Full;
        }
        let entry = self
            .retained
            .entry(Arc::clone(&message.topic))
            .or_insert_with(|| Retained { payload: Bytes::new(), deferred: false });
        entry.payload = message.payload.clone();
        if !self.connected || entry_deferred {
            // On the next connection every topic goes out, and a deferred one goes out when its turn comes.
            let sequence = self.take_sequence();
            return Offer::Accepted { sequence, replaced: known };
        }
        if is_full {
            entry.deferred = true;
            let sequence = self.take_sequence();
            self.deferred.push_back((message.topic, sequence));
            return Offer::Accepted { sequence, replaced: false };
        }
        self.enqueue(message)
    }

    fn enqueue(&mut self, message: Message) -> Offer {
        if self.queue.len() >= self.capacity {
            return Offer::Full;
        }
        let sequence = self.take_sequence();
        self.queue.push_back(Queued { sequence, message });
        Offer::Accepted { sequence, replaced: false }
    }

    fn take_sequence(&mut self) -> u64 {
        self.next_sequence += 1;
        self.next_sequence - 1
    }

    /// Sends `message` before anything else, and again on no other connection.
    pub fn push_status(&mut self, message: Message) {
        self.status = Some(message);
    }

    /// A connection is there: `status` goes out first, and at most `window` messages ahead of their acknowledgement.
    pub fn connect(&mut self, window: usize, status: Option<Message>) {
        self.connected = true;
        self.window = window.max(1);
        self.status = status;
        self.deferred.clear();
        for (topic, entry) in &mut self.retained {
            entry.deferred = true;
            self.deferred.push_back((Arc::clone(topic), 0));
        }
    }

    /// The connection is gone: what was not settled waits again, in its order. `was_young` tells whether the
    /// connection was lost so soon that a message may be to blame. Gives the topic of a message that is given up.
    pub fn disconnect(&mut self, was_young: bool) -> Option<Arc<str>> {
        self.connected = false;
        self.status = None;
        self.deferred.clear();
        for entry in self.retained.values_mut() {
            entry.deferred = false;
        }
        let mut given_up = None;
        if was_young {
            given_up = self.accuse();
        } else {
            self.suspects.clear();
        }
        let unsettled = self.sent.drain(..).filter(|sent| !sent.settled);
        let in_flight = unsettled.map(|sent| (sent.sequence, sent.message));
        let repeated = in_flight
            .chain(self.held.take())
            .filter_map(|(sequence, message)| sequence.map(|sequence| Queued { sequence, message }));
        let mut waiting: VecDeque<Queued> = repeated.collect();
        waiting.append(&mut self.queue);
        // The newest retained message of a topic goes out on the next connection anyway.
        waiting.retain(|queued| !queued.message.retain || !self.retained.contains_key(&queued.message.topic));
        self.queue = waiting;
        self.unsettled = 0;
        self.first_token = 0;
        self.travels_alone = false;
        given_up
    }

    /// Makes what is in flight suspicious. What travelled alone has cost one connection more, and is given up when it
    /// were too many.
    fn accuse(&mut self) -> Option<Arc<str>> {
        let unsettled: Vec<Arc<str>> = self
            .sent
            .iter()
            .filter(|sent| !sent.settled)
            .map(|sent| Arc::clone(&sent.message.topic))
            .collect();
        let alone = self.travels_alone;
        for topic in unsettled {
            let strikes = self.suspects.entry(Arc::clone(&topic)).or_insert(0);
            *strikes += u8::from(alone);
            if *strikes >= STRIKES {
                let token = self.sent.iter().position(|sent| !sent.settled);
                if let Some(index) = token {
                    self.refuse(self.first_token + index as u64);
                }
                return Some(topic);
            }
        }
        None
    }

    /// The next message to send, and the token by which it will be settled.
    pub fn take(&mut self) -> Option<(u64, Message)> {
        if !self.connected || self.unsettled >= self.window || self.travels_alone {
            return None;
        }
        let (sequence, message) = self.held.take().or_else(|| self.choose())?;
        if self.suspects.contains_key(&message.topic) {
            if self.unsettled > 0 {
                self.held = Some((sequence, message));
                return None;
            }
            self.travels_alone = true;
        }
        let token = self.first_token + self.sent.len() as u64;
        self.sent.push_back(Sent { sequence, message: message.clone(), settled: false });
        self.unsettled += 1;
        Some((token, message))
    }

    fn choose(&mut self) -> Option<(Option<u64>, Message)> {
        if let Some(status) = self.status.take() {
            return Some((None, status));
        }
        let next_queued = self.queue.front().map(|queued| queued.sequence);
        // A topic was deferred when older messages for it may have been in the queue: they go first.
        let deferred_may_go = self
            .deferred
            .front()
            .is_some_and(|(_, after)| next_queued.is_none_or(|sequence| sequence >= *after));
        if deferred_may_go && (next_queued.is_none() || !self.deferred_had_its_turn) {
            self.deferred_had_its_turn = true;
            let (topic, _) = self.deferred.pop_front()?;
            let entry = self.retained.get_mut(&topic)?;
            entry.deferred = false;
            return Some((None, Message { topic, payload: entry.payload.clone(), retain: true }));
        }
        self.deferred_had_its_turn = false;
        self.queue.pop_front().map(|queued| (Some(queued.sequence), queued.message))
    }

    /// The message with this token was refused, or is given up: it is not sent again, not even as a retained one.
    pub fn refuse(&mut self, token: u64) {
        let index = token.checked_sub(self.first_token).and_then(|index| usize::try_from(index).ok());
        if let Some(sent) = index.and_then(|index| self.sent.get(index)) {
            let message = &sent.message;
            let is_newest = |entry: &Retained| !entry.deferred && entry.payload == message.payload;
            if message.retain && self.retained.get(&message.topic).is_some_and(is_newest) {
                self.retained.remove(&message.topic);
            }
        }
        self.settle(token);
    }

    /// The message with this token is acknowledged.
    pub fn settle(&mut self, token: u64) {
        let Some(index) = token.checked_sub(self.first_token).and_then(|index| usize::try_from(index).ok())
        else {
            return;
        };
        if let Some(sent) = self.sent.get_mut(index)
            && !sent.settled
        {
            sent.settled = true;
            self.unsettled -= 1;
            self.suspects.remove(&sent.message.topic);
            self.travels_alone = false;
        }
        while self.sent.front().is_some_and(|sent| sent.settled) {
            self.sent.pop_front();
            self.first_token += 1;
        }
    }

    /// The topic of the message with this token.
    pub fn topic(&self, token: u64) -> Option<Arc<str>> {
        let index = usize::try_from(token.checked_sub(self.first_token)?).ok()?;
        self.sent.get(index).map(|sent| Arc::clone(&sent.message.topic))
    }

    /// Every message with a lower number is acknowledged, or was replaced by a newer one for its topic.
    pub fn settled(&self) -> u64 {
        let sent = self.sent.iter().filter(|sent| !sent.settled).find_map(|sent| sent.sequence);
        let held = self.held.as_ref().and_then(|(sequence, _)| *sequence);
        let first = sent.or(held).or_else(|| self.queue.front().map(|queued| queued.sequence));
        first.unwrap_or(self.next_sequence)
    }

    /// Whether nothing waits, neither to be sent nor to be acknowledged.
    pub fn is_idle(&self) -> bool {
        self.pending() == 0
    }

    /// Messages that wait, to be sent or to be acknowledged.
    pub fn pending(&self) -> usize {
        self.queue.len()
            + self.deferred.len()
            + self.unsettled
            + usize::from(self.status.is_some())
            + usize::from(self.held.is_some())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(topic: &str, payload: &str, retain: bool) -> Message {
        Message { topic: Arc::from(topic), payload: Bytes::copy_from_slice(payload.as_bytes()), retain }
    }

    fn accepted(outbox: &mut Outbox, topic: &str, payload: &str, retain: bool) -> u64 {
        match outbox.offer(message(topic, payload, retain), WhenFull::Refuse) {
            Offer::Accepted { sequence, .. } => sequence,
            Offer::Full => panic!("full"),
        }
    }

    fn take_all(outbox: &mut Outbox) -> Vec<String> {
        std::iter::from_fn(|| outbox.take())
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
        assert!(outbox.take().is_none());
        outbox.connect(10, Some(message("status", "online", true)));
        assert_eq!(take_all(&mut outbox), ["status=online", "state=6", "reading=a", "reading=b"]);
    }

    #[test]
    fn while_the_broker_is_there_every_message_goes_out_in_order() {
        let mut outbox = Outbox::new(10, 4);
        outbox.connect(10, None);
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
        outbox.connect(3, None);
        for payload in ["1", "2", "3", "4"] {
            accepted(&mut outbox, "reading", payload, false);
        }
        assert_eq!(take_all(&mut outbox), ["reading=1", "reading=2", "reading=3"]);
        outbox.settle(1);
        assert_eq!(outbox.disconnect(false), None);
        assert_eq!(outbox.settled(), 0);
        outbox.connect(10, None);
        assert_eq!(take_all(&mut outbox), ["reading=1", "reading=3", "reading=4"]);
    }

    #[test]
    fn a_full_queue_defers_a_state_and_refuses_a_reading() {
        let mut outbox = Outbox::new(2, 4);
        outbox.connect(1, None);
        accepted(&mut outbox, "state", "1", true);
        accepted(&mut outbox, "reading", "a", false);
        assert_eq!(outbox.offer(message("reading", "b", false), WhenFull::Defer), Offer::Full);
        assert_eq!(outbox.offer(message("state", "2", true), WhenFull::Refuse), Offer::Full);
        for (payload, replaces) in [("2", false), ("3", true)] {
            let offer = outbox.offer(message("state", payload, true), WhenFull::Defer);
            assert!(matches!(offer, Offer::Accepted { replaced, .. } if replaced == replaces), "{offer:?}");
        }
        let mut sent = Vec::new();
        while let Some((token, message)) = outbox.take() {
            sent.push(String::from_utf8_lossy(&message.payload).into_owned());
            outbox.settle(token);
        }
        assert_eq!(sent, ["1", "a", "3"]);
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
            outbox.connect(10, Some(message("status", "online", true)));
            let mut in_flight: VecDeque<(u64, Message)> = VecDeque::new();
            loop {
                while let Some(sent) = outbox.take() {
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
                        let offer = outbox.offer(message("reading", &handed_in.to_string(), false), WhenFull::Defer);
                        if offer != Offer::Full { handed_in += 1; }
                    }
                    1 => {
                        counter += 1;
                        let offer = outbox.offer(message("state", &counter.to_string(), true), WhenFull::Defer);
                        prop_assert_ne!(offer, Offer::Full);
                        newest_state = Some(counter);
                    }
                    2 if !connected => { outbox.connect(window, None); connected = true; }
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
                        while let Some((token, message)) = outbox.take() {
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
    }
}
