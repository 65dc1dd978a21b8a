//! The section `server.compression`: which answers are coded for clients, and how hard.

use crate::cache::{Compression, Levels, MediaRange};
use crate::config::reader::{Reader, Section, Taken};

/// Reads `compression` of `server`. `null` says more than nothing: no coding is on.
pub(super) fn compression(reader: &mut Reader<'_>, server: &mut Section) -> Compression {
    let is_off = server.is_null("compression");
    let standard = Compression::default();
    let Some(taken) = server.take("compression") else {
        return if is_off { Compression { levels: Levels::default(), ..standard } } else { standard };
    };
    let mut section = reader.section(&taken.node, &taken.path);
    let has_null = ["gzip", "brotli", "zstd"].iter().any(|name| section.is_null(name));
    let mut level = |reader: &mut Reader<'_>, name, most| {
        let taken = section.take(name)?;
        Some(reader.number(&taken, 1, most).and_then(|number| u32::try_from(number).ok()))
    };
    let named = [level(reader, "gzip", 9), level(reader, "brotli", 11), level(reader, "zstd", 19)];
    let [gzip, brotli, zstd] = named.map(Option::flatten);
    let types = section.take("types").map(|taken| types(reader, &taken));
    let min_bytes = section.take("min_bytes").and_then(|taken| reader.size(&taken));
    reader.finish(&section);
    // Who writes types or a length and no coding does not mean to turn the codings off.
    let is_about_levels = has_null || named.iter().any(Option::is_some);
    let levels = if is_about_levels { Levels { gzip, brotli, zstd } } else { standard.levels };
    Compression {
        levels,
        types: types.unwrap_or(standard.types),
        min_bytes: min_bytes.unwrap_or(standard.min_bytes),
    }
}

fn types(reader: &mut Reader<'_>, taken: &Taken) -> Vec<MediaRange> {
    let mut types = Vec::new();
    for item in reader.list(taken) {
        let Some(text) = reader.name(&item) else { continue };
        match MediaRange::parse(&text) {
            Some(range) if range.is_vain() => {
                let says = format!(
                    "`{text}` is never coded: it is compressed already, or must arrive as it is written"
                );
                reader.fault(item.node.at, &item.path, says, "leave it out");
            }
            Some(range) => types.push(range),
            None => {
                let remedy = "write one such as application/json, text/* or *+json";
                reader.fault(item.node.at, &item.path, format!("`{text}` is no media type"), remedy);
            }
        }
    }
    types
}
