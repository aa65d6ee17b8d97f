use std::sync::mpsc;

use forecastd_core::Entry;

use super::*;

/// A disk whose every write waits for a word from the test; without one it hangs.
struct Slow(mpsc::Receiver<Word>);

impl Disk for Slow {
    fn write(&mut self, _: &[Batch], _: Duration) -> Result<Written, JournalError> {
        match self.0.recv() {
            Ok(Ok(())) => Ok(Written { refused: 0 }),
            Ok(Err(why)) => {
                Err(JournalError::File { path: "journal.sqlite".into(), source: io::Error::other(why) })
            }
            // The test has ended.
            Err(mpsc::RecvError) => loop {
                std::thread::park();
            },
        }
    }

    fn check(&mut self) -> Result<(), JournalError> {
        Ok(())
    }

    fn recreate(&mut self, _: &JournalError) -> Result<Option<PathBuf>, JournalError> {
        Ok(None)
    }

    fn tidy(&mut self, _: &mut Tidying, _: Retention) -> Result<Step, JournalError> {
        Ok(Step::Done)
    }

    fn size(&self) -> u64 {
        0
    }
}

struct Answers(mpsc::Sender<(bool, u64, usize)>);

impl Observer for Answers {
    fn committed(&self, up_to: u64, entries: usize, _: Duration) {
        let _ = self.0.send((true, up_to, entries));
    }

    fn failed(&self, _: &JournalError, up_to: u64, waiting: usize, _: usize) {
        let _ = self.0.send((false, up_to, waiting));
    }

    fn recreated(&self) {}

    fn size(&self, _: u64) {}
}

fn batch(id: u64, entries: usize) -> Batch {
    let entry = Entry::Setting { key: String::new(), value: String::new() };
    Batch { id, entries: vec![entry; entries] }
}

/// What the disk does with the next write.
type Word = Result<(), &'static str>;

fn start(retry: Duration) -> (Journal, mpsc::Sender<Word>, mpsc::Receiver<(bool, u64, usize)>) {
    let ((word, disk), (sender, answers)) = (mpsc::channel(), mpsc::channel());
    let retention = Retention { readings_days: 1, forecasts_days: 1 };
    let timing = Timing { retry, retry_max: retry, ..Timing::DEFAULT };
    (Journal::start_on(Slow(disk), retention, Answers(sender), timing).unwrap(), word, answers)
}

#[test]
fn a_disk_that_hangs_is_seen_from_outside_and_does_not_hold_up_the_end() {
    let (journal, word, answers) = start(Duration::from_secs(1));
    assert_eq!((journal.has_room(), journal.outstanding_since()), (true, None));
    let before = Instant::now();
    for id in 0..10 {
        journal.write(batch(id, 1000));
    }
    assert!(!journal.has_room());
    let since = journal.outstanding_since().unwrap();
    assert!(since >= before && since <= Instant::now());
    assert_eq!(answers.try_recv(), Err(mpsc::TryRecvError::Empty));
    assert_eq!(journal.close(Duration::from_millis(1)), Err(NotWritten { entries: 10_000 }));
    drop(word);
}

#[test]
fn while_the_disk_fails_batches_are_answered_without_an_attempt_each_and_the_timer_tries_again() {
    let (journal, word, answers) = start(Duration::ZERO);
    journal.write(batch(1, 3));
    word.send(Err("no disk")).unwrap();
    assert_eq!(answers.recv().unwrap(), (false, 1, 3));
    // The timer's attempt runs or will run; what arrives is answered with it at the latest.
    journal.write(batch(2, 4));
    word.send(Err("no disk")).unwrap();
    while answers.recv().unwrap().1 < 2 {
        word.send(Err("no disk")).unwrap();
    }
    word.send(Ok(())).unwrap();
    let committed = answers.iter().find(|&(committed, ..)| committed);
    assert_eq!(committed, Some((true, 2, 7)));
    assert!(journal.has_room());
    journal.close(Duration::from_secs(10)).unwrap();
}

#[test]
fn a_failing_disk_is_not_tried_for_every_batch_that_arrives() {
    // The timer does not ring within the test: the only attempt is the first one.
    let (journal, word, answers) = start(Duration::from_secs(3600));
    journal.write(batch(0, 1));
    word.send(Err("no disk")).unwrap();
    assert_eq!(answers.recv().unwrap(), (false, 0, 1));
    for id in 1..=100 {
        journal.write(batch(id, 1));
        assert_eq!(answers.recv().unwrap(), (false, id, id as usize + 1));
    }
    assert_eq!(journal.outstanding_since(), None);
    // At the end the disk is tried once more.
    word.send(Ok(())).unwrap();
    assert_eq!(journal.close(Duration::from_secs(10)), Ok(()));
    assert_eq!(answers.recv().unwrap(), (true, 100, 101));
}
