//! The data plane: the only place that knows pingora.
