//! One request on its way to its verb: who asks, for what, under which circumstances.

use crate::authenticate::{Authenticated, missing_length};
use crate::body::{Framing, Pieces, unframe};
use crate::checksum::Declared;
use crate::dialect::S3;
use crate::document::DOCUMENT_BYTES_MAX;
use crate::error::{Code, S3Error};
use crate::headers;
use crate::route::{Operation, Parameters};
use crate::sse;
use bytes::Bytes;
use futures::StreamExt;
use http::HeaderMap;
use http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::sync::Arc;
use trestle_access::{Action, Asked, Context, Grant, Principal, Resource};
use trestle_core::{
    AccountId, BucketName, ErrorKind, Hasher, Id, KEY_BYTES_MAX, Key, Noun, Timestamp, VersionId,
};
use trestle_http::{Client, RequestBody, RequestId, incoming, read_whole};
use trestle_store::{Bucket, VersionRef};

/// What is encoded in the path of a URL.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// What a request names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Target {
    pub(crate) bucket: Option<BucketName>,
    pub(crate) key: Option<Key>,
}

/// One request.
pub(crate) struct Call<'a> {
    pub(crate) s3: &'a S3,
    pub(crate) principal: Arc<Principal>,
    pub(crate) context: Arc<Context>,
    pub(crate) target: Target,
    pub(crate) parameters: Parameters,
    pub(crate) headers: HeaderMap,
    pub(crate) declared: Declared,
    /// Length of the body's data, when it is known.
    pub(crate) length: Option<u64>,
    pub(crate) framing: Framing,
    /// Scheme and host of the client's URLs.
    pub(crate) origin: String,
    /// Whether the host names the bucket.
    pub(crate) by_host: bool,
    /// Whether nobody else can read what is sent: it is encrypted, stays on this machine, or the
    /// operator vouches for the network.
    pub(crate) private: bool,
    /// Taken by whoever reads it.
    pub(crate) body: Option<RequestBody>,
}

/// A key, or why it is none.
pub(crate) fn key(text: &str) -> Result<Key, S3Error> {
    if text.len() > KEY_BYTES_MAX {
        return Err(S3Error::new(Code::KeyTooLongError, "Your key is too long")
            .field("Size", text.len().to_string())
            .field("MaxSizeAllowed", KEY_BYTES_MAX.to_string()));
    }
    Key::parse(text).map_err(S3Error::from)
}

/// The version that a text names.
pub(crate) fn version(text: &str) -> Result<VersionRef, S3Error> {
    if text == "null" {
        return Ok(VersionRef::Null);
    }
    let id = id(text).map(|id| VersionRef::Id(VersionId(id)));
    id.ok_or_else(|| S3Error::argument("versionId", text, "Invalid version id specified"))
}

/// The id of 32 hexadecimal digits.
pub(crate) fn id(text: &str) -> Option<Id> {
    let hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = u128::from_str_radix(text, 16).ok().filter(|_| hex)?;
    Some(Id(id.to_be_bytes()))
}

/// The circumstances of a request that every decision may ask about.
pub(crate) fn context(
    parts: &Parts,
    client: Option<&Client>,
    now: Timestamp,
    authenticated: &Authenticated,
) -> Context {
    let id = parts.extensions.get::<RequestId>();
    let mut context = Context::at(now).of("s3", id.map(|id| id.0.as_str()));
    if let Some(client) = client {
        context.source = Some(client.address);
        context.secure = client.secure;
    }
    context.signed = authenticated.signed;
    context.set_headers(|name| parts.headers.get(name)?.to_str().ok());
    context
}

