//! What somebody who mistyped a key may have meant.

/// The candidate closest to `typed`, if one is close enough to be what was meant: at most a third of its letters
/// differ.
pub(super) fn closest<'a>(typed: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (distance(typed, candidate), candidate))
        .filter(|(distance, candidate)| distance * 3 <= candidate.chars().count().max(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The optimal string alignment distance: how many letters must be put in, taken out, exchanged or swapped with
/// their neighbour to make one text of the other.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for i in 1..=left.len() {
        let mut row = vec![i; right.len() + 1];
        for j in 1..=right.len() {
            let exchange = last[j - 1] + usize::from(left[i - 1] != right[j - 1]);
            row[j] = exchange.min(last[j] + 1).min(row[j - 1] + 1);
            let swapped = i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1];
            if swapped {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_counted_by_hand() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("prot", "port"), 1);
        assert_eq!(distance("host", "host"), 0);
    }

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let keys = ["host", "port", "client_id", "keep_alive_s"];
        assert_eq!(closest("prot", keys.into_iter()), Some("port"));
        assert_eq!(closest("clientid", keys.into_iter()), Some("client_id"));
        assert_eq!(closest("keepalive_s", keys.into_iter()), Some("keep_alive_s"));
        assert_eq!(closest("colour", keys.into_iter()), None);
    }
}
