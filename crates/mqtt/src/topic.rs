//! What may stand as a topic or a topic filter (MQTT 5, section 4.7).

/// Why a text is no topic or no topic filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// Nothing in it.
    #[error("topic is empty")]
    Empty,
    /// More than 65,535 bytes.
    #[error("topic has {0} bytes, more than 65535")]
    TooLong(usize),
    /// A wildcard in the topic of a message, or out of place in a filter.
    #[error("topic {topic:?} holds the wildcard {wildcard:?} where none may stand")]
    Wildcard {
        /// The text as it was given.
        topic: String,
        /// The `+` or `#` that stands in the wrong place.
        wildcard: char,
    },
    /// A control character.
    #[error("topic {0:?} holds a control character")]
    Control(String),
}

fn check_text(topic: &str) -> Result<(), TopicError> {
    if topic.is_empty() {
        return Err(TopicError::Empty);
    }
    if topic.len() > usize::from(u16::MAX) {
        return Err(TopicError::TooLong(topic.len()));
    }
    if topic.chars().any(char::is_control) {
        return Err(TopicError::Control(topic.to_owned()));
    }
    Ok(())
}

/// Checks the topic of a message.
///
/// # Errors
/// [`TopicError`] when it is empty, too long, or holds a wildcard or a control character.
pub fn check_topic(topic: &str) -> Result<(), TopicError> {
    check_text(topic)?;
    match topic.chars().find(|character| matches!(character, '+' | '#')) {
        Some(wildcard) => Err(TopicError::Wildcard { topic: topic.to_owned(), wildcard }),
        None => Ok(()),
    }
}

/// Checks a topic filter: `+` stands alone in a level, `#` alone in the last one.
///
/// # Errors
/// [`TopicError`] when it is empty, too long, or holds a wildcard out of place or a control character.
pub fn check_filter(filter: &str) -> Result<(), TopicError> {
    check_text(filter)?;
    let levels: Vec<&str> = filter.split('/').collect();
    let misplaced = |wildcard| Err(TopicError::Wildcard { topic: filter.to_owned(), wildcard });
    for (index, level) in levels.iter().enumerate() {
        if level.contains('+') && *level != "+" {
            return misplaced('+');
        }
        if level.contains('#') && (*level != "#" || index + 1 != levels.len()) {
            return misplaced('#');
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_only_where_the_standard_lets_them() {
        for good in ["a", "+", "#", "a/+/b", "a/#", "/", "a//b", "$share/group/weather/+/reading"] {
            assert_eq!(check_filter(good), Ok(()), "{good}");
        }
        for bad in ["", "a+", "a/#/b", "a#", "a\nb", "a\0b"] {
            assert!(check_filter(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "a/+", "#", "a\u{7f}"] {
            assert!(check_topic(bad).is_err(), "{bad:?}");
        }
        assert_eq!(check_topic("weather/Jena Dach é/reading"), Ok(()));
    }
}
