//! PUBACKs, completed in any order and sent in the order in which the messages arrived.
//!
//! MQTT asks for the order ([MQTT-4.6.0-2]); the daemon completes messages in the order in which they become durable.
//! An acknowledgement belongs to one connection: the broker delivers what was not acknowledged again on the
//! next one, under new packet identifiers, so one of an older connection is dropped.

use std::collections::VecDeque;

/// Names one arrived message of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// The connection on which it arrived.
    generation: u64,
    /// Its place among the messages of that connection.
    place: u64,
}

impl Ticket {
    /// The connection on which the message arrived, counted from 0.
    pub fn generation(self) -> u64 {
        self.generation
    }
}

/// The acknowledgements that one connection owes. `P` is what has to be sent: the prepared packet.
#[derive(Debug)]
pub struct Acknowledgements<P> {
    /// The connection that is served.
    generation: u64,
    /// The place of the first of `owed`.
    first: u64,
    /// By arrival: the packet and whether it may go.
    owed: VecDeque<(P, bool)>,
}

impl<P> Default for Acknowledgements<P> {
    fn default() -> Self {
        Acknowledgements { generation: 0, first: 0, owed: VecDeque::new() }
    }
}

impl<P> Acknowledgements<P> {
    /// A message arrived; `packet` will acknowledge it.
    pub fn arrived(&mut self, packet: P) -> Ticket {
        let place = self.first + self.owed.len() as u64;
        self.owed.push_back((packet, false));
        Ticket { generation: self.generation, place }
    }

    /// The message may be acknowledged. Returns whether packets can be sent now.
    ///
    /// A ticket of an older connection, or one completed before, changes nothing.
    pub fn complete(&mut self, ticket: Ticket) -> bool {
        if ticket.generation != self.generation || ticket.place < self.first {
            return false;
        }
        let index = usize::try_from(ticket.place - self.first).unwrap_or(usize::MAX);
        if let Some((_, released)) = self.owed.get_mut(index) {
            *released = true;
        }
        self.is_ready()
    }

    /// Whether [`Acknowledgements::next_ready`] would give a packet.
    pub fn is_ready(&self) -> bool {
        self.owed.front().is_some_and(|(_, released)| *released)
    }

    /// The next packet to send, in order of arrival.
    pub fn next_ready(&mut self) -> Option<P> {
        if !self.is_ready() {
            return None;
        }
        self.first += 1;
        self.owed.pop_front().map(|(packet, _)| packet)
    }

    /// The connection ended: nothing is owed on it any more.
    pub fn begin_generation(&mut self) {
        self.generation += 1;
        self.first = 0;
        self.owed.clear();
    }

    /// The connection that is served, counted from 0.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Messages that arrived and are not acknowledged.
    pub fn owed(&self) -> usize {
        self.owed.len()
    }
}
