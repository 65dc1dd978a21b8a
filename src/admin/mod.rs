//! Answers on the admin listener.
