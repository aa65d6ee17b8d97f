//! What is asked of the task that owns the stations: it answers between two messages, and hands out copies.

use forecastd_core::{Now, Service};
use tokio::sync::{mpsc, oneshot};

/// So many questions wait at most; whoever has a further one waits with it.
const WAITING: usize = 16;

/// Something to be looked up. It changes nothing, and takes no longer than looking at every station once.
pub type Question = Box<dyn FnOnce(&Service, Now) + Send>;

/// Asks. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Questions(mpsc::Sender<Question>);

/// Where questions go in, and where they come out.
pub fn questions() -> (Questions, mpsc::Receiver<Question>) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Questions(sender), receiver)
}

impl Questions {
    /// Asks and waits for the answer; none when nobody is there to give it: the daemon starts or ends.
    pub(super) async fn ask<Answer: Send + 'static>(
        &self,
        question: impl FnOnce(&Service, Now) -> Answer + Send + 'static,
    ) -> Option<Answer> {
        let (answer, answered) = oneshot::channel();
        let question: Question = Box::new(move |service, now| {
            // Who asked may be gone.
            let _ = answer.send(question(service, now));
        });
        self.0.send(question).await.ok()?;
        answered.await.ok()
    }
}
