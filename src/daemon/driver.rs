//! The driver: brings the service what happens and carries out what it wants done. It decides nothing, and never waits while
//! it carries out: what cannot be taken now is a guard on a branch.
//!
//! | module | contents |
//! | --- | --- |
//! | `messages` | what the session with the broker says and brings |
//! | `deliveries` | what is published, and what of it has reached the broker |
//! | `acknowledgements` | what is acknowledged when the service says so |

mod acknowledgements;
mod deliveries;
mod messages;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use forecastd_core::{Batch, Effect, Entry, Input, Now, Places, Restored, Service};
use forecastd_journal::Journal;
use forecastd_mapping::Source;
use forecastd_model::Inference;
use forecastd_mqtt::{Inbox, Publisher};
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::engines::{Engines, WindowKey};
use super::folder::Changes;
use super::home_assistant::HomeAssistant;
use super::intentions::Intentions;
use super::loader::Loaded;
use super::memory::SETTINGS_BATCH;
use super::recall::Recaller;
use super::sources::SourceReader;
use crate::config::{DiscoveryTopics, Topics};
use crate::http::{Live, Question};
use crate::operations::events::Telemetry;

use acknowledgements::Acknowledgements;
use deliveries::Undelivered;

/// As much is taken at once before timers, signals and answers are looked at again.
const AT_ONCE: usize = 64;
/// Without an answer of the journal for so long, the daemon goes on in memory.
const JOURNAL_PATIENCE: Duration = Duration::from_secs(10);

/// What the journal tells, from its thread.
#[derive(Debug)]
pub(super) enum JournalNews {
    /// Every batch up to this one is durable.
    Committed(u64),
    /// Every batch up to this one is only in memory.
    Failed(u64),
    /// The file was begun anew.
    Recreated,
}

/// What the driver waits for.
pub(super) struct Inputs {
    /// From the broker.
    pub(super) inbox: Inbox,
    /// From the models.
    pub(super) answers: mpsc::UnboundedReceiver<Inference<WindowKey>>,
    /// From the journal.
    pub(super) journal: mpsc::UnboundedReceiver<JournalNews>,
    /// What the journal was asked for again.
    pub(super) recalled: mpsc::UnboundedReceiver<Vec<Restored>>,
    /// What clients of HTTP want to know.
    pub(super) questions: mpsc::Receiver<Question>,
}

/// What the driver noticed that the daemon should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// The session is connected and subscribed.
    Subscribed,
    /// Nothing that concerns others.
    Routine,
}

/// See the head of this file.
pub(super) struct Driver {
    service: Service,
    telemetry: Telemetry,
    live: Live,
    topics: Topics,
    home_assistant: HomeAssistant,
    sources: Vec<Source>,
    reader: SourceReader,
    intentions: Intentions,
    /// The number of the last message that takes back what Home Assistant was told before.
    last_withdrawal: Option<u64>,
    publisher: Publisher,
    journal: Option<Journal>,
    recaller: Recaller,
    engines: Engines,
    started: Instant,
    acknowledgements: Acknowledgements,
    /// Forecasts handed over for publication that may not have reached the broker, in order.
    undelivered: VecDeque<Undelivered>,
    /// Those of a connection that was lost. The session sends the newest of each topic again by itself; these are all.
    lost: VecDeque<Undelivered>,
    /// The connection to the broker that deliveries were looked at on last.
    connection: u64,
    effects: Vec<Effect>,
    /// The newest batch handed to the journal.
    last_batch: Option<u64>,
    /// Whether the journal has not answered for too long.
    journal_is_stuck: bool,
}

impl Driver {
    pub(super) fn new(
        service: Service,
        telemetry: Telemetry,
        topics: Topics,
        publisher: Publisher,
        journal: Option<Journal>,
        recaller: Recaller,
        engines: Engines,
    ) -> Driver {
        Driver {
            service,
            telemetry,
            live: Live::default(),
            topics,
            home_assistant: HomeAssistant::default(),
            sources: Vec::new(),
            reader: SourceReader::default(),
            intentions: Intentions::default(),
            last_withdrawal: None,
            publisher,
            journal,
            recaller,
            engines,
            started: Instant::now(),
            acknowledgements: Acknowledgements::default(),
            undelivered: VecDeque::new(),
            lost: VecDeque::new(),
            connection: 0,
            effects: Vec::new(),
            last_batch: None,
            journal_is_stuck: false,
        }
    }

    /// Takes messages of other programs, too, of stations in these `places`.
    pub(super) fn listen_to(&mut self, sources: Vec<Source>, places: Places) {
        (self.sources, self.reader) = (sources, SourceReader::new(places));
    }

