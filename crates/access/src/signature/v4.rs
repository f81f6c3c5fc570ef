//! Signature version 4, in the Authorization header or in the query.

use super::canonical::{self, Query};
use super::chunks::ChunkChain;
use super::key::{Mac, from_hex, sha256_digits};
use super::scope::Credential;
use super::{
    Heads, Mismatch, RawRequest, SIGNED_HEADERS_MAX, Scope, SecretKey, SignatureError,
    SignatureResult, instant,
};
use std::borrow::Cow;
use trestle_core::Timestamp;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// What is signed mostly takes beside its path and query.
const SIGNED_BYTES_USUAL: usize = 640;
/// How many headers are mostly signed at most.
const SIGNED_HEADERS_USUAL: usize = 16;
/// Longest life of a presigned URL, in seconds.
const EXPIRES_MAX: u64 = 7 * 24 * 60 * 60;

/// What is said of the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Nothing: it is not signed.
    Unsigned,
    /// Its SHA-256, which whoever reads the body has to hold it against.
    Sha256([u8; 32]),
    /// It comes in chunks of the S3 coding.
    Chunked {
        /// Each chunk carries a signature.
        signed: bool,
        /// There is a trailer; signed when the chunks are.
        trailer: bool,
    },
}

impl Payload {
    fn parse(text: &str) -> SignatureResult<Payload> {
        let chunked = |signed, trailer| Ok(Payload::Chunked { signed, trailer });
        if let Some(sha256) = from_hex(text) {
            return Ok(Payload::Sha256(sha256));
        }
        match text {
            "UNSIGNED-PAYLOAD" => Ok(Payload::Unsigned),
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => chunked(false, true),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => chunked(true, false),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => chunked(true, true),
            _ if text.starts_with("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD") => Err(
                SignatureError::Unsupported("the algorithm AWS4-ECDSA-P256-SHA256".to_owned()),
            ),
            _ => from_hex(&text.to_ascii_lowercase())
                .map(Payload::Sha256)
                .ok_or(SignatureError::MalformedPayload),
        }
    }
}

/// A request that is signed by version 4; not verified yet.
#[derive(Clone, Debug)]
pub struct SignedV4 {
    /// The access key, what is signed up to the digest of the canonical request, and that request.
    text: Vec<u8>,
    parts: Parts,
    signature: Mac<32>,
    payload: Payload,
    token: Option<String>,
    signed_at: Timestamp,
    expires: Option<u64>,
}

/// Where the parts of a text end, and how long the scope is that stands before the canonical request,
/// but for a line feed.
#[derive(Clone, Copy, Debug)]
struct Parts {
    access_key: usize,
    preamble: usize,
    scope: usize,
}

impl SignedV4 {
    /// The access key whose secret is needed.
    pub fn access_key(&self) -> &str {
        self.part(0, self.parts.access_key)
    }

    fn scope(&self) -> &str {
        let end = self.parts.preamble.saturating_sub(1);
        self.part(end.saturating_sub(self.parts.scope), end)
    }

    /// A part of the text that was text as it came.
    fn part(&self, from: usize, end: usize) -> &str {
        let part = self.text.get(from..end).unwrap_or_default();
        std::str::from_utf8(part).unwrap_or_default()
    }

    /// The session's token, when one was presented.
    pub fn session_token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// What is said of the payload.
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// Whether the signature is in the query.
    pub fn is_presigned(&self) -> bool {
        self.expires.is_some()
    }

    /// When it says that it was signed.
    pub fn signed_at(&self) -> Timestamp {
        self.signed_at
    }

    /// Verifies the signature. What comes back verifies the chunks of a payload that has signed ones.
    ///
    /// # Errors
    /// `Mismatch`.
    pub fn verify(&self, secret: &SecretKey) -> SignatureResult<Option<ChunkChain>> {
        let scope = self.scope();
        let key = secret.signing(scope);
        let (head, canonical) = self
            .text
            .split_at_checked(self.parts.preamble)
            .unwrap_or_default();
        let preamble = head.get(self.parts.access_key..).unwrap_or_default();
        let digits = sha256_digits(canonical);
        let digits = digits.as_flattened();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if key.sign_parts(&[preamble, digits]) != self.signature {
            let string_to_sign = text(preamble) + &text(digits);
            return Err(SignatureError::Mismatch(Box::new(Mismatch {
                access_key: self.access_key().to_owned(),
                signature: self.signature.to_hex(),
                string_to_sign,
                canonical_request: text(canonical),
            })));
        }
        let in_chunks = matches!(self.payload, Payload::Chunked { signed: true, .. });
        let chain = || {
            let date = preamble.split(|byte| *byte == b'\n').nth(1);
            let date = text(date.unwrap_or_default());
            ChunkChain::new(key, date, scope.to_owned(), self.signature)
        };
        Ok(in_chunks.then(chain))
    }
}

