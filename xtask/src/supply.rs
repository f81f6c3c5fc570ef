//! Licences, sources and bans of everything that is built: the part of cargo-deny that this project
//! needs, over `cargo metadata`, so that a fresh machine need not build cargo-deny first.

use crate::workspace::{list, metadata, text};

/// Licences that may be linked into an Apache-2.0 binary without further duties than a notice.
const LICENCES: [&str; 14] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BlueOak-1.0.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
    "bzip2-1.0.6",
];

/// The one registry.
const SOURCE: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Crates that must not come in through anybody: each needs a library of the system.
const BANNED: [&str; 3] = ["openssl-sys", "libz-sys", "libsqlite3-sys"];

/// What is wrong with the dependencies.
pub fn check() -> Result<Vec<String>, String> {
    let metadata = metadata(true)?;
    let mut found = Vec::new();
    for package in list(&metadata, "packages") {
        let name = format!("{} {}", text(package, "name"), text(package, "version"));
        if !allowed(text(package, "license")) {
            found.push(format!(
                "{name}: the licence \"{}\" is not on the list",
                text(package, "license")
            ));
        }
        let id = text(package, "id");
        let ours = list(&metadata, "workspace_members")
            .iter()
            .any(|member| member.as_str() == Some(id));
        if !ours && text(package, "source") != SOURCE {
            found.push(format!("{name}: does not come from crates.io"));
        }
        if BANNED.contains(&text(package, "name")) {
            found.push(format!("{name}: needs a library of the system"));
        }
    }
    Ok(found)
}

/// Whether an SPDX expression leaves a choice that is wholly on the list.
fn allowed(expression: &str) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let mut words: Vec<&str> = spaced.split_whitespace().rev().collect();
    either(&mut words) == Some(true) && words.is_empty()
}

/// `both OR both OR …`; `words` is a stack with the next word on top. None when malformed.
fn either(words: &mut Vec<&str>) -> Option<bool> {
    let mut result = both(words)?;
    while words.last() == Some(&"OR") {
        words.pop();
        result |= both(words)?;
    }
    Some(result)
}

/// `one AND one AND …`.
fn both(words: &mut Vec<&str>) -> Option<bool> {
    let mut result = one(words)?;
    while words.last() == Some(&"AND") {
        words.pop();
        result &= one(words)?;
    }
    Some(result)
}

/// A licence, with its exception when it has one, or an expression in brackets.
fn one(words: &mut Vec<&str>) -> Option<bool> {
    let word = words.pop()?;
    if word == "(" {
        let result = either(words)?;
        return (words.pop()? == ")").then_some(result);
    }
    if words.last() == Some(&"WITH") {
        words.pop();
        let whole = format!("{word} WITH {}", words.pop()?);
        return Some(LICENCES.contains(&whole.as_str()));
    }
    Some(LICENCES.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_read_as_spdx_means_them() {
        for good in [
            "MIT",
            "MIT/Apache-2.0",
            "MIT OR Apache-2.0 OR LGPL-2.1-or-later",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
        ] {
            assert!(allowed(good), "{good}");
        }
        for bad in [
            "",
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "(MIT OR ISC) AND GPL-3.0",
            "(MIT",
            "MIT)",
            "MIT WITH some-exception",
        ] {
            assert!(!allowed(bad), "{bad}");
        }
    }

    #[test]
    fn every_dependency_is_allowed() {
        assert_eq!(check(), Ok(Vec::new()));
    }
}