/// What the headers of a request, or those that a form's fields stand for, say of what it does.
pub(crate) fn circumstances(context: &mut Context, headers: &HeaderMap, operation: Operation) {
    // What begins or feeds an upload makes no object yet: conditions of a write are its completion's.
    let begins = [Operation::CreateMultipartUpload, Operation::UploadPart];
    if begins.contains(&operation) {
        context.set("s3:ObjectCreationOperation", vec!["false".to_owned()]);
    }
    for (name, value) in headers {
        let name = name.as_str();
        if !name.starts_with("x-amz-") && !name.starts_with("if-") {
            continue;
        }
        let key = match name {
            "if-match" => "s3:if-match",
            "if-none-match" => "s3:if-none-match",
            "x-amz-acl" => "s3:x-amz-acl",
            "x-amz-copy-source" => "s3:x-amz-copy-source",
            "x-amz-metadata-directive" => "s3:x-amz-metadata-directive",
            "x-amz-storage-class" => "s3:x-amz-storage-class",
            "x-amz-content-sha256" => "s3:x-amz-content-sha256",
            "x-amz-website-redirect-location" => "s3:x-amz-website-redirect-location",
            "x-amz-object-ownership" => "s3:x-amz-object-ownership",
            _ => "",
        };
        let Ok(value) = value.to_str() else { continue };
        if !key.is_empty() {
            context.set_one(key, value);
        } else if name.starts_with("x-amz-grant-") || sse::is_public(name) {
            context.set(&format!("s3:{name}"), vec![value.to_owned()]);
        }
    }
}

impl<'a> Call<'a> {
    /// The bucket of a request that names one.
    pub(crate) fn bucket(&self) -> Result<&BucketName, S3Error> {
        let none = || S3Error::new(Code::InvalidURI, "The request names no bucket");
        self.target.bucket.as_ref().ok_or_else(none)
    }

    /// The key of a request that names one.
    pub(crate) fn key(&self) -> Result<&Key, S3Error> {
        let none = || S3Error::new(Code::InvalidURI, "The request names no key");
        self.target.key.as_ref().ok_or_else(none)
    }

    /// The URL of an object of the request's bucket, as this client would write it.
    pub(crate) fn url(&self, key: &str) -> Result<String, S3Error> {
        let key = utf8_percent_encode(key, IN_PATH);
        Ok(match self.by_host {
            true => format!("{}/{key}", self.origin),
            false => format!("{}/{}/{key}", self.origin, self.bucket()?),
        })
    }

    /// The account of who asks.
    pub(crate) fn account(&self) -> Result<&AccountId, S3Error> {
        let none = || S3Error::new(Code::AccessDenied, "Access Denied");
        self.principal.account().ok_or_else(none)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.context.time
    }

    /// The version that the request names.
    pub(crate) fn version(&self) -> Result<VersionRef, S3Error> {
        match self.parameters.get("versionId") {
            None => Ok(VersionRef::Current),
            Some("") => Err(S3Error::argument(
                "versionId",
                "",
                "Version id cannot be the empty string",
            )),
            Some(text) => version(text),
        }
    }

    pub(crate) async fn grant(&self, action: Action, resource: Resource) -> Result<Grant, S3Error> {
        self.grant_in(action, resource, self.context.clone()).await
    }

    /// A grant under more circumstances than all requests have. Of a version that the request names,
    /// it is that one's list and tags that count.
    pub(crate) async fn grant_in(
        &self,
        action: Action,
        resource: Resource,
        context: Arc<Context>,
    ) -> Result<Grant, S3Error> {
        let version = self.version_of(&resource)?;
        let asked = self.asked(action, resource, context);
        let store = &self.s3.store;
        Ok(match version {
            Some(version) => store.authorize_on(asked, version).await?,
            None => store.authorize(asked).await?,
        })
    }

    /// A grant on a version of an object, as it is now.
    pub(crate) async fn grant_on(
        &self,
        action: Action,
        resource: Resource,
        version: VersionRef,
    ) -> Result<Grant, S3Error> {
        let asked = self.asked(action, resource, self.of_version(version));
        Ok(self.s3.store.authorize_on(asked, version).await?)
    }

    /// The circumstances of what is done to a version that the request names elsewhere than in its
    /// query.
    pub(crate) fn of_version(&self, version: VersionRef) -> Arc<Context> {
        let text = match version {
            VersionRef::Current | VersionRef::Ended => return self.context.clone(),
            VersionRef::Null => "null".to_owned(),
            VersionRef::Id(id) => id.to_string(),
        };
        let mut context = Context::clone(&self.context);
        context.set("s3:VersionId", vec![text]);
        context.into()
    }

