//! What the threads tell metrics, health and log.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use forecastd_journal::{JournalError, Observer};
use forecastd_model::{Artefact, EngineError, WorkerObserver};
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use super::chain;
use super::driver::JournalNews;
use crate::operations::health::Health;
use crate::operations::metrics::Metrics;

/// Hears of the thread of a model.
#[derive(Clone)]
pub(super) struct WorkerWatch {
    pub(super) metrics: Arc<Metrics>,
    pub(super) health: Arc<Health>,
    /// Where the hash of a model goes that ends its engine again and again.
    pub(super) unusable: mpsc::UnboundedSender<String>,
    /// The id of a specialist; none for the main model.
    pub(super) specialist: Option<Arc<str>>,
}

impl WorkerWatch {
    /// The same for a specialist.
    pub(super) fn of_specialist(self, model: Arc<str>) -> WorkerWatch {
        WorkerWatch { specialist: Some(model), ..self }
    }
}

impl WorkerObserver for WorkerWatch {
    fn batch(&self, size: usize, duration: Duration) {
        self.metrics.inference(size, duration);
    }

    fn alive(&self) {
        // Without a specialist the others forecast.
        if self.specialist.is_none() {
            self.health.worker_alive();
        }
    }

    fn engine_ended(&self, error: &EngineError) {
        match &self.specialist {
            None => {
                error!(error = chain(error), "engine ended; persistence is published until it runs again")
            }
            Some(model) => {
                error!(%model, error = chain(error), "engine of a specialist ended; the other models go on");
            }
        }
    }

    fn engine_restarted(&self) {
        self.metrics.engine_restarted();
        info!("engine started again");
    }

    fn model_unusable(&self, artefact: &Arc<Artefact>, error: &EngineError) {
        let model = artefact.id();
        error!(model, error = chain(error), "model ends its engine too often: it is left alone for a while");
        // The daemon is ending when nobody listens.
        let _ = self.unusable.send(artefact.sha256.clone());
    }
}

/// Hears of the journal's thread.
pub(super) struct JournalWatch {
    metrics: Arc<Metrics>,
    news: mpsc::UnboundedSender<JournalNews>,
    /// Whether the last that was heard is a failure.
    is_failing: AtomicBool,
}

impl JournalWatch {
    pub(super) fn new(metrics: Arc<Metrics>, news: mpsc::UnboundedSender<JournalNews>) -> JournalWatch {
        JournalWatch { metrics, news, is_failing: AtomicBool::new(false) }
    }

    /// The journal cannot be read at the start.
    pub(super) fn unusable(&self, error: &JournalError) {
        self.count_failure(error, 0, 0);
    }

    /// Counts rows of the journal that hold impossible values.
    pub(super) fn rows_skipped(&self, rows: u64) {
        self.metrics.journal_rows_skipped(rows);
    }

    fn count_failure(&self, error: &JournalError, waiting: usize, lost: usize) {
        self.metrics.journal_failed(error.reason(), waiting, lost);
        let is_first = !self.is_failing.swap(true, Ordering::Relaxed);
        if is_first || lost > 0 {
            error!(error = chain(error), waiting, lost, "journal fails; going on in memory");
        }
    }

    fn tell(&self, news: JournalNews) {
        // The driver is gone only at the very end.
        let _ = self.news.send(news);
    }
}

impl Observer for JournalWatch {
    fn committed(&self, up_to: u64, entries: usize, duration: Duration) {
        self.metrics.journal_committed(entries, duration);
        if self.is_failing.swap(false, Ordering::Relaxed) {
            info!("journal works again");
        }
        self.tell(JournalNews::Committed(up_to));
    }

    fn failed(&self, error: &JournalError, up_to: u64, waiting: usize, lost: usize) {
        self.count_failure(error, waiting, lost);
        self.tell(JournalNews::Failed(up_to));
    }

    fn recreated(&self) {
        error!(
            "journal was moved, deleted or damaged while running: a new one is begun with what memory holds"
        );
        self.tell(JournalNews::Recreated);
    }

    fn size(&self, bytes: u64) {
        self.metrics.journal_size(bytes);
    }

    fn set_aside(&self, aside: &Path) {
        error!(aside = %aside.display(), "journal is damaged: moved aside");
    }

    fn refused(&self, entries: usize) {
        error!(entries, "entries do not fit into the journal and were left out");
    }

    fn tidy_failed(&self, error: &JournalError) {
        warn!(error = chain(error), "old rows of the journal cannot be removed now");
    }
}
