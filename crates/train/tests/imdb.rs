//! The experiments on film reviews: reading them, the network, a whole run.
//!
//! The test that needs the real reviews is ignored where nobody asks for it: see `forecastd_testkit::needed`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::{Device, Int, Tensor, TensorData};
use flate2::write::GzEncoder;
use forecastd_testkit::needed;
use forecastd_train::fit::{FitSettings, Fitted, Schedule, StopRule, fit};
use forecastd_train::imdb::objective::{
    ReviewNetwork, ReviewObjective, ReviewSettings, binary_cross_entropy,
};
use forecastd_train::imdb::reviews::{ReviewError, Reviews};
use forecastd_train::imdb::vocabulary::Vocabulary;
use forecastd_train::network::{CellKind, Direction, RecurrentSettings};
use forecastd_train::optimiser::OptimiserKind;
use forecastd_train::parameters::{gradients, numbers, values, with_values};
use forecastd_train::progress::{Observer, TrainingEvent};
use forecastd_train::{TrainError, TrainOptions, run};
use liblzma::write::XzEncoder;
use sha2::{Digest, Sha256};

/// Name and content.
type File<'a> = (&'a str, &'a [u8]);

/// What a small dataset holds: four reviews, and what is none.
const FILES: [(&str, &str); 8] = [
    ("train/pos/0_9.txt", "A wonderful film.<br />Wonderful!"),
    ("train/pos/10_7.txt", "Très bon."),
    ("train/neg/0_1.txt", "Dreadful, it's a bore."),
    ("train/neg/2_3.txt", "A bore"),
    ("train/pos/._0_9.txt", "\u{1}"),
    ("train/unsup/0_0.txt", "Neither nor"),
    ("train/urls_pos.txt", "http://example.org"),
    ("test/pos/0_10.txt", "For later."),
];

fn make_folder(root: &Path, files: &[File]) -> PathBuf {
    for (name, content) in files {
        let path = root.join("aclImdb").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    root.join("aclImdb")
}

fn make_tar(files: &[File]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, format!("aclImdb/{name}"), *content).unwrap();
    }
    archive.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = XzEncoder::new(Vec::new(), 6);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn bytes<'a>(files: &[(&'a str, &'a str)]) -> Vec<File<'a>> {
    files.iter().map(|(name, content)| (*name, content.as_bytes())).collect()
}

#[test]
fn folder_and_archives_read_alike() {
    let temporary = tempfile::tempdir().unwrap();
    let files = bytes(&FILES);
    let folder = make_folder(temporary.path(), &files);
    let read = Reviews::read(&folder).unwrap();
    let short: Vec<(&str, &str, bool)> = read
        .reviews
        .iter()
        .map(|review| (review.name.as_str(), review.text.as_str(), review.positive))
        .collect();
    assert_eq!(
        short,
        [
            ("train/neg/0_1.txt", "Dreadful, it's a bore.", false),
            ("train/neg/2_3.txt", "A bore", false),
            ("train/pos/0_9.txt", "A wonderful film.<br />Wonderful!", true),
            ("train/pos/10_7.txt", "Très bon.", true),
        ]
    );
    assert_eq!(Reviews::read(temporary.path()).unwrap(), read, "the folder around it");
    let reversed: Vec<_> = files.iter().rev().copied().collect();
    let halves = [&make_tar(&files)[..700], &make_tar(&files)[700..]];
    for (name, archive) in [
        ("a.tar.gz", gzip(&make_tar(&files))),
        ("a.tar.xz", xz(&make_tar(&files))),
        ("other order.tgz", gzip(&make_tar(&reversed))),
        ("name says nothing", xz(&make_tar(&reversed))),
        ("two members.tar.gz", halves.map(gzip).concat()),
        ("two streams.tar.xz", halves.map(xz).concat()),
    ] {
        let path = temporary.path().join(name);
        std::fs::write(&path, archive).unwrap();
        assert_eq!(Reviews::read(&path).unwrap(), read, "{name}");
    }
    std::fs::write(folder.join("train/neg/2_3.txt"), "A Bore").unwrap();
    assert_ne!(Reviews::read(&folder).unwrap().sha256, read.sha256);
}

