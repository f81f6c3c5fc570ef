//! Writing objects and their metadata.

use crate::call::{Call, Input, Place, page, set};
use crate::container::{Container, key};
use crate::facts::{self, LINK, MANIFEST, RECEIVED};
use crate::fault::{Fault, Outcome};
use crate::metadata;
use crate::object::{SIZE_MAX, writable};
use crate::read::shown_tag;
use crate::target::{container_and_object, unquote};
use crate::who::RESELLER_ADMIN;
use crate::{legacy, receive, times, versions};
use futures::StreamExt;
use http::Response;
use trestle_access::{Action, Grant};
use trestle_core::{
    AccountId, BucketName, Digest, DigestAlgorithm, Error, ErrorKind, Key, Precondition,
    Representation, Timestamp,
};
use trestle_http::Body;
use trestle_store::{
    BodyChecks, Manifest, Object, ObjectProperties, PutObject, PutOutcome, Segment, UpdateObject,
    Versioning,
};

/// The headers that are kept with an object and given back, beside its type.
pub(crate) const KEPT: [&str; 6] = [
    "content-disposition",
    "content-encoding",
    "cache-control",
    "content-language",
    "expires",
    "x-robots-tag",
];
/// The largest time of an expiry, in seconds.
const EXPIRY_MAX: u64 = 9_999_999_999;

/// What a write makes of an object, beside its bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Write {
    pub(crate) properties: ObjectProperties,
    /// The MD5 that the bytes must have.
    pub(crate) etag: Option<String>,
    /// Only when there is nothing yet.
    pub(crate) absent: bool,
    /// Only over what is of this revision.
    pub(crate) over: Option<String>,
}

/// When an object ends, by its headers.
///
/// # Errors
/// 400 for what is no integer, or in the past.
pub(crate) fn expiry(call: &Call) -> Outcome<Option<Timestamp>> {
    let at = if let Some(text) = call.header("x-delete-after")? {
        let seconds =
            times::integer(text).ok_or_else(|| Fault::text(400, "Non-integer X-Delete-After"))?;
        let now = i64::try_from(call.now.seconds()).unwrap_or(i64::MAX);
        (now.saturating_add(seconds), "X-Delete-After in past")
    } else if let Some(text) = call.header("x-delete-at")? {
        if text.is_empty() && call.method == "POST" {
            return Ok(None);
        }
        let seconds =
            times::integer(text).ok_or_else(|| Fault::text(400, "Non-integer X-Delete-At"))?;
        (seconds, "X-Delete-At in past")
    } else {
        return Ok(None);
    };
    let (seconds, past) = at;
    match u64::try_from(seconds) {
        Ok(seconds) if seconds > call.now.seconds() => {
            Ok(Some(times::at_second(seconds.min(EXPIRY_MAX))))
        }
        _ => Err(Fault::text(400, past)),
    }
}

/// A dynamic large object's manifest, by its header.
///
/// # Errors
/// 400 for what is not `container/prefix`.
pub(crate) fn manifest(call: &Call) -> Outcome<Option<String>> {
    let Some(text) = call.some_header("x-object-manifest")? else {
        return Ok(None);
    };
    let plain = unquote(text)?;
    let split = container_and_object(&plain);
    let sound = split.is_some_and(|(_, prefix)| !prefix.starts_with('/'))
        && !plain.contains(['?', '&'])
        && !plain.starts_with('/');
    match sound {
        true => Ok(Some(text.to_owned())),
        false => Err(Fault::html(
            400,
            "X-Object-Manifest must be in the format container/prefix",
        )),
    }
}

/// A dynamic large object, by its header's text, and the text.
pub(crate) fn dynamic(account: &AccountId, text: String) -> Outcome<(Manifest, String)> {
    let (container, prefix) =
        container_and_object(&unquote(&text)?).ok_or_else(|| Fault::new(400))?;
    let manifest = Manifest::Prefix {
        bucket: BucketName::in_account(account, &container)?,
        prefix,
        found: None,
    };
    Ok((manifest, text))
}

/// Makes an object a dynamic large one, or none. A static one stays what it is.
pub(crate) fn set_dynamic(properties: &mut ObjectProperties, dynamic: Option<(Manifest, String)>) {
    let (manifest, text) = dynamic.unzip();
    if !matches!(properties.manifest, Some(Manifest::Segments { .. })) {
        properties.manifest = manifest;
    }
    match text {
        Some(text) => drop(properties.documents.insert(MANIFEST.to_owned(), text)),
        None => drop(properties.documents.remove(MANIFEST)),
    }
}

