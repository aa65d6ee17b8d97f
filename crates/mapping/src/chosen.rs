//! Which of several topics a station's quantity is read from, where each has one value.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use forecastd_core::Quantity;

/// Of so many quantities of stations it is remembered: anybody can make up names.
const MOST: usize = 100_000;
/// So many topics are remembered of which was said that they are not read.
const MOST_SAID: usize = 10_000;

/// What becomes of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// It is read.
    Read,
    /// Another topic is read instead.
    PassedOver {
        /// That topic.
        read: String,
        /// Whether this one was not passed over before.
        is_first: bool,
    },
}

/// The topics that are read: of several with one quantity of one station that which the source names first, of several that one
/// pattern has, the first by the alphabet. A sensor in a fridge and one outdoors have no mean.
///
/// One that falls silent is not replaced by another, which may stand indoors.
#[derive(Debug, Default)]
pub struct ChosenTopics {
    chosen: HashMap<(String, Quantity), (usize, String)>,
    said: std::collections::HashSet<String>,
}

impl ChosenTopics {
    /// Takes note of a topic that has one value; `rank` is [`Decoded::topic_rank`](crate::Decoded::topic_rank).
    pub fn choose(&mut self, station: &str, quantity: Quantity, rank: usize, topic: &str) -> Choice {
        let is_full = self.chosen.len() >= MOST;
        match self.chosen.entry((station.to_owned(), quantity)) {
            Entry::Vacant(_) if is_full => Choice::Read,
            Entry::Vacant(vacant) => {
                vacant.insert((rank, topic.to_owned()));
                Choice::Read
            }
            Entry::Occupied(mut occupied) => {
                let (known_rank, known) = occupied.get();
                if (rank, topic) > (*known_rank, known.as_str()) {
                    let is_first = self.said.len() < MOST_SAID && self.said.insert(topic.to_owned());
                    return Choice::PassedOver { read: known.clone(), is_first };
                }
                if topic != known {
                    occupied.insert((rank, topic.to_owned()));
                }
                Choice::Read
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Quantity::{AirTemperature, RelativeHumidity};

    #[test]
    fn one_topic_of_each_quantity_of_a_station_is_read_and_the_better_takes_its_place() {
        let mut topics = ChosenTopics::default();
        let passed_over = |read: &str, is_first| Choice::PassedOver { read: read.to_owned(), is_first };
        assert_eq!(topics.choose("a", AirTemperature, 9, "a/shed"), Choice::Read);
        assert_eq!(topics.choose("a", AirTemperature, 9, "a/wall"), passed_over("a/shed", true));
        assert_eq!(topics.choose("a", AirTemperature, 3, "a/outdoor"), Choice::Read);
        assert_eq!(topics.choose("a", AirTemperature, 9, "a/shed"), passed_over("a/outdoor", true));
        assert_eq!(topics.choose("a", AirTemperature, 9, "a/shed"), passed_over("a/outdoor", false));
        assert_eq!(topics.choose("a", AirTemperature, 3, "a/outdoor"), Choice::Read);
        assert_eq!(topics.choose("a", RelativeHumidity, 9, "a/wall"), Choice::Read);
        assert_eq!(topics.choose("b", AirTemperature, 9, "b/wall"), Choice::Read);
    }
}
