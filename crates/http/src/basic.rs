//! HTTP Basic credentials (RFC 7617).

use base64::Engine as _;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use trestle_core::{Error, Result};

/// A user and a password as presented.
#[derive(Clone, PartialEq, Eq)]
pub struct BasicCredentials {
    /// The user, without `:`.
    pub user: String,
    /// The password.
    pub password: String,
}

impl std::fmt::Debug for BasicCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BasicCredentials")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl BasicCredentials {
    /// The credentials of a request; none when it presents nothing.
    ///
    /// # Errors
    /// `InvalidInput` for anything else than one well-formed Basic header: a malformed credential is
    /// never anonymous.
    pub fn presented(headers: &HeaderMap) -> Result<Option<Self>> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        if values.next().is_some() {
            return Err(Error::invalid("more than one Authorization header"));
        }
        let malformed = || Error::invalid("the Authorization header is not well-formed Basic");
        let text = value.to_str().map_err(|_| malformed())?;
        let (scheme, token) = text.split_once(' ').ok_or_else(malformed)?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return Err(Error::invalid("only the Basic scheme is served"));
        }
        let decoded = base64::engine::general_purpose::STANDARD
            .decode(token.trim_start_matches(' '))
            .map_err(|_| malformed())?;
        let mut user = String::from_utf8(decoded).map_err(|_| malformed())?;
        let (name, password) = user.split_once(':').ok_or_else(malformed)?;
        let (end, password) = (name.len(), password.to_owned());
        user.truncate(end);
        Ok(Some(BasicCredentials { user, password }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presented(values: &[&str]) -> Result<Option<BasicCredentials>> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        BasicCredentials::presented(&headers)
    }

    #[test]
    fn only_one_well_formed_header_counts() {
        assert_eq!(presented(&[]).unwrap(), None);
        let found = presented(&["Basic cm9vdDpwYTpzcw=="]).unwrap().unwrap();
        assert_eq!(
            (found.user.as_str(), found.password.as_str()),
            ("root", "pa:ss")
        );
        assert!(presented(&["bASIC cm9vdDpwYTpzcw=="]).unwrap().is_some());
        for bad in [
            "",
            "Basic",
            "Basic ",
            "Basic !!",
            "Basic cm9vdA==",
            "Bearer x",
            "Basic /w==",
        ] {
            assert!(presented(&[bad]).is_err(), "{bad:?}");
        }
        assert!(presented(&["Basic cm9vdDpwYTpzcw==", "Basic cm9vdDpwYTpzcw=="]).is_err());
        assert!(!format!("{found:?}").contains("pa:ss"));
    }
}