/// The text up to the canonical request, which follows.
fn head(date: &str, credential: Credential<'_>, request: &RawRequest<'_>) -> (Vec<u8>, Parts) {
    let Credential { access_key, scope } = credential;
    let target = request.path.len() + request.query.map_or(0, str::len);
    let mut text = Vec::with_capacity(SIGNED_BYTES_USUAL + target);
    let parts = [access_key, ALGORITHM, "\n", date, "\n", scope, "\n"];
    canonical::push_all(&mut text, &parts);
    let parts = Parts {
        access_key: access_key.len(),
        preamble: text.len(),
        scope: scope.len(),
    };
    (text, parts)
}

fn malformed(why: impl Into<String>) -> SignatureError {
    SignatureError::Malformed(why.into())
}

fn malformed_query(why: impl Into<String>) -> SignatureError {
    SignatureError::MalformedQuery(why.into())
}

/// `Credential=…, SignedHeaders=…, Signature=…`, in any order, each once.
pub(super) fn in_header(
    (request, heads): (&RawRequest<'_>, &Heads<'_>),
    text: &str,
    query: &Query,
    scope: &Scope<'_>,
) -> SignatureResult<SignedV4> {
    let (mut credential, mut headers, mut signature) = (None, None, None);
    for part in text.split(',') {
        let part = part.trim_ascii();
        let (place, value) = if let Some(value) = part.strip_prefix("Credential=") {
            (&mut credential, value)
        } else if let Some(value) = part.strip_prefix("SignedHeaders=") {
            (&mut headers, value)
        } else if let Some(value) = part.strip_prefix("Signature=") {
            (&mut signature, value)
        } else {
            return Err(malformed(match part.contains('=') {
                true => "the Authorization header has an unknown part",
                false => "a part of the Authorization header has no '='",
            }));
        };
        if place.replace(value).is_some() {
            return Err(malformed("a part of the Authorization header is repeated"));
        }
    }
    let missing = || malformed("the Authorization header lacks a part");
    let refused = |why: String| malformed(why);
    let credential = Credential::parse(credential.ok_or_else(missing)?, scope, &refused)?;
    let names = headers.ok_or_else(missing)?;
    let headers = signed_headers(request, names, &refused)?;
    let signature = Mac::from_hex(signature.ok_or_else(missing)?)
        .ok_or_else(|| malformed("the signature is not 64 lower-case hexadecimal digits"))?;
    let (signed_at, date) = date_of(heads)?;
    if instant::is_skewed(signed_at, scope.now) {
        return Err(SignatureError::Skewed {
            presented: signed_at,
            now: scope.now,
        });
    }
    credential.check_day(&date, &refused)?;
    let payload = payload_text(heads)?.ok_or(SignatureError::MissingPayload)?;
    let (mut text, parts) = head(&date, credential, request);
    push_canonical(
        &mut text,
        request,
        (query, None),
        (names, &headers),
        payload,
    );
    Ok(SignedV4 {
        text,
        parts,
        signature,
        payload: Payload::parse(payload)?,
        token: heads.token.text().map(str::to_owned),
        signed_at,
        expires: None,
    })
}

/// The parameters of a presigned URL.
pub(super) fn presigned(
    (request, heads): (&RawRequest<'_>, &Heads<'_>),
    query: &Query,
    scope: &Scope<'_>,
) -> SignatureResult<SignedV4> {
    let one = |name: &str| {
        query
            .one(name)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| malformed_query(format!("a presigned URL needs {name}, once")))
    };
    let refused = |why: String| malformed_query(why);
    let algorithm = one("X-Amz-Algorithm")?;
    if algorithm != ALGORITHM {
        return Err(match algorithm.starts_with("AWS4-ECDSA") {
            true => SignatureError::Unsupported(format!("the algorithm {algorithm}")),
            false => malformed_query(format!("X-Amz-Algorithm is {ALGORITHM}")),
        });
    }
    let credential = Credential::parse(one("X-Amz-Credential")?, scope, &refused)?;
    let date = one("X-Amz-Date")?;
    let signed_at = instant::basic(date)
        .ok_or_else(|| malformed_query("X-Amz-Date is like 20130524T000000Z"))?;
    let expires = one("X-Amz-Expires")?;
    let expires = seconds(expires)?;
    let names = one("X-Amz-SignedHeaders")?;
    let headers = signed_headers(request, names, &refused)?;
    let signature = Mac::from_hex(one("X-Amz-Signature")?).ok_or_else(|| {
        malformed_query("X-Amz-Signature is not 64 lower-case hexadecimal digits")
    })?;
    credential.check_day(date, &refused)?;
    if signed_at.0 > scope.now.0.saturating_add(instant::SKEW_MAX) {
        return Err(SignatureError::NotYetValid);
    }
    let at = Timestamp(signed_at.0.saturating_add(expires * 1_000_000));
    if at < scope.now {
        return Err(SignatureError::Expired { at });
    }
    let in_query = query.one("X-Amz-Content-Sha256");
    let payload = payload_text(heads)?.or(in_query);
    let payload = payload.unwrap_or("UNSIGNED-PAYLOAD");
    let token = query.one("X-Amz-Security-Token");
    let query = (query, Some("X-Amz-Signature"));
    let (mut text, parts) = head(date, credential, request);
    push_canonical(&mut text, request, query, (names, &headers), payload);
    Ok(SignedV4 {
        text,
        parts,
        signature,
        payload: Payload::parse(payload)?,
        token: token.or(heads.token.text()).map(str::to_owned),
        signed_at,
        expires: Some(expires),
    })
}

