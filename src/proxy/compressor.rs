//! Codes an answer while it passes, where [`crate::proxy::coding`] has decided so: a module of pingora, since modules
//! see every end that an answer can have.
//!
//! pingora's own module cannot be bent to the same rule: it reads no weights, keeps parts of a slow answer back, and cuts
//! the end off an answer with trailers.

use crate::cache::{Coder, Coding, Levels};
use crate::proxy::coding::describe;
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Version, header};
use parking_lot::Mutex;
use pingora::http::ResponseHeader;
use pingora::modules::http::{HttpModule, HttpModuleBuilder, Module};
use pingora::{Error, ErrorType, Result};
use std::any::Any;

/// The coder of one answer.
#[derive(Default)]
pub(super) struct Compressor {
    plan: Option<Plan>,
    // pingora wants modules that may be shared; zstd's state may not be. The lock is never waited for.
    coder: Option<Mutex<Coder>>,
    is_slow: bool,
}

/// What was decided about the answer.
pub(super) struct Plan {
    /// In which coding.
    pub(super) coding: Coding,
    /// How hard.
    pub(super) levels: Levels,
    /// Is only the head sent?
    pub(super) is_head: bool,
    /// What the client speaks: HTTP/1.0 knows no chunks.
    pub(super) version: Version,
}

impl Compressor {
    /// The answer whose head comes next is coded.
    pub(super) fn begin(&mut self, plan: Plan) {
        self.plan = Some(plan);
    }

    fn finish(&mut self) -> Result<Option<Bytes>> {
        self.coder.take().map(|coder| coder.into_inner().finish().map_err(failed)).transpose()
    }
}

fn failed(error: std::io::Error) -> Box<Error> {
    Error::because(ErrorType::InternalError, "an answer could not be coded", error)
}

#[async_trait]
impl HttpModule for Compressor {
    async fn response_header_filter(&mut self, response: &mut ResponseHeader, is_end: bool) -> Result<()> {
        if response.status.is_informational() {
            return Ok(());
        }
        let Some(Plan { coding, levels, is_head, version }) = self.plan.take() else { return Ok(()) };
        if is_end && !is_head {
            // No body: nothing would be a broken one in this coding.
            return Ok(());
        }
        // Without a length it may be one that is written as time passes.
        self.is_slow = !response.headers.contains_key(header::CONTENT_LENGTH);
        describe(response, coding, None)?;
        if is_head {
            return Ok(());
        }
        if version > Version::HTTP_10 {
            response.insert_header(header::TRANSFER_ENCODING, "chunked")?;
        }
        self.coder = Coder::new(coding, &levels).map(Mutex::new);
        Ok(())
    }

    fn response_body_filter(&mut self, body: &mut Option<Bytes>, is_end: bool) -> Result<()> {
        let Some(coder) = &mut self.coder else { return Ok(()) };
        let part = body.take().unwrap_or_default();
        let ready = coder.get_mut().push(&part, self.is_slow && !is_end).map_err(failed)?;
        let rest = if is_end { self.finish()? } else { None };
        *body = Some(match rest {
            Some(rest) => [ready, rest].concat().into(),
            None => ready,
        });
        Ok(())
    }

    fn response_trailer_filter(&mut self, _trailers: &mut Option<Box<HeaderMap>>) -> Result<Option<Bytes>> {
        // Trailers that nobody announced: the end of the body comes before them.
        self.finish()
    }

    fn response_done_filter(&mut self) -> Result<Option<Bytes>> {
        self.finish()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// Makes a [`Compressor`] for each request.
pub(super) struct Compressors;

impl HttpModuleBuilder for Compressors {
    fn init(&self) -> Module {
        Box::new(Compressor::default())
    }

    fn order(&self) -> i16 {
        // As pingora's: after all others on the way back.
        i16::MIN / 2
    }
}
