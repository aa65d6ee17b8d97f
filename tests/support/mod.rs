//! What several test binaries of the program need.

#![allow(dead_code, unreachable_pub)]

pub mod installation;
