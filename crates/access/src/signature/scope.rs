//! The credential of version 4: `key/20130524/us-east-1/s3/aws4_request`.

use super::{Scope, SignatureError, SignatureResult};

/// A credential, taken apart.
#[derive(Clone, Debug)]
pub(super) struct Credential {
    pub(super) access_key: String,
    pub(super) date: String,
    pub(super) region: String,
    pub(super) service: String,
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
        if date.len() != 8 || !date.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(malformed(format!("{date:?} in the credential is no date")));
        }
        if !scope.regions.iter().any(|known| known == region) {
            return Err(SignatureError::WrongRegion {
                presented: region.to_owned(),
                expected: scope.regions.first().cloned().unwrap_or_default(),
            });
        }
        Ok(Credential {
            access_key: access_key.to_owned(),
            date: date.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
        })
    }

    /// The day of the credential must be the request's, whose basic form this is.
    pub(super) fn check_day(
        &self,
        date: &str,
        malformed: &dyn Fn(String) -> SignatureError,
    ) -> SignatureResult<()> {
        if date.starts_with(&self.date) {
            return Ok(());
        }
        Err(malformed(
            "the day of the credential is not that of the request".to_owned(),
        ))
    }

    /// What is signed of it.
    pub(super) fn scope(&self) -> String {
        format!(
            "{}/{}/{}/aws4_request",
            self.date, self.region, self.service
        )
    }
}
