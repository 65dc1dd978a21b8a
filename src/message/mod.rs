//! Is the message well formed: RFC 9110 and 9112 checks on requests and responses, hop-by-hop fields. Pure.
