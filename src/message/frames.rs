//! Frames of an HTTP/2 connection, counted as they pass (RFC 9113): floods that cost the peer nothing and us work.
//!
//! The HTTP/2 library bounds memory (header list, streams, windows), not work: a client may reset streams, ping and
//! change settings as fast as it can write. Every such frame has a budget here (RFC 9113 section 10.5), and what is
//! begun must be finished in time.

/// The client's first bytes (RFC 9113 section 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long a budget lasts before it is renewed.
pub const BUDGET_MS: u64 = 30_000;

/// What a frame of an answer is acknowledged by at most: an update of its stream and one of the connection, and again.
const UPDATES_EARNED: u32 = 4;

const HEADER_BYTES: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// What a client may do in [`BUDGET_MS`], besides sending requests and bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameBounds {
    /// `RST_STREAM` frames: requests begun and given up (CVE-2023-44487).
    pub resets: u32,
    /// `SETTINGS` frames, each of which must be acknowledged (CVE-2019-9515).
    pub settings: u32,
    /// `PING` frames, each of which must be answered (CVE-2019-9512); one more for every frame of a request or an answer.
    pub pings: u32,
    /// `WINDOW_UPDATE` frames; [`UPDATES_EARNED`] more for every frame of an answer.
    pub updates: u32,
    /// Empty `DATA` frames that do not end a stream (CVE-2019-9518).
    pub empty: u32,
    /// `PRIORITY` and unknown frames, which do nothing (CVE-2019-9513).
    pub idle: u32,
    /// `CONTINUATION` frames of one header block (CVE-2024-27316).
    pub continuations: u32,
}

impl FrameBounds {
    /// Far above what clients do: gRPC pings a few times a second at most, browsers reset a stream when a page is left.
    pub const DEFAULT: Self = Self {
        resets: 100,
        settings: 100,
        pings: 1_000,
        updates: 10_000,
        empty: 100,
        idle: 1_000,
        continuations: 16,
    };

    /// Nothing yet.
    const NONE: Self =
        Self { resets: 0, settings: 0, pings: 0, updates: 0, empty: 0, idle: 0, continuations: 0 };
}

/// A budget is spent: the connection ends with `ENHANCE_YOUR_CALM` (RFC 9113 section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flood(pub &'static str);

/// Follows the frames of one direction, wherever the reads cut them.
#[derive(Debug, Default)]
struct Cutter {
    header: [u8; HEADER_BYTES],
    have: usize,
    left: usize,
}

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Frame {
    kind: u8,
    flags: u8,
    length: usize,
    stream: u32,
}

impl Cutter {
    /// Passes over bytes up to the end of the next frame header, which is returned, or to the end.
    fn next<'b>(&mut self, bytes: &'b [u8]) -> (Option<Frame>, &'b [u8]) {
        let payload = self.left.min(bytes.len());
        self.left = self.left.saturating_sub(payload);
        let mut rest = bytes.get(payload..).unwrap_or_default();
        while self.left == 0
            && let Some((byte, after)) = rest.split_first()
        {
            if let Some(slot) = self.header.get_mut(self.have) {
                *slot = *byte;
            }
            self.have = self.have.saturating_add(1);
            rest = after;
            if self.have == HEADER_BYTES {
                self.have = 0;
                let frame = read(self.header);
                self.left = frame.length;
                return (Some(frame), rest);
            }
        }
        (None, rest)
    }

    /// Between two frames?
    fn is_between(&self) -> bool {
        self.have == 0 && self.left == 0
    }
}

fn read([l0, l1, l2, kind, flags, s0, s1, s2, s3]: [u8; HEADER_BYTES]) -> Frame {
    let length = u32::from_be_bytes([0, l0, l1, l2]);
    let stream = u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]);
    Frame { kind, flags, length: usize::try_from(length).unwrap_or(usize::MAX), stream }
}

/// Counts what a client sends on one connection.
#[derive(Debug)]
pub struct Frames {
    bounds: FrameBounds,
    cutter: Cutter,
    /// Bytes of the preface that are still due.
    preface: usize,
    is_in_block: bool,
    continuations: u32,
    since_ms: u64,
    used: FrameBounds,
    /// The highest stream that the client opened.
    stream: u32,
    /// Frames and header blocks that are whole.
    done: u64,
}

