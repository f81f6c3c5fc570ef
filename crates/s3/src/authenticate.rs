//! Who asks, by signature; and how the body that follows is sealed.
//!
//! Refuses whatever looks like a signature and is none: it is never taken for an anonymous request.

use crate::body::{ChunkSeal, Framing};
use crate::checksum::Declared;
use crate::dialect::S3;
use crate::error::{Code, S3Error};
use crate::form::Fields;
use crate::headers;
use crate::time::iso_time;
use http::HeaderMap;
use http::request::Parts;
use std::net::IpAddr;
use std::sync::Arc;
use trestle_access::{
    ChunkChain, Mismatch, Payload, Presented, Principal, RawRequest, Scope, SecretKey,
    SignatureError, Signed, SignedForm,
};
use trestle_core::{Digest, DigestAlgorithm, Hasher, Timestamp};
use trestle_http::Client;

/// The service that signatures are for.
const SERVICE: &str = "s3";

/// Who asks, and what of the request is signed.
pub(crate) struct Authenticated {
    pub(crate) principal: Arc<Principal>,
    pub(crate) payload: Payload,
    chain: Option<ChunkChain>,
    /// How, as conditions of policies ask about it; none when it is not.
    pub(crate) signed: Option<Signed>,
}

/// An access key as it was presented.
#[derive(Clone, Copy, Debug)]
pub struct PresentedKey<'a> {
    /// The key.
    pub access_key: &'a str,
    /// The session's token, of a key for a while.
    pub token: Option<&'a str>,
    /// Where it comes from.
    pub source: Option<IpAddr>,
}

/// Who signed a form.
pub(crate) struct FormSigner {
    pub(crate) principal: Arc<Principal>,
    /// The policy document, when there is one.
    pub(crate) policy: Option<Vec<u8>>,
    /// How, as conditions of policies ask about it; none when it is not.
    pub(crate) signed: Option<Signed>,
}

/// A key that is known: its secret, and whose it is.
pub type KnownKey = (SecretKey, Arc<Principal>);

impl S3 {
    /// Says who sent this request.
    pub(crate) async fn authenticate(
        &self,
        parts: &Parts,
        host_bucket: Option<&str>,
    ) -> Result<Authenticated, S3Error> {
        let list: Vec<(&str, &[u8])> = parts
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        let raw = RawRequest {
            method: parts.method.as_str(),
            path: parts.uri.path(),
            query: parts.uri.query(),
            headers: &list,
            host_bucket,
        };
        let source = parts.extensions.get::<Client>().map(|one| one.address);
        let scope = self.scope();
        match Presented::of(&raw, &scope).map_err(|error| match presigned(&raw) {
            true => refused_url(error),
            false => refused(error),
        })? {
            Presented::Nothing => Ok(Authenticated {
                principal: Arc::new(Principal::anonymous()),
                payload: unsigned_payload(&parts.headers)?,
                chain: None,
                signed: None,
            }),
            Presented::V4(signed) => {
                let key = PresentedKey {
                    access_key: signed.access_key(),
                    token: signed.session_token(),
                    source,
                };
                let (secret, principal) = self.key(key).await?;
                let chain = signed.verify(&secret).map_err(|error| {
                    self.note(&error, signed.access_key(), source);
                    refused(error)
                })?;
                self.used(key, &secret, scope.now).await;
                Ok(Authenticated {
                    principal,
                    payload: signed.payload().clone(),
                    chain,
                    signed: Some(Signed {
                        version: "AWS4-HMAC-SHA256",
                        way: way(signed.is_presigned()),
                        at: Some(signed.signed_at()),
                    }),
                })
            }
            Presented::V2(signed) => {
                self.check_v2()?;
                let key = PresentedKey {
                    access_key: signed.access_key(),
                    token: signed.session_token(),
                    source,
                };
                let (secret, principal) = self.key(key).await?;
                if let Err(error) = signed.verify(&secret) {
                    let folder = verify_as_folder(&raw, &scope, &secret);
                    folder.ok_or_else(|| {
                        self.note(&error, signed.access_key(), source);
                        refused(error)
                    })?;
                }
                self.used(key, &secret, scope.now).await;
                Ok(Authenticated {
                    principal,
                    payload: unsigned_payload(&parts.headers)?,
                    chain: None,
                    signed: Some(Signed {
                        version: "AWS",
                        way: way(signed.is_presigned()),
                        at: None,
                    }),
                })
            }
        }
    }

