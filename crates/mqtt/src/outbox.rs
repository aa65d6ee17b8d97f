//! What waits to be published, what is not acknowledged yet, and the newest retained message of every topic.
//!
//! A pure state machine; the time is passed in. The rules:
//! - While the broker is there, every message goes out, in the order in which it was handed in. A retained one always
//!   finds room; whether it fits the capacity is told by [`Outbox::has_room`], for those who can slow down.
//! - While it is away, of retained messages only the newest by topic is kept; others are queued up to the capacity.
//! - On every connection, what was not acknowledged on the last one goes out again, before all that was queued behind
//!   it; so does the newest retained message of every topic, those first that the broker has not acknowledged.
//! - What expires while it waits is not sent; an expired message of a topic is not repeated. A topic whose clearing was
//!   acknowledged is forgotten, and so is one that is given up once the broker has acknowledged its newest message.
//!
//! So memory is bounded by the capacity, the window, the number of topics, and what is handed in beyond
//! [`Outbox::has_room`].
//!
//! A message can be poison: some brokers (mosquitto 2.0.11 among them) close the connection over a message that they
//! refuse, and sending it again first on every connection would go on for ever. So what was in flight when a young
//! connection was lost is *suspicious*: on the next one it travels alone. When the connection was lost
//! [`STRIKES`] times while a message travelled alone, it is given up.
//!
//! # When a message is settled
//! Every message has a number, and [`Outbox::settled`] is the lowest number that is not settled. A message is settled
//! - when the broker has acknowledged it, or has refused it, or it was given up, or it has expired;
//! - if it was retained and a newer one of its topic took its place before it was acknowledged (while the broker was
//!   away, or by a lost connection): when that one is settled.
//!
//! Never earlier: whoever hands in again what was not settled loses nothing.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use crate::message::Message;

/// Connections that a message may cost while it travels alone.
pub(crate) const STRIKES: u8 = 5;

/// What became of a message that was handed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offer {
    /// It will go out, or be replaced by a newer one for its topic.
    Accepted {
        /// Its number: see [`Outbox::settled`].
        sequence: u64,
        /// Whether it took the place of an older one that was not acknowledged yet.
        replaced: bool,
    },
    /// There is no room for it now: it is not retained.
    Full,
    /// It is retained, and its topic is one more than are kept.
    TooManyTopics,
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
    /// Absent for the status.
    sequence: Option<u64>,
    message: Message,
    settled: bool,
    at: Instant,
}

/// The newest retained message of a topic.
#[derive(Debug)]
struct Kept {
    payload: Bytes,
    deadline: Option<Instant>,
    /// The number under which the message was handed in.
    sequence: u64,
    /// The lowest number that is settled with the next acknowledgement of the topic: of a message that was replaced, or
    /// of this one itself while the broker is away.
    owed: Option<u64>,
    /// The highest number of the topic that the broker acknowledged.
    acknowledged: Option<u64>,
    /// Whether it waits in `deferred`.
    is_deferred: bool,
    /// Whether the topic is given up: it is forgotten once the broker has this message.
    is_given_up: bool,
}

/// What is settled, and what that is worth to who cares about more than the newest message of each topic. See
/// [`Publisher::settlement`](crate::Publisher::settlement).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settlement {
    /// Every message with a lower number is settled.
    pub settled: u64,
    /// How many connections there were.
    pub connection: u64,
    /// The number of the first message that was handed in on the present connection; without one, of the next message.
    pub since: u64,
    /// What was settled when the connection before was lost, or the last one, if there is none.
    pub settled_before: u64,
}

/// The state machine of this file.
#[derive(Debug)]
pub(crate) struct Outbox {
    /// Messages that the queue holds; retained ones go beyond it.
    capacity: usize,
    /// Topics whose newest message is kept.
    topics: usize,
    /// Whether a connection is there.
    connected: bool,
    /// Messages that may be sent ahead of the broker's acknowledgements on this connection.
    window: usize,
    /// The number of the next message.
    next_sequence: u64,
    /// Numbers that are not settled: of every message in `queue`, `sent` and `held`, and of `kept` what is owed.
    unsettled: BTreeSet<u64>,
    /// The status: before all else.
    status: Option<Message>,
    /// Waiting, by sequence.
    queue: VecDeque<Queued>,
    /// Topics whose newest message goes out again; those not marked in `kept` any more are passed over.
    deferred: VecDeque<Arc<str>>,
    /// Of these, the ones marked.
    deferred_count: usize,
    /// The newest message of every topic.
    kept: HashMap<Arc<str>, Kept>,
    /// No message of `kept` expires before.
    first_expiry: Option<Instant>,
    /// Sent and not settled, by the order of sending.
    sent: VecDeque<Sent>,
    /// Of these, the ones not settled.
    in_flight: usize,
    /// The token of the first of `sent`.
    first_token: u64,
    /// Messages that expired before they were sent.
    expired: u64,
    /// How many connections there were.
    connections: u64,
    /// The number of the first message that was handed in on the newest of them.
    first_of_connection: u64,
    /// What was settled when the newest connection that was lost was.
    settled_when_lost: u64,
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
    pub(crate) fn new(capacity: usize, topics: usize) -> Outbox {
        Outbox {
            capacity,
            topics,
            connected: false,
            window: 0,
            next_sequence: 0,
            unsettled: BTreeSet::new(),
            status: None,
            queue: VecDeque::new(),
            deferred: VecDeque::new(),
            deferred_count: 0,
            kept: HashMap::new(),
            first_expiry: None,
            sent: VecDeque::new(),
            in_flight: 0,
            first_token: 0,
            expired: 0,
            connections: 0,
            first_of_connection: 0,
            settled_when_lost: 0,
            suspects: HashMap::new(),
            held: None,
            travels_alone: false,
            deferred_had_its_turn: false,
        }
    }