#[test]
fn an_archive_that_is_cut_off_anywhere_is_noticed() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("cut");
    let archive = make_tar(&bytes(&FILES));
    for whole in [gzip(&archive), xz(&archive)] {
        // The first bytes say what it is; without them it is nothing.
        for length in (6..whole.len()).step_by(3).chain([whole.len() - 4, whole.len() - 1]) {
            std::fs::write(&path, &whole[..length]).unwrap();
            let error = Reviews::read(&path).unwrap_err();
            assert!(matches!(error, ReviewError::Damaged { .. }), "{length} bytes: {error}");
        }
        let mut wrong = whole.clone();
        let middle = whole.len() / 2;
        wrong[middle] ^= 0x55;
        std::fs::write(&path, &wrong).unwrap();
        let error = Reviews::read(&path).unwrap_err().to_string();
        assert!(error.contains("cut off or damaged") && !error.contains('\n'), "{error}");
    }
    // The compression is whole, the archive in it is not: it ends within the third review.
    std::fs::write(&path, gzip(&archive[..2 * 1024 + 512 + 3])).unwrap();
    let error = Reviews::read(&path).unwrap_err().to_string();
    assert!(error.ends_with("cut off or damaged: within train/neg/0_1.txt"), "{error}");
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[test]
fn what_cannot_be_read_is_explained_in_one_line() {
    let temporary = tempfile::tempdir().unwrap();
    let good: [File; 2] = [("train/pos/0_9.txt", b"good"), ("train/neg/0_1.txt", b"bad")];
    let with = |name: &'static str, content: &'static [u8]| [good[0], good[1], (name, content)];
    let long: &'static [u8] = vec![b'a'; (1 << 20) + 1].leak();
    let exactly: &'static [u8] = &long[1..];
    let check = |path: &Path, expected: &str| {
        let error = chain(&Reviews::read(path).unwrap_err());
        assert!(error.starts_with(&path.display().to_string()), "{error}");
        assert!(error.contains(expected) && !error.contains('\n'), "{error}");
    };
    let cases: [(&[File], &str); 6] = [
        (&good[..1], "no reviews in train/neg"),
        (&good[1..], "no reviews in train/pos"),
        (&with("train/pos/1_8.txt", b""), "train/pos/1_8.txt is empty"),
        (&with("train/neg/1_2.txt", b" \r\n"), "train/neg/1_2.txt is empty"),
        (&with("train/neg/1_2.txt", b"b\xe4d"), "train/neg/1_2.txt is not UTF-8 text: byte 1 is wrong"),
        (&with("train/neg/1_2.txt", long), "train/neg/1_2.txt is longer than 1048576 bytes"),
    ];
    for (index, (files, expected)) in cases.into_iter().enumerate() {
        check(&make_folder(&temporary.path().join(index.to_string()), files), expected);
        let archive = temporary.path().join(format!("{index}.tar.gz"));
        std::fs::write(&archive, gzip(&make_tar(files))).unwrap();
        check(&archive, expected);
    }
    let longest = make_folder(&temporary.path().join("longest"), &with("train/neg/1_2.txt", exactly));
    assert_eq!(Reviews::read(&longest).unwrap().reviews.len(), 3);

    let path = |name: &str| temporary.path().join(name);
    check(&path("absent"), "No such file");
    std::fs::create_dir(path("bare")).unwrap();
    check(&path("bare"), "no reviews in train/pos");
    std::fs::write(path("bare.tar.xz"), xz(&make_tar(&[]))).unwrap();
    check(&path("bare.tar.xz"), "no reviews in train/pos");
    for (name, content) in
        [("nothing.tar.gz", &b""[..]), ("text.tar.gz", b"a,b\n1,2\n"), ("zip", b"PK\x03\x04")]
    {
        std::fs::write(path(name), content).unwrap();
        check(&path(name), "neither a folder nor a .tar.gz or .tar.xz archive");
    }
    std::fs::write(path("text.gz"), gzip(&[b'x'; 600])).unwrap();
    check(&path("text.gz"), "the archive is cut off or damaged");
}

