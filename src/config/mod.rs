//! What was asked for: raw → checked → snapshot.
