//! Patterns of a purge: `*` stands for any characters, also `/` and none; everything else for itself.

/// Does `pattern` match the whole of `text`? At most pattern × text steps: two fingers and the last star to go back to.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        match (pattern.get(p), text.get(t)) {
            (Some(b'*'), _) => {
                star = Some((p, t));
                p += 1;
            }
            (Some(wanted), Some(found)) if wanted == found => {
                p += 1;
                t += 1;
            }
            (None, None) => return true,
            // A character more for the last star.
            (_, Some(_)) if star.is_some() => {
                let Some((at, covered)) = star else { return false };
                star = Some((at, covered + 1));
                (p, t) = (at + 1, covered + 1);
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, word for word.
    fn model(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => {
                model(rest, text) || text.split_first().is_some_and(|(_, more)| model(pattern, more))
            }
            (Some((wanted, rest)), Some((found, more))) => wanted == found && model(rest, more),
            _ => false,
        }
    }

    #[test]
    fn a_star_is_anything_and_the_rest_is_literal() {
        for (pattern, text, expected) in [
            ("/a/*", "/a/b/c?x=1", true),
            ("/a/*", "/a/", true),
            ("/a/*", "/a", false),
            ("*.json", "/x/y.json", true),
            ("/a*c*e", "/abcde", true),
            ("/a.c", "/abc", false),
            ("", "", true),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn it_is_what_its_definition_says(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
            prop_assert_eq!(matches(&pattern, &text), model(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