    fn asked(&self, action: Action, resource: Resource, context: Arc<Context>) -> Asked {
        Asked {
            principal: self.principal.clone(),
            action,
            resource,
            context,
        }
    }

    /// The version that the request names of its object.
    fn version_of(&self, resource: &Resource) -> Result<Option<VersionRef>, S3Error> {
        let of_request = match resource {
            Resource::Object(bucket, key) => {
                let Target { bucket: b, key: k } = &self.target;
                (b.as_ref(), k.as_ref()) == (Some(bucket), Some(key))
            }
            _ => false,
        };
        match of_request && self.parameters.get("versionId").is_some() {
            true => self.version().map(Some),
            false => Ok(None),
        }
    }

    /// Asks for a right that no verb is given, and so would look at the bucket's list alone.
    pub(crate) async fn check(
        &self,
        action: Action,
        resource: Resource,
        context: Arc<Context>,
    ) -> Result<(), S3Error> {
        let version = self.version_of(&resource)?.unwrap_or_default();
        let asked = self.asked(action, resource, context);
        self.s3.store.authorize_on(asked, version).await?;
        Ok(())
    }

    /// Asks for a right to the bucket that the request is about to make.
    pub(crate) async fn check_made(&self, action: Action) -> Result<(), S3Error> {
        let resource = Resource::Bucket(self.bucket()?.clone());
        let asked = self.asked(action, resource, self.context.clone());
        Ok(self.s3.store.authorize_made(asked).await?)
    }

    /// Whether there is a right to the object of the request that no verb is given.
    pub(crate) async fn may(&self, action: Action) -> bool {
        let (Ok(bucket), Ok(key)) = (self.bucket(), self.key()) else {
            return false;
        };
        let resource = Resource::Object(bucket.clone(), key.clone());
        let checked = self.check(action, resource, self.context.clone());
        checked.await.is_ok()
    }

    pub(crate) async fn on_bucket(&self, action: Action) -> Result<Grant, S3Error> {
        self.grant(action, Resource::Bucket(self.bucket()?.clone()))
            .await
    }

    pub(crate) async fn on_object(&self, action: Action) -> Result<Grant, S3Error> {
        let resource = Resource::Object(self.bucket()?.clone(), self.key()?.clone());
        self.grant(action, resource).await
    }

    /// A grant to read: one action for the current version, another for a named one. Who may not,
    /// but may list the bucket, learns when there is nothing to read.
    pub(crate) async fn on_version(
        &self,
        current: Action,
        version: Action,
    ) -> Result<Grant, S3Error> {
        let action = match self.parameters.get("versionId") {
            None => current,
            Some(_) => version,
        };
        let refused = match self.on_object(action).await {
            Ok(grant) => return Ok(grant),
            Err(refused) => refused,
        };
        if refused.code() != Code::AccessDenied {
            return Err(refused);
        }
        let owner = self
            .s3
            .store
            .object_owner(self.bucket()?, self.key()?, self.version()?)
            .await;
        match owner {
            Err(error) if error.kind() == ErrorKind::NotFound(Noun::Object) => {
                Err(self.missing(error).await)
            }
            _ => Err(refused),
        }
    }

    /// The bucket's record, for whoever may do this to it.
    pub(crate) async fn read_bucket(&self, action: Action) -> Result<Bucket, S3Error> {
        let grant = self.on_bucket(action).await?;
        Ok(self.s3.store.bucket(&grant, self.bucket()?).await?.0)
    }

    /// What a read that found nothing says: only who may list learns that nothing is there.
    pub(crate) async fn missing(&self, error: trestle_core::Error) -> S3Error {
        if error.kind() != ErrorKind::NotFound(Noun::Object) {
            return error.into();
        }
        let (Ok(bucket), Ok(key)) = (self.bucket(), self.key()) else {
            return error.into();
        };
        match self.may_list(bucket, key).await {
            Ok(_) => S3Error::from(error),
            Err(refused) => refused,
        }
    }

