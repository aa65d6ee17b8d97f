//! Where a session's messages and news are taken, and the right to acknowledge a message.

use std::sync::Arc;

use bytes::Bytes;

use crate::acknowledgements::Ticket;
use crate::news::News;
use crate::queue::{Arrived, Waiting};
use crate::shared::Shared;

/// What comes out of an [`Inbox`].
#[derive(Debug)]
pub enum SessionEvent {
    /// The session tells something of itself.
    News(News),
    /// A message arrived.
    Message(Incoming),
}

/// A message that arrived.
#[derive(Debug)]
pub struct Incoming {
    /// The topic that the message was published on.
    pub topic: String,
    /// The message's content, whatever its publisher wrote.
    pub payload: Bytes,
    /// Whether its publisher asked the broker to keep it. We subscribe with *retain as published* (MQTT 5, section
    /// 3.8.3.1), so it is true for a live message as well as for one that was kept from before we subscribed: an empty
    /// payload with it means that the publisher took back what the topic held. A broker that ignores the option says
    /// true for messages from before the subscription alone. On topics of [`Purpose::of_others`](crate::Purpose::of_others) it is
    /// true for such messages alone, from a broker that sends them unasked.
    pub retain: bool,
    /// To be completed once the message is durable, or can never be.
    pub acknowledgement: Acknowledgement,
}

/// The right to acknowledge a message.
///
/// Acknowledgements go out in the order in which the messages arrived, so one that is held back holds back all later
/// ones. It ends in one of three ways:
/// - [`Acknowledgement::complete`] acknowledges;
/// - [`Acknowledgement::abandon`] does not: the broker delivers the message again on the next connection;
/// - dropping it acknowledges while the session goes on, so that no way out of the code can keep a slot of the broker's
///   window for ever. From the moment at which [`SessionHandle::stop`](crate::SessionHandle::stop) is called, or the
///   handle is dropped, dropping abandons: what falls at the end is not done.
#[derive(Debug)]
#[must_use = "dropping it acknowledges the message"]
pub struct Acknowledgement {
    shared: Arc<Shared>,
    ticket: Option<Ticket>,
}

impl Acknowledgement {
    /// Acknowledges: the message is durable, or can never be. Without effect once its connection has ended.
    pub fn complete(mut self) {
        self.send();
    }

    /// Gives up the right and acknowledges nothing: the broker delivers the message again on the next connection, and
    /// so every message that arrived after it on this one. For the end of a process, or before a connection is given
    /// up; in the middle of one the broker's window fills up behind it.
    pub fn abandon(mut self) {
        self.ticket = None;
    }

    fn send(&mut self) {
        if let Some(ticket) = self.ticket.take()
            && self.shared.acknowledgements().complete(ticket)
        {
            self.shared.wake.notify_one();
        }
    }
}

impl Drop for Acknowledgement {
    fn drop(&mut self) {
        if !self.shared.is_ending() {
            self.send();
        }
    }
}

/// Gives what a session tells, in order. One reader.
#[derive(Debug)]
pub struct Inbox {
    shared: Arc<Shared>,
}

impl Inbox {
    pub(crate) fn new(shared: Arc<Shared>) -> Inbox {
        Inbox { shared }
    }

    /// Waits for the next event; nothing comes after the session has ended. Safe to cancel.
    pub async fn recv(&mut self) -> Option<SessionEvent> {
        loop {
            let arrived = self.shared.arrived.notified();
            let (next, closed) = {
                let mut queue = self.shared.inbox();
                (queue.pop(), queue.is_closed())
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
            Waiting::News(news) => SessionEvent::News(news),
            Waiting::Message(Arrived { topic, payload, retain, ticket }) => {
                let acknowledgement = Acknowledgement { shared: Arc::clone(&self.shared), ticket };
                SessionEvent::Message(Incoming { topic, payload, retain, acknowledgement })
            }
        }
    }
}
