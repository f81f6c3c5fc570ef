//! What a request presents to say who it is from: one credential, a certificate, or nothing.

use crate::basic::BasicCredentials;
use crate::client::Client;
use http::header::AUTHORIZATION;
use http::{Extensions, HeaderMap};
use std::net::IpAddr;
use trestle_core::{Error, Result};

/// A credential of the Authorization header.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A user and a password (RFC 7617).
    Basic(BasicCredentials),
    /// A token (RFC 6750).
    Bearer(String),
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Credentials::Basic(basic) => basic.fmt(f),
            Credentials::Bearer(_) => f.write_str("Bearer"),
        }
    }
}

/// What a request presents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presented {
    /// What its Authorization header says.
    pub credentials: Option<Credentials>,
    /// The SHA-256 of the certificate that the client proved to be its own, in hexadecimal.
    pub certificate: Option<String>,
    /// Where it comes from.
    pub source: Option<IpAddr>,
}

impl Presented {
    /// Of a request's headers, and of what the connection knows.
    ///
    /// # Errors
    /// `InvalidInput` for anything else than one well-formed header: a malformed credential is never
    /// taken for none.
    pub fn of(headers: &HeaderMap, extensions: &Extensions) -> Result<Presented> {
        let client = extensions.get::<Client>();
        Ok(Presented {
            credentials: credentials(headers)?,
            certificate: client.and_then(certificate),
            source: client.map(|client| client.address),
        })
    }

    /// Whether it presents nothing at all.
    pub fn is_nothing(&self) -> bool {
        self.credentials.is_none() && self.certificate.is_none()
    }
}

#[cfg(feature = "tls")]
fn certificate(client: &Client) -> Option<String> {
    client.certificate.as_ref().map(|one| one.fingerprint())
}

#[cfg(not(feature = "tls"))]
fn certificate(_client: &Client) -> Option<String> {
    None
}

/// What stands before a token.
const BEARER: &[u8] = b"bearer ";

/// Whether these are bytes of a token alone. It looks at all of them, several at once.
fn is_token(bytes: &[u8]) -> bool {
    let plain = |byte: u8| {
        byte.is_ascii_alphanumeric()
            | (b'-'..=b'/').contains(&byte)
            | (byte == b'_')
            | (byte == b'~')
            | (byte == b'+')
            | (byte == b'=')
    };
    bytes.iter().fold(true, |all, byte| all & plain(*byte))
}

fn credentials(headers: &HeaderMap) -> Result<Option<Credentials>> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Error::invalid("more than one Authorization header"));
    }
    let bearer = first.and_then(|value| value.as_bytes().split_at_checked(BEARER.len()));
    if let Some((_, token)) = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case(BEARER)) {
        let malformed = || Error::invalid("the bearer token is not well-formed");
        let token = std::str::from_utf8(token).map_err(|_| malformed())?;
        let token = token.trim_start_matches(' ');
        if token.is_empty() || !is_token(token.as_bytes()) {
            return Err(malformed());
        }
        return Ok(Some(Credentials::Bearer(token.to_owned())));
    }
    Ok(BasicCredentials::presented(headers)?.map(Credentials::Basic))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presented(values: &[&str]) -> Result<Option<Credentials>> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        Ok(Presented::of(&headers, &Extensions::new())?.credentials)
    }

    #[test]
    fn only_one_well_formed_header_counts() {
        assert_eq!(presented(&[]).unwrap(), None);
        let token = Credentials::Bearer("a.b-c_d=".to_owned());
        assert_eq!(
            presented(&["bEARER a.b-c_d="]).unwrap(),
            Some(token.clone())
        );
        assert!(matches!(
            presented(&["Basic cm9vdDpw"]).unwrap(),
            Some(Credentials::Basic(_))
        ));
        for bad in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer a b",
            "Bearer a,b",
            "Digest x",
            "AWS a:b",
        ] {
            assert!(presented(&[bad]).is_err(), "{bad:?}");
        }
        for byte in 0..=255_u8 {
            let plain = byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
            assert_eq!(is_token(&[b'a', byte, b'z']), plain, "{byte}");
        }
        assert!(presented(&["Bearer a", "Basic cm9vdDpw"]).is_err());
        assert!(presented(&["Basic cm9vdDpw", "Bearer a"]).is_err());
        assert_eq!(format!("{token:?}"), "Bearer");
    }
}
