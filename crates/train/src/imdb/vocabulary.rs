//! From a review's text to a sequence of numbers, as Keras' `Tokenizer` and `imdb.load_data` do.
//!
//! Words are ranked by how often they occur, the most frequent has rank 1, and a word's index is its rank plus
//! `index_from`, which is 3: 0 is padding, 1 the start of a review, 2 a word that is not among those kept, and 3, which
//! Keras' documentation promises to the first word, is never used. With `num_words` of 10,000 the words of ranks 1 to
//! 9,996 are kept.
//!
//! Keras' own sequences are built from ranks that it distributes ready-made; here they are counted, and words of the
//! same frequency are ranked in alphabetical order.

use std::cmp::Reverse;
use std::collections::HashMap;

/// Fills a sequence that is shorter than the others, in front.
pub const PADDING: u16 = 0;
/// Stands in front of the first word.
pub const START: u16 = 1;
/// Stands for every word that is not kept.
pub const UNKNOWN: u16 = 2;
/// What a word's index is more than its rank.
pub const INDEX_FROM: usize = 3;

/// The characters that Keras' `Tokenizer` takes for spaces. The apostrophe is none of them.
const FILTERED: &str = "!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n";

/// Hands out the words of a text one after the other, in lower case (Keras' `text_to_word_sequence`). Words end at a
/// space or one of the filtered characters; other white space, such as the no-break space, is part of a word.
pub fn for_each_word(text: &str, action: impl FnMut(&str)) {
    let ends = |character: char| character == ' ' || FILTERED.contains(character);
    text.to_lowercase().split(ends).filter(|word| !word.is_empty()).for_each(action);
}

/// Words and their indices.
#[derive(Debug, Clone)]
pub struct Vocabulary {
    indices: HashMap<String, u16>,
    distinct: usize,
}

impl Vocabulary {
    /// The vocabulary of some texts, with indices below `num_words`.
    ///
    /// # Panics
    /// If `num_words` is not between 4 and 65,536.
    pub fn new<'a>(texts: impl IntoIterator<Item = &'a str>, num_words: usize) -> Vocabulary {
        assert!((INDEX_FROM + 1..=1 << 16).contains(&num_words), "{num_words} words");
        let mut counts: HashMap<String, u64> = HashMap::new();
        for text in texts {
            for_each_word(text, |word| match counts.get_mut(word) {
                Some(count) => *count += 1,
                None => {
                    counts.insert(word.to_owned(), 1);
                }
            });
        }
        let distinct = counts.len();
        let mut ranked: Vec<(Reverse<u64>, String)> =
            counts.into_iter().map(|(word, count)| (Reverse(count), word)).collect();
        ranked.sort_unstable();
        let first = INDEX_FROM + 1;
        let indexed = (first..num_words).zip(ranked).map(|(index, (_, word))| (word, index as u16));
        Vocabulary { indices: indexed.collect(), distinct }
    }

    /// How many different words the texts had.
    pub fn distinct(&self) -> usize {
        self.distinct
    }

    /// The index of a word in lower case.
    pub fn index(&self, word: &str) -> u16 {
        self.indices.get(word).copied().unwrap_or(UNKNOWN)
    }

    /// A text as indices: the start, then its words.
    pub fn sequence(&self, text: &str) -> Vec<u16> {
        let mut sequence = vec![START];
        for_each_word(text, |word| sequence.push(self.index(word)));
        sequence
    }
}

/// Puts the end of a sequence at the end of `row` and padding in front of it (Keras' `pad_sequences` with its defaults,
/// `padding='pre'` and `truncating='pre'`).
pub fn pad_in_front(sequence: &[u16], row: &mut [u16]) {
    let kept = &sequence[sequence.len().saturating_sub(row.len())..];
    let (padding, rest) = row.split_at_mut(row.len() - kept.len());
    padding.fill(PADDING);
    rest.copy_from_slice(kept);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let mut words = Vec::new();
        for_each_word(text, |word| words.push(word.to_owned()));
        words
    }

    #[test]
    fn words_are_lower_case_and_end_at_spaces_and_punctuation() {
        assert_eq!(
            words("It's GREAT!<br /><br />A well-made, 10/10 film_(1999)\tISN'T\nit?"),
            ["it's", "great", "br", "br", "a", "well", "made", "10", "10", "film", "1999", "isn't", "it"],
        );
        assert_eq!(words("Ärger\u{a0}ΟΔΟΣ «x»"), ["ärger\u{a0}οδος", "«x»"]);
        assert_eq!(words(" ... --- "), [""; 0]);
        // Every character that Keras filters, each once.
        assert_eq!(
            words("a!b\"c#d$e%f&g(h)i*j+k,l-m.n/o:p;q<r=s>t?u@v[w\\x]y^z_0`1{2|3}4~5\t6\n7 8'9").len(),
            35
        );
    }

    /// the ×4, film ×3, a and bad ×2 each, good ×1: ranks 1 to 5, indices 4 to 8.
    #[test]
    fn indices_follow_the_frequency_and_the_rest_is_unknown() {
        let texts = ["The film, the film!", "Bad: the FILM a", "a bad the good"];
        let all = Vocabulary::new(texts, 9);
        assert_eq!(all.sequence("The film a bad good thing"), [1, 4, 5, 6, 7, 8, 2]);
        assert_eq!(all.distinct(), 5);
        // The index 7 is not below 7.
        let few = Vocabulary::new(texts, 7);
        assert_eq!(few.sequence("the film a bad good thing"), [1, 4, 5, 6, 2, 2, 2]);
        assert_eq!(few.distinct(), 5);
        assert_eq!(few.sequence("!?"), [1]);
    }

    #[test]
    fn long_sequences_lose_their_beginning_and_short_ones_are_padded_in_front() {
        let padded = |sequence: &[u16]| {
            let mut row = [99; 4];
            pad_in_front(sequence, &mut row);
            row
        };
        assert_eq!(padded(&[1, 7, 8, 9, 5, 6]), [8, 9, 5, 6]);
        assert_eq!(padded(&[1, 7, 8, 9]), [1, 7, 8, 9]);
        assert_eq!(padded(&[1, 7]), [0, 0, 1, 7]);
        assert_eq!(padded(&[]), [0, 0, 0, 0]);
    }
}