/// The figures are those of a separate implementation in Python; the ranks and the count of different words are also
/// those of Keras' own index (`imdb.get_word_index`) and `Tokenizer`.
#[test]
#[ignore = "needs the real reviews: FORECASTD_DATA"]
fn the_real_reviews_are_indexed_as_by_an_independent_implementation() {
    let path = needed::record("aclImdb.tar.xz");
    let reviews = Reviews::read(&path).unwrap().reviews;
    assert_eq!(reviews.len(), 25_000);
    assert_eq!(reviews.iter().filter(|review| review.positive).count(), 12_500);
    let vocabulary = Vocabulary::new(reviews.iter().map(|review| review.text.as_str()), 10_000);
    assert_eq!(vocabulary.distinct(), 88_582);
    let frequent = "the and a of to is br in it i this that was as for with movie but film on";
    let indices: Vec<u16> = frequent.split(' ').map(|word| vocabulary.index(word)).collect();
    assert_eq!(indices, (4..24).collect::<Vec<u16>>());
    // Both occur 31 times; the first has the last index, 9,999.
    assert_eq!((vocabulary.index("misogynistic"), vocabulary.index("mo")), (9_999, 2));

    let first = reviews.iter().find(|review| review.name == "train/pos/0_9.txt").unwrap();
    assert_eq!(vocabulary.sequence(&first.text)[..8], [1, 2, 312, 9, 6, 1072, 212, 12]);
    let mut sha256 = Sha256::new();
    for review in &reviews {
        vocabulary.sequence(&review.text).iter().for_each(|index| sha256.update(index.to_le_bytes()));
    }
    let sha256: String = sha256.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(sha256, "eade7b9fda62ff109ecbb1280d7f0faf1440bf585edeb3073c2a95c5612e1121");
}

fn settings(direction: Direction, [num_words, length, width, units]: [usize; 4]) -> ReviewSettings {
    let recurrent = RecurrentSettings { direction, ..RecurrentSettings::plain(CellKind::Lstm, units) };
    ReviewSettings { num_words, length, reversed: false, width, recurrent }
}

fn fitting(seed: u64) -> FitSettings {
    FitSettings {
        epochs: 6,
        steps: None,
        batch: 16,
        shards: 1,
        optimiser: OptimiserKind::RmsProp,
        learning_rate: 1e-2,
        schedule: Schedule::Constant,
        clip_norm: None,
        averaging: None,
        patience: None,
        seed,
    }
}

/// ln(1 + e⁰), ln(1 + e⁻²), ln(1 + e³), and what would overflow if it were written so.
#[test]
fn the_loss_is_the_binary_cross_entropy() {
    let loss = |log_odds: Vec<f32>, positive: &[bool]| {
        let log_odds = Tensor::from_data(TensorData::new(log_odds, [positive.len()]), &Device::flex());
        binary_cross_entropy(log_odds, positive).into_scalar::<f32>()
    };
    assert!((loss(vec![0.0], &[true]) - std::f32::consts::LN_2).abs() < 1e-6);
    let expected = (0.126_928 + 3.048_587) / 2.0;
    assert!((loss(vec![2.0, 3.0], &[true, false]) - expected).abs() < 1e-5);
    assert_eq!(loss(vec![-200.0], &[true]), 200.0);
    assert_eq!(loss(vec![200.0], &[true]), 0.0);
}

#[test]
fn the_embedding_has_the_gradient_that_finite_differences_have() {
    let device = Device::flex().autodiff();
    // Word 1 stands in the first sequence three times and in the second, word 5 nowhere.
    let (words, positive) = (vec![0_i32, 1, 2, 1, 1, 3, 1, 4, 0, 2], [true, false]);
    for direction in [Direction::Forward, Direction::Bidirectional] {
        let settings = settings(direction, [6, 5, 3, 4]);
        let model = settings.init(&device, &mut fitting(3).initial_generator());
        // Ten times the initial weights, or all gradients are small.
        let weights: Vec<f32> = values(&model)
            .into_iter()
            .enumerate()
            .map(|(index, value)| if index < 6 * 3 { 10.0 * value } else { value })
            .collect();
        let model = with_values(model, &weights);
        let loss = |model: &ReviewNetwork| {
            let words: Tensor<2, Int> = Tensor::from_data(TensorData::new(words.clone(), [2, 5]), &device);
            binary_cross_entropy(model.forward(words, None), &positive)
        };
        let by_backward = gradients(&model, &mut loss(&model).backward());
        let mut largest = 0.0_f32;
        for index in 0..6 * 3 {
            let moved = |by: f32| {
                let mut weights = weights.clone();
                weights[index] += by;
                f64::from(loss(&with_values(model.clone(), &weights)).into_scalar::<f32>())
            };
            let by_difference = ((moved(1e-2) - moved(-1e-2)) / 2e-2) as f32;
            let error = (by_backward[index] - by_difference).abs();
            assert!(error < 1e-4, "{direction:?}, {index}: {} and {by_difference}", by_backward[index]);
            largest = largest.max(by_difference.abs());
        }
        assert!(largest > 1e-2, "{direction:?}: {largest}");
        assert_eq!(by_backward[5 * 3..6 * 3], [0.0; 3]);
    }
}