    /// Says who signed a form, and gives its policy document when it has one.
    pub(crate) async fn authenticate_form(
        &self,
        fields: &Fields,
        source: Option<IpAddr>,
    ) -> Result<FormSigner, S3Error> {
        let of_form = |error: SignatureError| match error {
            SignatureError::MalformedQuery(why) => S3Error::argument("POST", "", &why),
            SignatureError::WrongScope(_) | SignatureError::WrongRegion { .. } => {
                let credential = fields.get("x-amz-credential").unwrap_or_default();
                S3Error::argument("X-Amz-Credential", credential, &error.to_string())
            }
            SignatureError::MissingDate => {
                let date = fields.get("x-amz-date").unwrap_or_default();
                let message = "X-Amz-Date is like 20130524T000000Z";
                S3Error::argument("X-Amz-Date", date, message)
            }
            // What is no signature is not the right one.
            SignatureError::Malformed(why) => S3Error::new(Code::SignatureDoesNotMatch, why),
            other => refused(other),
        };
        let field = |name: &str| fields.get(name);
        match SignedForm::of(&field, &self.scope()).map_err(of_form)? {
            None => Ok(FormSigner {
                principal: Arc::new(Principal::anonymous()),
                policy: None,
                signed: None,
            }),
            Some(signed) => {
                if fields.get("awsaccesskeyid").is_some() {
                    self.check_v2()?;
                }
                let key = PresentedKey {
                    access_key: signed.access_key(),
                    token: signed.session_token(),
                    source,
                };
                let (secret, principal) = self.key(key).await?;
                let policy = signed.verify(&secret).map_err(|error| {
                    self.note(&error, signed.access_key(), source);
                    of_form(error)
                })?;
                self.used(key, &secret, self.store.now()).await;
                Ok(FormSigner {
                    principal,
                    policy: Some(policy),
                    signed: Some(signed.signed()),
                })
            }
        }
    }

    /// Refuses version 2 where it is switched off.
    fn check_v2(&self) -> Result<(), S3Error> {
        match self.settings.signature_v2 {
            true => Ok(()),
            false => Err(S3Error::invalid(
                "The authorization mechanism you have provided is not supported. Please use \
                 AWS4-HMAC-SHA256.",
            )),
        }
    }

    fn scope(&self) -> Scope<'_> {
        Scope {
            regions: &self.settings.regions,
            service: SERVICE,
            now: self.store.now(),
        }
    }

    /// Has it written down that somebody signed with a wrong secret.
    fn note(&self, error: &SignatureError, access_key: &str, source: Option<IpAddr>) {
        if matches!(error, SignatureError::Mismatch(_)) {
            self.store.audit_refused("signature", access_key, source);
        }
    }

    /// Notes the use of a key whose signature was right; a session's is in the audit log.
    async fn used(&self, key: PresentedKey<'_>, secret: &SecretKey, now: Timestamp) {
        if key.token.is_none() {
            let key = (key.access_key, secret);
            self.store.note_key_use(key, now).await;
        }
    }

    async fn key(&self, presented: PresentedKey<'_>) -> Result<KnownKey, S3Error> {
        let found = (self.keys)(presented).await?;
        if presented.token.is_some() {
            return found.ok_or_else(|| {
                S3Error::new(
                    Code::InvalidToken,
                    "The provided token is malformed or otherwise invalid.",
                )
            });
        }
        found.ok_or_else(|| {
            S3Error::new(
                Code::InvalidAccessKeyId,
                "The AWS Access Key Id you provided does not exist in our records.",
            )
            .field("AWSAccessKeyId", presented.access_key)
        })
    }
}

