//! What each command of the program does.

pub mod evaluate;
pub mod forget;
pub mod healthcheck;
pub mod import;
pub mod inspect;
pub mod listen;
pub mod manual;
pub mod probe;
pub mod quantities;
pub mod replay;
#[cfg(feature = "train")]
pub mod retrain;
pub mod site;
pub mod windows;
