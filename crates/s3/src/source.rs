//! The source of a copy: what its header names, under which conditions, and who may read it.

use crate::call::{self, Call};
use crate::error::{Code, S3Error};
use crate::headers;
use crate::object::etag;
use crate::sse;
use http::HeaderMap;
use http::header::HeaderName;
use trestle_access::{Action, Grant, Resource};
use trestle_core::{BucketName, ByteRange, ErrorKind, Key, Noun};
use trestle_http::{decode, parse_precondition};
use trestle_store::{Source, VersionRef};

const HEADER: &str = "x-amz-copy-source";

/// Reads the header: `/bucket/key?versionId=id`, percent-encoded. Clients that encode it as forms are
/// encoded write a plus for a space, and all of them encode a plus.
pub(crate) fn parse(text: &str) -> Result<(BucketName, Key, VersionRef), S3Error> {
    let wrong = |message: &str| S3Error::argument(HEADER, text, message);
    let rest = text.strip_prefix('/').unwrap_or(text);
    if rest.starts_with("arn:") {
        return Err(S3Error::later("A copy from an access point"));
    }
    let (path, version) = match rest.rsplit_once("?versionId=") {
        Some((path, version)) => (path, call::version(version)?),
        None => (rest, VersionRef::Current),
    };
    let message = "Copy Source must mention the source bucket and key: sourcebucket/sourcekey";
    let path =
        decode(&path.replace('+', " ")).map_err(|_| wrong("Invalid copy source encoding."))?;
    let path = path.strip_prefix('/').unwrap_or(&path);
    let (bucket, key) = path.split_once('/').ok_or_else(|| wrong(message))?;
    if key.is_empty() {
        return Err(wrong(message));
    }
    let bucket = BucketName::parse_qualified(bucket).map_err(|_| {
        S3Error::new(
            Code::InvalidBucketName,
            "The specified bucket is not valid.",
        )
    })?;
    Ok((bucket, call::key(key)?, version))
}

/// The conditions on the source, under the names that the standard gives them.
fn conditions(headers: &HeaderMap) -> HeaderMap {
    let mut standard = HeaderMap::new();
    for (name, value) in headers {
        if let Some(name) = name.as_str().strip_prefix("x-amz-copy-source-if-")
            && let Ok(name) = HeaderName::from_bytes(format!("if-{name}").as_bytes())
        {
            standard.append(name, value.clone());
        }
    }
    headers::quote_tags(&mut standard, ["if-match", "if-none-match"]);
    standard
}

/// The range of a part's source: both ends, in bytes.
pub(crate) fn range(headers: &HeaderMap) -> Result<Option<ByteRange>, S3Error> {
    let name = "x-amz-copy-source-range";
    let Some(text) = headers::text(headers, name)? else {
        return Ok(None);
    };
    let message = "The x-amz-copy-source-range value must be of the form bytes=first-last where \
                   first and last are the zero-based offsets of the first and last bytes to copy";
    let number = |text: &str| -> Option<u64> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| digits)
    };
    let read = || {
        let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
        let (first, last) = (number(first)?, number(last)?);
        (first <= last).then_some(ByteRange::Inclusive { first, last })
    };
    read()
        .map(Some)
        .ok_or_else(|| S3Error::argument(name, text, message))
}

/// A source that may be read.
pub(crate) struct Readable {
    pub(crate) source: Source,
    pub(crate) grant: Grant,
}

/// Finds out what is to be copied, and that it may be.
pub(crate) async fn readable(
    call: &Call<'_>,
    range: Option<ByteRange>,
) -> Result<Readable, S3Error> {
    let text = headers::text(&call.headers, HEADER)?.unwrap_or_default();
    let (bucket, key, version) = parse(text)?;
    if let Some(owner) = headers::text(&call.headers, "x-amz-source-expected-bucket-owner")? {
        call.owned_by(&bucket, owner).await?;
    }
    let read = match version {
        VersionRef::Current | VersionRef::Ended => Action::ReadObject,
        VersionRef::Null | VersionRef::Id(_) => Action::ReadObjectVersion,
    };
    let resource = Resource::Object(bucket.clone(), key.clone());
    let of_source = |error: S3Error| match error.code() {
        Code::NoSuchBucket => error.field("BucketName", bucket.as_str()),
        _ => error,
    };
    let grant = call.grant_on(read, resource, version).await;
    let grant = grant.map_err(of_source)?;
    let source = Source {
        key_of_client: sse::source_key(call)?,
        itself: false,
        bucket,
        key,
        version,
        precondition: parse_precondition(&conditions(&call.headers))?,
        tag_of: etag,
        range,
    };
    Ok(Readable { source, grant })
}