/// Old clients sign a bucket's path with a slash at its end, whether they send one or not.
fn verify_as_folder(raw: &RawRequest<'_>, scope: &Scope<'_>, secret: &SecretKey) -> Option<()> {
    let path = format!("{}/", raw.path);
    if raw.path.ends_with('/') || raw.path.matches('/').count() != 1 {
        return None;
    }
    let raw = RawRequest {
        path: &path,
        ..*raw
    };
    match Presented::of(&raw, scope) {
        Ok(Presented::V2(signed)) => signed.verify(secret).ok(),
        _ => None,
    }
}

/// Whether the signature is looked for in the query.
fn presigned(raw: &RawRequest<'_>) -> bool {
    let header = raw.headers.iter().any(|(name, _)| *name == "authorization");
    let query = raw.query.unwrap_or_default();
    !header
        && query
            .split('&')
            .any(|pair| pair.starts_with("X-Amz-Algorithm="))
}

/// What is wrong with a presigned URL: what a header's credential is refused for is a fault of the
/// query here.
fn refused_url(error: SignatureError) -> S3Error {
    use SignatureError as E;
    let code = Code::AuthorizationQueryParametersError;
    match &error {
        E::Malformed(_) | E::WrongScope(_) => S3Error::new(code, error.to_string()),
        E::WrongRegion { expected, .. } => {
            S3Error::new(code, error.to_string()).field("Region", expected)
        }
        _ => refused(error),
    }
}

fn way(presigned: bool) -> &'static str {
    if presigned {
        "REST-QUERY-STRING"
    } else {
        "REST-HEADER"
    }
}

/// What an unsigned request says of its body: the same header, believed as far as it can be checked.
fn unsigned_payload(headers: &HeaderMap) -> Result<Payload, S3Error> {
    let chunked = |trailer| {
        Ok(Payload::Chunked {
            signed: false,
            trailer,
        })
    };
    match headers::text(headers, "x-amz-content-sha256")? {
        Some("STREAMING-UNSIGNED-PAYLOAD-TRAILER") => chunked(true),
        Some(text) if text.starts_with("STREAMING-") => Err(S3Error::new(
            Code::AccessDenied,
            "A payload with signatures needs a signed request",
        )),
        Some("UNSIGNED-PAYLOAD") | None => {
            let encoded = headers::text(headers, "content-encoding")?.unwrap_or_default();
            match encoded.split(',').any(|one| one.trim() == "aws-chunked") {
                true => chunked(headers.contains_key("x-amz-trailer")),
                false => Ok(Payload::Unsigned),
            }
        }
        Some(text) => {
            let digest = (text.len() == 64).then(|| {
                (0..32)
                    .map(|at| u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok())
                    .collect()
            });
            let digest: Option<Vec<u8>> = digest.flatten();
            let digest = digest.and_then(|digest| digest.try_into().ok());
            let message = "x-amz-content-sha256 must be UNSIGNED-PAYLOAD or a valid sha256 value.";
            digest
                .map(Payload::Sha256)
                .ok_or_else(|| S3Error::argument("x-amz-content-sha256", text, message))
        }
    }
}

impl Authenticated {
    /// Nobody yet: a form says in its fields who sends it.
    pub(crate) fn in_form() -> Self {
        Authenticated {
            principal: Arc::new(Principal::anonymous()),
            payload: Payload::Unsigned,
            chain: None,
            signed: None,
        }
    }

