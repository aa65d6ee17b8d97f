//! What is acknowledged when the service says so.

use std::collections::VecDeque;

use forecastd_core::Token;
use forecastd_mqtt::Acknowledgement;

/// Messages that are not acknowledged yet, by token.
#[derive(Default)]
pub(super) struct Acknowledgements {
    /// The token of the first.
    pub(super) first: Token,
    pub(super) owed: VecDeque<Option<Acknowledgement>>,
}

impl Acknowledgements {
    pub(super) fn arrived(&mut self, acknowledgement: Acknowledgement) -> Token {
        self.owed.push_back(Some(acknowledgement));
        self.first + self.owed.len() as Token - 1
    }

    pub(super) fn complete(&mut self, token: Token) {
        let index = token.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        if let Some(owed) = index.and_then(|index| self.owed.get_mut(index))
            && let Some(acknowledgement) = owed.take()
        {
            acknowledgement.complete();
        }
        while self.owed.front().is_some_and(Option::is_none) {
            self.owed.pop_front();
            self.first += 1;
        }
    }
}
