//! Readings as messages, paced or as fast as acknowledgements allow.

use std::collections::VecDeque;
use std::sync::Arc;

use forecastd_core::StationName;
use forecastd_mqtt::{Message, PublishError, Publisher, TopicError, check_topic};
use forecastd_record::Row;
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep_until};

use super::Speed;
use crate::wire;

/// Stands for the station's name in a topic.
const STATION: &str = "{station}";

/// How far a feed has come.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct FeedProgress {
    /// Readings handed to the broker.
    pub sent: u64,
    /// Of these, the ones it acknowledged.
    pub acknowledged: u64,
    /// The first time sent, as in the source.
    pub first: Option<Timestamp>,
    /// The last time sent, as in the source.
    pub last: Option<Timestamp>,
}

/// Sends one station's readings through a publisher.
///
/// It outlives its [`Feed::run`], which may be cancelled: what was sent and acknowledged stays known.
#[derive(Debug)]
pub struct Feed {
    publisher: Publisher,
    topic: Arc<str>,
    speed: Speed,
    shift: SignedDuration,
    progress: FeedProgress,
    /// Sent and not acknowledged: number and time.
    pending: VecDeque<(u64, Timestamp)>,
    /// The reading that goes out next.
    next: Option<Timestamp>,
}

/// Readings sent between two looks at the acknowledgements.
const LOOK_EVERY: usize = 64;

impl Feed {
    /// A feed for `station`; `{station}` in `topic` stands for its name.
    ///
    /// # Errors
    /// [`TopicError`] when that is no topic.
    pub fn new(
        publisher: &Publisher,
        station: &StationName,
        topic: &str,
        speed: Speed,
    ) -> Result<Feed, TopicError> {
        let topic = topic.replace(STATION, station.as_str());
        check_topic(&topic)?;
        Ok(Feed {
            publisher: publisher.clone(),
            topic: Arc::from(topic),
            speed,
            shift: SignedDuration::ZERO,
            progress: FeedProgress::default(),
            pending: VecDeque::new(),
            next: None,
        })
    }

    /// Adds `shift` to the time of every reading.
    #[must_use]
    pub fn shifted(mut self, shift: SignedDuration) -> Feed {
        self.shift = shift;
        self
    }

    /// Sends the readings and waits until the broker has acknowledged the last. `observe` is called after each.
    ///
    /// Paced, a reading goes out when its distance to the first has passed, divided by the speed; one whose
    /// time lies before the first's goes out at once.
    ///
    /// # Errors
    /// [`PublishError::Closed`] when the session ends before.
    pub async fn run(
        &mut self,
        readings: impl IntoIterator<Item = Row>,
        mut observe: impl FnMut(&FeedProgress),
    ) -> Result<(), PublishError> {
        let start = Instant::now();
        let mut origin = None;
        for (time, values) in readings {
            self.next = Some(time);
            let origin = *origin.get_or_insert(time);
            if let Some(wait) = self.speed.wait(time.duration_since(origin)) {
                sleep_until(start + wait).await;
            }
            let shifted = time.saturating_add(self.shift).unwrap_or(time);
            let payload = wire::reading::encode(shifted, &values);
            let number = self.publisher.publish_wait(Message::new(Arc::clone(&self.topic), payload)).await?;
            self.pending.push_back((number, time));
            self.next = None;
            self.progress.sent += 1;
            self.progress.first.get_or_insert(time);
            self.progress.last = Some(time);
            if self.pending.len().is_multiple_of(LOOK_EVERY) {
                self.look();
            }
            observe(&self.progress);
        }
        while let Some(&(number, _)) = self.pending.front() {
            self.publisher.wait_settled(number + 1).await?;
            self.look();
            observe(&self.progress);
        }
        Ok(())
    }

    /// Counts what was acknowledged since the last look.
    fn look(&mut self) {
        let settled = self.publisher.settled();
        while self.pending.front().is_some_and(|(number, _)| *number < settled) {
            self.pending.pop_front();
            self.progress.acknowledged += 1;
        }
    }

    /// How far it has come.
    pub fn progress(&mut self) -> FeedProgress {
        self.look();
        self.progress
    }

    /// The first reading, by its time in the source, that is not known to have arrived.
    pub fn first_unacknowledged(&mut self) -> Option<Timestamp> {
        self.look();
        self.pending.front().map(|(_, time)| *time).or(self.next)
    }
}