    /// How the body is framed, and how long its data is; 411 when nobody says.
    pub(crate) fn framing(
        &mut self,
        headers: &HeaderMap,
        declared: &Declared,
    ) -> Result<(Framing, Option<u64>), S3Error> {
        let number = |name| -> Result<Option<u64>, S3Error> {
            let Some(text) = headers::text(headers, name)? else {
                return Ok(None);
            };
            let wrong = || S3Error::argument(name, text, "The header is not a length");
            text.parse().map(Some).map_err(|_| wrong())
        };
        let Payload::Chunked { signed, trailer } = self.payload else {
            let sha256 = match self.payload {
                Payload::Sha256(sha256) => Some(sha256),
                _ => None,
            };
            if declared.trailer.is_some() {
                let message = "x-amz-trailer needs a payload in chunks";
                return Err(S3Error::invalid(message));
            }
            return Ok((Framing::Plain(sha256), number("content-length")?));
        };
        // What is no length says nothing of it.
        let name = "x-amz-decoded-content-length";
        let length = headers::text(headers, name)?.and_then(|text| text.parse().ok());
        let length: u64 = length.ok_or_else(missing_length)?;
        // Without signatures the type allows for a trailer, and needs none.
        let bare = trailer && !signed && declared.trailer.is_none();
        if trailer != declared.trailer.is_some() && !bare {
            let message = "The trailers that are announced and those that the payload's type has \
                           are not the same";
            return Err(S3Error::new(Code::MalformedTrailerError, message));
        }
        let seal = match (signed, self.chain.take()) {
            (false, _) => None,
            (true, Some(chain)) => Some(Box::new(Seal::new(chain)) as Box<dyn ChunkSeal>),
            (true, None) => return Err(refused(SignatureError::ChunkMismatch)),
        };
        let framing = Framing::Chunked {
            seal,
            length,
            trailer: declared.trailer,
        };
        Ok((framing, Some(length)))
    }
}

pub(crate) fn missing_length() -> S3Error {
    S3Error::new(
        Code::MissingContentLength,
        "You must provide the Content-Length HTTP header.",
    )
}

/// The signatures of chunks over a running digest.
struct Seal {
    chain: ChunkChain,
    hasher: Hasher,
}

impl Seal {
    fn new(chain: ChunkChain) -> Self {
        Seal {
            chain,
            hasher: Hasher::new(&[DigestAlgorithm::Sha256]),
        }
    }
}

impl ChunkSeal for Seal {
    fn data(&mut self, data: &[u8]) {
        self.hasher.update(data);
    }

    fn chunk(&mut self, signature: &str) -> bool {
        let next = Hasher::new(&[DigestAlgorithm::Sha256]);
        let digests = std::mem::replace(&mut self.hasher, next).finish();
        let sha256 = digests
            .get(DigestAlgorithm::Sha256)
            .and_then(|Digest { value, .. }| value.as_slice().try_into().ok());
        sha256.is_some_and(|sha256| self.chain.chunk(sha256, signature).is_ok())
    }

    fn trailers(&mut self, trailers: &[(String, String)], signature: &str) -> bool {
        let fields: Vec<(&str, &str)> = trailers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        self.chain.trailer(&fields, signature).is_ok()
    }
}

/// Headers whose values are the client's secrets, wherever they are signed; a parameter of the last
/// name, too.
const SECRETS: [&str; 3] = [
    "x-amz-server-side-encryption-customer-key",
    "x-amz-copy-source-server-side-encryption-customer-key",
    "x-amz-security-token",
];

/// What was signed, but for what is nobody else's to see: an answer may be logged on its way.
fn without_secrets(text: &str) -> String {
    let shown = |line: &str| -> String {
        let header = line.split_once(':').map(|(name, _)| name);
        if let Some(name) = header.filter(|name| SECRETS.contains(name)) {
            return format!("{name}:***");
        }
        let pairs = line.split('&').map(|pair| match pair.split_once('=') {
            Some((name, _)) if SECRETS.contains(&&*name.to_ascii_lowercase()) => {
                format!("{name}=***")
            }
            _ => pair.to_owned(),
        });
        pairs.collect::<Vec<_>>().join("&")
    };
    text.split('\n').map(shown).collect::<Vec<_>>().join("\n")
}

