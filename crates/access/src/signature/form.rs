//! The signature of a browser's form: over its policy document, as it was sent.
//!
//! What the policy asks of the other fields is the dialect's to check.

use super::key::Mac;
use super::scope::Credential;
use super::{Mismatch, Scope, SecretKey, SignatureError, SignatureResult, instant, v2};
use crate::Signed;
use base64::Engine as _;
use trestle_core::Timestamp;

/// A signed form; not verified yet.
#[derive(Clone, Debug)]
pub struct SignedForm {
    access_key: String,
    token: Option<String>,
    policy: String,
    signature: Signature,
    /// When it says that it was signed, by version 4.
    at: Option<Timestamp>,
}

#[derive(Clone, Debug)]
enum Signature {
    V4 { scope: String, mac: Mac<32> },
    V2(Mac<20>),
}

impl SignedForm {
    /// Reads the fields of a form; names are in lower case. None when it is not signed at all.
    ///
    /// # Errors
    /// Fields that are there and are not one well-formed signature.
    pub fn of<'a>(
        field: &dyn Fn(&str) -> Option<&'a str>,
        scope: &Scope<'_>,
    ) -> SignatureResult<Option<SignedForm>> {
        let malformed = |why: &str| SignatureError::MalformedQuery(why.to_owned());
        let in_v4 = ["x-amz-algorithm", "x-amz-credential", "x-amz-signature"]
            .iter()
            .any(|name| field(name).is_some());
        let in_v2 = ["awsaccesskeyid", "signature"]
            .iter()
            .any(|name| field(name).is_some());
        if !in_v4 && !in_v2 {
            return match field("policy") {
                // A policy says that somebody meant to sign.
                Some(_) => Err(malformed("the form has a policy and no signature")),
                None => Ok(None),
            };
        }
        let need = |name: &str| {
            field(name).ok_or_else(|| malformed(&format!("the form lacks the field {name}")))
        };
        let policy = need("policy")?.to_owned();
        let token = field("x-amz-security-token").map(str::to_owned);
        if in_v4 && in_v2 {
            return Err(SignatureError::Ambiguous);
        }
        if in_v2 {
            return Ok(Some(SignedForm {
                access_key: need("awsaccesskeyid")?.to_owned(),
                token,
                policy,
                signature: Signature::V2(v2::signature(need("signature")?)?),
                at: None,
            }));
        }
        if need("x-amz-algorithm")? != "AWS4-HMAC-SHA256" {
            return Err(SignatureError::Unsupported(
                "an algorithm other than AWS4-HMAC-SHA256".to_owned(),
            ));
        }
        let refused = |why: String| SignatureError::MalformedQuery(why);
        let credential = Credential::parse(need("x-amz-credential")?, scope, &refused)?;
        let date = need("x-amz-date")?;
        let at = instant::basic(date).ok_or(SignatureError::MissingDate)?;
        credential.check_day(date, &refused)?;
        let signature = Mac::from_hex(need("x-amz-signature")?).ok_or_else(|| {
            let why = "x-amz-signature is not 64 hexadecimal digits";
            SignatureError::Malformed(why.to_owned())
        })?;
        Ok(Some(SignedForm {
            access_key: credential.access_key.to_owned(),
            token,
            policy,
            signature: Signature::V4 {
                scope: credential.scope.to_owned(),
                mac: signature,
            },
            at: Some(at),
        }))
    }

    /// How it is signed, as conditions of policies ask about it.
    pub fn signed(&self) -> Signed {
        Signed {
            version: match self.signature {
                Signature::V4 { .. } => "AWS4-HMAC-SHA256",
                Signature::V2(_) => "AWS",
            },
            way: "POST",
            at: self.at,
        }
    }

    /// The access key whose secret is needed.
    pub fn access_key(&self) -> &str {
        &self.access_key
    }

    /// The session's token, when one was presented.
    pub fn session_token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Verifies the signature, and gives the policy document's bytes.
    ///
    /// # Errors
    /// `Mismatch`; `MalformedQuery` for a policy that is not base64.
    pub fn verify(&self, secret: &SecretKey) -> SignatureResult<Vec<u8>> {
        let right = match &self.signature {
            Signature::V4 { scope, mac } => secret.signing(scope).sign(&self.policy) == *mac,
            Signature::V2(signature) => {
                Mac::<20>::sha1(secret.expose().as_bytes(), self.policy.as_bytes()) == *signature
            }
        };
        if !right {
            return Err(SignatureError::Mismatch(Box::new(Mismatch {
                access_key: self.access_key.clone(),
                signature: match &self.signature {
                    Signature::V4 { mac, .. } => mac.to_hex(),
                    Signature::V2(signature) => signature.to_base64(),
                },
                string_to_sign: self.policy.clone(),
                canonical_request: String::new(),
            })));
        }
        base64::engine::general_purpose::STANDARD
            .decode(self.policy.trim())
            .map_err(|_| SignatureError::MalformedQuery("the policy is not base64".to_owned()))
    }
}
