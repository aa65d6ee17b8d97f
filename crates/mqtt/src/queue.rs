//! What arrived and was not taken yet, and what the session has to tell.
//!
//! Pure. At QoS 1 the broker should send no more than the receive maximum ahead of our acknowledgements. mosquitto 2.0.11
//! under load sends many times that, so what waits here is bounded by its size in memory; a message that finds no room
//! ends the connection, and the broker sends it again on the next one. At QoS 0 nothing is sent again, and what finds
//! no room is dropped and counted. When the broker resumes our session on a new connection it sends everything that
//! was not acknowledged again: what still waits here from the old connection is then forgotten. When it has lost the
//! session, it is kept: there is no other copy.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::acknowledgements::Ticket;
use crate::news::News;

/// A message that waits to be taken.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) topic: String,
    pub(crate) payload: Bytes,
    pub(crate) retain: bool,
    /// Absent when the message needs no acknowledgement.
    pub(crate) ticket: Option<Ticket>,
}

impl Arrived {
    /// What it takes of the memory.
    fn size(&self) -> usize {
        size_of::<Waiting>() + self.topic.len() + self.payload.len()
    }
}

/// One thing that waits to be taken.
#[derive(Debug)]
pub(crate) enum Waiting {
    Message(Arrived),
    News(News),
}

/// The queue behind the inbox.
#[derive(Debug)]
pub(crate) struct Queue {
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

/// News that are kept for a reader that does not come.
const NEWS_KEPT: usize = 64;

impl Queue {
    pub(crate) fn new(receive_maximum: usize) -> Queue {
        Queue {
            waiting: VecDeque::new(),
            messages: 0,
            bytes: 0,
            room_unacknowledged: receive_maximum + 1024,
            closed: false,
        }
    }

    /// Adds a message. Returns whether there was room.
    #[must_use]
    pub(crate) fn push(&mut self, message: Arrived) -> bool {
        let has_room = match message.ticket {
            Some(_) => self.bytes < ROOM_BYTES,
            None => self.messages < self.room_unacknowledged,
        };
        if !has_room || self.closed {
            return false;
        }
        self.messages += 1;
        self.bytes += message.size();
        self.waiting.push_back(Waiting::Message(message));
        true
    }

    /// Adds news. Of attempts to connect that fail one after the other the newest is kept, of all news the newest
    /// [`NEWS_KEPT`].
    pub(crate) fn push_news(&mut self, news: News) {
        let attempt_failed_again = matches!(news, News::Disconnected { .. })
            && matches!(self.waiting.back(), Some(Waiting::News(News::Disconnected { .. })));
        if attempt_failed_again {
            self.waiting.pop_back();
        }
        if self.waiting.len() - self.messages >= NEWS_KEPT
            && let Some(oldest) = self.waiting.iter().position(|waiting| matches!(waiting, Waiting::News(_)))
        {
            self.waiting.remove(oldest);
        }
        self.waiting.push_back(Waiting::News(news));
    }

    /// The broker will send everything of connections before `generation` again.
    pub(crate) fn forget_before(&mut self, generation: u64) {
        (self.messages, self.bytes) = (0, 0);
        self.waiting.retain(|waiting| {
            let Waiting::Message(message) = waiting else { return true };
            let stays = message.ticket.is_none_or(|ticket| ticket.generation() >= generation);
            if stays {
                self.messages += 1;
                self.bytes += message.size();
            }
            stays
        });
    }

    /// Nothing is taken in any more.
    pub(crate) fn close(&mut self) {
        self.closed = true;
        self.waiting.clear();
        self.messages = 0;
        self.bytes = 0;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// The next thing to take.
    pub(crate) fn pop(&mut self) -> Option<Waiting> {
        let waiting = self.waiting.pop_front()?;
        if let Waiting::Message(message) = &waiting {
            self.messages -= 1;
            self.bytes -= message.size();
        }
        Some(waiting)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::acknowledgements::Acknowledgements;
    use crate::disconnect::DisconnectReason;

    fn message(ticket: Option<Ticket>) -> Arrived {
        Arrived { topic: "t".to_owned(), payload: Bytes::from_static(b"x"), retain: false, ticket }
    }

    #[test]
    fn what_the_broker_sends_again_is_forgotten_and_the_rest_keeps_its_place() {
        let mut acknowledgements = Acknowledgements::default();
        let mut queue = Queue::new(4);
        assert!(queue.push(message(Some(acknowledgements.arrived(())))));
        queue.push_news(News::Subscribed);
        assert!(queue.push(message(None)));
        acknowledgements.begin_generation();
        assert!(queue.push(message(Some(acknowledgements.arrived(())))));
        queue.forget_before(acknowledgements.generation());
        assert_eq!((queue.messages, queue.bytes), (2, 2 * message(None).size()));
        assert!(matches!(queue.pop(), Some(Waiting::News(News::Subscribed))));
        assert!(matches!(queue.pop(), Some(Waiting::Message(Arrived { ticket: None, .. }))));
        assert!(matches!(queue.pop(), Some(Waiting::Message(Arrived { ticket: Some(_), .. }))));
        assert!(queue.pop().is_none());
        assert_eq!((queue.messages, queue.bytes), (0, 0));
    }

    #[test]
    fn news_that_nobody_takes_are_bounded() {
        let mut queue = Queue::new(4);
        for _ in 0..200 {
            queue.push_news(News::Connected { session_present: true });
            for _ in 0..3 {
                let reason = DisconnectReason::ServerShutdown;
                queue.push_news(News::Disconnected { reason, retry_in: Duration::ZERO, likely: None });
            }
        }
        assert_eq!(std::iter::from_fn(|| queue.pop()).count(), NEWS_KEPT);
    }
}
