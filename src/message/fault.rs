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
        }
    };
}

faults! {
    /// RFC 9112 section 3.
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
    TRANSFER_ENCODING = 400 "bad-transfer-encoding" "The Transfer-Encoding is not understood" "send `chunked` alone, over HTTP/1.1";
    /// RFC 9112 section 6.3.
    BOTH_LENGTHS = 400 "ambiguous-length" "The body has two lengths" "send Content-Length or Transfer-Encoding, not both";
    /// RFC 9110 section 15.5.14.
    BODY_TOO_LARGE = 413 "body-too-large" "The request body is too large" "send less";
    /// RFC 9110 section 5.5.
    FIELD_VALUE = 400 "bad-field" "A field value has control characters" "send text";
    /// Underscores make one name look like two to backends.
    FIELD_NAME = 400 "bad-field-name" "A field name begins with x_" "write it with hyphens";
    /// RFC 6585 section 5.
    FIELDS_TOO_LARGE = 431 "fields-too-large" "The request's fields are too many or too large" "send fewer or shorter fields";
    /// RFC 9110 section 9.
    METHOD = 405 "method-not-allowed" "The method is not passed on" "use another method";
    /// RFC 9110 section 10.1.1.
    EXPECTATION = 417 "expectation-failed" "The expectation is not understood" "expect 100-continue or nothing";
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
