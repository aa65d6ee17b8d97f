//! What several test binaries of the program need.

#![allow(dead_code)]

pub mod installation;
