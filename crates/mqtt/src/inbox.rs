//! What arrived and was not taken yet.
//!
//! At QoS 1 the broker should send no more than the receive maximum ahead of our acknowledgements. mosquitto 2.0.11
//! under load sends many times that, so what waits here is bounded by its size in memory; a message that finds no room
//! ends the connection, and the broker sends it again on the next one. At QoS 0 nothing is sent again, and what finds
//! no room is dropped and counted. When the broker resumes our session on a new connection it sends everything that
//! was not acknowledged again: what still waits here from the old connection is then forgotten. When it has lost the
//! session, it is kept: there is no other copy.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::DisconnectReason;
use super::acknowledgements::Ticket;
use super::session::Shared;

/// What a session tells.
#[derive(Debug)]
pub enum SessionEvent {
    /// The broker accepted us. Messages that it kept for us follow; what waited for publication goes out as soon as it
    /// has accepted our subscriptions, too.
    Connected {
        /// Whether it still had our session.
        session_present: bool,
    },
    /// The broker has answered our subscriptions: from now on messages reach us, and ours go out.
    Subscribed,
    /// The connection was lost, or an attempt to connect failed.
    Disconnected {
        /// Why.
        reason: DisconnectReason,
        /// The next attempt is this far away.
        retry_in: Duration,
    },
    /// A message arrived.
    Message(Incoming),
    /// The broker refused a subscription or a publication.
    Refused(Refusal),
}

/// What the broker refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// A subscription.
    Subscription {
        /// Its filter.
        filter: String,
        /// The broker's reason.
        reason: String,
    },
    /// A publication.
    Publication {
        /// Its topic.
        topic: String,
        /// The broker's reason.
        reason: String,
    },
}

/// A message that arrived.
#[derive(Debug)]
pub struct Incoming {
    /// Its topic.
    pub topic: String,
    /// Its payload.
    pub payload: Bytes,
    /// Whether it was kept by the broker from before we subscribed.
    pub retain: bool,
    /// To be released once the message is durable, or can never be.
    pub acknowledgement: Acknowledgement,
}

/// The right to acknowledge a message. Dropping it acknowledges: no way out of the code can keep a slot of the
/// broker's window for ever.
///
/// Acknowledgements go out in the order in which the messages arrived, so one that is held back holds back all later
/// ones.
#[derive(Debug)]
#[must_use = "dropping it acknowledges the message"]
pub struct Acknowledgement {
    shared: Arc<Shared>,
    ticket: Option<Ticket>,
}

impl Acknowledgement {
    /// Acknowledges: the message is durable, or can never be.
    pub fn complete(self) {
        drop(self);
    }
}

impl Drop for Acknowledgement {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else {
            return;
        };
        if self.shared.acknowledgements().complete(ticket) {
            self.shared.wake.notify_one();
        }
    }
}

/// One thing that waits to be taken.
#[derive(Debug)]
enum Waiting {
    Message { topic: String, payload: Bytes, retain: bool, ticket: Option<Ticket> },
    News(SessionEvent),
}

impl Waiting {
    /// What a message takes of the memory.
    fn size(&self) -> Option<usize> {
        match self {
            Waiting::Message { topic, payload, .. } => Some(size(topic, payload)),
            Waiting::News(_) => None,
        }
    }
}

fn size(topic: &str, payload: &Bytes) -> usize {
    size_of::<Waiting>() + topic.len() + payload.len()
}

/// The queue behind the inbox.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
    /// Messages in `waiting`.
    messages: usize,
    /// What they take of the memory.
    bytes: usize,
    /// Messages at QoS 0 find room below this number.
    room_unacknowledged: usize,
    /// Whether the session has ended.
    closed: bool,
}

/// Messages at QoS 1 may take this much memory while they wait; the largest one allowed always finds room.
const ROOM_BYTES: usize = 32 << 20;

/// News (connected, disconnected, refused) that are kept for a reader that does not come.
const NEWS_KEPT: usize = 64;

impl Queue {
    pub(super) fn new(receive_maximum: usize) -> Queue {
        Queue {
            waiting: VecDeque::new(),
            messages: 0,
            bytes: 0,
            room_unacknowledged: receive_maximum + 1024,
            closed: false,
        }
    }

    /// Adds a message; without a ticket it needs no acknowledgement. Returns whether there was room.
    #[must_use]
    pub(super) fn push(
        &mut self,
        topic: String,
        payload: Bytes,
        retain: bool,
        ticket: Option<Ticket>,
    ) -> bool {
        let has_room = match ticket {
            Some(_) => self.bytes < ROOM_BYTES,
            None => self.messages < self.room_unacknowledged,
        };
        if !has_room || self.closed {
            return false;
        }
        self.messages += 1;
        self.bytes += size(&topic, &payload);
        self.waiting.push_back(Waiting::Message { topic, payload, retain, ticket });
        true
    }

    pub(super) fn push_news(&mut self, event: SessionEvent) {
        let attempt_failed_again = matches!(event, SessionEvent::Disconnected { .. })
            && matches!(self.waiting.back(), Some(Waiting::News(SessionEvent::Disconnected { .. })));
        if attempt_failed_again {
            self.waiting.pop_back();
        }
        if self.waiting.len() - self.messages >= NEWS_KEPT
            && let Some(oldest) = self.waiting.iter().position(|waiting| matches!(waiting, Waiting::News(_)))
        {
            self.waiting.remove(oldest);
        }
        self.waiting.push_back(Waiting::News(event));
    }

    /// The broker will send everything of connections before `generation` again.
    pub(super) fn forget_before(&mut self, generation: u64) {
        self.waiting.retain(|waiting| match waiting {
            Waiting::Message { ticket: Some(ticket), .. } => ticket.generation() >= generation,
            _ => true,
        });
        let sizes = self.waiting.iter().filter_map(Waiting::size);
        (self.messages, self.bytes) =
            sizes.fold((0, 0), |(messages, bytes), size| (messages + 1, bytes + size));
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
        self.waiting.clear();
        self.messages = 0;
        self.bytes = 0;
    }

    fn pop(&mut self) -> Option<Waiting> {
        let waiting = self.waiting.pop_front()?;
        if let Some(size) = waiting.size() {
            self.messages -= 1;
            self.bytes -= size;
        }
        Some(waiting)
    }
}

/// Gives what a session tells, in order. One reader.
#[derive(Debug)]
pub struct Inbox {
    shared: Arc<Shared>,
}

impl Inbox {
    pub(super) fn new(shared: Arc<Shared>) -> Inbox {
        Inbox { shared }
    }

    /// Waits for the next event; nothing comes after the session has ended. Safe to cancel.
    pub async fn recv(&mut self) -> Option<SessionEvent> {
        loop {
            let arrived = self.shared.arrived.notified();
            let (next, closed) = {
                let mut queue = self.shared.inbox();
                (queue.pop(), queue.closed)
            };
            match next {
                Some(waiting) => return Some(self.event(waiting)),
                None if closed => return None,
                None => arrived.await,
            }
        }
    }

    /// The next event if one waits.
    pub fn try_recv(&mut self) -> Option<SessionEvent> {
        let waiting = self.shared.inbox().pop()?;
        Some(self.event(waiting))
    }

    fn event(&self, waiting: Waiting) -> SessionEvent {
        match waiting {
            Waiting::News(event) => event,
            Waiting::Message { topic, payload, retain, ticket } => {
                let acknowledgement = Acknowledgement { shared: Arc::clone(&self.shared), ticket };
                SessionEvent::Message(Incoming { topic, payload, retain, acknowledgement })
            }
        }
    }
}
