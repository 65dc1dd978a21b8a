//! Which route a request takes: canonical path, patterns, the compiled table. Pure.