    /// Takes a message.
    pub(crate) fn offer(&mut self, message: Message, now: Instant) -> Offer {
        if !message.retain {
            if !self.has_room() {
                return Offer::Full;
            }
            let sequence = self.enqueue(message);
            return Offer::Accepted { sequence, replaced: false };
        }
        if !self.kept.contains_key(&message.topic) {
            if self.kept.len() >= self.topics {
                self.forget_expired(now);
            }
            if self.kept.len() >= self.topics {
                return Offer::TooManyTopics;
            }
        }
        if let Some(deadline) = message.deadline {
            self.first_expiry = Some(self.first_expiry.map_or(deadline, |first| first.min(deadline)));
        }
        let sequence = self.next_sequence;
        let kept = self.kept.entry(Arc::clone(&message.topic)).or_insert_with(|| Kept {
            payload: Bytes::new(),
            deadline: None,
            sequence,
            owed: None,
            acknowledged: None,
            is_deferred: false,
            is_given_up: false,
        });
        kept.is_given_up = false;
        kept.payload = message.payload.clone();
        kept.deadline = message.deadline;
        kept.sequence = sequence;
        if self.connected {
            let replaced = kept.is_deferred && kept.owed.is_some();
            self.deferred_count -= usize::from(std::mem::take(&mut kept.is_deferred));
            self.enqueue(message);
            return Offer::Accepted { sequence, replaced };
        }
        // On the next connection every topic goes out.
        let replaced = kept.owed.is_some();
        if !replaced {
            kept.owed = Some(sequence);
            self.unsettled.insert(sequence);
        }
        self.next_sequence += 1;
        Offer::Accepted { sequence, replaced }
    }

    /// Nothing more is published on this topic. Its newest message reaches the broker once, if it has not yet, stays there, and
    /// is not repeated: the topic takes no room any more.
    pub(crate) fn give_up(&mut self, topic: &str) {
        let Some(kept) = self.kept.get_mut(topic) else { return };
        kept.is_given_up = true;
        if kept.acknowledged.is_some_and(|acknowledged| acknowledged >= kept.sequence) {
            self.forget(topic);
        }
    }

    fn enqueue(&mut self, message: Message) -> u64 {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.unsettled.insert(sequence);
        self.queue.push_back(Queued { sequence, message });
        sequence
    }

    /// Whether the queue is below its capacity.
    pub(crate) fn has_room(&self) -> bool {
        self.queue.len() < self.capacity
    }

    /// Sends `message` before anything else, and again on no other connection.
    pub(crate) fn push_status(&mut self, message: Message) {
        self.status = Some(message);
    }

    /// A connection is there: `status` goes out first, and at most `window` messages ahead of their acknowledgement.
    pub(crate) fn connect(&mut self, window: usize, status: Option<Message>, now: Instant) {
        self.connected = true;
        self.connections += 1;
        self.first_of_connection = self.next_sequence;
        self.window = window.max(1);
        self.status = status;
        self.forget_expired(now);
        let mut again: Vec<(bool, u64, Arc<str>)> = Vec::with_capacity(self.kept.len());
        for (topic, kept) in &mut self.kept {
            kept.is_deferred = true;
            again.push((kept.owed.is_none(), kept.sequence, Arc::clone(topic)));
        }
        again.sort_unstable();
        self.deferred_count = again.len();
        self.deferred = again.into_iter().map(|(_, _, topic)| topic).collect();
    }

