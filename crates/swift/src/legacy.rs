//! The older two ways of keeping versions: copies in another container, made before an object is
//! replaced or deleted. In the one, a delete brings the last copy back; in the other, it leaves a
//! copy and a note that something was deleted.

use crate::call::{Call, Input, Place};
use crate::container::{Container, HISTORY_LOCATION, VERSIONS_LOCATION, key};
use crate::contents;
use crate::delete::remove;
use crate::duplicate::{Original, duplicate};
use crate::facts;
use crate::fault::{Fault, Outcome};
use crate::target::unquote;
use crate::times;
use crate::versions::MARKER_TYPE;
use trestle_access::Action;
use trestle_core::{ErrorKind, Noun, Precondition, Timestamp};
use trestle_store::{
    BodyChecks, ListObjects, ListingItem, Object, ObjectProperties, PutObject, VersionRef,
};

/// Where copies go.
fn location(container: &Container) -> Outcome<Option<String>> {
    let own = [VERSIONS_LOCATION, HISTORY_LOCATION]
        .iter()
        .find_map(|name| container.document(name));
    own.map(unquote).transpose()
}

/// What the copies of an object's name start with.
pub(crate) fn prefix(object: &str) -> String {
    format!("{:03x}{object}/", object.len())
}

/// The container of the copies, which must be there.
async fn archive_of(call: &Call, container: &Container) -> Outcome<Option<Container>> {
    let Some(name) = location(container)? else {
        return Ok(None);
    };
    let found = call
        .container(&container.bucket.owner.account, &name)
        .await?;
    found.map(Some).ok_or_else(|| Fault::new(412))
}