/// The representation that headers give, without the type.
pub(crate) fn kept(call: &Call) -> Outcome<Representation> {
    let mut representation = Representation::new();
    for name in KEPT {
        if let Some(value) = call.some_header(name)? {
            representation.insert(name.to_owned(), value.to_owned());
        }
    }
    Ok(representation)
}

/// The type that the request gives, or its name tells. Parameters of Swift's own are no client's.
pub(crate) fn content_type(call: &Call, name: &str) -> Outcome<String> {
    let given = call.some_header("content-type")?;
    Ok(
        match given.filter(|_| !call.says("x-detect-content-type")) {
            Some(given) => own_type(given),
            None => facts::guess(name).to_owned(),
        },
    )
}

fn own_type(given: &str) -> String {
    match given.to_ascii_lowercase().contains("swift_") {
        true => {
            let foreign = |part: &&str| !part.trim().to_ascii_lowercase().starts_with("swift_");
            let parts: Vec<&str> = given.split(';').filter(foreign).collect();
            parts.join(";")
        }
        false => given.to_owned(),
    }
}

/// What a PUT makes of an object, by its headers.
pub(crate) fn asked(call: &Call, name: &str) -> Outcome<Write> {
    let absent = match call.header("if-none-match")? {
        Some("*") => true,
        Some(_) => {
            return Err(Fault::text(400, "If-None-Match only supports *"));
        }
        None => false,
    };
    let puts_manifest = call.query.get("multipart-manifest") == Some("put");
    if call.headers.contains_key("x-static-large-object") && !puts_manifest {
        return Err(Fault::html(
            400,
            "X-Static-Large-Object is a reserved header. To create a static large object add \
             query param multipart-manifest=put.",
        ));
    }
    key(name)?;
    let expires = expiry(call)?;
    let metadata = metadata::of_object(&call.headers)?;
    let mut representation = kept(call)?;
    representation.insert("content-type".to_owned(), content_type(call, name)?);
    let mut properties = ObjectProperties {
        representation,
        metadata,
        expires,
        ..ObjectProperties::default()
    };
    if let Some(text) = manifest(call)? {
        set_dynamic(&mut properties, Some(dynamic(&call.account, text)?));
    }
    let mut absent = absent;
    let mut over = None;
    if let Some(received) = &call.received {
        let text = facts::received(received.time, received.bucket, name);
        properties.documents.insert(RECEIVED.to_owned(), text);
        over.clone_from(&received.over);
        absent = over.is_none();
    }
    let etag = call.some_header("etag")?;
    Ok(Write {
        properties,
        etag: etag.map(|etag| etag.trim_matches('"').to_ascii_lowercase()),
        absent,
        over,
    })
}

fn md5_of(text: &str) -> Option<Digest> {
    let bytes = text.as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let value: Option<Vec<u8>> = bytes
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
            _ => None,
        })
        .collect();
    let value = value.filter(|value| value.len() == DigestAlgorithm::Md5.length())?;
    Some(Digest {
        algorithm: DigestAlgorithm::Md5,
        value,
    })
}

/// What comes before every write: the copy of what it replaces, and quotas of Swift's own.
pub(crate) async fn before(
    call: &Call,
    container: &Container,
    place: &Place,
    length: u64,
) -> Outcome<()> {
    check_quota(call, container, length).await?;
    legacy::archive(call, container, place).await
}

/// The store's write of what a request makes of an object.
fn put_of(call: &Call, container: &Container, place: &Place, write: Write) -> Outcome<PutObject> {
    let mut checks = BodyChecks::default();
    if let Some(etag) = &write.etag {
        checks.expected_digests = vec![md5_of(etag).ok_or_else(|| Fault::new(422))?];
    }
    Ok(PutObject {
        encrypt: None,
        bucket: call.bucket_of(container),
        key: key(&place.object)?,
        precondition: match (&write.over, write.absent) {
            (Some(revision), _) => receive::still(revision),
            (None, true) => Precondition::absent(),
            (None, false) => Precondition::none(),
        },
        tag_of: match write.over {
            Some(_) => Object::revision,
            None => facts::tag,
        },
        properties: write.properties,
        checks,
        checksum: None,
    })
}

/// Writes a manifest of segments into a container that the caller may write to.
pub(crate) async fn store_segments(
    call: &Call,
    container: &Container,
    place: &Place,
    write: Write,
    segments: &[Segment],
) -> Outcome<PutOutcome> {
    before(call, container, place, 0).await?;
    let put = put_of(call, container, place, write)?;
    let grant = call
        .on_object(Action::WriteObject, &put.bucket, &put.key)
        .await?;
    let store = &call.swift.store;
    Ok(store.put_manifest(&grant, put, segments).await?)
}

