//! The names that this dialect gives to buckets: stricter than the index that they are claimed in.
//!
//! Binds only what is created here; a bucket that another dialect named is reached as it is called.

/// Whether a new bucket may have this name.
pub(crate) fn is_bucket_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let edge = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    (3..=63).contains(&bytes.len())
        && bytes.iter().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.')
        })
        && edge(bytes.first())
        && edge(bytes.last())
        && !["..", ".-", "-."].iter().any(|pair| name.contains(pair))
        && !is_address(name)
        && !["xn--", "sthree-", "amzn-s3-demo-"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
        && !["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"]
            .iter()
            .any(|suffix| name.ends_with(suffix))
}

/// Whether the name looks like an IPv4 address.
fn is_address(name: &str) -> bool {
    let parts: Vec<&str> = name.split('.').collect();
    parts.len() == 4
        && parts
            .iter()
            .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The bucket that a host names, when it lies below one of the server's own host names. A bucket's
/// name may have dots.
pub(crate) fn bucket_of_host<'a>(host: &'a str, domains: &[String]) -> Option<&'a str> {
    let host = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    domains.iter().find_map(|domain| {
        let cut = host.len().checked_sub(domain.len())?;
        let (bucket, rest) = (host.get(..cut)?, host.get(cut..)?);
        let bucket = bucket.strip_suffix('.')?;
        (rest.eq_ignore_ascii_case(domain) && !bucket.is_empty()).then_some(bucket)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_names_follow_the_protocol_s_rules() {
        for good in ["abc", "a-b.c", "1.2.3", "a--b", &"a".repeat(63)] {
            assert!(is_bucket_name(good), "{good}");
        }
        for bad in [
            "ab",
            "",
            &"a".repeat(64),
            "Abc",
            "a_b",
            "-ab",
            "ab-",
            ".ab",
            "ab.",
            "a..b",
            "192.168.5.123",
            "xn--a",
            "a-s3alias",
            "é--a",
            "a b",
            "bar-.foo",
            "bar.-foo",
        ] {
            assert!(!is_bucket_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_host_names_a_bucket_below_the_server_s_own_names() {
        let domains = ["s3.example.com".to_owned(), "localhost".to_owned()];
        let bucket = |host| bucket_of_host(host, &domains);
        assert_eq!(bucket("photos.s3.example.com"), Some("photos"));
        assert_eq!(bucket("my.photos.S3.Example.com:9000"), Some("my.photos"));
        assert_eq!(bucket("b.localhost:80"), Some("b"));
        for none in [
            "s3.example.com",
            "localhost:9000",
            "evils3.example.com",
            ".localhost",
            "x",
        ] {
            assert_eq!(bucket(none), None, "{none}");
        }
    }
}
