//! Copies that move no bytes: the store lets the copy refer to the source's content.

use crate::call::{Call, Place};
use crate::container::key;
use crate::facts;
use crate::fault::Outcome;
use trestle_access::Action;
use trestle_core::{BucketName, Precondition, Tag, TagMatch};
use trestle_store::{CopyObject, Object, ObjectProperties, PutOutcome, Source, VersionRef};

/// What is copied: an object as it was found.
pub(crate) struct Original<'a> {
    pub(crate) place: &'a Place,
    pub(crate) version: VersionRef,
    pub(crate) object: &'a Object,
}

/// The revision, which tells whether an object still is what was found.
fn revision(object: &Object) -> String {
    object.revision()
}

/// Copies a whole object to a place in a bucket, with these properties.
///
/// # Errors
/// 412 when it is no longer what was found.
pub(crate) async fn duplicate(
    call: &Call,
    original: Original<'_>,
    (bucket, object): (BucketName, &str),
    properties: &ObjectProperties,
) -> Outcome<PutOutcome> {
    let Original {
        place,
        version,
        object: found,
    } = original;
    let source = BucketName::in_account(&place.account, &place.container)?;
    let source_key = key(&place.object)?;
    let key = key(object)?;
    let action = match version {
        VersionRef::Current => Action::ReadObject,
        _ => Action::ReadObjectVersion,
    };
    let source_grant = call.on_object(action, &source, &source_key).await?;
    let grant = call.on_object(Action::WriteObject, &bucket, &key).await?;
    let same = Tag {
        opaque: found.revision(),
        weak: false,
    };
    let copy = CopyObject {
        source: Source {
            bucket: source,
            key: source_key,
            version,
            precondition: Precondition {
                if_match: Some(TagMatch::Tags(vec![same])),
                ..Precondition::none()
            },
            tag_of: revision,
            range: None,
            key_of_client: None,
            itself: true,
        },
        bucket,
        key,
        precondition: Precondition::none(),
        tag_of: facts::tag,
        checksum: None,
        encrypt: None,
    };
    let keep = |_: &Object| Ok(properties.clone());
    let copied = call
        .swift
        .store
        .copy(&source_grant, &grant, copy, &keep)
        .await?;
    Ok(PutOutcome {
        object: copied.object,
        created: copied.created,
    })
}
