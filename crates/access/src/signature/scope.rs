//! The credential of version 4: `key/20130524/us-east-1/s3/aws4_request`.

use super::{Scope, SignatureError, SignatureResult};

/// Bytes of the day that a scope begins with.
const DAY_BYTES: usize = 8;

/// A credential that is for what it must be for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Credential<'a> {
    /// The access key whose secret is needed.
    pub(super) access_key: &'a str,
    /// What is signed of it: all after the access key.
    pub(super) scope: &'a str,
}

impl<'a> Credential<'a> {
    /// Reads a credential and holds it against what it must be for. `malformed` makes the error of
    /// the place where it stood.
    pub(super) fn parse(
        text: &'a str,
        scope: &Scope<'_>,
        malformed: &dyn Fn(String) -> SignatureError,
    ) -> SignatureResult<Credential<'a>> {
        let wrong = || {
            malformed(
                "the credential is not ACCESS-KEY/YYYYMMDD/REGION/SERVICE/aws4_request".to_owned(),
            )
        };
        // From the right: an access key may hold a slash.
        let mut rest = text;
        let mut next = || {
            let slash = rest.bytes().rposition(|byte| byte == b'/');
            let (before, part) = rest.split_at_checked(slash?)?;
            rest = before;
            part.get(1..).filter(|part| !part.is_empty())
        };
        let (Some(terminator), Some(service), Some(region), Some(date)) =
            (next(), next(), next(), next())
        else {
            return Err(wrong());
        };
        let access_key = rest;
        if access_key.is_empty() {
            return Err(wrong());
        }
        if terminator != "aws4_request" {
            return Err(SignatureError::WrongScope(
                "the credential does not end with \"aws4_request\"".to_owned(),
            ));
        }
        if service != scope.service {
            return Err(SignatureError::WrongScope(format!(
                "the credential is for the service {service:?}, not {:?}",
                scope.service
            )));
        }
        if date.len() != DAY_BYTES || !date.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(malformed(format!("{date:?} in the credential is no date")));
        }
        if !scope.regions.iter().any(|known| known == region) {
            return Err(SignatureError::WrongRegion {
                presented: region.to_owned(),
                expected: scope.regions.first().cloned().unwrap_or_default(),
            });
        }
        Ok(Credential {
            access_key,
            scope: text.get(access_key.len() + 1..).unwrap_or_default(),
        })
    }

    /// The day of the credential must be the request's, whose basic form this is.
    pub(super) fn check_day(
        self,
        date: &str,
        malformed: &dyn Fn(String) -> SignatureError,
    ) -> SignatureResult<()> {
        let day = self.scope.get(..DAY_BYTES);
        if day.is_some_and(|day| date.starts_with(day)) {
            return Ok(());
        }
        Err(malformed(
            "the day of the credential is not that of the request".to_owned(),
        ))
    }
}
