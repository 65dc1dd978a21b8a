//! The counter of HTTP/2 frames: what it counts is what is there, wherever the reads cut it.

use super::Target;
use tidegate::message::frames::{FrameBounds, Frames, PREFACE};

pub(crate) const TARGET: Target = Target {
    name: "frames",
    holds,
    words: &[
        "\u{0}\u{0}\u{0}",
        "\u{0}\u{0}\u{8}\u{6}\u{0}\u{0}\u{0}\u{0}\u{0}12345678",
        "\u{0}\u{0}\u{0}\u{4}\u{1}\u{0}\u{0}\u{0}\u{0}",
        "\u{0}\u{0}\u{4}\u{3}\u{0}\u{0}\u{0}\u{0}\u{1}\u{0}\u{0}\u{0}\u{8}",
        "\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{1}",
        "\u{0}\u{0}\u{0}\u{9}\u{0}\u{0}\u{0}\u{0}\u{1}",
        "\u{0}\u{0}\u{1}\u{1}\u{4}\u{0}\u{0}\u{0}\u{1}\u{2}",
        "\u{1}",
        "\u{7f}",
    ],
    seeds: &[],
};

const BOUNDS: FrameBounds =
    FrameBounds { resets: 2, settings: 2, pings: 3, updates: 3, empty: 2, idle: 3, continuations: 2 };

fn fed(pieces: &[&[u8]]) -> (bool, Option<usize>) {
    let mut frames = Frames::new(BOUNDS, 0);
    for piece in [&PREFACE[..]].iter().chain(pieces) {
        if frames.feed(piece, 0).is_err() {
            return (false, None);
        }
    }
    (true, frames.owed())
}

fn holds(input: &[u8]) {
    let whole = fed(&[input]);
    let bytes: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(fed(&bytes), whole, "the reads decide what is counted");
    assert_eq!(whole.0, counted(input), "another count");
}

/// Does every kind keep its budget? Counted over the whole, frame by frame.
fn counted(input: &[u8]) -> bool {
    let mut rest = input;
    let (mut resets, mut settings, mut pings, mut updates, mut empty, mut idle, mut continuations) =
        (0, 0, 0_u32, 0, 0, 0, 0);
    while let [high, middle, low, kind, flags, _, _, _, _, after @ ..] = rest {
        let length = usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low);
        match kind {
            0 if length == 0 && flags & 1 == 0 => empty += 1,
            0 => pings = pings.saturating_sub(1),
            8 => updates += 1,
            1 => (continuations, pings) = (0, pings.saturating_sub(1)),
            3 => resets += 1,
            4 => settings += 1,
            6 if flags & 1 == 0 => pings += 1,
            9 => continuations += 1,
            _ => idle += 1,
        }
        let within = resets <= BOUNDS.resets && settings <= BOUNDS.settings && pings <= BOUNDS.pings;
        if !(within
            && updates <= BOUNDS.updates
            && empty <= BOUNDS.empty
            && idle <= BOUNDS.idle
            && continuations <= BOUNDS.continuations)
        {
            return false;
        }
        rest = after.get(length..).unwrap_or_default();
    }
    true
}
