//! From a review to whether it is in favour: the network and what it is trained on.

use burn::module::{Module, Param};
use burn::tensor::activation::log_sigmoid;
use burn::tensor::module::embedding;
use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::Rng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use crate::dense::Dense;
use crate::epoch::Validation;
use crate::fit::Objective;
use crate::network::{Recurrent, RecurrentSettings};
use crate::parameters::numbers;

use super::reviews::Reviews;
use super::vocabulary::{Vocabulary, pad_in_front};

/// How many reviews are validated at once.
const VALIDATION_BATCH: usize = 250;

/// What the split into reviews to train on and to choose by starts from: the same for every training, as in Keras, so
/// that trainings with other seeds can be compared. (The number is Keras', its generator is another.)
const SPLIT_SEED: u128 = 113;

/// How reviews become sequences, and the network that reads them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReviewSettings {
    /// Indices of the vocabulary, those of padding, start and unknown words among them (Keras' `num_words`).
    pub num_words: usize,
    /// Words of a sequence; longer ones lose their beginning, shorter ones are padded in front (Keras' `maxlen`).
    pub length: usize,
    /// Whether reviews are reversed, before they are cut and padded: their first words are then what is kept.
    pub reversed: bool,
    /// Numbers that stand for a word.
    pub width: usize,
    /// The recurrent layer.
    pub recurrent: RecurrentSettings,
}

impl ReviewSettings {
    /// The network with Keras' initial weights: words uniform in ±0.05, the other layers as
    /// [`LstmConfig`](crate::recurrent::LstmConfig) and [`Dense`] say.
    pub fn init(&self, device: &Device, generator: &mut Pcg64) -> ReviewNetwork {
        let words = (0..self.num_words * self.width).map(|_| generator.random_range(-0.05..0.05_f32));
        let words = TensorData::new(words.collect::<Vec<f32>>(), [self.num_words, self.width]);
        let recurrent = self.recurrent.init(self.width, device, generator);
        let output = Dense::new(self.recurrent.width(), 1, device, generator);
        ReviewNetwork { words: Param::from_data(words, device), recurrent, output }
    }
}

/// An embedding, a recurrent layer, one logistic output.
#[derive(Module, Debug)]
pub struct ReviewNetwork {
    /// What stands for each word, `[num_words, width]`. Padding is a word like any other, as in Keras without
    /// `mask_zero`.
    pub words: Param<Tensor<2>>,
    /// The recurrent layer.
    pub recurrent: Recurrent,
    /// The output layer.
    pub output: Dense,
}

impl ReviewNetwork {
    /// Sequences `[batch, length]` to the log-odds that each is in favour, `[batch]`.
    pub fn forward(&self, sequences: Tensor<2, Int>, generator: Option<&mut Pcg64>) -> Tensor<1> {
        let state = self.recurrent.forward(embedding(self.words.val(), sequences), generator);
        self.output.forward(state).squeeze_dim(1)
    }
}

/// The mean binary cross-entropy, `[1]`, of log-odds `[batch]`: `−ln σ(±x)`, with the sign of the truth, which neither
/// overflows nor needs Keras' clipping.
pub fn binary_cross_entropy(log_odds: Tensor<1>, positive: &[bool]) -> Tensor<1> {
    let signs: Vec<f32> = positive.iter().map(|&positive| if positive { 1.0 } else { -1.0 }).collect();
    let signs = Tensor::from_data(TensorData::new(signs, [positive.len()]), &log_odds.device());
    log_sigmoid(log_odds * signs).mean().neg()
}

/// Reviews as sequences of one length.
#[derive(Debug, Clone, Default)]
pub struct Sequences {
    /// The numbers of the words, `[review, length]`, padded in front.
    words: Vec<u16>,
    length: usize,
    /// Whether each is in favour.
    positive: Vec<bool>,
}

impl Sequences {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.positive.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.positive.is_empty()
    }

    /// The numbers of the words of one review, padded in front to the common length.
    pub fn words(&self, index: usize) -> &[u16] {
        &self.words[index * self.length..][..self.length]
    }

    fn add(&mut self, sequence: &[u16], positive: bool) {
        let from = self.words.len();
        self.words.resize(from + self.length, 0);
        pad_in_front(sequence, &mut self.words[from..]);
        self.positive.push(positive);
    }

    /// Some sequences, `[batch, length]`, and whether each is in favour.
    fn batch(&self, indices: &[usize], device: &Device) -> (Tensor<2, Int>, Vec<bool>) {
        let words: Vec<i32> =
            indices.iter().flat_map(|&index| self.words(index)).map(|&word| i32::from(word)).collect();
        let words = Tensor::from_data(TensorData::new(words, [indices.len(), self.length]), device);
        (words, indices.iter().map(|&index| self.positive[index]).collect())
    }
}

/// Reviews to whether they are in favour.
#[derive(Debug)]
pub struct ReviewObjective {
    /// Four fifths of the reviews, to train on.
    pub train: Sequences,
    /// The others, to choose by.
    pub validation: Sequences,
    /// How many different words all of them have.
    pub distinct_words: usize,
    device: Device,
}

impl ReviewObjective {
    /// The objective of some reviews. The vocabulary is that of all of them, as Keras'.
    pub fn new(reviews: &Reviews, settings: &ReviewSettings, device: Device) -> ReviewObjective {
        let reviews = &reviews.reviews;
        let vocabulary =
            Vocabulary::new(reviews.iter().map(|review| review.text.as_str()), settings.num_words);
        let mut order: Vec<usize> = (0..reviews.len()).collect();
        order.shuffle(&mut Pcg64::new(SPLIT_SEED, 0));
        let (train, validation) = order.split_at(reviews.len() * 4 / 5);
        let sequences = |indices: &[usize]| {
            let mut sequences = Sequences { length: settings.length, ..Sequences::default() };
            for &index in indices {
                let mut sequence = vocabulary.sequence(&reviews[index].text);
                if settings.reversed {
                    sequence.reverse();
                }
                sequences.add(&sequence, reviews[index].positive);
            }
            sequences
        };
        let (train, validation) = (sequences(train), sequences(validation));
        ReviewObjective { train, validation, distinct_words: vocabulary.distinct(), device }
    }
}

impl Objective for ReviewObjective {
    type Model = ReviewNetwork;

    fn examples(&self) -> usize {
        self.train.len()
    }

    fn loss(&self, model: &ReviewNetwork, examples: &[usize], generator: &mut Pcg64) -> Tensor<1> {
        let (words, positive) = self.train.batch(examples, &self.device);
        binary_cross_entropy(model.forward(words, Some(generator)), &positive)
    }

    /// The score is the share of reviews taken for the opposite: 1 − accuracy.
    fn validate(&self, model: &ReviewNetwork) -> Validation {
        let device = model.words.val().device();
        let all: Vec<usize> = (0..self.validation.len()).collect();
        let (mut loss, mut wrong) = (0.0, 0);
        for chunk in all.chunks(VALIDATION_BATCH) {
            let (words, positive) = self.validation.batch(chunk, &device);
            let log_odds = model.forward(words, None);
            let mean: f32 = binary_cross_entropy(log_odds.clone(), &positive).into_scalar();
            loss += f64::from(mean) * chunk.len() as f64;
            let pairs = numbers(log_odds).into_iter().zip(positive);
            // Not a number is neither, and wrong.
            wrong += pairs
                .filter(|&(log_odds, positive)| log_odds.is_nan() || (log_odds > 0.0) != positive)
                .count();
        }
        let count = all.len() as f64;
        Validation { loss: loss / count, score: wrong as f64 / count }
    }
}
