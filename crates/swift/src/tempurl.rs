//! Temporary URLs: a signature in the query that lets anybody who has it do one thing.

use crate::query::Query;
use crate::signature::Signature;
use crate::target::quote;
use crate::times;
use std::net::IpAddr;
use trestle_core::Timestamp;

/// How far a valid signature reaches, by whose key made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Account,
    Container,
}

/// The part of a query that makes a temporary URL.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parameters {
    sig: Option<String>,
    expires: Option<String>,
    /// What object names must start with.
    pub(crate) prefix: Option<String>,
    filename: Option<String>,
    inline: bool,
    ip_range: Option<String>,
}

/// What a temporary URL is used on.
pub(crate) struct Use<'a> {
    pub(crate) method: &'a str,
    pub(crate) account: &'a str,
    pub(crate) container: &'a str,
    pub(crate) object: &'a str,
    pub(crate) remote: Option<IpAddr>,
    pub(crate) now: Timestamp,
}

impl Parameters {
    /// The parameters of a query; none when it is no temporary URL.
    pub(crate) fn of(query: &Query) -> Option<Self> {
        let get = |name| query.get(name).map(str::to_owned);
        let parameters = Parameters {
            sig: get("temp_url_sig"),
            expires: get("temp_url_expires"),
            prefix: get("temp_url_prefix"),
            filename: get("filename"),
            inline: query.has("inline"),
            ip_range: get("temp_url_ip_range"),
        };
        (parameters.sig.is_some() || parameters.expires.is_some()).then_some(parameters)
    }

    /// When it ends, in seconds.
    pub(crate) fn expires(&self) -> Option<u64> {
        let text = self.expires.as_deref()?;
        match times::integer(text) {
            Some(seconds) => u64::try_from(seconds).ok(),
            None => times::parse_iso(text),
        }
    }

    /// Whether one of `keys` signed it for this use, and how far it reaches. Says nothing about why
    /// not.
    pub(crate) fn verify(&self, used: &Use<'_>, keys: &[(String, Scope)]) -> Option<Scope> {
        let expires = self.expires()?;
        if expires < used.now.seconds() {
            return None;
        }
        let signature = Signature::parse(self.sig.as_deref()?)?;
        if let Some(range) = &self.ip_range
            && !range.is_empty()
            && !in_range(range, used.remote?)?
        {
            return None;
        }
        let (mark, name) = match &self.prefix {
            Some(prefix) if used.object.starts_with(prefix.as_str()) => {
                ("prefix:", prefix.as_str())
            }
            Some(_) => return None,
            None => ("", used.object),
        };
        let path = format!("{mark}/v1/{}/{}/{name}", used.account, used.container);
        let methods: &[&str] = match used.method {
            "HEAD" => &["HEAD", "GET", "POST", "PUT"],
            _ => &[used.method],
        };
        let range = match &self.ip_range {
            Some(range) if !range.is_empty() => format!("ip={range}\n"),
            _ => String::new(),
        };
        keys.iter()
            .find(|(key, _)| {
                methods.iter().any(|method| {
                    let text = format!("{range}{method}\n{expires}\n{path}");
                    signature.verifies(key, &text)
                })
            })
            .map(|(_, scope)| *scope)
    }

    /// The Content-Disposition of what is downloaded by it. `stored` is the object's own.
    pub(crate) fn disposition(&self, object: &str, stored: Option<&str>, page: bool) -> String {
        if self.inline || page {
            return match &self.filename {
                Some(name) if !name.is_empty() => disposition("inline", name),
                _ => "inline".to_owned(),
            };
        }
        match (&self.filename, stored) {
            (Some(name), _) if !name.is_empty() => disposition("attachment", name),
            (_, Some(stored)) => stored.replace('\n', "%0A"),
            _ => {
                let path = object.trim_end_matches('/');
                disposition("attachment", path.rsplit('/').next().unwrap_or(path))
            }
        }
    }

    /// The query that links of a listing below its prefix carry on.
    pub(crate) fn carried(&self) -> String {
        let Some(prefix) = &self.prefix else {
            return String::new();
        };
        let expires = self.expires.as_deref().unwrap_or_default();
        let sig = self.sig.as_deref().unwrap_or_default();
        let mut parts = vec![
            format!("temp_url_prefix={}", quote(prefix)),
            format!("temp_url_expires={}", quote(expires)),
            format!("temp_url_sig={}", quote(sig)),
        ];
        if let Some(range) = &self.ip_range {
            parts.push(format!("temp_url_ip_range={}", quote(range)));
        }
        if self.inline {
            parts.push("inline".to_owned());
        }
        format!("?{}", parts.join("&amp;"))
    }
}

