//! Signed requests: who signed one, and whether its signature is right.
//!
//! Pure: a request's raw parts in, a credential and a signature out; the caller looks the secret up
//! between [`Presented::of`] and `verify`. Everything is computed from the bytes as they arrived. A
//! request that presents anything that looks like a signature is never taken for an anonymous one.

mod canonical;
mod chunks;
mod form;
mod instant;
mod key;
mod scope;
mod v2;
mod v4;

pub use chunks::ChunkChain;
pub use form::SignedForm;
pub use key::{Mac, SecretKey};
pub use v2::{SignedV2, is_signed_by_v2};
pub use v4::{Payload, SignedV4};

use canonical::Query;
use trestle_core::Timestamp;

/// Most headers that a request may name as signed.
const SIGNED_HEADERS_MAX: usize = 128;

/// A request as it arrived: nothing decoded, nothing normalised.
#[derive(Clone, Copy, Debug)]
pub struct RawRequest<'a> {
    /// The method.
    pub method: &'a str,
    /// The path, percent-encoded as it was sent.
    pub path: &'a str,
    /// The query, without the `?`.
    pub query: Option<&'a str>,
    /// Lower-case names and values, in order; `host` among them, for HTTP/2 too.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The bucket, when the host names it rather than the path (version 2 signs it).
    pub host_bucket: Option<&'a str>,
}

/// What signatures must be for.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The regions that this server answers to; the first is told to who named another.
    pub regions: &'a [String],
    /// The service.
    pub service: &'a str,
    /// The time.
    pub now: Timestamp,
}

/// What is wrong with a signature. Each is a refusal; none means that nothing was presented.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignatureError {
    /// The header is repeated, so that nobody can say which one counts.
    Repeated(&'static str),
    /// Two ways to sign were used at once.
    Ambiguous,
    /// A scheme or algorithm that is not served.
    Unsupported(String),
    /// The Authorization header cannot be read.
    Malformed(String),
    /// The signature is for another region; this server's is told.
    WrongRegion {
        /// The region that was named.
        presented: String,
        /// The region that should have been.
        expected: String,
    },
    /// The signature is for another service, or ends with another word than `aws4_request`.
    WrongScope(String),
    /// The parameters of a presigned URL cannot be read.
    MalformedQuery(String),
    /// There is no valid date.
    MissingDate,
    /// The date is more than 15 minutes away from this server's time.
    Skewed {
        /// When the request says that it was made.
        presented: Timestamp,
        /// This server's time.
        now: Timestamp,
    },
    /// A presigned URL whose time is over.
    Expired {
        /// When it was over.
        at: Timestamp,
    },
    /// A presigned URL whose time has not come.
    NotYetValid,
    /// The header that says what the payload's digest is, is missing.
    MissingPayload,
    /// The payload's digest is no digest.
    MalformedPayload,
    /// A header that must be signed, and is not.
    Unsigned(String),
    /// The signature is not what the secret key gives.
    Mismatch(Box<Mismatch>),
    /// A chunk or the trailer has the wrong signature.
    ChunkMismatch,
}

/// What a signature that does not match was made of, and is held against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The access key whose secret was used.
    pub access_key: String,
    /// The signature that was presented.
    pub signature: String,
    /// What was to be signed.
    pub string_to_sign: String,
    /// The request in canonical form; empty where there is no such thing. It may hold what the client
    /// keeps for itself: a session's token, a key of its own.
    pub canonical_request: String,
}

/// The result of reading or verifying a signature.
pub type SignatureResult<T> = Result<T, SignatureError>;

impl std::fmt::Display for SignatureError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use SignatureError as E;
        match self {
            E::Repeated(name) => write!(f, "the {name} header is repeated"),
            E::Ambiguous => f.write_str("only one way to sign a request may be used at once"),
            E::Unsupported(what) => write!(f, "{what} is not served"),
            E::Malformed(why) | E::MalformedQuery(why) | E::WrongScope(why) => f.write_str(why),
            E::WrongRegion {
                presented,
                expected,
            } => write!(
                f,
                "the region {presented:?} is wrong; expecting {expected:?}"
            ),
            E::MissingDate => f.write_str("a signed request needs a valid Date or X-Amz-Date"),
            E::Skewed { .. } => {
                f.write_str("the time of the request is too far from the server's time")
            }
            E::Expired { .. } => f.write_str("the request has expired"),
            E::NotYetValid => f.write_str("the request is not valid yet"),
            E::MissingPayload => f.write_str("x-amz-content-sha256 is missing"),
            E::MalformedPayload => f.write_str("x-amz-content-sha256 is not valid"),
            E::Unsigned(name) => write!(f, "the header {name} is not signed"),
            E::Mismatch(_) => {
                f.write_str("the signature does not match; check the secret key and the method")
            }
            E::ChunkMismatch => f.write_str("the signature of a chunk does not match"),
        }
    }
}

impl std::error::Error for SignatureError {}

/// How a request is signed.
#[derive(Clone, Debug)]
pub enum Presented {
    /// Not at all.
    Nothing,
    /// By signature version 4, in a header or in the query.
    V4(SignedV4),
    /// By signature version 2, in a header or in the query.
    V2(Box<SignedV2>),
}

