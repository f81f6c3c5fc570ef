//! Browser forms: one file with its fields, under a policy that somebody signed.

use crate::body::fault_with;
use crate::call::{self, Call};
use crate::checksum;
use crate::document::{self, OBJECT_TAGS_MAX};
use crate::error::{Code, S3Error};
use crate::form::{self, Fields};
use crate::form_policy::FormPolicy;
use crate::headers;
use crate::object::{KEPT, etag, wrote};
use crate::route::Operation;
use crate::write::{self, PUT_BYTES_MAX};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::header::{HeaderName, HeaderValue, LOCATION};
use http::{HeaderMap, Method, Response, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::sync::Arc;
use trestle_core::{Precondition, Result};
use trestle_http::{Body, XmlWriter};
use trestle_store::{BodyChecks, Object, PutObject};

/// The headers that a form's fields stand for.
fn headers_of(fields: &Fields) -> std::result::Result<HeaderMap, S3Error> {
    let mut headers = HeaderMap::new();
    for (name, value) in fields.iter() {
        let header = match name {
            "acl" => "x-amz-acl",
            // The signature's own are not of the object.
            "x-amz-signature"
            | "x-amz-credential"
            | "x-amz-algorithm"
            | "x-amz-date"
            | "x-amz-security-token" => continue,
            name if KEPT.contains(&name) || name.starts_with("x-amz-") => name,
            _ => continue,
        };
        let wrong = || S3Error::argument(name, value, "The field cannot be a header");
        let header = HeaderName::from_bytes(header.as_bytes()).map_err(|_| wrong())?;
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| wrong())?;
        headers.insert(header, value);
    }
    headers::check(&Method::POST, &headers, Operation::PostObject)?;
    Ok(headers)
}

/// The key, with the file's name where the form asks for it.
fn key(fields: &Fields, filename: Option<&str>) -> std::result::Result<trestle_core::Key, S3Error> {
    let text = fields.get("key").unwrap_or_default();
    if text.is_empty() {
        return Err(S3Error::new(
            Code::InvalidArgument,
            "Bucket POST must contain a field named 'key'. If it is specified, please check the \
             order of the fields.",
        )
        .field("ArgumentName", "key"));
    }
    call::key(&text.replace("${filename}", filename.unwrap_or_default()))
}

/// A value in a field that can be no checksum is told from one that does not match.
fn malformed_checksum(error: S3Error) -> S3Error {
    match error.code() {
        Code::BadDigest => S3Error::invalid(error.message()),
        _ => error,
    }
}

/// The file, no longer and no shorter than the policy says.
fn within(
    file: impl Stream<Item = Result<Bytes>> + Send + Unpin,
    length: Option<(u64, u64)>,
) -> impl Stream<Item = Result<Bytes>> + Send + Unpin {
    let (least, most) = length.unwrap_or((0, PUT_BYTES_MAX));
    let most = most.min(PUT_BYTES_MAX);
    let pieces = futures::stream::unfold(Some((file, 0u64)), move |state| async move {
        let (mut file, seen) = state?;
        match file.next().await {
            Some(Ok(piece)) => {
                let seen = seen + piece.len() as u64;
                if seen > most {
                    let message = "Your proposed upload exceeds the maximum allowed size";
                    // So much of it came before it was refused.
                    let fields = vec![
                        ("ProposedSize", seen.to_string()),
                        ("MaxSizeAllowed", most.to_string()),
                    ];
                    let error = fault_with(Code::EntityTooLarge, message, fields);
                    return Some((Err(error), None));
                }
                Some((Ok(piece), Some((file, seen))))
            }
            Some(Err(error)) => Some((Err(error), None)),
            None if seen < least => {
                let message = "Your proposed upload is smaller than the minimum allowed size";
                let fields = vec![
                    ("ProposedSize", seen.to_string()),
                    ("MinSizeAllowed", least.to_string()),
                ];
                let error = fault_with(Code::EntityTooSmall, message, fields);
                Some((Err(error), None))
            }
            None => None,
        }
    });
    Box::pin(pieces)
}

