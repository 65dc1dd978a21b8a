//! Every metric, the access log and tracing.
