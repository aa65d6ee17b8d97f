//! The way into the journal.

use std::path::Path;
use std::time::{Duration, Instant};

use forecastd_core::{EARLIEST_READING_S, Grid, Rejected, StationName};
use forecastd_journal::{ImportReading, Importer};
use jiff::{SignedDuration, Timestamp};

use crate::slots::Slots;
use crate::{History, ImportError, ImportProgress, ImportSummary};

/// Readings of one transaction: so few that a daemon waits for milliseconds.
const BATCH: usize = 500;
/// The file is left to others for at least as long after each transaction.
const PAUSE: Duration = Duration::from_millis(1);

/// Where readings go, and which are taken.
#[derive(Debug, Clone, Copy)]
pub struct Destination<'a> {
    /// The journal's file.
    pub journal: &'a Path,
    /// The station that the readings are written for.
    pub station: &'a StationName,
    /// The time grid of the daemon.
    pub grid: Grid,
    /// How long the daemon keeps readings, back from the newest.
    pub keep: SignedDuration,
    /// How far ahead of `now` a reading may be.
    pub max_ahead: SignedDuration,
    /// The time of the import, by which readings are too far ahead or not.
    pub now: Timestamp,
}

/// Puts a history through the intake of live readings, and writes one reading for each slot to the journal, where it has
/// none of it yet. When `progress` ends it, the summary says so, and running it again goes on.
///
/// # Errors
/// [`ImportError::Journal`] when the journal cannot be written; what was written before stays.
pub fn write(
    history: &History,
    destination: &Destination<'_>,
    progress: &mut dyn ImportProgress,
) -> Result<ImportSummary, ImportError> {
    let Destination { journal, station, grid, keep, max_ahead, now } = *destination;
    let mut summary = ImportSummary {
        rows: history.rows,
        empty: history.empty,
        quality: history.readings.quality.clone(),
        ..ImportSummary::default()
    };
    summary.quality.readings = history.readings.rows.len() as u64;
    // These are said among what is refused.
    let wrong_clock = std::mem::take(&mut summary.quality.wrong_clock);
    summary.refuse("wrong_clock", wrong_clock.count, || {
        wrong_clock.first.map(|first| first.to_string()).unwrap_or_default()
    });
    let broken = std::mem::take(&mut summary.quality.broken);
    let first_broken = summary.quality.first_broken.take();
    summary.refuse("unreadable", broken, || first_broken.unwrap_or_default());

    let mut importer = Importer::open(journal, station)?;
    let limit = now.saturating_add(max_ahead).unwrap_or(Timestamp::MAX);
    let newest_there = importer.newest(limit)?;
    let newest = history.readings.rows.iter().map(|(time, _)| *time).filter(|time| *time <= limit).max();
    let oldest = newest.max(newest_there).and_then(|newest| newest.checked_sub(keep).ok());
    let of = history.readings.rows.len() as u64;
    let mut slots = Slots::new(grid);
    let mut batch: Vec<ImportReading> = Vec::with_capacity(BATCH);
    for (index, (time, values)) in history.readings.rows.iter().enumerate() {
        let refusal = if *time > limit {
            Some(Rejected::InFuture { time: *time, ahead: time.duration_since(now) })
        } else if time.as_second() < EARLIEST_READING_S {
            Some(Rejected::FarPast(*time))
        } else {
            None
        };
        if let Some(refusal) = refusal {
            summary.refuse(refusal.reason(), 1, || refusal.to_string());
            continue;
        }
        if oldest.is_some_and(|oldest| *time < oldest) {
            let days = keep.as_hours() / 24;
            summary.refuse("older_than_kept", 1, || {
                format!("reading of {time}; journal.keep_days = {days} days back from the newest are kept")
            });
            continue;
        }
        let taken = slots.take(*time, *values);
        summary.drop_values(*time, taken.dropped);
        if !taken.is_believed {
            summary.refuse("implausible", 1, || format!("reading of {time}: no value is plausible"));
        }
        batch.extend(taken.finished);
        if batch.len() == BATCH {
            commit(&mut importer, &mut batch, &mut summary)?;
            if !progress.writing(index as u64, of, *time) {
                summary.is_interrupted = true;
                return Ok(summary);
            }
        }
    }
    batch.extend(slots.finish());
    commit(&mut importer, &mut batch, &mut summary)?;
    if let Some((_, last)) = summary.span {
        progress.writing(of, of, last);
    }
    Ok(summary)
}

fn commit(
    importer: &mut Importer,
    batch: &mut Vec<ImportReading>,
    summary: &mut ImportSummary,
) -> Result<(), ImportError> {
    let (Some(first), Some(last)) = (batch.first(), batch.last()) else { return Ok(()) };
    let began = Instant::now();
    summary.imported += importer.write(batch)?;
    let first = summary.span.map_or(first.time, |(first, _)| first);
    summary.span = Some((first, last.time));
    batch.clear();
    // SQLite gives a lock to whoever asks at the right moment: a daemon that waits must have one.
    std::thread::sleep(began.elapsed().max(PAUSE));
    Ok(())
}
