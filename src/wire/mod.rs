//! Every payload, in and out.

pub mod api;
pub mod discovery;
pub mod forecast;
pub mod message;
mod near_key;
pub mod reading;
pub mod status;
