//! tbd.