    /// The connection is gone: what was not settled waits again, in its order. `was_young` tells whether the
    /// connection was lost so soon that a message may be to blame. Gives the topic of a message that is given up.
    pub(crate) fn disconnect(&mut self, was_young: bool) -> Option<Arc<str>> {
        if self.connected {
            self.settled_when_lost = self.settled();
        }
        self.connected = false;
        self.status = None;
        self.deferred.clear();
        self.deferred_count = 0;
        for kept in self.kept.values_mut() {
            kept.is_deferred = false;
        }
        let mut given_up = None;
        if was_young {
            given_up = self.accuse();
        } else {
            self.suspects.clear();
        }
        let sent = std::mem::take(&mut self.sent).into_iter().filter(|sent| !sent.settled);
        let in_flight = sent.map(|sent| (sent.sequence, sent.message)).chain(self.held.take());
        let queued = std::mem::take(&mut self.queue);
        let waiting = in_flight
            .filter_map(|(sequence, message)| Some(Queued { sequence: sequence?, message }))
            .chain(queued);
        // The newest retained message of a topic goes out on the next connection anyway.
        let (superseded, repeated): (Vec<Queued>, Vec<Queued>) = waiting
            .partition(|queued| queued.message.retain && self.kept.contains_key(&queued.message.topic));
        self.queue = repeated.into();
        for Queued { sequence, message } in superseded {
            self.supersede(sequence, &message.topic);
        }
        self.in_flight = 0;
        self.first_token = 0;
        self.travels_alone = false;
        given_up
    }

    /// The message with this number will not go out itself: it is settled with the newest one of its topic.
    fn supersede(&mut self, sequence: u64, topic: &Arc<str>) {
        let Some(kept) = self.kept.get_mut(topic) else { return };
        if !self.unsettled.contains(&sequence) {
            return;
        }
        if kept.acknowledged.is_some_and(|acknowledged| acknowledged >= sequence) {
            self.unsettled.remove(&sequence);
            return;
        }
        match kept.owed {
            None => kept.owed = Some(sequence),
            Some(owed) => {
                let (lower, higher) = (owed.min(sequence), owed.max(sequence));
                if lower < higher {
                    self.unsettled.remove(&higher);
                }
                kept.owed = Some(lower);
            }
        }
    }

