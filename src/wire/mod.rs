//! Every payload, in and out.

#![cfg_attr(not(test), warn(clippy::cast_possible_truncation))]

pub mod api;
pub mod discovery;
pub mod forecast;
pub mod message;
mod near_key;
pub mod reading;
pub mod status;

/// How many there are, of what is counted in a sum of weights of 1.
#[expect(clippy::cast_possible_truncation, reason = "a count, and the conversion saturates")]
fn whole(count: f64) -> u64 {
    count as u64
}
