//! The only place that builds things.