async fn current(call: &Call, container: &Container, object: &str) -> Outcome<Option<Object>> {
    let bucket = call.bucket_of(container);
    let key = key(object)?;
    let grant = call
        .on_object(Action::ReadObjectMetadata, &bucket, &key)
        .await?;
    let store = &call.swift.store;
    match store
        .head_itself(&grant, &bucket, &key, VersionRef::Current)
        .await
    {
        Ok(object) => Ok(Some(object)),
        Err(error) if error.kind() == ErrorKind::NotFound(Noun::Object) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Copies an object as it is, documents included.
async fn carry(
    call: &Call,
    object: &Object,
    from: (&Container, &str),
    to: (&Container, &str),
) -> Outcome<()> {
    let place = Place {
        account: from.0.bucket.owner.account.clone(),
        container: from.0.bucket.name.local().to_owned(),
        object: from.1.to_owned(),
    };
    let original = Original {
        place: &place,
        version: VersionRef::Current,
        object,
    };
    let properties = object.properties();
    duplicate(call, original, (call.bucket_of(to.0), to.1), &properties).await?;
    Ok(())
}

/// Writes on the owner's behalf, whatever the caller may do there.
async fn place(
    call: &Call,
    to: (&Container, &str),
    properties: ObjectProperties,
    input: Input,
) -> Outcome<()> {
    let bucket = call.bucket_of(to.0);
    let key = key(to.1)?;
    let grant = call.on_object(Action::WriteObject, &bucket, &key).await?;
    let put = PutObject {
        encrypt: None,
        bucket,
        key,
        precondition: Precondition::none(),
        tag_of: facts::tag,
        properties,
        checks: BodyChecks {
            declared_length: input.length,
            ..BodyChecks::default()
        },
        checksum: None,
    };
    call.swift.store.put(&grant, put, input.stream).await?;
    Ok(())
}

fn copy_name(object: &str, time: Timestamp) -> String {
    format!("{}{}", prefix(object), times::x_timestamp(time))
}

/// Copies what a write is about to replace. What it cannot replace gets no copy: the store refuses it.
pub(crate) async fn archive(call: &Call, container: &Container, place: &Place) -> Outcome<()> {
    keep(call, container, place, |object| {
        !object.is_volume() && !object.frozen
    })
    .await
}

/// Copies what stands at a place, if it is one of `these`.
async fn keep(
    call: &Call,
    container: &Container,
    place: &Place,
    these: impl Fn(&Object) -> bool,
) -> Outcome<()> {
    let Some(archive) = archive_of(call, container).await? else {
        return Ok(());
    };
    let current = current(call, container, &place.object).await?;
    if let Some(object) = current.filter(these) {
        let name = copy_name(&place.object, object.modified);
        carry(call, &object, (container, &place.object), (&archive, &name)).await?;
    }
    Ok(())
}

/// What a delete does in a container with copies; whether it did all there is to do.
pub(crate) async fn delete(call: &Call, container: &Container, place: &Place) -> Outcome<bool> {
    if location(container)?.is_none() {
        return Ok(false);
    }
    match container.document(HISTORY_LOCATION).is_some() {
        true => push(call, container, place).await,
        false => pop(call, container, place).await,
    }
}

async fn push(call: &Call, container: &Container, at: &Place) -> Outcome<bool> {
    let Some(archive) = archive_of(call, container).await? else {
        return Ok(false);
    };
    keep(call, container, at, |_| true).await?;
    let mut properties = ObjectProperties::default();
    let kind = MARKER_TYPE.to_owned();
    properties
        .representation
        .insert("content-type".to_owned(), kind);
    let now = call.swift.host.clock.now();
    let name = copy_name(&at.object, now);
    place(call, (&archive, &name), properties, Input::of("")).await?;
    Ok(false)
}

/// The copies of an object, the latest first.
async fn copies(call: &Call, archive: &Container, object: &str) -> Outcome<Vec<Object>> {
    let list = ListObjects {
        bucket: call.bucket_of(archive),
        prefix: prefix(object),
        delimiter: None,
        after: None,
        until: None,
        reverse: true,
        limit: 100,
    };
    let page = contents::page(call, &list).await?;
    Ok(page
        .items
        .into_iter()
        .filter_map(|item| match item {
            ListingItem::Object(object) => Some(*object),
            ListingItem::Prefix(_) => None,
        })
        .collect())
}

async fn pop(call: &Call, container: &Container, at: &Place) -> Outcome<bool> {
    let account = &container.bucket.owner.account;
    let name = location(container)?.unwrap_or_default();
    let Some(archive) = call.container(account, &name).await? else {
        return Ok(false);
    };
    let copies = copies(call, &archive, &at.object).await?;
    let is_note = |copy: &Object| facts::content_type(copy) == MARKER_TYPE;
    let in_archive = |copy: &Object| Place {
        account: account.clone(),
        container: name.clone(),
        object: copy.key.as_str().to_owned(),
    };
    let Some(last) = copies.first() else {
        return Ok(false);
    };
    if is_note(last) {
        if current(call, container, &at.object).await?.is_some() {
            return Ok(false);
        }
        // Nothing is there, as the note says: what was before it comes back.
        if let Some(before) = copies.get(1).filter(|copy| !is_note(copy)) {
            restore(call, &archive, before, (container, &at.object)).await?;
            remove(call, &archive, &in_archive(before), VersionRef::Current).await?;
        }
        remove(call, &archive, &in_archive(last), VersionRef::Current).await?;
        return Ok(true);
    }
    restore(call, &archive, last, (container, &at.object)).await?;
    remove(call, &archive, &in_archive(last), VersionRef::Current).await?;
    Ok(true)
}

async fn restore(
    call: &Call,
    archive: &Container,
    copy: &Object,
    to: (&Container, &str),
) -> Outcome<()> {
    carry(call, copy, (archive, copy.key.as_str()), to).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_named_after_their_object_and_time() {
        assert_eq!(
            copy_name("photo.jpg", Timestamp(1_402_437_380_581_860)),
            "009photo.jpg/1402437380.58186"
        );
        assert_eq!(prefix("é"), "002é/");
    }
}