    /// Tells Home Assistant of stations on these topics; takes back what was told on the topics of before.
    pub(super) fn tell_home_assistant(
        &mut self,
        topics: Option<DiscoveryTopics>,
        before: Vec<DiscoveryTopics>,
    ) {
        self.home_assistant = HomeAssistant::new(topics, before);
    }

    /// Writes these into the journal when they are done.
    pub(super) fn intends(&mut self, intentions: Intentions) {
        self.intentions = intentions;
    }

    /// What happens, for those who listen.
    pub(super) fn live(&self) -> &Live {
        &self.live
    }

    /// The service, to be asked.
    pub(super) fn service(&self) -> &Service {
        &self.service
    }

    /// Since when the journal has owed an answer, if it does.
    pub(super) fn journal_owes_since(&self) -> Option<Instant> {
        self.journal.as_ref().and_then(Journal::outstanding_since)
    }

    /// Puts the stations back to where they were before a restart. The session may share the thread, and has its turns.
    pub(super) async fn restore(&mut self, restored: forecastd_journal::RestoreReport) {
        self.telemetry.restoring();
        let omitted = restored.omitted;
        for (index, station) in restored.stations.into_iter().enumerate() {
            self.handle(Input::Restored(Box::new(station)));
            if index % AT_ONCE == AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
        }
        self.handle(Input::RestoreEnded { omitted });
        self.flush();
    }

    /// Waits for the next thing and handles it, and what waits besides, up to a bound. Messages come last, and only when all
    /// that follows from one has room. Safe to cancel.
    pub(super) async fn turn(&mut self, inputs: &mut Inputs) -> Turn {
        let accepts = self.accepts_messages();
        let next_number = self.undelivered.front().map_or(0, |undelivered| undelivered.number + 1);
        let happened = tokio::select! {
            biased;
            Some(inference) = inputs.answers.recv() => {
                self.answered(inference);
                Turn::Routine
            }
            Some(news) = inputs.journal.recv() => {
                self.journal_news(news);
                Turn::Routine
            }
            Some(recalled) = inputs.recalled.recv() => {
                for restored in recalled {
                    self.handle(Input::Recalled(Box::new(restored)));
                }
                self.recaller.answered();
                Turn::Routine
            }
            Ok(_) = self.publisher.wait_settled(next_number), if !self.undelivered.is_empty() => {
                self.look_at_deliveries();
                Turn::Routine
            }
            Ok(()) = self.publisher.room(), if !accepts && !self.publisher.has_room() => Turn::Routine,
            // One with each turn, which takes messages besides: however many ask, readings come.
            Some(question) = inputs.questions.recv() => {
                question(&self.service, self.now());
                Turn::Routine
            }
            Some(event) = inputs.inbox.recv(), if accepts => self.session_event(event),
            else => std::future::pending().await,
        };
        // What is merged is older than what is in the inbox.
        self.close_slots();
        let happened = self.take_what_waits(inputs, happened);
        self.flush();
        happened
    }

    fn take_what_waits(&mut self, inputs: &mut Inputs, mut happened: Turn) -> Turn {
        for _ in 0..AT_ONCE {
            let mut is_idle = true;
            if let Ok(inference) = inputs.answers.try_recv() {
                self.answered(inference);
                is_idle = false;
            }
            if self.accepts_messages()
                && let Some(event) = inputs.inbox.try_recv()
            {
                if self.session_event(event) == Turn::Subscribed {
                    happened = Turn::Subscribed;
                }
                is_idle = false;
            }
            if is_idle {
                break;
            }
        }
        happened
    }

    /// Closes slots that are over, as long as all that follows from their readings has room.
    fn close_slots(&mut self) {
        while self.service.waits_to_close_slots() && self.accepts_messages() {
            self.handle(Input::CloseSlot);
        }
    }

    fn accepts_messages(&self) -> bool {
        let journal_has_room = self.journal.as_ref().is_none_or(|journal| match self.journal_is_stuck {
            true => journal.has_room_in_memory(),
            false => journal.has_room(),
        });
        self.service.accepts_readings() && self.publisher.has_room() && journal_has_room
    }

