//! Where messages begin and end on an HTTP/1 connection, byte by byte and strictly (RFC 9112).
//!
//! The data plane's own reader is lenient in places (a bare LF ends a line, an empty chunk size is the last chunk, a
//! length beside chunks is dropped, a space in a target is encoded). What it makes of such bytes may differ from what
//! the backend or a proxy in front makes of them, and that is how requests are smuggled. So every byte passes here
//! first: what this reader lets through has one meaning only.

use super::authority::normal_authority;
use super::fault::MessageFault;
use super::framing::{Framing, framing, is_token_byte};
use super::target::{absolute, has_scheme, read_version};
use http::{HeaderMap, HeaderValue, Version, header};

/// Empty lines that are overlooked before a request (RFC 9112 section 2.2).
const BLANKS_MAX: u8 = 2;

/// The longest method; the longest registered one has 17 letters.
const METHOD_BYTES_MAX: usize = 64;

/// Bounds of a head, as configured.
#[derive(Debug, Clone, Copy)]
pub struct WireBounds {
    /// Bytes of the whole head, of all trailers, and of all chunk extensions of a body.
    pub head_bytes: usize,
    /// Bytes of the request line, and of each field line.
    pub line_bytes: usize,
    /// Field lines.
    pub fields: usize,
}

/// What the connection is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Between requests.
    Between,
    /// Within a head.
    Head,
    /// Within a body or its trailers.
    Body,
    /// It no longer speaks HTTP/1.
    Free,
}

/// Bytes that go no further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireFault {
    /// So many bytes of what was fed last are whole messages before the bad one.
    pub good: usize,
    /// The broken rule.
    pub fault: MessageFault,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A request line is due.
    Start,
    Fields,
    /// So many bytes of the body are left.
    Length(u64),
    ChunkSize,
    /// So many bytes of the chunk are left.
    Chunk(u64),
    ChunkEnd,
    Trailers,
    Free,
}

/// What the lines of a head say that matters here.
#[derive(Debug, Default)]
struct Head {
    /// `Content-Length` and `Transfer-Encoding` alone.
    lengths: HeaderMap,
    version: Option<Version>,
    /// The authority of a target in absolute-form.
    authority: Option<String>,
    host: Option<String>,
    hosts: usize,
    fields: usize,
}

/// Reads one direction of a connection.
#[derive(Debug)]
pub struct Wire {
    bounds: WireBounds,
    state: State,
    /// The line under way, when it comes in pieces.
    line: Vec<u8>,
    /// Bytes of the section under way: head, chunk extensions, trailers.
    bytes: usize,
    blanks: u8,
    head: Head,
    /// Messages that are whole.
    done: u64,
}

impl Wire {
    /// A reader at the beginning of a connection.
    #[must_use]
    pub fn new(bounds: WireBounds) -> Self {
        Self {
            bounds,
            state: State::Start,
            line: Vec::new(),
            bytes: 0,
            blanks: 0,
            head: Head::default(),
            done: 0,
        }
    }