/// Writes an object into a container that the caller may write to.
pub(crate) async fn store(
    call: &Call,
    container: &Container,
    place: &Place,
    write: Write,
    input: Input,
) -> Outcome<PutOutcome> {
    before(call, container, place, input.length.unwrap_or(0)).await?;
    let mut put = put_of(call, container, place, write)?;
    put.checks.declared_length = input.length;
    let grant = call
        .on_object(Action::WriteObject, &put.bucket, &put.key)
        .await?;
    let mut taken = 0u64;
    let body = input.stream.map(move |piece| {
        let piece = piece?;
        taken = taken.saturating_add(piece.len() as u64);
        match taken > SIZE_MAX {
            true => Err(Error::new(
                ErrorKind::TooLarge,
                "Your request is too large.",
            )),
            false => Ok(piece),
        }
    });
    Ok(call.swift.store.put(&grant, put, body).await?)
}

/// The quotas of an account for one policy, which the store does not know.
async fn check_quota(call: &Call, container: &Container, length: u64) -> Outcome<()> {
    if call.who.is_in(RESELLER_ADMIN) {
        return Ok(());
    }
    let policy = crate::account::policy_of(call, &container.bucket);
    let account = &container.bucket.owner.account;
    let Some((record, usage)) = call.account(account).await? else {
        return Ok(());
    };
    let documents = &record.properties.documents;
    let limit = |kind: &str| -> Option<u64> {
        let name = format!("swift.quota-{kind}-policy-{}", policy.to_ascii_lowercase());
        documents.get(&name)?.parse().ok()
    };
    let (bytes, count) = (limit("bytes"), limit("count"));
    if bytes.is_none() && count.is_none() {
        return Ok(());
    }
    let policies = crate::account::by_policy(call, account, &usage).await?;
    let used = policies.get(policy).copied().unwrap_or_default();
    let over = bytes.is_some_and(|limit| used.bytes.saturating_add(length) > limit)
        || count.is_some_and(|limit| used.objects + 1 > limit);
    match over {
        true => Err(Fault::html(413, "Upload exceeds policy quota.")),
        false => Ok(()),
    }
}

/// Refuses a body that is too long, or whose length cannot be known.
pub(crate) fn check_length(call: &Call, input: &Input) -> Outcome<()> {
    match input.length {
        Some(length) if length > SIZE_MAX => Err(Fault::text(413, "Your request is too large.")),
        None if !call.headers.contains_key("transfer-encoding") => {
            Err(Fault::text(411, "Missing Content-Length header."))
        }
        _ => Ok(()),
    }
}

/// The answer to a write.
pub(crate) fn written(
    container: &Container,
    outcome: &PutOutcome,
    etag: &str,
    quoted: bool,
) -> Response<Body> {
    let mut response = page(201);
    let headers = response.headers_mut();
    set(headers, "etag", &shown_tag(container, etag, quoted));
    set(
        headers,
        "last-modified",
        &times::last_modified(outcome.object.modified),
    );
    if container.versioning() == Versioning::Enabled {
        set(
            headers,
            "x-object-version-id",
            &versions::id(&outcome.object),
        );
    }
    response
}

/// Answers a PUT of an object.
pub(crate) async fn put(call: &Call, input: Input) -> Outcome<Response<Body>> {
    let place = call.place();
    let container = writable(call, &place).await?;
    check_length(call, &input)?;
    if call.query.some("version-id").is_some() {
        return crate::copy::restore(call, &container, input.length).await;
    }
    let mut write = asked(call, &place.object)?;
    if call.headers.contains_key("x-symlink-target") {
        let empty = match input.length {
            Some(length) => length == 0,
            None => input.whole(1).await.is_ok_and(|bytes| bytes.is_empty()),
        };
        if !empty {
            return Err(Fault::text(
                400,
                "Symlink requests require a zero byte body",
            ));
        }
        if let Some((link, kind)) = call.wanted_link().await? {
            let kind = kind.unwrap_or_else(|| "application/symlink".to_owned());
            if call.some_header("content-type")?.is_none() {
                let representation = &mut write.properties.representation;
                representation.insert("content-type".to_owned(), kind);
            }
            write
                .properties
                .documents
                .insert(LINK.to_owned(), link.text());
        }
        let outcome = store(call, &container, &place, write, Input::of("")).await?;
        return Ok(written(
            &container,
            &outcome,
            &facts::hash(&outcome.object),
            false,
        ));
    }
    let outcome = store(call, &container, &place, write, input).await?;
    Ok(written(
        &container,
        &outcome,
        &facts::hash(&outcome.object),
        false,
    ))
}

