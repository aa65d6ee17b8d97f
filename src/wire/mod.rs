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

/// A number to a thousandth, without a negative zero.
fn thousandths(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0 + 0.0
}

/// Compares a payload with the one that was reviewed: what dashboards and flows are checked against.
#[cfg(test)]
fn reviewed(name: &str, payload: &str) {
    let payload: serde_json::Value = serde_json::from_str(payload).unwrap();
    let pretty = serde_json::to_string_pretty(&payload).unwrap();
    insta::with_settings!({ snapshot_path => "../../tests/snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(name, pretty);
    });
}
