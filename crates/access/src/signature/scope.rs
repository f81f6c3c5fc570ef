//! The credential of version 4: `key/20130524/us-east-1/s3/aws4_request`.

use super::{Scope, SignatureError, SignatureResult};

/// Bytes of the day that a scope begins with.
const DAY_BYTES: usize = 8;

/// A credential that is for what it must be for.
#[derive(Clone, Debug)]
pub(super) struct Credential {
    /// As it was presented.
    text: String,
    /// Where the slash after the access key is.
    slash: usize,
}

impl Credential {
    /// Reads a credential and holds it against what it must be for. `malformed` makes the error of
    /// the place where it stood.
    pub(super) fn parse(
        text: &str,
        scope: &Scope<'_>,
        malformed: &dyn Fn(String) -> SignatureError,
    ) -> SignatureResult<Credential> {
        let wrong = || {
            malformed(
                "the credential is not ACCESS-KEY/YYYYMMDD/REGION/SERVICE/aws4_request".to_owned(),
            )
        };
        // From the right: an access key may hold a slash.
        let mut parts = text.rsplitn(5, '/');
        let mut next = || {
            parts
                .next()
                .filter(|part| !part.is_empty())
                .ok_or_else(wrong)
        };
        let (terminator, service) = (next()?, next()?);
        let (region, date, access_key) = (next()?, next()?, next()?);
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
            text: text.to_owned(),
            slash: access_key.len(),
        })
    }

    /// The access key whose secret is needed.
    pub(super) fn access_key(&self) -> &str {
        self.text.get(..self.slash).unwrap_or_default()
    }

    /// What is signed of it: all after the access key.
    pub(super) fn scope(&self) -> &str {
        self.text.get(self.slash + 1..).unwrap_or_default()
    }

    /// The day of the credential must be the request's, whose basic form this is.
    pub(super) fn check_day(
        &self,
        date: &str,
        malformed: &dyn Fn(String) -> SignatureError,
    ) -> SignatureResult<()> {
        let day = self.scope().get(..DAY_BYTES);
        if day.is_some_and(|day| date.starts_with(day)) {
            return Ok(());
        }
        Err(malformed(
            "the day of the credential is not that of the request".to_owned(),
        ))
    }
}