    /// Whether the key would be seen in a listing: policies may admit to some prefixes alone.
    pub(crate) async fn may_list(&self, bucket: &BucketName, key: &Key) -> Result<Grant, S3Error> {
        let mut context = Context::clone(&self.context);
        context.set("s3:prefix", vec![key.as_str().to_owned()]);
        let resource = Resource::Bucket(bucket.clone());
        self.grant_in(Action::ListObjects, resource, context.into())
            .await
    }

    /// Refuses a bucket of another owner than the request expects.
    pub(crate) async fn expected_owner(&self) -> Result<(), S3Error> {
        let Some(expected) = headers::text(&self.headers, "x-amz-expected-bucket-owner")? else {
            return Ok(());
        };
        self.owned_by(self.bucket()?, expected).await
    }

    pub(crate) async fn owned_by(&self, bucket: &BucketName, owner: &str) -> Result<(), S3Error> {
        match self.s3.store.bucket_settings(bucket).await {
            Ok(found) if found.owner.account.as_str() == owner => Ok(()),
            Ok(_) => Err(S3Error::new(Code::AccessDenied, "Access Denied")),
            // The operation says it in its own way.
            Err(error) if error.kind() == ErrorKind::NotFound(Noun::Bucket) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The data of the body, once.
    pub(crate) fn take_body(&mut self) -> Result<Pieces, S3Error> {
        let framing = std::mem::replace(&mut self.framing, Framing::Plain(None));
        let body = self.body.take().ok_or_else(missing_length)?;
        Ok(unframe(incoming(body), framing))
    }

    /// Refuses a body: what is asked for takes none.
    pub(crate) async fn refuse_body(&mut self) -> Result<(), S3Error> {
        let refused = || {
            let message = "This request does not support content";
            S3Error::new(Code::UnexpectedContent, message)
        };
        if self.length.is_some_and(|length| length > 0) {
            return Err(refused());
        }
        let mut body = self.take_body()?;
        while let Some(piece) = body.next().await {
            if !piece?.is_empty() {
                return Err(refused());
            }
        }
        Ok(())
    }

    /// The body as a document, checked against what was declared of it.
    pub(crate) async fn document(&mut self) -> Result<Bytes, S3Error> {
        if self
            .length
            .is_some_and(|length| length > DOCUMENT_BYTES_MAX as u64)
        {
            return Err(too_long());
        }
        let read = read_whole(self.take_body()?, DOCUMENT_BYTES_MAX).await;
        let bytes = read.map_err(|error| match error.kind() {
            ErrorKind::TooLarge => too_long(),
            _ => error.into(),
        })?;
        for expected in self.declared.md5.iter().chain(&self.declared.value) {
            let mut hasher = Hasher::new(&[expected.algorithm]);
            hasher.update(&bytes);
            if hasher.finish().get(expected.algorithm) != Some(expected) {
                return Err(S3Error::new(
                    Code::BadDigest,
                    "The Content-MD5 or checksum value that you specified did not match what the \
                     server received.",
                ));
            }
        }
        Ok(bytes)
    }
}

fn too_long() -> S3Error {
    S3Error::new(Code::MaxMessageLengthExceeded, "Your request was too big.")
        .field("MaxMessageLengthBytes", DOCUMENT_BYTES_MAX.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ids_or_null() {
        assert_eq!(version("null").unwrap(), VersionRef::Null);
        let id = VersionId(Id([7; 16]));
        assert_eq!(version(&id.to_string()).unwrap(), VersionRef::Id(id));
        for bad in ["", "x", &"0".repeat(31), &"+".repeat(32), &"0".repeat(33)] {
            assert_eq!(
                version(bad).unwrap_err().code(),
                Code::InvalidArgument,
                "{bad}"
            );
        }
        assert_eq!(
            key(&"k".repeat(1025)).unwrap_err().code(),
            Code::KeyTooLongError
        );
    }
}