#[test]
fn words_begin_uniformly_within_a_twentieth() {
    let model = settings(Direction::Bidirectional, [500, 10, 20, 4])
        .init(&Device::flex(), &mut fitting(1).initial_generator());
    let words = numbers(model.words.val());
    assert_eq!(words.len(), 500 * 20);
    assert!(words.iter().all(|value| value.abs() <= 0.05));
    // A uniform distribution's standard deviation is its width over √12.
    let variance = words.iter().map(|value| value * value).sum::<f32>() / words.len() as f32;
    assert!((variance.sqrt() - 0.1 / 12.0_f32.sqrt()).abs() < 1e-3);
    assert_eq!(model.output.weight.val().dims(), [8, 1]);
}

/// Reviews of twelve words, of which one or two say everything; of each kind the same number.
fn separable(count: usize) -> Vec<(String, String)> {
    let neutral = ["the", "film", "and", "its", "story", "is", "what", "one", "sees"];
    let review = |index: usize| {
        let (kind, telling) = if index.is_multiple_of(2) { ("pos", "great") } else { ("neg", "awful") };
        let mut words: Vec<&str> =
            (0..12).map(|at| neutral[(index * 7 + at * (index % 5 + 1)) % 9]).collect();
        words[(index * 5) % 12] = telling;
        words[(index * 3 + 1) % 12] = telling;
        (format!("train/{kind}/{index}_0.txt"), words.join(" "))
    };
    (0..count).map(review).collect()
}

fn separable_folder(root: &Path, count: usize) -> PathBuf {
    let files = separable(count);
    let files: Vec<File> = files.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    make_folder(root, &files)
}

#[test]
fn a_review_is_cut_at_its_end_after_it_is_reversed() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = make_folder(
        temporary.path(),
        // Ranks by alphabet: a, b, c, d, e, f: indices 4 to 9.
        &[("train/pos/0_9.txt", b"a b c d e f"), ("train/neg/0_1.txt", b"f e d c b a")],
    );
    let reviews = Reviews::read(&folder).unwrap();
    let sequences = |reversed: bool, length: usize| {
        let settings = ReviewSettings { reversed, ..settings(Direction::Forward, [10, length, 2, 2]) };
        let objective = ReviewObjective::new(&reviews, &settings, Device::flex());
        assert_eq!((objective.train.len(), objective.validation.len()), (1, 1));
        let mut both = [objective.train.words(0).to_vec(), objective.validation.words(0).to_vec()];
        both.sort();
        both
    };
    assert_eq!(sequences(false, 3), [[6, 5, 4], [7, 8, 9]]);
    assert_eq!(sequences(true, 3), [[5, 4, 1], [8, 9, 1]]);
    assert_eq!(sequences(false, 8), [[0, 1, 4, 5, 6, 7, 8, 9], [0, 1, 9, 8, 7, 6, 5, 4]]);
    assert_eq!(sequences(true, 8), [[0, 4, 5, 6, 7, 8, 9, 1], [0, 9, 8, 7, 6, 5, 4, 1]]);
}

