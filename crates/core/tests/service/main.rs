//! The service as a whole, without I/O: days of stations with kills, backlogs, clock steps and slow answers.

mod bad_input;
mod clock;
mod days;
mod discovery;
mod experts;
mod faults;
mod models;
mod moves;
mod parts;
mod places;
mod restart;
mod station;
mod view;
mod world;