fn disposition(kind: &str, name: &str) -> String {
    // RFC 6266: the plain form for old clients keeps spaces.
    let plain = quote(name).replace("%20", " ");
    let encoded = quote(name).replace('/', "%2F");
    format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

/// Whether an address lies in a network; none when the network is malformed, or has bits set beyond
/// its length.
fn in_range(range: &str, address: IpAddr) -> Option<bool> {
    let (network, length) = match range.split_once('/') {
        Some((network, length)) => (network, Some(length.parse::<u32>().ok()?)),
        None => (range, None),
    };
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)) << 96, 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    };
    let network: IpAddr = network.parse().ok()?;
    let (start, width) = bits(network);
    let length = length.unwrap_or(width);
    if length > width {
        return None;
    }
    let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
    if start & !mask != 0 {
        return None;
    }
    let (place, other) = bits(address.to_canonical());
    Some(other == width && place & mask == start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::{Algorithm, signed};

    const NOW: Timestamp = Timestamp(1_000_000_000_000);

    fn used<'a>(method: &'a str, object: &'a str) -> Use<'a> {
        Use {
            method,
            account: "AUTH_a",
            container: "c",
            object,
            remote: Some([10, 1, 2, 3].into()),
            now: NOW,
        }
    }

    fn verify(query: &str, used: &Use<'_>) -> Option<Scope> {
        let keys = [
            ("other".to_owned(), Scope::Account),
            ("key".to_owned(), Scope::Container),
        ];
        let query = Query::parse(Some(query)).unwrap();
        Parameters::of(&query)?.verify(used, &keys)
    }

    fn sig(text: &str) -> String {
        signed(Algorithm::Sha256, "key", text)
    }

    #[test]
    fn a_signature_is_for_one_method_path_and_time() {
        let get = sig("GET\n1000001\n/v1/AUTH_a/c/o");
        let query = format!("temp_url_sig={get}&temp_url_expires=1000001");
        assert_eq!(verify(&query, &used("GET", "o")), Some(Scope::Container));
        assert_eq!(verify(&query, &used("HEAD", "o")), Some(Scope::Container));
        assert_eq!(verify(&query, &used("PUT", "o")), None);
        assert_eq!(verify(&query, &used("GET", "p")), None);
        let iso = format!("temp_url_sig={get}&temp_url_expires=1970-01-12T13:46:41Z");
        assert_eq!(verify(&iso, &used("GET", "o")), Some(Scope::Container));
        let other = format!("temp_url_sig={get}&temp_url_expires=1000002");
        assert_eq!(verify(&other, &used("GET", "o")), None);
        let old = sig("GET\n999999\n/v1/AUTH_a/c/o");
        let old = format!("temp_url_sig={old}&temp_url_expires=999999");
        assert_eq!(verify(&old, &used("GET", "o")), None);
        for query in [
            format!("temp_url_sig={get}"),
            "temp_url_expires=1000001".into(),
            format!("temp_url_sig={get}&temp_url_expires=x"),
            format!("temp_url_sig={get}&temp_url_expires=-1"),
        ] {
            assert_eq!(verify(&query, &used("GET", "o")), None, "{query}");
        }
        assert!(Parameters::of(&Query::parse(Some("inline")).unwrap()).is_none());
    }

    #[test]
    fn prefixes_and_addresses_bind() {
        let by_prefix = sig("GET\n1000001\nprefix:/v1/AUTH_a/c/dir/");
        let query =
            format!("temp_url_sig={by_prefix}&temp_url_expires=1000001&temp_url_prefix=dir/");
        assert_eq!(
            verify(&query, &used("GET", "dir/x")),
            Some(Scope::Container)
        );
        assert_eq!(verify(&query, &used("GET", "di")), None);
        for (range, expected) in [
            ("10.1.2.3", Some(Scope::Container)),
            ("10.1.2.0/24", Some(Scope::Container)),
            ("0.0.0.0/0", Some(Scope::Container)),
            ("10.1.3.0/24", None),
            ("10.1.2.3/24", None),
            ("::/0", None),
            ("x", None),
            ("10.1.2.0/33", None),
        ] {
            let ip = sig(&format!("ip={range}\nGET\n1000001\n/v1/AUTH_a/c/o"));
            let query =
                format!("temp_url_sig={ip}&temp_url_expires=1000001&temp_url_ip_range={range}");
            assert_eq!(verify(&query, &used("GET", "o")), expected, "{range}");
            let mut unknown = used("GET", "o");
            unknown.remote = None;
            assert_eq!(verify(&query, &unknown), None);
        }
    }

    #[test]
    fn downloads_are_named() {
        let of = |query: &str| {
            let query = format!("temp_url_sig=x&{query}");
            Parameters::of(&Query::parse(Some(&query)).unwrap()).unwrap()
        };
        assert_eq!(
            of("").disposition("d/a b.txt", None, false),
            "attachment; filename=\"a b.txt\"; filename*=UTF-8''a%20b.txt"
        );
        assert_eq!(of("").disposition("o", Some("kept"), false), "kept");
        assert_eq!(of("inline").disposition("o", Some("kept"), false), "inline");
        assert_eq!(
            of("filename=a/b").disposition("o", Some("kept"), false),
            "attachment; filename=\"a/b\"; filename*=UTF-8''a%2Fb"
        );
        assert_eq!(of("").disposition("o", None, true), "inline");
    }
}
