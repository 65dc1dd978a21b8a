//! The rules that a message may break, each with its status, its stable name and what to do.

/// A broken rule. The connection is closed after the answer: nothing behind a malformed message can be trusted to
/// be where it seems (RFC 9112 section 2.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageFault {
    status: u16,
    name: &'static str,
    title: &'static str,
    detail: &'static str,
}

macro_rules! faults {
    ($($(#[$doc:meta])* $constant:ident = $status:literal $name:literal $title:literal $detail:literal;)*) => {
        impl MessageFault {
            $($(#[$doc])* pub const $constant: Self =
                Self { status: $status, name: $name, title: $title, detail: $detail };)*

            /// All of them, for the reference page and for tests.
            pub const ALL: &[Self] = &[$(Self::$constant),*];
        }
    };
}

faults! {
    /// RFC 9112 sections 2.2, 3, 5 and 5.2.
    LINE = 400 "bad-line" "A line of the head is malformed" "end lines in CR LF, put one space between the parts of the request line, none before a colon, and fold no lines";
    /// RFC 9112 section 7.1.
    CHUNK = 400 "bad-chunk" "The chunked body is malformed" "send each chunk as its size in hexadecimal digits, CR LF, its data and CR LF";
    /// RFC 9110 section 15.5.9.
    HEAD_TIMEOUT = 408 "head-timeout" "The request head did not arrive in time" "send the whole head at once";
    /// RFC 9112 section 3.2.
    TARGET = 400 "bad-target" "The request target is malformed" "send an absolute path, percent-encoded";
    /// RFC 9110 section 4.1.
    TARGET_TOO_LONG = 414 "target-too-long" "The request target is too long" "shorten the path or query";
    /// RFC 3986 section 6, and our rule that a path has one meaning.
    PATH = 400 "bad-path" "The path is malformed or ambiguous" "send it without encoded slashes, backslashes, NUL and control characters";
    /// RFC 9112 section 3.2.
    HOST = 400 "bad-host" "The Host is missing, repeated, malformed or contradicts the target" "send exactly one Host";
    /// RFC 9112 section 6.3.
    CONTENT_LENGTH = 400 "bad-content-length" "The Content-Length is malformed or repeated" "send one decimal number";
    /// RFC 9112 section 6.1.
    TRANSFER_ENCODING = 400 "bad-transfer-encoding" "The Transfer-Encoding is malformed or does not end in chunked" "send `chunked` alone, over HTTP/1.1";
    /// RFC 9112 section 6.1: framing is clear, but the coding inside is not ours to undo.
    TRANSFER_CODING = 501 "unknown-transfer-coding" "A transfer coding is not supported" "send `Transfer-Encoding: chunked` alone; compress with Content-Encoding";
    /// RFC 9112 section 6.3.
    BOTH_LENGTHS = 400 "ambiguous-length" "The body has two lengths" "send Content-Length or Transfer-Encoding, not both";
    /// RFC 9110 section 5.5.
    FIELD_VALUE = 400 "bad-field" "A field value has control characters" "send text";
    /// CGI-like backends read `content_length` and `Content-Length` as one.
    FIELD_NAME = 400 "bad-field-name" "A field name is that of a standard field with underscores" "write the name with hyphens";
    /// RFC 9110 section 5.3: nobody can tell which line counts.
    REPEATED_FIELD = 400 "repeated-field" "A field that may occur once occurs twice" "send it once";
    /// RFC 9110 section 7.6.1.
    CONNECTION = 400 "bad-connection" "Connection names fields that are for every recipient, or too many" "name hop-by-hop fields only";
    /// RFC 9113 section 8.2.2.
    HTTP2_FIELD = 400 "connection-field" "HTTP/2 has no connection-specific fields" "leave Connection, Upgrade, Transfer-Encoding and their like out";
    /// RFC 6585 section 5.
    FIELDS_TOO_LARGE = 431 "fields-too-large" "The request's fields are too many or too large" "send fewer or shorter fields";
    /// RFC 9110 section 9.
    METHOD = 405 "method-not-allowed" "The method is not passed on" "use another method";
    /// RFC 9110 section 10.1.1.
    EXPECTATION = 417 "expectation-failed" "The expectation is not understood" "expect 100-continue or nothing";
    /// RFC 9110 section 15.6.6.
    VERSION = 505 "version-not-supported" "The version of HTTP is not supported here" "use HTTP/1.1 or HTTP/2";
    /// RFC 9110 section 7.6.3: the message has been here before.
    LOOP = 508 "loop-detected" "The request goes in circles" "check that no upstream leads back to this proxy";
}

impl MessageFault {
    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The last part of the problem's `type`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What is wrong.
    #[must_use]
    pub fn title(&self) -> &'static str {
        self.title
    }

    /// What to do.
    #[must_use]
    pub fn detail(&self) -> &'static str {
        self.detail
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_stable_parts_of_a_uri_and_occur_once() {
        let names: BTreeSet<&str> = MessageFault::ALL.iter().map(MessageFault::name).collect();
        assert_eq!(names.len(), MessageFault::ALL.len());
        assert!(
            names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'))
        );
        assert!(MessageFault::ALL.iter().all(|fault| (400..600).contains(&fault.status())));
    }
}