    /// Makes what is in flight suspicious. What travelled alone has cost one connection more, and is given up when it
    /// were too many.
    fn accuse(&mut self) -> Option<Arc<str>> {
        let in_flight: Vec<Arc<str>> = self
            .sent
            .iter()
            .filter(|sent| !sent.settled)
            .map(|sent| Arc::clone(&sent.message.topic))
            .collect();
        let alone = self.travels_alone;
        for topic in in_flight {
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
    pub(crate) fn take(&mut self, now: Instant) -> Option<(u64, Message)> {
        if !self.connected || self.in_flight >= self.window || self.travels_alone {
            return None;
        }
        let (sequence, message) = loop {
            let (sequence, message) = self.held.take().or_else(|| self.choose())?;
            if !message.has_expired(now) {
                break (sequence, message);
            }
            if let Some(sequence) = sequence {
                let unsettled = self.unsettled.len();
                self.drop_message(sequence, &message);
                self.expired += u64::from(self.unsettled.len() < unsettled);
            }
        };
        if self.suspects.contains_key(&message.topic) {
            if self.in_flight > 0 {
                self.held = Some((sequence, message));
                return None;
            }
            self.travels_alone = true;
        }
        let token = self.first_token + self.sent.len() as u64;
        self.sent.push_back(Sent { sequence, message: message.clone(), settled: false, at: now });
        self.in_flight += 1;
        Some((token, message))
    }

    fn choose(&mut self) -> Option<(Option<u64>, Message)> {
        if let Some(status) = self.status.take() {
            return Some((None, status));
        }
        if self.queue.is_empty() || !self.deferred_had_its_turn {
            while let Some(topic) = self.deferred.pop_front() {
                let Some(kept) = self.kept.get_mut(&topic) else { continue };
                if std::mem::take(&mut kept.is_deferred) {
                    self.deferred_count -= 1;
                    self.deferred_had_its_turn = true;
                    let (payload, deadline) = (kept.payload.clone(), kept.deadline);
                    return Some((Some(kept.sequence), Message { topic, payload, retain: true, deadline }));
                }
            }
        }
        self.deferred_had_its_turn = false;
        self.queue.pop_front().map(|queued| (Some(queued.sequence), queued.message))
    }

    /// The message with this token was refused, or is given up: it is not sent again, not even as a retained one.
    pub(crate) fn refuse(&mut self, token: u64) {
        if let Some((sequence, message)) = self.end_flight(token)
            && let Some(sequence) = sequence
        {
            self.drop_message(sequence, &message);
        }
    }

    /// The message with this token is acknowledged.
    pub(crate) fn settle(&mut self, token: u64) {
        let Some((Some(sequence), message)) = self.end_flight(token) else { return };
        self.unsettled.remove(&sequence);
        let Some(kept) = message.retain.then(|| self.kept.get_mut(&message.topic)).flatten() else { return };
        kept.acknowledged = kept.acknowledged.max(Some(sequence));
        if let Some(owed) = kept.owed.take_if(|owed| *owed <= sequence) {
            self.unsettled.remove(&owed);
        }
        if kept.sequence == sequence && (message.is_clearing() || kept.is_given_up) {
            self.forget(&message.topic);
        }
    }

    /// Takes note that the message with this token is on its way no longer, unless that is known.
    fn end_flight(&mut self, token: u64) -> Option<(Option<u64>, Message)> {
        let index = usize::try_from(token.checked_sub(self.first_token)?).ok()?;
        let sent = self.sent.get_mut(index).filter(|sent| !sent.settled)?;
        sent.settled = true;
        let ended = (sent.sequence, sent.message.clone());
        self.in_flight -= 1;
        self.suspects.remove(&ended.1.topic);
        self.travels_alone = false;
        while self.sent.front().is_some_and(|sent| sent.settled) {
            self.sent.pop_front();
            self.first_token += 1;
        }
        Some(ended)
    }

    /// A message that will not be sent any more is settled, and is not repeated when it is the newest of its topic.
    fn drop_message(&mut self, sequence: u64, message: &Message) {
        self.unsettled.remove(&sequence);
        let Some(kept) = message.retain.then(|| self.kept.get_mut(&message.topic)).flatten() else { return };
        kept.owed.take_if(|owed| *owed == sequence);
        if kept.sequence == sequence {
            self.forget(&message.topic);
        }
    }

    fn forget(&mut self, topic: &str) {
        if let Some(kept) = self.kept.remove(topic) {
            self.deferred_count -= usize::from(kept.is_deferred);
            if let Some(owed) = kept.owed {
                self.unsettled.remove(&owed);
            }
        }
    }

    /// Forgets the topics whose newest message has expired. One that is in the queue or in flight ends there by itself.
    fn forget_expired(&mut self, now: Instant) {
        if self.first_expiry.is_none_or(|first| first > now) {
            return;
        }
        self.first_expiry = self.kept.values().filter_map(|kept| kept.deadline).filter(|at| *at > now).min();
        let has_expired = |kept: &Kept| kept.deadline.is_some_and(|deadline| deadline <= now);
        let expired: Vec<Arc<str>> = self
            .kept
            .iter()
            .filter(|(_, kept)| has_expired(kept))
            .map(|(topic, _)| Arc::clone(topic))
            .collect();
        for topic in expired {
            self.expired += u64::from(self.kept.get(&topic).is_some_and(|kept| kept.owed.is_some()));
            self.forget(&topic);
        }
    }

    /// Whether the message with this token is on its way no longer, though one that was sent before it may be.
    pub(crate) fn is_settled(&self, token: u64) -> bool {
        let index = token.checked_sub(self.first_token).and_then(|index| usize::try_from(index).ok());
        index.and_then(|index| self.sent.get(index)).is_none_or(|sent| sent.settled)
    }

    /// The topic of the message with this token.
    pub(crate) fn topic(&self, token: u64) -> Option<Arc<str>> {
        let index = usize::try_from(token.checked_sub(self.first_token)?).ok()?;
        self.sent.get(index).map(|sent| Arc::clone(&sent.message.topic))
    }

    /// The lowest number that is not settled: see the head of this file.
    pub(crate) fn settled(&self) -> u64 {
        self.unsettled.first().copied().unwrap_or(self.next_sequence)
    }

    /// What is settled, and what that is worth.
    pub(crate) fn settlement(&self) -> Settlement {
        Settlement {
            settled: self.settled(),
            connection: self.connections,
            since: if self.connected { self.first_of_connection } else { self.next_sequence },
            settled_before: self.settled_when_lost,
        }
    }

    /// When the oldest message was sent that is not acknowledged.
    pub(crate) fn oldest_in_flight(&self) -> Option<Instant> {
        self.sent.front().map(|sent| sent.at)
    }

    /// Messages that expired before they were acknowledged.
    pub(crate) fn expired(&self) -> u64 {
        self.expired
    }

    /// Whether nothing waits, neither to be sent nor to be acknowledged.
    pub(crate) fn is_idle(&self) -> bool {
        self.pending() == 0
    }

    /// Messages that wait, to be sent or to be acknowledged.
    pub(crate) fn pending(&self) -> usize {
        self.queue.len()
            + self.deferred_count
            + self.in_flight
            + usize::from(self.status.is_some())
            + usize::from(self.held.is_some())
    }
}

#[cfg(test)]
mod tests;