/// What a client needs to find out where its signature differs.
fn mismatched(mismatch: &Mismatch) -> S3Error {
    let bytes = |text: &str| {
        let bytes = text.bytes().map(|byte| format!("{byte:02x}"));
        bytes.collect::<Vec<_>>().join(" ")
    };
    let to_sign = without_secrets(&mismatch.string_to_sign);
    let canonical = without_secrets(&mismatch.canonical_request);
    let error = S3Error::new(
        Code::SignatureDoesNotMatch,
        "The request signature we calculated does not match the signature you provided. Check \
         your key and signing method.",
    )
    .field("AWSAccessKeyId", &mismatch.access_key)
    .field("StringToSign", &to_sign)
    .field("SignatureProvided", &mismatch.signature)
    .field("StringToSignBytes", bytes(&to_sign));
    match canonical.is_empty() {
        true => error,
        false => error
            .field("CanonicalRequest", &canonical)
            .field("CanonicalRequestBytes", bytes(&canonical)),
    }
}

/// The dialect's form of what is wrong with a signature.
pub(crate) fn refused(error: SignatureError) -> S3Error {
    use SignatureError as E;
    let message = error.to_string();
    let with = |code| S3Error::new(code, message.clone());
    match &error {
        E::Repeated(_) | E::Ambiguous => with(Code::InvalidArgument),
        E::Unsupported(what) if what.contains("ECDSA") => with(Code::NotImplemented),
        E::Unsupported(_) => with(Code::InvalidArgument).field("ArgumentName", "Authorization"),
        E::Malformed(_) | E::WrongScope(_) => with(Code::AuthorizationHeaderMalformed),
        E::WrongRegion { expected, .. } => {
            with(Code::AuthorizationHeaderMalformed).field("Region", expected)
        }
        // A time that no signature can have is over.
        E::MalformedQuery(why) if why.starts_with("X-Amz-Expires is from") => {
            with(Code::AccessDenied)
        }
        E::MalformedQuery(_) => with(Code::AuthorizationQueryParametersError),
        E::MissingDate | E::NotYetValid | E::Unsigned(_) => with(Code::AccessDenied),
        E::Skewed { presented, now } => with(Code::RequestTimeTooSkewed)
            .field("RequestTime", iso_time(*presented))
            .field("ServerTime", iso_time(*now))
            .field("MaxAllowedSkewMilliseconds", "900000"),
        E::Expired { at } => {
            S3Error::new(Code::AccessDenied, "Request has expired").field("Expires", iso_time(*at))
        }
        E::MissingPayload => {
            S3Error::invalid("Missing required header for this request: x-amz-content-sha256")
        }
        E::MalformedPayload => with(Code::InvalidArgument),
        E::Mismatch(mismatch) => mismatched(mismatch),
        _ => with(Code::SignatureDoesNotMatch),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mismatch_shows_what_was_signed_and_no_secret() {
        let canonical = "PUT\n/b/k\nX-Amz-Security-Token=s3cret&partNumber=1\nhost:h\n\
                         x-amz-security-token:s3cret\n\
                         x-amz-server-side-encryption-customer-key:s3cret\n\nhost\nUNSIGNED-PAYLOAD";
        let error = mismatched(&Mismatch {
            access_key: "AKIA".to_owned(),
            signature: "0f".to_owned(),
            string_to_sign: "AWS4\nx".to_owned(),
            canonical_request: canonical.to_owned(),
        });
        let text = format!("{error:?}");
        for shown in [
            r#"("AWSAccessKeyId", "AKIA")"#,
            r#"("SignatureProvided", "0f")"#,
            r#"("StringToSignBytes", "41 57 53 34 0a 78")"#,
            r#"("CanonicalRequestBytes", "50 55 54 0a 2f"#,
            r"/b/k\nX-Amz-Security-Token=***&partNumber=1\nhost:h\nx-amz-security-token:***\n",
        ] {
            assert!(text.contains(shown), "{shown}: {text}");
        }
        assert!(
            !text.contains("s3cret") && !text.contains("73 33 63 72"),
            "{text}"
        );
        let old = mismatched(&Mismatch {
            access_key: "A".to_owned(),
            signature: "=".to_owned(),
            string_to_sign: "GET\nx-amz-security-token:s3cret\n/b".to_owned(),
            canonical_request: String::new(),
        });
        let text = format!("{old:?}");
        assert!(!text.contains("s3cret") && !text.contains("CanonicalRequest"));
    }
}