    /// How many whole messages there were.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.done
    }

    /// Where the connection is after all that was fed.
    #[must_use]
    pub fn place(&self) -> Place {
        match self.state {
            State::Start if self.line.is_empty() && self.blanks == 0 => Place::Between,
            State::Start | State::Fields => Place::Head,
            State::Free => Place::Free,
            State::Length(_) | State::ChunkSize | State::Chunk(_) | State::ChunkEnd | State::Trailers => {
                Place::Body
            }
        }
    }

    /// From here on another protocol is spoken (after a 101).
    pub fn free(&mut self) {
        self.state = State::Free;
        self.line = Vec::new();
    }

    /// Takes what was read.
    ///
    /// # Errors
    /// [`WireFault`]; nothing after it can be trusted to be where it seems, so nothing more may be fed.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), WireFault> {
        let mut rest = bytes;
        let mut good = 0;
        while !rest.is_empty() {
            rest = self.step(rest).map_err(|fault| WireFault { good, fault })?;
            if self.place() == Place::Between {
                good = bytes.len().saturating_sub(rest.len());
            }
        }
        Ok(())
    }

    fn step<'b>(&mut self, rest: &'b [u8]) -> Result<&'b [u8], MessageFault> {
        match self.state {
            State::Free => Ok(&[]),
            State::Length(left) => {
                let (left, rest) = skip(left, rest);
                if left == 0 {
                    self.begin();
                } else {
                    self.state = State::Length(left);
                }
                Ok(rest)
            }
            State::Chunk(left) => {
                let (left, rest) = skip(left, rest);
                self.state = if left == 0 { State::ChunkEnd } else { State::Chunk(left) };
                Ok(rest)
            }
            State::Start | State::Fields | State::ChunkSize | State::ChunkEnd | State::Trailers => {
                self.take_line(rest)
            }
        }
    }

    /// A message is whole: back to the beginning of a request.
    fn begin(&mut self) {
        self.done = self.done.saturating_add(1);
        self.state = State::Start;
        self.bytes = 0;
        self.blanks = 0;
        self.head = Head::default();
    }

    fn take_line<'b>(&mut self, rest: &'b [u8]) -> Result<&'b [u8], MessageFault> {
        let end = memchr::memchr(b'\n', rest).map(|at| at.saturating_add(1));
        let (piece, after) = rest.split_at_checked(end.unwrap_or(rest.len())).unwrap_or((rest, &[]));
        self.bytes = self.bytes.saturating_add(piece.len());
        self.check_bounds(self.line.len().saturating_add(piece.len()))?;
        if end.is_none() {
            self.line.extend_from_slice(piece);
            // Nobody should wait for the end of what cannot be one.
            let is_wrong = self.state == State::ChunkEnd && self.line != b"\r";
            return if is_wrong { Err(MessageFault::CHUNK) } else { Ok(after) };
        }
        if self.line.is_empty() {
            self.end_line(piece)?;
        } else {
            let mut line = std::mem::take(&mut self.line);
            line.extend_from_slice(piece);
            self.end_line(&line)?;
        }
        Ok(after)
    }

    /// RFC 9110 sections 5.4 and 15.5.15, RFC 6585 section 5: before the line is whole.
    fn check_bounds(&self, line: usize) -> Result<(), MessageFault> {
        let is_long = line > self.bounds.line_bytes;
        match self.state {
            State::Start if is_long || self.bytes > self.bounds.head_bytes => {
                Err(MessageFault::TARGET_TOO_LONG)
            }
            State::Fields | State::Trailers
                if is_long
                    || self.bytes > self.bounds.head_bytes.saturating_add(2)
                    || self.head.fields > self.bounds.fields =>
            {
                Err(MessageFault::FIELDS_TOO_LARGE)
            }
            State::ChunkSize | State::ChunkEnd if is_long || self.bytes > self.bounds.head_bytes => {
                Err(MessageFault::CHUNK)
            }
            _ => Ok(()),
        }
    }

    /// RFC 9112 section 2.2: lines end in CRLF. A bare LF may be taken for an end by the RFC; who takes it and who does
    /// not see different messages.
    fn end_line(&mut self, line: &[u8]) -> Result<(), MessageFault> {
        let is_chunk = matches!(self.state, State::ChunkSize | State::ChunkEnd);
        let fault = if is_chunk { MessageFault::CHUNK } else { MessageFault::LINE };
        let line = line.strip_suffix(b"\r\n").ok_or_else(|| fault.clone())?;
        if line.iter().any(|byte| (byte.is_ascii_control() && *byte != b'\t') || *byte == b'\r') {
            return Err(fault);
        }
        match self.state {
            State::Start => self.request_line(line),
            State::Fields if line.is_empty() => self.end_head(),
            State::Fields => self.field(line, true),
            State::ChunkSize => self.chunk_size(line),
            State::ChunkEnd if line.is_empty() => {
                self.state = State::ChunkSize;
                // The CRLF behind a chunk is no extension.
                self.bytes = self.bytes.saturating_sub(2);
                Ok(())
            }
            State::ChunkEnd => Err(MessageFault::CHUNK),
            State::Trailers if line.is_empty() => {
                self.begin();
                Ok(())
            }
            State::Trailers => self.field(line, false),
            State::Length(_) | State::Chunk(_) | State::Free => Ok(()),
        }
    }

    /// `method SP request-target SP HTTP-version` (RFC 9112 section 3): exactly two spaces.
    fn request_line(&mut self, line: &[u8]) -> Result<(), MessageFault> {
        if line.is_empty() {
            self.blanks = self.blanks.saturating_add(1);
            return if self.blanks > BLANKS_MAX { Err(MessageFault::LINE) } else { Ok(()) };
        }
        let mut words = line.split(|byte| *byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(MessageFault::LINE);
        };
        let is_method = !method.is_empty() && method.len() <= METHOD_BYTES_MAX;
        if !is_method || !method.iter().copied().all(is_token_byte) {
            return Err(MessageFault::LINE);
        }
        // RFC 3986 section 2; pingora would answer the last three in words of its own.
        let is_fitting = |byte: &u8| byte.is_ascii_graphic() && !b"#<>`".contains(byte);
        if target.is_empty() || !target.iter().all(is_fitting) {
            return Err(MessageFault::TARGET);
        }
        // One of three forms; the rest is checked where the method is known. pingora would answer others in words of its own.
        let is_form = target.starts_with(b"/") || target == b"*" || has_scheme(target);
        if !is_form && method != b"CONNECT" {
            return Err(MessageFault::TARGET);
        }
        let version = read_version(version)?;
        // pingora would answer it itself, in words of its own (RFC 9110 section 9.3.6).
        if method == b"CONNECT" {
            return Err(MessageFault::METHOD);
        }
        self.head = Head { version: Some(version), authority: absolute(target), ..Head::default() };
        self.state = State::Fields;
        Ok(())
    }

    /// `field-name ":" OWS field-value OWS` (RFC 9112 section 5): no space before the colon, no folded lines.
    fn field(&mut self, line: &[u8], is_head: bool) -> Result<(), MessageFault> {
        let at = memchr::memchr(b':', line).ok_or(MessageFault::LINE)?;
        let (name, value) = line.split_at_checked(at).ok_or(MessageFault::LINE)?;
        if name.is_empty() || !name.iter().copied().all(is_token_byte) {
            return Err(MessageFault::LINE);
        }
        self.head.fields = self.head.fields.saturating_add(1);
        let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii();
        if is_head {
            self.note(name, value)?;
        }
        Ok(())
    }

    /// Keeps the fields that frame the message or say whose it is.
    fn note(&mut self, name: &[u8], value: &[u8]) -> Result<(), MessageFault> {
        let known = match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                self.head.hosts = self.head.hosts.saturating_add(1);
                // RFC 9110 section 4.2.4: no user information.
                if value.contains(&b'@') {
                    return Err(MessageFault::HOST);
                }
                if self.head.authority.is_some() {
                    self.head.host = str::from_utf8(value).ok().map(str::to_owned);
                }
                return Ok(());
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => header::CONTENT_LENGTH,
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => header::TRANSFER_ENCODING,
            _ => return Ok(()),
        };
        let value = HeaderValue::from_bytes(value).map_err(|_not_a_value| MessageFault::FIELD_VALUE)?;
        self.head.lengths.append(known, value);
        Ok(())
    }

    fn end_head(&mut self) -> Result<(), MessageFault> {
        let version = self.head.version.unwrap_or(Version::HTTP_11);
        let framing = framing(&self.head.lengths, version)?;
        self.check_host()?;
        self.bytes = 0;
        self.state = match framing {
            Framing::None | Framing::Length(0) => {
                self.begin();
                return Ok(());
            }
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::ChunkSize,
        };
        Ok(())
    }

    /// RFC 9112 section 3.2: not two hosts, and the same one in absolute-form and in the field. The rest of the grammar is
    /// checked where the request is; these two the data plane's reader would answer in words of its own.
    fn check_host(&self) -> Result<(), MessageFault> {
        if self.head.hosts > 1 {
            return Err(MessageFault::HOST);
        }
        let Some(authority) = &self.head.authority else { return Ok(()) };
        // By which scheme's port they are compared does not matter: it is the same for both.
        let named = normal_authority(authority, "http").ok_or(MessageFault::HOST)?;
        match &self.head.host {
            Some(host) if normal_authority(host, "http").as_ref() != Some(&named) => Err(MessageFault::HOST),
            _ => Ok(()),
        }
    }

    /// `1*HEXDIG [ chunk-ext ]` (RFC 9112 section 7.1). Extensions are passed over, but they are bounded and have no
    /// control characters.
    fn chunk_size(&mut self, line: &[u8]) -> Result<(), MessageFault> {
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (size, extension) = line.split_at_checked(digits).ok_or(MessageFault::CHUNK)?;
        let size = str::from_utf8(size).ok().filter(|size| (1..=16).contains(&size.len()));
        let size = size.and_then(|size| u64::from_str_radix(size, 16).ok()).ok_or(MessageFault::CHUNK)?;
        if i64::try_from(size).is_err() || !(extension.is_empty() || is_extension(extension)) {
            return Err(MessageFault::CHUNK);
        }
        // Only what is not size counts towards the bound.
        self.bytes = self.bytes.saturating_sub(digits.saturating_add(2));
        if size == 0 {
            self.bytes = 0;
            self.head.fields = 0;
            self.state = State::Trailers;
        } else {
            self.state = State::Chunk(size);
        }
        Ok(())
    }
}

/// `BWS ";" …`: white space alone is none.
fn is_extension(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(b";")
}

/// Passes over at most `left` bytes.
fn skip(left: u64, bytes: &[u8]) -> (u64, &[u8]) {
    let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
    let rest = bytes.get(here..).unwrap_or_default();
    (left.saturating_sub(u64::try_from(here).unwrap_or(u64::MAX)), rest)
}
