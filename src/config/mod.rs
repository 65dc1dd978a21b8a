//! What was asked for: the file as a tree, read with every fault, compiled into a snapshot.

pub mod fault;
pub mod tree;