    /// A second has passed. The news that the broker is subscribed to stands behind messages, which are not taken while too
    /// many forecasts wait for it: so `is_connected` says it, too.
    pub(super) fn tick(&mut self, is_connected: bool) {
        if is_connected && self.service.waits_for_broker() {
            self.subscribed();
        }
        let patience_is_over = |since: Instant| since.elapsed() > JOURNAL_PATIENCE;
        let was_stuck = self.journal_is_stuck;
        self.journal_is_stuck = self.journal_owes_since().is_some_and(patience_is_over);
        if let Some(journal) = &self.journal {
            self.telemetry.journal_hangs(was_stuck, self.journal_is_stuck, journal.outstanding());
        }
        if self.journal_is_stuck
            && let Some(batch) = self.last_batch
        {
            self.handle(Input::JournalFailed(batch));
        }
        self.handle(Input::Tick);
        self.recaller.tick();
        self.close_slots();
        if self.service.waits_to_discover() && self.publisher.has_room() {
            self.handle(Input::Discover);
        }
        self.look_at_withdrawals();
        self.flush();
    }

    /// Another main model runs: it is used as soon as nothing is in flight.
    pub(super) fn model_loaded(&mut self, loaded: Loaded) {
        self.engines.main_loaded(loaded);
        self.models_changed();
    }

    /// Specialists have come, changed or gone: those that are left are used as soon as nothing is in flight.
    pub(super) fn specialists_changed(&mut self, changes: Changes) {
        self.engines.change(changes);
        self.models_changed();
    }

    fn models_changed(&mut self) {
        self.handle(Input::ModelsLoaded(self.engines.models()));
        self.flush();
    }

    /// Takes what is merged, waits for the forecasts in flight, until a deadline; then hands the last batch to the journal.
    pub(super) async fn finish(&mut self, inputs: &mut Inputs, deadline: tokio::time::Instant) {
        self.handle(Input::Ending);
        while self.service.in_flight() > 0 {
            match tokio::time::timeout_at(deadline, inputs.answers.recv()).await {
                Ok(Some(inference)) => self.answered(inference),
                Ok(None) | Err(_) => break,
            }
        }
        let mut effects = std::mem::take(&mut self.effects);
        self.service.flush_all(&mut effects);
        self.effects = effects;
        self.carry_out();
    }

    /// Ends the journal, and acknowledges what it could still make durable.
    pub(super) async fn close_journal(
        &mut self,
        inputs: &mut Inputs,
        within: Duration,
    ) -> Result<(), forecastd_journal::NotWritten> {
        let Some(journal) = self.journal.take() else { return Ok(()) };
        let closed = tokio::task::spawn_blocking(move || journal.close(within)).await;
        while let Ok(news) = inputs.journal.try_recv() {
            self.journal_news(news);
        }
        // A journal that panicked has written nothing more; its batches are not acknowledged.
        closed.unwrap_or(Ok(()))
    }

    fn now(&self) -> Now {
        Now { wall: Timestamp::now(), uptime: self.started.elapsed() }
    }

    fn handle(&mut self, input: Input) {
        let now = self.now();
        let mut effects = std::mem::take(&mut self.effects);
        self.service.handle(now, input, &mut effects);
        self.effects = effects;
        self.carry_out();
    }

    fn flush(&mut self) {
        let mut effects = std::mem::take(&mut self.effects);
        self.service.flush(&mut effects);
        self.effects = effects;
        self.carry_out();
    }

    fn carry_out(&mut self) {
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Acknowledge(token) => self.acknowledgements.complete(token),
                Effect::Journal(batch) => self.write(batch),
                Effect::Recall(recall) => self.recaller.ask(recall),
                Effect::Infer { station, number, model, window } => {
                    let key = WindowKey { station, number, model };
                    self.engines.infer(self.service.models(), key, window);
                }
                Effect::Publish(publication) => self.publish(publication),
                Effect::SwitchModels(models) => {
                    let in_use = self.engines.switch(&models);
                    self.telemetry.models_in_use(&in_use);
                }
                Effect::Emit(event) => {
                    self.live.event(&event);
                    self.telemetry.emit(event);
                }
            }
        }
        // The vector is used again.
        self.effects = effects;
    }

    /// Writes what is done. It counts to the batch before it, so that no other is taken for durable.
    fn write_done(&mut self, done: Option<Entry>) {
        if let Some((journal, done)) = self.journal.as_ref().zip(done) {
            journal.write(Batch { id: self.last_batch.unwrap_or(SETTINGS_BATCH), entries: vec![done] });
        }
    }

    fn write(&mut self, batch: Batch) {
        self.last_batch = Some(batch.id);
        if let Some(journal) = &self.journal {
            journal.write(batch);
        }
    }

    fn journal_news(&mut self, news: JournalNews) {
        self.handle(match news {
            JournalNews::Committed(id) => Input::Committed(id),
            JournalNews::Failed(id) => Input::JournalFailed(id),
            JournalNews::Recreated => Input::JournalRecreated,
        });
    }
}