impl Frames {
    /// A counter at the beginning of a connection, before the preface.
    #[must_use]
    pub fn new(bounds: FrameBounds, now_ms: u64) -> Self {
        Self {
            bounds,
            cutter: Cutter::default(),
            preface: PREFACE.len(),
            is_in_block: false,
            continuations: 0,
            since_ms: now_ms,
            used: FrameBounds::NONE,
            stream: 0,
            done: 0,
        }
    }

    /// How many frames were whole, where a header block counts as one.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.done
    }

    /// Takes what was read at `now_ms`.
    ///
    /// # Errors
    /// [`Flood`] when a budget is spent.
    pub fn feed(&mut self, bytes: &[u8], now_ms: u64) -> Result<(), Flood> {
        if now_ms.saturating_sub(self.since_ms) >= BUDGET_MS {
            self.since_ms = now_ms;
            self.used = FrameBounds::NONE;
        }
        let preface = self.preface.min(bytes.len());
        self.preface = self.preface.saturating_sub(preface);
        let mut rest = bytes.get(preface..).unwrap_or_default();
        while !rest.is_empty() {
            let was_within = self.cutter.left > 0;
            let (frame, after) = self.cutter.next(rest);
            rest = after;
            if was_within && (frame.is_some() || self.cutter.left == 0) {
                self.end_frame();
            }
            if let Some(frame) = frame {
                self.count(frame)?;
                if frame.length == 0 {
                    self.end_frame();
                }
            }
        }
        Ok(())
    }

    fn end_frame(&mut self) {
        self.done = self.done.saturating_add(u64::from(!self.is_in_block));
    }

    fn count(&mut self, frame: Frame) -> Result<(), Flood> {
        let (used, bounds) = (&mut self.used, &self.bounds);
        match frame.kind {
            HEADERS | CONTINUATION => self.header_block(frame),
            DATA if frame.length == 0 && frame.flags & END_STREAM == 0 => {
                spend(&mut used.empty, bounds.empty, "empty-data")
            }
            DATA => {
                used.pings = used.pings.saturating_sub(1);
                Ok(())
            }
            WINDOW_UPDATE => spend(&mut used.updates, bounds.updates, "window-update"),
            RST_STREAM => spend(&mut used.resets, bounds.resets, "reset"),
            SETTINGS => spend(&mut used.settings, bounds.settings, "settings"),
            PING if frame.flags & ACK == 0 => spend(&mut used.pings, bounds.pings, "ping"),
            PRIORITY | PING => spend(&mut used.idle, bounds.idle, "idle-frames"),
            _ => spend(&mut used.idle, bounds.idle, "idle-frames"),
        }
    }

    fn header_block(&mut self, frame: Frame) -> Result<(), Flood> {
        let is_first = frame.kind == HEADERS;
        self.continuations = if is_first { 0 } else { self.continuations.saturating_add(1) };
        self.stream = self.stream.max(frame.stream);
        self.is_in_block = frame.flags & END_HEADERS == 0;
        self.used.pings = self.used.pings.saturating_sub(u32::from(is_first));
        if self.continuations > self.bounds.continuations {
            return Err(Flood("continuation"));
        }
        Ok(())
    }

    /// So many frames of answers were sent: the client may open its windows again, and measure the way.
    pub fn earn(&mut self, answers: u32) {
        self.used.pings = self.used.pings.saturating_sub(answers);
        self.used.updates = self.used.updates.saturating_sub(answers.saturating_mul(UPDATES_EARNED));
    }

    /// Is something begun that the client must finish: the preface, a frame, a header block? It has `length` bytes left,
    /// as far as that is known.
    #[must_use]
    pub fn owed(&self) -> Option<usize> {
        if self.preface > 0 {
            return Some(self.preface);
        }
        (self.is_in_block || !self.cutter.is_between()).then_some(self.cutter.left)
    }

    /// The last words (RFC 9113 section 6.8): `GOAWAY` with `ENHANCE_YOUR_CALM` and why.
    #[must_use]
    pub fn go_away(&self, flood: Flood) -> Vec<u8> {
        const ENHANCE_YOUR_CALM: u32 = 0xb;
        let why = flood.0.as_bytes();
        let length = u32::try_from(why.len()).unwrap_or(0).saturating_add(8);
        let [_, l0, l1, l2] = length.to_be_bytes();
        let mut frame = vec![l0, l1, l2, 7, 0, 0, 0, 0, 0];
        frame.extend_from_slice(&self.stream.to_be_bytes());
        frame.extend_from_slice(&ENHANCE_YOUR_CALM.to_be_bytes());
        frame.extend_from_slice(why);
        frame
    }
}

