//! Every payload, in and out.

pub mod forecast;
mod near_key;
pub mod reading;
pub mod status;
