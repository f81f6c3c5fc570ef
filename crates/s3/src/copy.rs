//! Copies of objects, by reference, with what the request keeps or replaces.

use crate::answer;
use crate::body::fault;
use crate::call::Call;
use crate::checksum;
use crate::config::root;
use crate::error::{Code, S3Error};
use crate::headers;
use crate::object::{REDIRECT, checksum_of, etag, set_version, version_id};
use crate::source::{self, Readable};
use crate::sse;
use crate::time::iso_time;
use crate::write::{self, PUT_BYTES_MAX};
use http::Response;
use trestle_core::ErrorKind;
use trestle_http::{Body, XmlWriter};
use trestle_store::{CopyObject, Object, VersionRef};

/// Whether a directive says to replace.
fn replaces(call: &Call<'_>, name: &'static str) -> Result<bool, S3Error> {
    match headers::text(&call.headers, name)? {
        None | Some("" | "COPY") => Ok(false),
        Some("REPLACE") => Ok(true),
        Some(other) => Err(S3Error::argument(name, other, "Unknown directive.")),
    }
}

/// A copy to itself has to change something.
fn check_changes(call: &Call<'_>, readable: &Readable, replaces: bool) -> Result<(), S3Error> {
    let source = &readable.source;
    let itself = *call.bucket()? == source.bucket && *call.key()? == source.key;
    let changes = replaces
        || source.version != VersionRef::Current
        || [
            "x-amz-storage-class",
            "x-amz-website-redirect-location",
            "x-amz-server-side-encryption",
            "x-amz-server-side-encryption-customer-algorithm",
        ]
        .iter()
        .any(|name| call.headers.contains_key(*name));
    match itself && !changes {
        false => Ok(()),
        true => Err(S3Error::invalid(
            "This copy request is illegal because it is trying to copy an object to itself without \
             changing the object's metadata, storage class, website redirect location or \
             encryption attributes.",
        )),
    }
}

/// What a copy tells of the new content.
pub(crate) fn result(document: &mut XmlWriter, object: &Object) {
    document
        .leaf("ETag", &format!("\"{}\"", etag(object)))
        .leaf("LastModified", &iso_time(object.modified));
    if let Some((digest, kind, text)) = checksum_of(object) {
        document.leaf(checksum::element(digest.algorithm), &text);
        document.leaf("ChecksumType", kind.name());
    }
}

pub(crate) async fn copy(mut call: Call<'_>) -> Result<Response<Body>, S3Error> {
    if call.headers.contains_key(write::OFFSET) {
        return Err(S3Error::later("An addition of what another object holds"));
    }
    call.refuse_body().await?;
    let readable = source::readable(&call, None).await?;
    let replaces_metadata = replaces(&call, "x-amz-metadata-directive")?;
    let replaces_tags = replaces(&call, "x-amz-tagging-directive")?;
    check_changes(&call, &readable, replaces_metadata)?;
    let checksum = match headers::text(&call.headers, "x-amz-checksum-algorithm")? {
        None => None,
        Some(name) => Some(checksum::named(name)?),
    };
    let condition = write::write_condition(&call.headers)?;
    let new = write::new(&call).await?;
    let copy = CopyObject {
        encrypt: new.encrypt.clone(),
        source: readable.source.clone(),
        bucket: call.bucket()?.clone(),
        key: call.key()?.clone(),
        precondition: condition.clone(),
        tag_of: etag,
        checksum,
    };
    let properties = |source: &Object| {
        if source.length() > PUT_BYTES_MAX {
            let message = "The specified copy source is larger than the maximum allowable size for \
                           a copy source: 5368709120";
            return Err(fault(Code::InvalidRequest, message));
        }
        let mut properties = new.properties.clone();
        if !replaces_metadata {
            properties.representation = source.representation.clone();
            properties.metadata = source.metadata.clone();
            let kept = source
                .documents
                .iter()
                .filter(|(name, _)| *name != REDIRECT);
            properties
                .documents
                .extend(kept.map(|(name, text)| (name.clone(), text.clone())));
        }
        if !replaces_tags {
            properties.tags = source.tags.clone();
        }
        Ok(properties)
    };
    let copied = call
        .s3
        .store
        .copy(&readable.grant, &new.grant, copy, &properties)
        .await;
    let outcome = match copied {
        Ok(outcome) => outcome,
        Err(error) if error.kind() == ErrorKind::PreconditionFailed && condition.is_none() => {
            return Err(source::failed(&call, &readable.source, error).await);
        }
        Err(error) if error.kind() == ErrorKind::PreconditionFailed => {
            return Err(write::failed(&call, &condition, error).await);
        }
        Err(error) => return Err(source::failed(&call, &readable.source, error).await),
    };
    let mut document = root("CopyObjectResult");
    result(&mut document, &outcome.object);
    let mut response = answer::xml(document);
    let headers = response.headers_mut();
    set_version(headers, &outcome.object);
    sse::show(headers, outcome.object.encryption.as_ref());
    if !outcome.source.null_version {
        headers::set(
            headers,
            "x-amz-copy-source-version-id",
            &version_id(&outcome.source),
        );
    }
    Ok(response)
}