fn spend(used: &mut u32, most: u32, name: &'static str) -> Result<(), Flood> {
    *used = used.saturating_add(1);
    if *used > most { Err(Flood(name)) } else { Ok(()) }
}

/// Where our own frames end: nothing may be put between the parts of one.
#[derive(Debug, Default)]
pub struct Edge(Cutter);

impl Edge {
    /// Takes what was written. How many frames of answers began in it?
    pub fn feed(&mut self, bytes: &[u8]) -> u32 {
        let (mut rest, mut answers) = (bytes, 0_u32);
        while !rest.is_empty() {
            let (frame, after) = self.0.next(rest);
            answers = answers.saturating_add(u32::from(frame.is_some_and(|frame| frame.kind == DATA)));
            rest = after;
        }
        answers
    }

    /// Between two frames?
    #[must_use]
    pub fn is_between(&self) -> bool {
        self.0.is_between()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let [_, l0, l1, l2] = u32::try_from(payload.len()).expect("short").to_be_bytes();
        let mut bytes = vec![l0, l1, l2, kind, flags];
        bytes.extend_from_slice(&stream.to_be_bytes());
        bytes.extend_from_slice(payload);
        bytes
    }

    fn begun() -> Frames {
        let mut frames = Frames::new(FrameBounds::DEFAULT, 0);
        frames.feed(PREFACE, 0).expect("a preface");
        frames
    }

    /// How many of `bytes` pass before the flood is called by this name.
    fn passed(frames: &mut Frames, bytes: &[u8], name: &str) -> u32 {
        for count in 0..100_000 {
            if let Err(flood) = frames.feed(bytes, 0) {
                assert_eq!(flood.0, name);
                return count;
            }
        }
        panic!("never")
    }

    #[test]
    fn every_frame_that_costs_only_us_has_a_budget() {
        for (kind, flags, payload, name, most) in [
            (RST_STREAM, 0, &[0; 4][..], "reset", 100),
            (SETTINGS, 0, &[], "settings", 100),
            (SETTINGS, ACK, &[], "settings", 100),
            (PING, 0, &[0; 8], "ping", 1_000),
            (PING, ACK, &[0; 8], "idle-frames", 1_000),
            (PRIORITY, 0, &[0; 5], "idle-frames", 1_000),
            (0x20, 0, &[], "idle-frames", 1_000),
            (DATA, 0, &[], "empty-data", 100),
            (WINDOW_UPDATE, 0, &[0; 4], "window-update", 10_000),
            (CONTINUATION, 0, &[], "continuation", 16),
        ] {
            assert_eq!(passed(&mut begun(), &frame(kind, flags, 1, payload), name), most, "{kind} {flags}");
        }
    }

