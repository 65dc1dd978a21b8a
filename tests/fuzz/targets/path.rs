//! The canonical path: what is matched, limited, keyed and forwarded.

use super::{Target, text};
use tidegate::route::{EncodedSlash, canonical_path};

pub(crate) const TARGET: Target = Target {
    name: "path",
    holds,
    words: &[
        "/", "//", "/./", "/../", ".", "..", "%2e", "%2E%2e", "%2f", "%2F", "%5c", "\\", "%00", "%25", "%",
        "%252e", ";", "/..;/", "%3b", "?", "#", "%7e", "%c3%a9", "%0a", " ", "{id}", "[", "|", "%7F", "%ff",
    ],
    seeds: &[],
};

/// What no backend may be made to see.
const NEVER: &[&str] = &["//", "/../", "/./", "%00", "%5C", "\\", "%2E", "%0", "%1", "%7F", "?", "#"];

fn holds(input: &[u8]) {
    let raw = text(input);
    let rejecting = canonical_path(&raw, EncodedSlash::Reject);
    let keeping = canonical_path(&raw, EncodedSlash::Keep);
    for (slash, path) in [(EncodedSlash::Reject, &rejecting), (EncodedSlash::Keep, &keeping)] {
        let Ok(path) = path else { continue };
        assert!(path.starts_with('/'), "{path} is not absolute");
        assert!(path.bytes().all(|byte| byte.is_ascii_graphic()), "{path:?} is not plain");
        assert!(!path.ends_with("/..") && !path.ends_with("/."), "{path} ends in a dot segment");
        for never in NEVER {
            assert!(!path.contains(never), "{path} has {never}");
        }
        assert!(slash == EncodedSlash::Keep || !path.contains("%2F"), "{path} has an encoded slash");
        assert_eq!(canonical_path(path, slash).as_ref(), Ok(path), "not its own canonical path");
    }
    if rejecting.is_ok() {
        assert_eq!(rejecting, keeping, "a path without encoded slashes is the same under both rules");
    }
}