/// For how long a URL counts. A number that can be none is told from what is no number.
fn seconds(text: &str) -> SignatureResult<u64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(malformed_query("X-Amz-Expires should be a number"));
    }
    let seconds = text.parse().ok().filter(|n| (1..=EXPIRES_MAX).contains(n));
    seconds.ok_or_else(|| malformed_query("X-Amz-Expires is from 1 to 604800 seconds"))
}

fn payload_text<'a>(heads: &Heads<'a>) -> SignatureResult<Option<&'a str>> {
    if heads.payload.repeated {
        return Err(SignatureError::Repeated("x-amz-content-sha256"));
    }
    match (heads.payload.first, heads.payload.text()) {
        (Some(_), None) => Err(SignatureError::MalformedPayload),
        (_, text) => Ok(text),
    }
}

/// `X-Amz-Date`, or `Date` in either form; with its basic form, which is what is signed.
fn date_of<'a>(heads: &Heads<'a>) -> SignatureResult<(Timestamp, Cow<'a, str>)> {
    let own = heads.amz_date.first.is_some();
    let found = if own { &heads.amz_date } else { &heads.date };
    let text = found.text().ok_or(SignatureError::MissingDate)?;
    if let Some(at) = instant::basic(text) {
        return Ok((at, text.into()));
    }
    let at = instant::rfc1123(text).filter(|_| !own);
    let at = at.ok_or(SignatureError::MissingDate)?;
    Ok((at, instant::to_basic(at).into()))
}

/// The names of the signed headers: sorted, each once, `host` among them, each there, and all
/// `x-amz-` headers that arrived among them.
fn signed_headers<'a>(
    request: &RawRequest<'_>,
    text: &'a str,
    malformed: &dyn Fn(String) -> SignatureError,
) -> SignatureResult<Vec<&'a [u8]>> {
    let mut names: Vec<&[u8]> = Vec::with_capacity(SIGNED_HEADERS_USUAL);
    let parts = text.as_bytes().split(|byte| *byte == b';');
    names.extend(parts.take(SIGNED_HEADERS_MAX + 1));
    // Without a branch for each byte: several are looked at at once.
    let upper = |seen, byte: u8| seen | u8::from(byte.is_ascii_uppercase());
    let lower = text.bytes().fold(0, upper) == 0 && !names.iter().any(|name| name.is_empty());
    let sorted = names.is_sorted_by(|one, next| one < next);
    if names.len() > SIGNED_HEADERS_MAX || !sorted || !lower {
        return Err(malformed(
            "the signed headers are not lower-case, sorted and named once".to_owned(),
        ));
    }
    if !names.contains(&&b"host"[..]) {
        return Err(SignatureError::Unsigned("host".to_owned()));
    }
    for (name, _) in request.headers {
        let must = name.starts_with("x-amz-") && *name != "x-amz-content-sha256";
        if must && !names.contains(&name.as_bytes()) {
            return Err(SignatureError::Unsigned((*name).to_owned()));
        }
    }
    Ok(names)
}

/// Adds the canonical form of a request: with its query but for the parameter that holds the signature,
/// and with the signed headers, whose names are given as they were sent, too.
fn push_canonical(
    text: &mut Vec<u8>,
    request: &RawRequest<'_>,
    (query, without): (&Query, Option<&str>),
    (names, headers): (&str, &[&[u8]]),
    payload: &str,
) {
    canonical::push_all(text, &[request.method, "\n"]);
    canonical::push_path(text, request.path);
    text.push(b'\n');
    query.push_canonical(text, without);
    text.push(b'\n');
    for name in headers {
        text.extend_from_slice(name);
        text.push(b':');
        // One that is not there is signed as empty, which no signer does: it will not match.
        canonical::push_header(text, request, name);
        text.push(b'\n');
    }
    // They are sorted already, or were refused.
    canonical::push_all(text, &["\n", names, "\n", payload]);
}
