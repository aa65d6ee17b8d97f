//! Buffers of lanes that are kept between calls.
//!
//! One training step needs some twenty megabytes; asking the system for them each time costs more than filling them.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

use super::simd::Lane;

/// Lanes that are kept for later calls, at most: 256 MiB.
const KEPT_LANES: usize = 4 << 20;

static FREE: Mutex<Vec<Vec<Lane>>> = Mutex::new(Vec::new());

/// A buffer that goes back to the pool when it is dropped.
#[derive(Debug)]
pub(crate) struct Lanes {
    storage: Vec<Lane>,
    /// The part in use; the storage may be longer.
    length: usize,
}

impl Lanes {
    /// A buffer of `length` lanes whose contents are unspecified: they are written before they are read.
    pub(crate) fn take(length: usize) -> Self {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        let fitting = free
            .iter()
            .enumerate()
            .filter(|(_, buffer)| buffer.len() >= length && buffer.len() / 2 <= length)
            .min_by_key(|(_, buffer)| buffer.len())
            .map(|(index, _)| index);
        let storage = fitting.map(|index| free.swap_remove(index));
        drop(free);
        Self { storage: storage.unwrap_or_else(|| vec![Lane::ZERO; length]), length }
    }

    /// A buffer of `length` lanes, all `value`.
    pub(crate) fn filled(length: usize, value: f32) -> Self {
        let mut lanes = Self::take(length);
        lanes.fill(Lane::splat(value));
        lanes
    }
}

impl Deref for Lanes {
    type Target = [Lane];

    fn deref(&self) -> &[Lane] {
        &self.storage[..self.length]
    }
}

impl DerefMut for Lanes {
    fn deref_mut(&mut self) -> &mut [Lane] {
        &mut self.storage[..self.length]
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        let storage = std::mem::take(&mut self.storage);
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        let kept: usize = free.iter().map(Vec::len).sum();
        if kept + storage.len() <= KEPT_LANES {
            free.push(storage);
        }
    }
}
