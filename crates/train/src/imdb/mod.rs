//! The notebook's experiments on the Large Movie Review Dataset: is a review for or against its film?
//!
//! They have nothing to do with weather; they show that the recurrent layers learn from another kind of sequence what
//! Keras' learn.

pub mod objective;
pub mod reviews;
pub mod vocabulary;
