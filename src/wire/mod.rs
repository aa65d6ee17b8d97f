//! Every payload, in and out.

pub mod forecast;
pub mod reading;
pub mod status;