/// Who has a URL to write with must not make a pointer to what it may not read, or a copy of it.
pub(crate) fn refuse_pointers(call: &Call) -> Outcome<()> {
    for (name, shown) in [
        ("x-object-manifest", "X-Object-Manifest"),
        ("x-symlink-target", "X-Symlink-Target"),
        ("x-copy-from", "X-Copy-From"),
    ] {
        if call.headers.contains_key(name) {
            let text = format!("The header '{shown}' is not allowed in this tempurl");
            return Err(Fault::html(400, text));
        }
    }
    Ok(())
}

/// Answers a POST to an object: the metadata is replaced, not merged.
pub(crate) async fn post(call: &Call) -> Outcome<Response<Body>> {
    let place = call.place();
    let container = writable(call, &place).await?;
    if call.query.some("version-id").is_some() {
        return Err(Fault::html(
            400,
            "POST to a specific version is not allowed",
        ));
    }
    if call.headers.contains_key("x-symlink-target") {
        return Err(Fault::text(
            400,
            "A PUT request is required to set a symlink target",
        ));
    }
    let expires = expiry(call)?;
    let metadata = metadata::of_object(&call.headers)?;
    let manifest = manifest(call)?
        .map(|text| dynamic(&place.account, text))
        .transpose()?;
    let mut representation = kept(call)?;
    let kind = match call.some_header("content-type")? {
        Some(_) => Some(content_type(call, &place.object)?),
        None => None,
    };
    if let Some(kind) = kind {
        representation.insert("content-type".to_owned(), kind);
    }
    let bucket = call.bucket_of(&container);
    let key = key(&place.object)?;
    let change = |properties: &mut ObjectProperties| {
        let mut new = representation.clone();
        if let (None, Some(kind)) = (
            new.get("content-type"),
            properties.representation.get("content-type"),
        ) {
            new.insert("content-type".to_owned(), kind.clone());
        }
        properties.representation = new;
        properties.metadata.clone_from(&metadata);
        properties.expires = expires;
        set_dynamic(properties, manifest.clone());
        Ok(())
    };
    let grants = rights_to_change(call, &bucket, &key).await?;
    let update = UpdateObject {
        bucket,
        key,
        version: call.current(),
        precondition: Precondition::none(),
        tag_of: facts::tag,
    };
    let object = call
        .swift
        .store
        .update_object(&grants, &update, &change)
        .await?;
    if let Some(link) = facts::link(&object) {
        let text = "The requested POST was applied to a symlink. POST directly to the target to \
                    apply requested metadata.";
        let mut fault = Fault::html(307, text).with("location", call.location(&place, &link));
        if let Some(etag) = link.etag {
            fault = fault.with("x-symlink-target-etag", etag);
        }
        return Err(fault);
    }
    let mut response = page(202);
    if container.versioning() != Versioning::Off {
        set(
            response.headers_mut(),
            "x-object-version-id",
            &versions::id(&object),
        );
    }
    Ok(response)
}

/// Those of the rights to what a POST may change that are given, at least one: the store says which of
/// them its changes take.
async fn rights_to_change(call: &Call, bucket: &BucketName, key: &Key) -> Outcome<Vec<Grant>> {
    let (mut grants, mut refused) = (Vec::new(), None);
    for action in [
        Action::WriteObjectAttributes,
        Action::WriteObjectDocument,
        Action::WriteObjectMetadata,
    ] {
        match call.on_object(action, bucket, key).await {
            Ok(grant) => grants.push(grant),
            Err(error) if error.kind() == ErrorKind::Forbidden => refused = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    match refused.filter(|_| grants.is_empty()) {
        Some(refused) => Err(refused.into()),
        None => Ok(grants),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_swift_are_no_clients() {
        assert_eq!(own_type("text/plain; charset=x"), "text/plain; charset=x");
        assert_eq!(own_type("a/b; Swift_bytes=7; x=y"), "a/b; x=y");
        assert!(md5_of("d41d8cd98f00b204e9800998ecf8427e").is_some());
        assert!(md5_of("d41d8cd98f00b204e9800998ecf8427").is_none());
        assert!(md5_of("zz").is_none());
    }
}