/// Refuses a range that ends beyond its source: it is not cut to what is there.
pub(crate) async fn reaches(
    call: &Call<'_>,
    readable: &Readable,
    last: u64,
) -> Result<(), S3Error> {
    let Source {
        bucket,
        key,
        version,
        ..
    } = &readable.source;
    let found = call
        .s3
        .store
        .head(&readable.grant, bucket, key, *version)
        .await;
    let length = match found {
        Ok(object) => object.length(),
        Err(error) => return Err(failed(call, &readable.source, error).await),
    };
    if last < length {
        return Ok(());
    }
    Err(S3Error::new(
        Code::InvalidRange,
        format!("Range specified is not valid for source object of size: {length}"),
    ))
}

/// What a copy that failed says: of a source that is not there only who may list its bucket learns.
pub(crate) async fn failed(
    call: &Call<'_>,
    source: &Source,
    error: trestle_core::Error,
) -> S3Error {
    if error.kind() == ErrorKind::PreconditionFailed {
        return condition_failed(&call.headers, error);
    }
    if error.kind() == ErrorKind::NotFound(Noun::Bucket)
        && call.s3.store.bucket_settings(&source.bucket).await.is_err()
    {
        return S3Error::from(error).field("BucketName", source.bucket.as_str());
    }
    if error.marker().is_some() && !source.version.is_current() {
        return S3Error::invalid(
            "The source of a copy request may not specifically refer to a delete marker by version id.",
        );
    }
    if error.kind() != ErrorKind::NotFound(Noun::Object) {
        return error.into();
    }
    match call.may_list(&source.bucket, &source.key).await {
        Ok(_) => S3Error::from(error).field("Key", source.key.as_str()),
        Err(refused) => refused,
    }
}

/// Names the condition on the source that failed, when there is only one that can have.
fn condition_failed(headers: &HeaderMap, error: trestle_core::Error) -> S3Error {
    let names = [
        ("match", "x-amz-copy-source-If-Match"),
        ("none-match", "x-amz-copy-source-If-None-Match"),
        ("modified-since", "x-amz-copy-source-If-Modified-Since"),
        ("unmodified-since", "x-amz-copy-source-If-Unmodified-Since"),
    ];
    let sent =
        |(name, _): &(&str, &str)| headers.contains_key(format!("x-amz-copy-source-if-{name}"));
    let error = S3Error::from(error);
    let mut present = names.into_iter().filter(sent);
    match (present.next(), present.next()) {
        (Some((_, name)), None) => error.field("Condition", name),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_decoded_once() {
        let read = |text: &str| {
            parse(text)
                .map(|(bucket, key, version)| {
                    (bucket.as_str().to_owned(), key.as_str().to_owned(), version)
                })
                .map_err(|error| error.code())
        };
        let found =
            |bucket: &str, key: &str, version| Ok((bucket.to_owned(), key.to_owned(), version));
        assert_eq!(read("b/k"), found("b", "k", VersionRef::Current));
        assert_eq!(
            read("/b/a%20b%2Fc+%2B%25"),
            found("b", "a b/c +%", VersionRef::Current)
        );
        assert_eq!(read("b%2Fk"), found("b", "k", VersionRef::Current));
        assert_eq!(
            read("b/k?versionId=null"),
            found("b", "k", VersionRef::Null)
        );
        assert_eq!(read("b/k?x"), found("b", "k?x", VersionRef::Current));
        assert_eq!(read("acme:b/k"), found("acme:b", "k", VersionRef::Current));
        for bad in ["", "b", "b/", "/b", "b/%zz", "b/k?versionId=7"] {
            assert_eq!(read(bad), Err(Code::InvalidArgument), "{bad}");
        }
        assert_eq!(read("arn:aws:s3:x"), Err(Code::NotImplemented));
    }

    #[test]
    fn ranges_have_both_ends() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-amz-copy-source-range", text.parse().unwrap());
            range(&headers).map_err(|error| error.code())
        };
        assert_eq!(
            read("bytes=0-21"),
            Ok(Some(ByteRange::Inclusive { first: 0, last: 21 }))
        );
        for bad in [
            "0-21",
            "bytes=0",
            "bytes=0-",
            "bytes=-2",
            "bytes=2-1",
            "bytes=0-2,3-5",
            "bytes=hello-2",
        ] {
            assert_eq!(read(bad), Err(Code::InvalidArgument), "{bad}");
        }
    }
}
