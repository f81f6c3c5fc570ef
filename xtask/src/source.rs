//! Rust source as the tidy rules see it: without comments, without tests.

/// The lines of a file before its inline test module.
pub fn product(source: &str) -> &str {
    let mut from = 0;
    while let Some(at) = source[from..].find("#[cfg(test)]\nmod ") {
        let item = from + at + "#[cfg(test)]\n".len();
        let line = source[item..].lines().next().unwrap_or_default();
        if line.ends_with('{') {
            return &source[..from + at];
        }
        from = item;
    }
    source
}

/// The code of a file: comments become nothing, strings stay.
pub fn without_comments(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    for line in source.lines() {
        code.push_str(&line[..comment_start(line)]);
        code.push('\n');
    }
    code
}

/// Where a line comment starts; the line's end when there is none.
fn comment_start(line: &str) -> usize {
    let mut in_string = false;
    let mut escaped = false;
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' if !line[..at].ends_with('\'') => in_string = !in_string,
            b'/' if !in_string && line[at..].starts_with("//") => return at,
            _ => {}
        }
    }
    line.len()
}

/// The words of code in lower case: identifiers are split at underscores and at capitals.
pub fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for run in line.split(|c: char| !c.is_alphanumeric()) {
        let mut word = String::new();
        let mut lower = false;
        for c in run.chars() {
            if c.is_uppercase() && lower {
                words.push(std::mem::take(&mut word));
            }
            lower = c.is_lowercase() || c.is_numeric();
            word.extend(c.to_lowercase());
        }
        if !word.is_empty() {
            words.push(word);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_no_product() {
        assert_eq!(product("a\n#[cfg(test)]\nmod tests {\nb\n}\n"), "a\n");
        let elsewhere = "#[cfg(test)]\nmod tests;\nb\n";
        assert_eq!(product(elsewhere), elsewhere);
    }

    #[test]
    fn comments_go_and_strings_stay() {
        assert_eq!(without_comments("//! all"), "\n");
        assert_eq!(without_comments("a(\"x//y\") // no"), "a(\"x//y\") \n");
        assert_eq!(without_comments("'\"' // no"), "'\"' \n");
    }

    #[test]
    fn words_split_as_people_read_them() {
        assert_eq!(
            words("toS3Name(etag_of)"),
            ["to", "s3", "name", "etag", "of"]
        );
    }
}
