//! The parts of a stored form that have no fixed length: names, fields, tags.

use crate::cache::codec::{EntryFault, Reader};
use crate::cache::label::TAGS_MAX;
use crate::cache::vary::SELECTING_MAX;
use bytes::BufMut;
use http::header::{HeaderMap, HeaderName, HeaderValue};

/// How many field lines an entry may have: a sanity bound for what is read.
const FIELDS_MAX: usize = 1_024;

/// Field names, each with its length (2 bytes) in front.
pub(super) fn encode_selecting(names: &[HeaderName]) -> Vec<u8> {
    let mut out = Vec::new();
    for name in names {
        out.put_u16_le(u16::try_from(name.as_str().len()).unwrap_or(u16::MAX));
        out.put_slice(name.as_str().as_bytes());
    }
    out
}

/// The inverse of [`encode_selecting`]; at most [`SELECTING_MAX`] names.
pub(super) fn decode_selecting(bytes: &[u8]) -> Result<Vec<HeaderName>, EntryFault> {
    let mut reader = Reader { rest: bytes };
    let mut names = Vec::new();
    while !reader.rest.is_empty() {
        let length = usize::from(reader.u16()?);
        let name = HeaderName::from_bytes(reader.take(length)?).map_err(|_invalid| EntryFault::Content)?;
        names.push(name);
        if names.len() > SELECTING_MAX {
            return Err(EntryFault::Content);
        }
    }
    Ok(names)
}

/// Name length (2), value length (4), name, value; once for each line.
pub(super) fn encode_fields(headers: &HeaderMap) -> Vec<u8> {
    let mut out = Vec::with_capacity(headers.len() * 48);
    for (name, value) in headers {
        out.put_u16_le(u16::try_from(name.as_str().len()).unwrap_or(u16::MAX));
        out.put_u32_le(u32::try_from(value.len()).unwrap_or(u32::MAX));
        out.put_slice(name.as_str().as_bytes());
        out.put_slice(value.as_bytes());
    }
    out
}

pub(super) fn decode_fields(bytes: &[u8]) -> Result<HeaderMap, EntryFault> {
    let mut reader = Reader { rest: bytes };
    let mut headers = HeaderMap::new();
    while !reader.rest.is_empty() {
        let name_length = usize::from(reader.u16()?);
        let value_length = usize::try_from(reader.u32()?).unwrap_or(usize::MAX);
        let name =
            HeaderName::from_bytes(reader.take(name_length)?).map_err(|_invalid| EntryFault::Content)?;
        let value =
            HeaderValue::from_bytes(reader.take(value_length)?).map_err(|_invalid| EntryFault::Content)?;
        headers.append(name, value);
        if headers.len() > FIELDS_MAX {
            return Err(EntryFault::Content);
        }
    }
    Ok(headers)
}

/// Tags, each with its length (2 bytes) in front.
pub(super) fn encode_tags(tags: &[String]) -> Vec<u8> {
    let mut out = Vec::new();
    for tag in tags {
        out.put_u16_le(u16::try_from(tag.len()).unwrap_or(u16::MAX));
        out.put_slice(tag.as_bytes());
    }
    out
}

/// The inverse of [`encode_tags`]; at most [`TAGS_MAX`].
pub(super) fn decode_tags(bytes: &[u8]) -> Result<Vec<String>, EntryFault> {
    let mut reader = Reader { rest: bytes };
    let mut tags = Vec::new();
    while !reader.rest.is_empty() {
        let length = usize::from(reader.u16()?);
        tags.push(text(reader.take(length)?)?.to_owned());
        if tags.len() > TAGS_MAX {
            return Err(EntryFault::Content);
        }
    }
    Ok(tags)
}

/// Bytes that are text.
pub(super) fn text(bytes: &[u8]) -> Result<&str, EntryFault> {
    std::str::from_utf8(bytes).map_err(|_invalid| EntryFault::Content)
}
