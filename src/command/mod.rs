//! What each command of the program does.

pub mod evaluate;
pub mod inspect;
pub mod probe;
pub mod replay;
