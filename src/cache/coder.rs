//! Codes one answer as it passes, part by part.

use crate::cache::coding::{Coding, Levels};
use brotli::CompressorWriter;
use bytes::Bytes;
use flate2::write::GzEncoder;
use std::fmt;
use std::io::{Result, Write};
use zstd::stream::write::Encoder as ZstdEncoder;

/// Bytes that brotli takes at a time.
const BROTLI_BLOCK: usize = 4_096;
/// Two to the power of this is brotli's window: 512 KiB are kept for each answer under way.
const BROTLI_WINDOW: u32 = 19;

/// An answer being coded.
pub struct Coder(Inner);

enum Inner {
    Gzip(GzEncoder<Vec<u8>>),
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    Zstd(ZstdEncoder<'static, Vec<u8>>),
}

impl fmt::Debug for Coder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let coding = match self.0 {
            Inner::Gzip(_) => Coding::Gzip,
            Inner::Brotli(_) => Coding::Brotli,
            Inner::Zstd(_) => Coding::Zstd,
        };
        f.debug_tuple("Coder").field(&coding).finish()
    }
}

impl Coder {
    /// Begins; `None` where the coding is off.
    #[must_use]
    pub fn new(coding: Coding, levels: &Levels) -> Option<Self> {
        let level = coding.level(levels)?;
        Some(Self(match coding {
            Coding::Gzip => Inner::Gzip(GzEncoder::new(Vec::new(), flate2::Compression::new(level))),
            Coding::Brotli => {
                Inner::Brotli(Box::new(CompressorWriter::new(Vec::new(), BROTLI_BLOCK, level, BROTLI_WINDOW)))
            }
            Coding::Zstd => Inner::Zstd(ZstdEncoder::new(Vec::new(), i32::try_from(level).ok()?).ok()?),
        }))
    }

    /// Takes a part and gives what is ready to go; with `flush`, that is all of the part, so that nothing of a slow
    /// answer is held back.
    ///
    /// # Errors
    /// Of the coder; what was written to it is lost.
    pub fn push(&mut self, part: &[u8], flush: bool) -> Result<Bytes> {
        let writer: &mut dyn Write = match &mut self.0 {
            Inner::Gzip(writer) => writer,
            Inner::Brotli(writer) => writer,
            Inner::Zstd(writer) => writer,
        };
        writer.write_all(part)?;
        if flush && !part.is_empty() {
            writer.flush()?;
        }
        let ready = match &mut self.0 {
            Inner::Gzip(writer) => writer.get_mut(),
            Inner::Brotli(writer) => writer.get_mut(),
            Inner::Zstd(writer) => writer.get_mut(),
        };
        Ok(std::mem::take(ready).into())
    }

    /// Ends the answer and gives the rest.
    ///
    /// # Errors
    /// Of the coder.
    pub fn finish(self) -> Result<Bytes> {
        Ok(match self.0 {
            Inner::Gzip(writer) => writer.finish()?,
            Inner::Brotli(writer) => writer.into_inner(),
            Inner::Zstd(writer) => writer.finish()?,
        }
        .into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    const ALL: Levels = Levels { zstd: Some(3), brotli: Some(5), gzip: Some(6) };

    /// What a client can read of these bytes so far.
    fn readable(coding: Coding, bytes: &[u8]) -> String {
        let mut reader: Box<dyn Read> = match coding {
            Coding::Gzip => Box::new(flate2::read::GzDecoder::new(bytes)),
            Coding::Brotli => Box::new(brotli::Decompressor::new(bytes, 4_096)),
            Coding::Zstd => Box::new(zstd::stream::read::Decoder::new(bytes).expect("a decoder")),
        };
        let (mut plain, mut block) = (Vec::new(), [0; 512]);
        while let Ok(read @ 1..) = reader.read(&mut block) {
            plain.extend_from_slice(block.get(..read).expect("read"));
        }
        String::from_utf8(plain).expect("text")
    }

    #[test]
    fn a_part_that_is_flushed_can_be_read_before_the_next_one_comes() {
        for coding in [Coding::Gzip, Coding::Brotli, Coding::Zstd] {
            let mut coder = Coder::new(coding, &ALL).expect("on");
            let mut sent = coder.push(b"first", true).expect("coded").to_vec();
            assert_eq!(readable(coding, &sent), "first", "{coding:?}");
            sent.extend_from_slice(&coder.push(b"", true).expect("coded"));
            sent.extend_from_slice(&coder.push(b" second", true).expect("coded"));
            sent.extend_from_slice(&coder.finish().expect("coded"));
            assert_eq!(readable(coding, &sent), "first second", "{coding:?}");
        }
    }

    #[test]
    fn without_flushing_parts_share_their_blocks() {
        for coding in [Coding::Gzip, Coding::Brotli, Coding::Zstd] {
            let line = "{\"name\": \"value\"}\n";
            let all = |flush| {
                let mut coder = Coder::new(coding, &ALL).expect("on");
                let mut sent = Vec::new();
                for _ in 0..200 {
                    sent.extend_from_slice(&coder.push(line.as_bytes(), flush).expect("coded"));
                }
                sent.extend_from_slice(&coder.finish().expect("coded"));
                assert_eq!(readable(coding, &sent), line.repeat(200), "{coding:?}");
                sent.len()
            };
            assert!(all(false) < all(true), "{coding:?}");
        }
        assert!(Coder::new(Coding::Gzip, &Levels::default()).is_none());
    }
}