    #[test]
    fn budgets_are_renewed_and_requests_have_none() {
        let mut frames = begun();
        let reset = frame(RST_STREAM, 0, 1, &[0; 4]);
        for _ in 0..100 {
            frames.feed(&reset, 0).expect("within the budget");
        }
        frames.feed(&reset, BUDGET_MS).expect("a new one");
        let request = frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x82]);
        for _ in 0..10_000 {
            frames.feed(&request, BUDGET_MS).expect("as many as the limits of requests allow");
        }
    }

    #[test]
    fn what_flows_pays_for_pings_and_updates() {
        let mut frames = begun();
        let (ping, update) = (frame(PING, 0, 0, &[0; 8]), frame(WINDOW_UPDATE, 0, 1, &[0, 0, 1, 0]));
        let mut edge = Edge::default();
        let answer = frame(DATA, 0, 1, b"answer");
        for _ in 0..50_000 {
            frames.feed(&ping, 0).and_then(|()| frames.feed(&update.repeat(4), 0)).expect("paid for");
            frames.earn(edge.feed(&answer));
        }
        let upload = frame(DATA, 0, 1, b"part");
        for _ in 0..5_000 {
            frames.feed(&ping, 0).and_then(|()| frames.feed(&upload, 0)).expect("paid for");
        }
        // Opening windows for nothing pays for nothing.
        let both = [&ping[..], &update].concat();
        assert_eq!(passed(&mut begun(), &both, "ping"), 1_000);
    }

    #[test]
    fn what_is_begun_is_owed() {
        let mut frames = Frames::new(FrameBounds::DEFAULT, 0);
        assert_eq!(frames.owed(), Some(24));
        frames.feed(PREFACE, 0).expect("a preface");
        assert_eq!(frames.owed(), None);
        let request = frame(HEADERS, END_STREAM, 1, &[0x82, 0x84]);
        frames.feed(&request[..10], 0).expect("half");
        assert_eq!(frames.owed(), Some(1));
        frames.feed(&request[10..], 0).expect("the rest");
        assert_eq!(frames.owed(), Some(0), "the block is open");
        frames.feed(&frame(CONTINUATION, END_HEADERS, 1, &[]), 0).expect("its end");
        assert_eq!(frames.owed(), None);
        frames.feed(&frame(DATA, 0, 1, &[1; 100])[..50], 0).expect("half a frame");
        assert_eq!(frames.owed(), Some(59));
    }

    #[test]
    fn what_is_whole_is_counted_and_a_header_block_is_one() {
        let mut frames = begun();
        frames.feed(&frame(DATA, 0, 1, &[1; 100])[..50], 0).expect("half a frame");
        assert_eq!(frames.done(), 0);
        frames.feed(&[1; 59], 0).expect("the rest");
        assert_eq!(frames.done(), 1);
        frames.feed(&frame(SETTINGS, ACK, 0, &[]), 0).expect("an empty frame");
        assert_eq!(frames.done(), 2);
        frames.feed(&frame(HEADERS, 0, 1, &[0x82]), 0).expect("a block begins");
        frames.feed(&frame(CONTINUATION, 0, 1, &[0x84]), 0).expect("and goes on");
        assert_eq!(frames.done(), 2, "the block is open");
        frames.feed(&frame(CONTINUATION, END_HEADERS, 1, &[]), 0).expect("its end");
        assert_eq!(frames.done(), 3);
    }

    #[test]
    fn the_last_words_name_the_stream_and_the_reason() {
        let mut frames = begun();
        frames.feed(&frame(HEADERS, END_HEADERS, 7, &[0x82]), 0).expect("a request");
        let words = frames.go_away(Flood("ping"));
        assert_eq!(words, frame(7, 0, 0, b"\0\0\0\x07\0\0\0\x0bping"));
        let mut edge = Edge::default();
        assert_eq!(edge.feed(&words[..5]), 0);
        assert!(!edge.is_between());
        assert_eq!(edge.feed(&words[5..]), 0);
        assert!(edge.is_between());
    }

    proptest! {
        /// Where the reads cut the bytes makes no difference.
        #[test]
        fn pieces_count_like_the_whole(
            kinds in proptest::collection::vec((0u8..12, any::<u8>(), 0usize..30), 0..60),
            cut in 1usize..40,
        ) {
            let frames = kinds.iter().flat_map(|(kind, flags, length)| frame(*kind, *flags, 1, &vec![7; *length]));
            let bytes: Vec<u8> = PREFACE.iter().copied().chain(frames).collect();
            let (mut whole, mut pieces) = (Frames::new(FrameBounds::DEFAULT, 0), Frames::new(FrameBounds::DEFAULT, 0));
            let all = whole.feed(&bytes, 0);
            let parts = bytes.chunks(cut).try_for_each(|part| pieces.feed(part, 0));
            prop_assert_eq!(all, parts);
            if all.is_ok() {
                prop_assert_eq!(whole.owed(), pieces.owed());
                prop_assert_eq!(whole.done(), pieces.done());
            }
        }
    }
}
