//! The configuration: every text is refused with places inside it, or makes a whole snapshot.

use super::{Target, text};
use tidegate::config::{Env, Source, effective, load};

pub(crate) const TARGET: Target = Target {
    name: "config",
    holds,
    words: &[
        "\n",
        "\n  ",
        "- ",
        ": ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "&a ",
        "*a",
        "<<: *a",
        "!!str ",
        "? ",
        "| ",
        "> ",
        "\"",
        "'",
        "#",
        "---\n",
        "...\n",
        "%YAML 1.2\n",
        "\t",
        "${X}",
        "${X:-1}",
        "${",
        "null",
        "~",
        "true",
        "0",
        "-1",
        "1e9",
        "0x10",
        "99999999999999999999",
        "1m",
        "0s",
        "64KiB",
        "127.0.0.1:0",
        "[::1]:0",
        "/",
        "/{a}",
        "~^/(a+)+$",
        "path: ",
        "limit: ",
        "cache: ",
        "windows: ",
        "per: ",
        "server:",
        "listen: ",
        "upstreams:",
        "routes:",
        "\u{85}",
        "\u{2028}",
        "\u{feff}",
        "\r\n",
        "é",
    ],
    seeds: &["tests/configs/bad", "config"],
};

fn holds(input: &[u8]) {
    let given = text(input);
    let env = Env::of(&[("X", "a: b")]);
    let source = Source::Text { name: "f.yaml".to_owned(), text: given.clone().into_owned() };
    match load(&source, &env, 1) {
        Ok(loaded) => {
            assert_eq!(loaded.text, given);
            assert!(effective(&loaded.snapshot).is_object());
        }
        Err(faults) => {
            assert!(!faults.list.is_empty(), "refused without a reason");
            // YAML's line breaks are CR LF, LF and CR.
            let lines = given.lines().flat_map(|line| line.split('\r')).count().max(1);
            for fault in &faults.list {
                // A text may end where something was awaited: the line after the last.
                assert!(
                    (1..=lines + 1).contains(&fault.at.line),
                    "{:?} of {lines} lines: {}",
                    fault.at,
                    fault.says
                );
                assert!(fault.at.column >= 1, "{fault:?}");
                assert!(!fault.says.is_empty() && !fault.remedy.is_empty(), "{fault:?}");
            }
            assert!(faults.to_string().lines().count() >= faults.list.len());
            assert!(faults.list.windows(2).all(|two| two[0].at <= two[1].at), "not in the order of the file");
        }
    }
}