pub(crate) async fn post(mut call: Call<'_>) -> std::result::Result<Response<Body>, S3Error> {
    let kind = headers::text(&call.headers, "content-type")?
        .unwrap_or_default()
        .to_owned();
    if !kind.to_ascii_lowercase().starts_with("multipart/form-data") {
        return Err(S3Error::new(
            Code::PreconditionFailed,
            "Bucket POST must be of the enclosure-type multipart/form-data",
        ));
    }
    let body = call.take_body()?;
    let mut form = form::read(&kind, body).await?;
    let source = call.context.source;
    let signer = call.s3.authenticate_form(&form.fields, source).await?;
    call.principal = signer.principal;
    Arc::make_mut(&mut call.context).signed = signer.signed;
    // The file's name may be a part of the key that the policy speaks of.
    let key = key(&form.fields, form.file.filename.as_deref())?;
    form.fields.set("key", key.as_str());
    let mut length = None;
    if let Some(policy) = signer.policy {
        let policy = FormPolicy::parse(&policy)?;
        // By its whole name: that of another account's bucket begins with the account.
        policy.check(&form.fields, call.bucket()?.as_str(), call.now())?;
        length = policy.length();
    }
    call.target.key = Some(key);
    call.headers = headers_of(&form.fields)?;
    let context = Arc::make_mut(&mut call.context);
    call::circumstances(context, &call.headers, Operation::PostObject);
    call.declared = checksum::declared(&call.headers).map_err(malformed_checksum)?;
    let mut new = write::new(&call).await?;
    if let Some(text) = form.fields.get("tagging") {
        new = write::with_more_tags(
            &call,
            new,
            document::tagging(text.as_bytes(), OBJECT_TAGS_MAX)?,
        )
        .await?;
    }
    let put = PutObject {
        encrypt: new.encrypt,
        bucket: call.bucket()?.clone(),
        key: call.key()?.clone(),
        precondition: Precondition::none(),
        tag_of: etag,
        properties: new.properties,
        checks: BodyChecks {
            expected_digests: call
                .declared
                .md5
                .iter()
                .chain(&call.declared.value)
                .cloned()
                .collect(),
            ..BodyChecks::default()
        },
        checksum: call.declared.algorithm(),
    };
    let file = within(form.body.pieces(), length);
    let outcome = call.s3.store.put(&new.grant, put, file).await?;
    answer(&call, &form.fields, &outcome.object)
}

/// The answer that the form asks for.
fn answer(
    call: &Call<'_>,
    fields: &Fields,
    object: &Object,
) -> std::result::Result<Response<Body>, S3Error> {
    let (bucket, key) = (call.bucket()?.as_str(), object.key.as_str());
    let redirect = fields
        .get("success_action_redirect")
        .or(fields.get("redirect"));
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let place = call.url(key)?;
    if let Some(target) = redirect.filter(|target| target.contains("://")) {
        let escape = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let tag = escape(&format!("\"{}\"", etag(object)));
        let joint = if target.contains('?') { '&' } else { '?' };
        let (bucket, key) = (escape(bucket), escape(key));
        let target = format!("{target}{joint}bucket={bucket}&key={key}&etag={tag}");
        if let Ok(target) = HeaderValue::from_str(&target) {
            response.headers_mut().insert(LOCATION, target);
            *response.status_mut() = StatusCode::SEE_OTHER;
        }
    } else {
        match fields.get("success_action_status") {
            Some("200") => *response.status_mut() = StatusCode::OK,
            Some("201") => {
                // This document alone has no namespace.
                let mut document = XmlWriter::new();
                document
                    .open("PostResponse")
                    .leaf("Location", &place)
                    .leaf("Bucket", bucket)
                    .leaf("Key", key)
                    .leaf("ETag", &format!("\"{}\"", etag(object)));
                response = crate::answer::xml(document);
                *response.status_mut() = StatusCode::CREATED;
            }
            _ => {}
        }
        headers::set(response.headers_mut(), "location", &place);
    }
    wrote(response.headers_mut(), object);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_for_headers_and_name_the_key() {
        let fields = |list: &[(&str, &str)]| {
            let list = list
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect();
            Fields::new(list).unwrap()
        };
        let form = fields(&[
            ("Key", "a/${filename}"),
            ("Content-Type", "text/plain"),
            ("x-amz-meta-a", "1"),
            ("acl", "private"),
            ("x-amz-signature", "s"),
            ("policy", "p"),
        ]);
        let headers = headers_of(&form).unwrap();
        assert_eq!(headers.len(), 3);
        assert_eq!(headers["x-amz-acl"], "private");
        assert_eq!(key(&form, Some("x.txt")).unwrap().as_str(), "a/x.txt");
        assert!(key(&fields(&[]), None).is_err());
        assert!(headers_of(&fields(&[("x-amz-object-nonsense", "1")])).is_err());
    }

    #[test]
    fn a_file_stays_within_its_policy() {
        let read = |length| {
            let file = futures::stream::iter([Ok(Bytes::from_static(b"abc"))]);
            let pieces: Vec<_> = futures::executor::block_on(within(file, length).collect());
            pieces
                .into_iter()
                .find_map(|piece| piece.err())
                .map(|error| S3Error::from(error).code())
        };
        assert_eq!(read(None), None);
        assert_eq!(read(Some((3, 3))), None);
        assert_eq!(read(Some((0, 2))), Some(Code::EntityTooLarge));
        assert_eq!(read(Some((4, 9))), Some(Code::EntityTooSmall));
    }
}