impl Presented {
    /// Reads how a request is signed, and refuses what could not be right whatever the secret is.
    ///
    /// # Errors
    /// Anything that is there and is not one well-formed signature, for this scope, of now.
    pub fn of(request: &RawRequest<'_>, scope: &Scope<'_>) -> SignatureResult<Presented> {
        let heads = Heads::of(request);
        heads.check_once()?;
        let query = Query::parse(request.query);
        let header = heads.authorization.first;
        let of_v4 = |name: &str| {
            let known = [
                "X-Amz-Algorithm",
                "X-Amz-Credential",
                "X-Amz-Signature",
                "X-Amz-SignedHeaders",
            ];
            known.iter().any(|known| known.eq_ignore_ascii_case(name))
        };
        let in_v4 = query.names().any(of_v4);
        let in_v2 = query
            .names()
            .any(|name| name == "AWSAccessKeyId" || name == "Signature");
        // What is left of a signature, or goes along with one, is a malformed one.
        let of_any = |name: &str| {
            let known = ["X-Amz-Date", "X-Amz-Expires", "X-Amz-Security-Token"];
            known.iter().any(|known| known.eq_ignore_ascii_case(name))
        };
        match (header, in_v4, in_v2) {
            (None, false, false) if query.names().any(of_any) => Err(
                SignatureError::MalformedQuery("a presigned URL needs a signature".to_owned()),
            ),
            (None, false, false) if heads.token.first.is_some() => Err(SignatureError::Malformed(
                "a token goes along with a signature".to_owned(),
            )),
            (None, false, false) => Ok(Presented::Nothing),
            (None, true, false) => {
                v4::presigned((request, &heads), &query, scope).map(Presented::V4)
            }
            (None, false, true) => v2::presigned(request, &query, scope).map(Presented::v2),
            (Some(header), false, false) => of_header(request, (&heads, header), &query, scope),
            _ => Err(SignatureError::Ambiguous),
        }
    }

    fn v2(signed: SignedV2) -> Presented {
        Presented::V2(Box::new(signed))
    }
}

fn of_header(
    request: &RawRequest<'_>,
    (heads, header): (&Heads<'_>, &[u8]),
    query: &Query,
    scope: &Scope<'_>,
) -> SignatureResult<Presented> {
    let malformed = |why: &str| SignatureError::Malformed(why.to_owned());
    let header = std::str::from_utf8(header)
        .map_err(|_| malformed("the Authorization header is not ASCII"))?;
    let (scheme, rest) = header
        .split_once(' ')
        .ok_or_else(|| malformed("the Authorization header has no credential"))?;
    match scheme {
        "AWS4-HMAC-SHA256" => {
            v4::in_header((request, heads), rest, query, scope).map(Presented::V4)
        }
        "AWS" => v2::in_header(request, rest, query, scope).map(Presented::v2),
        // The name is of the request, and harmless; what follows it may be a secret.
        _ => Err(SignatureError::Unsupported(format!(
            "the authorization scheme {scheme:?}"
        ))),
    }
}

/// A header: its first value, and whether it has more.
#[derive(Clone, Copy, Debug, Default)]
struct Found<'a> {
    first: Option<&'a [u8]>,
    repeated: bool,
}

impl<'a> Found<'a> {
    fn add(&mut self, value: &'a [u8]) {
        self.repeated = self.first.is_some();
        self.first = self.first.or(Some(value));
    }

    fn text(&self) -> Option<&'a str> {
        std::str::from_utf8(self.first?).ok()
    }
}

/// The headers that say how a request is signed, found in one walk.
#[derive(Clone, Copy, Debug, Default)]
struct Heads<'a> {
    authorization: Found<'a>,
    date: Found<'a>,
    host: Found<'a>,
    amz_date: Found<'a>,
    payload: Found<'a>,
    token: Found<'a>,
}

impl<'a> Heads<'a> {
    fn of(request: &RawRequest<'a>) -> Heads<'a> {
        let mut heads = Heads::default();
        for (name, value) in request.headers {
            let found = match *name {
                "authorization" => &mut heads.authorization,
                "date" => &mut heads.date,
                "host" => &mut heads.host,
                "x-amz-date" => &mut heads.amz_date,
                "x-amz-content-sha256" => &mut heads.payload,
                "x-amz-security-token" => &mut heads.token,
                _ => continue,
            };
            found.add(value);
        }
        heads
    }

    /// Refuses a header that is repeated, so that nobody could say which one counts.
    fn check_once(&self) -> SignatureResult<()> {
        let once = [
            ("authorization", &self.authorization),
            ("date", &self.date),
            ("host", &self.host),
            ("x-amz-date", &self.amz_date),
        ];
        let repeated = once.into_iter().find(|(_, found)| found.repeated);
        repeated.map_or(Ok(()), |(name, _)| Err(SignatureError::Repeated(name)))
    }
}

impl<'a> RawRequest<'a> {
    /// The first value of a header.
    fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, v)| *v)
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        std::str::from_utf8(self.header(name)?).ok()
    }
}

#[cfg(test)]
mod tests;
