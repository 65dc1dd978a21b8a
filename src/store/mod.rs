//! Where counts and entries live.
