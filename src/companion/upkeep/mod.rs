//! What is done regularly, whoever asks or not, by one instance of all that share a database.

mod rollups;
#[cfg(test)]
mod rollups_tests;

pub use rollups::Rollups;
