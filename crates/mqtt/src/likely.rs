//! What is likely behind connections that end again and again in the same way.

use std::time::Duration;

use crate::disconnect::DisconnectReason;

/// So many ends of one kind in a row are no accident.
const REPEATS: u32 = 3;

/// A way to end for which there is a likely cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pattern {
    /// Another client came with our client id, says the broker.
    TakenOver,
    /// The broker closed the connection instead of answering our CONNECT.
    ClosedUnanswered,
    /// The broker accepted us, and closed the connection soon after without a word.
    ClosedSoon,
}

impl Pattern {
    fn cause(self) -> &'static str {
        match self {
            Pattern::TakenOver => "another client uses this client_id? each needs its own mqtt.client_id",
            Pattern::ClosedUnanswered => {
                "does the broker speak mqtt 5, and is this its port (with or without tls, websocket)?"
            }
            Pattern::ClosedSoon => {
                "another client uses this client_id? or the broker forbids mqtt 5 or a topic"
            }
        }
    }
}

/// Watches how connections end. Pure.
#[derive(Debug, Default)]
pub(crate) struct Likely {
    last: Option<Pattern>,
    in_a_row: u32,
}

impl Likely {
    /// A connection ended, or an attempt failed. `lasted` is absent when the broker never accepted us; what lasted
    /// `stable` is no sign of anything. Gives the likely cause once the same has happened [`REPEATS`] times in a row.
    pub(crate) fn ended(
        &mut self,
        reason: &DisconnectReason,
        lasted: Option<Duration>,
        stable: Duration,
    ) -> Option<&'static str> {
        let pattern = match (reason, lasted) {
            (DisconnectReason::SessionTakenOver, _) => Some(Pattern::TakenOver),
            (DisconnectReason::Closed(_), None) => Some(Pattern::ClosedUnanswered),
            (DisconnectReason::Closed(_), Some(lasted)) if lasted < stable => Some(Pattern::ClosedSoon),
            _ => None,
        };
        self.in_a_row = if pattern == self.last { self.in_a_row + 1 } else { 1 };
        self.last = pattern;
        pattern.filter(|_| self.in_a_row >= REPEATS).map(Pattern::cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STABLE: Duration = Duration::from_secs(10);

    fn closed() -> DisconnectReason {
        DisconnectReason::Closed("closed by the broker".to_owned())
    }

    #[test]
    fn a_cause_is_named_after_a_few_ends_of_one_kind_in_a_row() {
        let mut likely = Likely::default();
        assert_eq!(likely.ended(&closed(), None, STABLE), None);
        assert_eq!(likely.ended(&closed(), None, STABLE), None);
        let cause = likely.ended(&closed(), None, STABLE).unwrap();
        assert!(cause.contains("mqtt 5"), "{cause}");
        // Accepted, and closed soon after: something else.
        let soon = Some(Duration::from_secs(1));
        assert_eq!(likely.ended(&closed(), soon, STABLE), None);
        assert_eq!(likely.ended(&closed(), soon, STABLE), None);
        let cause = likely.ended(&closed(), soon, STABLE).unwrap();
        assert!(cause.contains("client_id"), "{cause}");
    }

    #[test]
    fn a_connection_that_lasted_is_no_sign_unless_the_broker_names_the_cause() {
        let mut likely = Likely::default();
        let long = Some(Duration::from_secs(60));
        for _ in 0..5 {
            assert_eq!(likely.ended(&closed(), long, STABLE), None);
        }
        for expected in [false, false, true, true] {
            let cause = likely.ended(&DisconnectReason::SessionTakenOver, long, STABLE);
            assert_eq!(cause.is_some_and(|cause| cause.contains("client_id")), expected);
        }
        assert_eq!(likely.ended(&DisconnectReason::Timeout, None, STABLE), None);
        assert_eq!(likely.ended(&DisconnectReason::SessionTakenOver, long, STABLE), None);
    }
}
