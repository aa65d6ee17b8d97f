//! Histories of other programs, made by the documented schema of each, brought into a journal.

mod again;
mod csv;
mod home_assistant;
mod influx;
mod refused;
mod support;
mod weewx;