#[test]
fn what_one_word_tells_is_learned_and_the_same_seed_gives_the_same_weights() {
    let temporary = tempfile::tempdir().unwrap();
    let reviews = Reviews::read(&separable_folder(temporary.path(), 250)).unwrap();
    let device = Device::flex().autodiff();
    for direction in [Direction::Forward, Direction::Bidirectional] {
        let settings = settings(direction, [16, 14, 8, 8]);
        let objective = ReviewObjective::new(&reviews, &settings, device.clone());
        assert_eq!(
            (objective.train.len(), objective.validation.len(), objective.distinct_words),
            (200, 50, 11)
        );
        let trained = |seed: u64| -> Fitted<ReviewNetwork> {
            let fitting = fitting(seed);
            let model = settings.init(&device, &mut fitting.initial_generator());
            fit(&objective, model, &fitting, StopRule::Best, None, &AtomicBool::default(), &mut ()).unwrap()
        };
        let first = trained(1);
        assert!(
            first.epochs[0].loss > 0.3,
            "{direction:?}: untrained it cannot know: {}",
            first.epochs[0].loss
        );
        assert_eq!(first.best.score, 0.0, "{direction:?}: {:?}", first.epochs);
        let weights = values(&first.model);
        assert!(weights == values(&trained(1).model), "{direction:?}");
        assert!(weights != values(&trained(2).model), "{direction:?}");
    }
}

/// Interrupts a training after its first epoch.
struct Interrupt<'a>(&'a AtomicBool);

impl Observer for Interrupt<'_> {
    fn event(&mut self, event: &TrainingEvent) {
        if let TrainingEvent::Epoch(_) = event {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

#[test]
fn a_run_that_was_interrupted_goes_on_as_if_it_had_not_been() {
    let temporary = tempfile::tempdir().unwrap();
    let imdb = separable_folder(temporary.path(), 20);
    let options = |checkpoint: &str| TrainOptions {
        imdb: Some(imdb.clone()),
        experiment: vec!["imdb-lstm-bidirectional".to_owned()],
        epochs: Some(2),
        batch: Some(8),
        units: vec![4],
        seed: 7,
        checkpoint: Some(temporary.path().join(checkpoint)),
        resume: true,
        ..TrainOptions::default()
    };
    let whole = run(&options("whole"), &AtomicBool::default(), &mut ()).unwrap();
    let interrupted = AtomicBool::default();
    let error = run(&options("parts"), &interrupted, &mut Interrupt(&interrupted)).unwrap_err();
    assert!(matches!(error, TrainError::Interrupted(Some(_))), "{error}");
    let parts = run(&options("parts"), &AtomicBool::default(), &mut ()).unwrap();
    let figures = |summary: &forecastd_train::TrainSummary| {
        let [result] = &summary.reviews[..] else { panic!("{summary:?}") };
        let epochs = result
            .fit
            .epochs
            .iter()
            .map(|epoch| (epoch.loss.to_bits(), epoch.validation.unwrap().loss.to_bits()));
        epochs.collect::<Vec<_>>()
    };
    assert_eq!(figures(&whole).len(), 2);
    assert_eq!(figures(&whole), figures(&parts));

    let table = parts.to_string();
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["experiment", "seed", "accuracy", "notebook", "loss", "epoch", "s/epoch"]);
    let accuracy = format!("{:.4}", parts.reviews[0].accuracy);
    assert_eq!(lines[1][..4], ["imdb-lstm-bidirectional", "7", &accuracy, "0.8838"]);

    // Other reviews, the same settings.
    std::fs::write(imdb.join("train/pos/0_0.txt"), "something else").unwrap();
    let error = run(&options("parts"), &AtomicBool::default(), &mut ()).unwrap_err();
    assert!(error.to_string().contains("other data"), "{error}");
}

#[test]
fn a_run_says_what_it_lacks() {
    let temporary = tempfile::tempdir().unwrap();
    let imdb = separable_folder(temporary.path(), 10);
    let options = TrainOptions { experiment: vec!["imdb-lstm-reversed".to_owned()], ..Default::default() };
    let message = |options: &TrainOptions| chain(&run(options, &AtomicBool::default(), &mut ()).unwrap_err());
    assert_eq!(
        message(&options),
        "imdb-lstm-reversed learns from the Large Movie Review Dataset: --imdb PATH"
    );
    let out = Some(temporary.path().join("reviews.onnx"));
    let exported = TrainOptions { imdb: Some(imdb), out, ..options.clone() };
    assert!(message(&exported).contains("no network that can be written"));
    let absent = TrainOptions { imdb: Some(temporary.path().join("absent.tar.xz")), ..options };
    assert!(message(&absent).contains("absent.tar.xz: No such file"));
}
