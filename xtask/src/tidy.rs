//! `cargo xtask tidy`: rules of this repository that the compiler and clippy do not know.

use crate::layers;
use crate::source::{product, without_comments, words};
use crate::workspace::{read, root, rust_files};
use std::path::Path;

/// Longest file, in lines before its tests.
const LINES_MAX: usize = 800;

/// Crates that know nothing of HTTP or of a dialect.
const NEUTRAL: [&str; 5] = ["core", "host", "engine", "engine-embedded", "store"];

/// No word of their code starts with one of these.
const DIALECT_WORDS: [&str; 7] = ["http", "hyper", "etag", "s3", "swift", "cdmi", "amz"];

/// No code of theirs contains one of these, in any spelling of the gap.
const HEADER_NAMES: [&str; 9] = [
    "content type",
    "content length",
    "content range",
    "if match",
    "if none match",
    "if modified since",
    "last modified",
    "status code",
    "cache control",
];

/// Numbers that only mean a status.
const STATUS_CODES: [&str; 7] = ["404", "409", "412", "416", "429", "503", "507"];

/// The first path segments that no bucket may claim are names of dialects, kept in one list;
/// preconditions keep the names that RFC 9110 gives them.
const EXCEPTIONS: [(&str, &str); 4] = [
    ("crates/core/src/name.rs", "cdmi"),
    ("crates/core/src/precondition.rs", "if match"),
    ("crates/core/src/precondition.rs", "if none match"),
    ("crates/core/src/precondition.rs", "if modified since"),
];

/// What breaks a rule.
pub fn check() -> Result<Vec<String>, String> {
    let mut found = files()?;
    found.extend(layers::check()?);
    found.extend(dependencies()?);
    Ok(found)
}

fn files() -> Result<Vec<String>, String> {
    let root = root();
    let mut found = Vec::new();
    for folder in ["bench", "crates", "tests", "xtask"] {
        for path in rust_files(&root.join(folder))? {
            let name = path.strip_prefix(&root).unwrap_or(&path);
            found.extend(file(name, &read(&path)?));
        }
    }
    Ok(found)
}

fn file(path: &Path, source: &str) -> Vec<String> {
    let name = path.display();
    let parts: Vec<&str> = path.iter().filter_map(|part| part.to_str()).collect();
    let mut found = Vec::new();
    let lines = product(source).lines().count();
    if lines > LINES_MAX {
        found.push(format!("{name}: {lines} lines, over {LINES_MAX}"));
    }
    if let ["crates", owner, "src", ..] = parts[..] {
        if !source.starts_with("//!") && !is_test(path) {
            found.push(format!("{name}: does not open with `//!`"));
        }
        if NEUTRAL.contains(&owner) && !is_test(path) {
            found.extend(banned(&name.to_string(), source));
        }
    }
    found
}

fn is_test(path: &Path) -> bool {
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    stem.is_some_and(|stem| stem == "tests" || stem.ends_with("_tests"))
        || path.iter().any(|part| part == "tests")
}

fn banned(name: &str, source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in without_comments(product(source)).lines().enumerate() {
        for token in line.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_') {
            let words = words(token);
            let text = format!(" {} ", words.join(" "));
            let word = |word: &&str| {
                DIALECT_WORDS.iter().any(|start| word.starts_with(start))
                    || STATUS_CODES.contains(word)
            };
            let headers = HEADER_NAMES
                .into_iter()
                .filter(|name| text.contains(&format!(" {name} ")));
            for what in words.iter().map(String::as_str).filter(word).chain(headers) {
                if !EXCEPTIONS.contains(&(name, what)) {
                    let line = number + 1;
                    found.push(format!("{name}:{line}: \"{what}\" has no place here"));
                }
            }
        }
    }
    found
}

/// Every workspace dependency has its line in the documentation, and no line is left over.
fn dependencies() -> Result<Vec<String>, String> {
    let manifest = read(&root().join("Cargo.toml"))?;
    let documented = read(&root().join("docs/dependencies.md"))?;
    let used: Vec<&str> = manifest
        .lines()
        .skip_while(|line| *line != "[workspace.dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, _)| name)
        .filter(|name| !name.starts_with("trestle-"))
        .collect();
    let lines: Vec<&str> = documented
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name)
        .collect();
    let missing = used.iter().filter(|name| !lines.contains(name));
    let stale = lines.iter().filter(|name| !used.contains(name));
    Ok(missing
        .map(|name| format!("docs/dependencies.md: says nothing of {name}"))
        .chain(stale.map(|name| format!("docs/dependencies.md: {name} is not used")))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_tidy() {
        assert_eq!(check(), Ok(Vec::new()));
    }

    #[test]
    fn words_of_a_dialect_are_found_in_code_only() {
        let path = Path::new("crates/store/src/put.rs");
        assert!(file(path, "//! As HTTP and S3 say.\nfn put() {}\n").is_empty());
        for bad in [
            "struct HttpError;",
            "let name = \"x-amz-acl\";",
            "fn set_content_type() {}",
            "const FULL: u16 = 507;",
            "fn s3() {}",
        ] {
            let found = file(path, &format!("//! Module.\n{bad}\n"));
            assert_eq!(found.len(), 1, "{bad}: {found:?}");
        }
        let tested = "//! Module.\n#[cfg(test)]\nmod tests {\n  let s3 = 1;\n}\n";
        assert!(file(path, tested).is_empty());
        assert!(file(Path::new("crates/rest/src/lib.rs"), "//! S3.\nfn s3() {}\n").is_empty());
    }

    #[test]
    fn long_and_unexplained_files_are_found() {
        let path = Path::new("crates/rest/src/lib.rs");
        assert_eq!(file(path, "fn f() {}\n").len(), 1);
        let long = format!("//! Long.\n{}", "\n".repeat(LINES_MAX));
        assert_eq!(file(path, &long).len(), 1);
    }
}
