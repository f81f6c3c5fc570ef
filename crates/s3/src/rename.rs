//! Renames an object within its bucket, with its history.
//!
//! A request that names a token of its client's is done once: whoever repeats it is told the same,
//! for some time and by this process, and whoever names it for another rename is refused.

use crate::answer;
use crate::call::Call;
use crate::dialect::S3;
use crate::error::{Code, S3Error};
use crate::headers;
use crate::object::etag;
use crate::source;
use crate::write;
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use std::time::Duration;
use trestle_access::{Action, Resource};
use trestle_core::{DigestAlgorithm, Error, ErrorKind, Hasher, Noun};
use trestle_http::{Body, Claim, Kept, Ledger, parse_precondition};
use trestle_store::{RenameObject, VersionRef};

/// Tokens that are remembered, and for how long.
pub(crate) const TOKENS: (usize, Duration) = (10_000, Duration::from_secs(600));
/// Longest token.
const TOKEN_BYTES_MAX: usize = 64;
const TOKEN: &str = "x-amz-client-token";
const SOURCE: &str = "x-amz-rename-source";

/// A token, as it is remembered, and what it was named for.
struct Once {
    key: String,
    fingerprint: [u8; 32],
}

impl Once {
    fn of(call: &Call<'_>) -> Result<Option<Self>, S3Error> {
        let Some(token) = headers::text(&call.headers, TOKEN)? else {
            return Ok(None);
        };
        let visible = token.bytes().all(|byte| byte.is_ascii_graphic());
        if token.is_empty() || token.len() > TOKEN_BYTES_MAX || !visible {
            let message = "The token is 1 to 64 visible characters of ASCII";
            return Err(S3Error::argument(TOKEN, token, message));
        }
        let mut hasher = Hasher::new(&[DigestAlgorithm::Sha256]);
        for text in [call.bucket()?.as_str(), call.key()?.as_str()] {
            hasher.update(text.as_bytes());
            hasher.update(&[0]);
        }
        for (name, value) in &call.headers {
            let name = name.as_str();
            if name.starts_with(SOURCE) || name.starts_with("if-") {
                hasher.update(name.as_bytes());
                hasher.update(value.as_bytes());
                hasher.update(&[0]);
            }
        }
        let digests = hasher.finish();
        let digest = digests.get(DigestAlgorithm::Sha256);
        let fingerprint = digest.and_then(|digest| digest.value.as_slice().try_into().ok());
        let who = call.account().map_or("", |account| account.as_str());
        Ok(Some(Once {
            key: format!("{who}/{token}"),
            fingerprint: fingerprint.unwrap_or_default(),
        }))
    }

    /// Whether the rename is to be done; if not, it was.
    async fn begin(&self, s3: &S3) -> Result<bool, S3Error> {
        match s3.renames.claim(&self.key, self.fingerprint).await? {
            Claim::New => Ok(true),
            Claim::Answered(_) => Ok(false),
            Claim::Pending => {
                Err(Error::new(ErrorKind::Conflict, "the rename is still being done").into())
            }
            Claim::Other => Err(S3Error::new(
                Code::IdempotentParameterMismatch,
                "Parameters on this idempotent request are inconsistent with parameters used in \
                 previous request(s).",
            )),
        }
    }

    async fn end(&self, s3: &S3, done: bool) -> Result<(), S3Error> {
        let kept = done.then(|| Kept {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        });
        Ok(s3.renames.settle(&self.key, kept).await?)
    }
}

/// Answers a request to rename.
pub(crate) async fn rename(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let text = headers::text(&call.headers, SOURCE)?.unwrap_or_default();
    let (bucket, key, version) = source::parse(text)?;
    if bucket != *call.bucket()? || version != VersionRef::Current {
        let message = "The source is a key of the same bucket, as /bucket/key";
        return Err(S3Error::argument(SOURCE, text, message));
    }
    let mut conditions = HeaderMap::new();
    for (header, value) in &call.headers {
        if let Some(rest) = header.as_str().strip_prefix("x-amz-rename-source-if-")
            && let Ok(standard) = http::HeaderName::from_bytes(format!("if-{rest}").as_bytes())
        {
            conditions.append(standard, value.clone());
        }
    }
    headers::quote_tags(&mut conditions, ["if-match", "if-none-match"]);
    let from = Resource::Object(bucket.clone(), key.clone());
    let grants = [
        call.grant(Action::DeleteObject, from).await?,
        call.on_object(Action::WriteObject).await?,
    ];
    let condition = parse_precondition(&call.headers)?;
    let rename = RenameObject {
        bucket: bucket.clone(),
        key,
        to_bucket: bucket,
        to_key: call.key()?.clone(),
        precondition: parse_precondition(&conditions)?,
        target: condition.clone(),
        tag_of: etag,
    };
    let once = Once::of(&call)?;
    if let Some(once) = &once
        && !once.begin(call.s3).await?
    {
        return Ok(answer::empty());
    }
    let renamed = call.s3.store.rename(&grants, &rename).await;
    if let Some(once) = &once {
        once.end(call.s3, renamed.is_ok()).await?;
    }
    match renamed {
        Ok(_) => Ok(answer::empty()),
        Err(error) if error.kind() == ErrorKind::NotFound(Noun::Object) => {
            Err(S3Error::from(error).field("Key", rename.key.as_str()))
        }
        Err(error) => Err(write::failed(&call, &condition, error).await),
    }
}
