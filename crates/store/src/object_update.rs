//! Changing an object's properties: each part by a right of its own, without touching its bytes.

use crate::bucket_update::{bytes, check_tags};
use crate::feed::{Event, EventKind};
use crate::layer::Hold;
use crate::manifest::Manifest;
use crate::nouns::{Object, UpdateObject, VersionRef};
use crate::placement::{Changes, check_frozen, check_own};
use crate::properties::ObjectProperties;
use crate::protection::Guard;
use crate::put::{check_metadata, check_representation};
use crate::read::attached;
use crate::record::{ObjectRecord, Record};
use crate::store::{self, ATTEMPTS_MAX, FoundBucket, Store};
use trestle_access::{Action, Grant, Resource};
use trestle_core::{Error, ErrorKind, KEY_BYTES_MAX, Result};
use trestle_engine::{Body, MetaRead, Urgency};

/// Largest access control list of an object, in bytes.
pub const OBJECT_ACL_BYTES_MAX: usize = 64 << 10;
/// Largest documents of an object: the bytes of all their names and texts.
pub const OBJECT_DOCUMENTS_BYTES_MAX: usize = 64 << 10;
/// Longest name of a storage class, in bytes.
pub const STORAGE_CLASS_BYTES_MAX: usize = 256;

/// How an object's properties change: run on what is there, again when that has changed.
pub type ChangeObject<'a> = dyn Fn(&mut ObjectProperties) -> Result<()> + Send + Sync + 'a;

impl Store {
    /// Changes the properties of a version. Each part that comes out different needs a grant for
    /// its action; shortening a retention in governance mode needs one for `BypassRetention`, too.
    /// A change of representation, metadata, storage class, expiry or manifest is a modification; one of
    /// tags, access control list, retention, hold or documents is not.
    ///
    /// # Errors
    /// Those of [`Store::head`]; `PreconditionFailed`; what `change` refuses with; `Locked`;
    /// `TooLarge`; `InvalidInput`; `Conflict` when concurrent changes keep winning.
    pub async fn update_object(
        &self,
        grants: &[Grant],
        update: &UpdateObject,
        change: &ChangeObject<'_>,
    ) -> Result<Object> {
        self.own(&update.bucket, [&update.key], Urgency::Normal)
            .await?;
        let mut hold = Hold::default();
        for _ in 0..ATTEMPTS_MAX {
            let read = self.snapshot().await?;
            let planned = self.plan_update(&*read, grants, update, change).await?;
            drop(read);
            let Some(changes) = planned.changes else {
                return Ok(planned.object);
            };
            let (bucket, urgency) = (&planned.bucket, Urgency::Normal);
            if changes.commit(self, bucket, &mut hold, urgency).await? {
                return Ok(planned.object);
            }
        }
        Err(store::conflict())
    }

    /// Works out the one commit of a change of properties.
    pub(crate) async fn plan_update(
        &self,
        read: &dyn MetaRead,
        grants: &[Grant],
        update: &UpdateObject,
        change: &ChangeObject<'_>,
    ) -> Result<Updated> {
        let resource = Resource::Object(update.bucket.clone(), update.key.clone());
        let bucket = store::find_bucket(read, &update.bucket).await?;
        let found = self.find_live(read, &bucket, &update.key, update.version);
        let found = found.await;
        let current = found.as_ref().ok();
        let mut confirmed = Vec::new();
        let (mut holding, mut refused) = (Vec::new(), None);
        for grant in grants {
            // Parts that a list forbids may be other ones than those that change.
            match self.confirm(read, grant, Some(&bucket), current).await {
                Ok(expected) => {
                    holding.push(grant.clone());
                    if !confirmed.contains(&expected) {
                        confirmed.push(expected);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Forbidden => refused = Some(error),
                Err(error) => return Err(error),
            }
        }
        if let Some(refused) = refused.filter(|_| holding.is_empty()) {
            return Err(refused);
        }
        let grants = &holding;
        if grants.iter().all(|grant| *grant.resource() != resource) {
            return Err(store::no_grant());
        }
        store::check_precondition(&update.precondition, update.tag_of, current)?;
        let found = found?;
        check_own(&bucket.bucket, &found)?;
        let former = found.object.properties();
        let mut properties = former.clone();
        change(&mut properties)?;
        if properties == former {
            return Ok(Updated {
                bucket,
                object: found.object,
                changes: None,
            });
        }
        if is_modification(&former, &properties) || former.tags != properties.tags {
            check_frozen(&found.object)?;
        }
        let bypass = store::granted(grants, &[Action::BypassRetention], &resource).is_ok();
        let guard = Guard {
            now: self.host.clock.now(),
            bypass,
        };
        for actions in needed(&former, &properties, update.version) {
            store::granted(grants, actions, &resource)?;
        }
        guard.check_retention(former.retention, properties.retention)?;
        check_properties(&properties)?;
        check_manifest(&former, &properties)?;
        if found.object.is_volume() && properties.manifest.is_some() {
            let message = "a volume has bytes of its own: it stands for no other objects";
            return Err(Error::new(ErrorKind::InvalidState, message));
        }
        if let Some(acl) = properties
            .acl
            .as_ref()
            .filter(|_| properties.acl != former.acl)
        {
            let block = self.block_within(read, &bucket.bucket).await?;
            crate::authorize::check_acl(&block, (acl, former.acl.as_deref()))?;
        }
        let mut object = found.object.clone();
        object.change = object.change.saturating_add(1);
        object.modifications = object.modifications.saturating_add(1);
        if is_modification(&former, &properties) {
            object.modified = guard.now.after(object.modified);
        }
        object.set_properties(properties);
        let mut changes = Changes::expecting(bucket.expectations());
        changes.expectations.push(found.expectation());
        changes.expectations.extend(confirmed);
        let body = attached(self, &found).await?.map(Body::Attached);
        changes.put(
            found.row.clone(),
            ObjectRecord::new(&object)?.to_value()?,
            body,
        );
        if found.is_current() {
            let id = bucket.bucket.id;
            changes.expiry(id, Some(&found.object), Some(&object));
        }
        let name = &bucket.bucket.name;
        let updated = Event::of(EventKind::Updated, name, &object);
        changes.events.push(updated);
        Ok(Updated {
            bucket,
            object,
            changes: Some(changes),
        })
    }
}

/// What a change of properties is going to commit.
pub(crate) struct Updated {
    pub(crate) bucket: FoundBucket,
    /// As it will be.
    pub(crate) object: Object,
    /// None when it changes nothing.
    pub(crate) changes: Option<Changes>,
}

/// For each part that differs, the actions of which one is needed.
fn needed(
    former: &ObjectProperties,
    new: &ObjectProperties,
    version: VersionRef,
) -> Vec<&'static [Action]> {
    let named = !version.is_current();
    let mut needed: Vec<&'static [Action]> = Vec::new();
    let mut part = |differs: bool, current: &'static [Action], of_version: &'static [Action]| {
        if differs {
            needed.push(if named { of_version } else { current });
        }
    };
    let attributes: &[Action] = &[Action::WriteObjectAttributes, Action::WriteObject];
    let described = former.representation != new.representation;
    part(described, attributes, attributes);
    let write: &[Action] = &[Action::WriteObjectMetadata, Action::WriteObject];
    part(is_modification_beside(former, new), write, write);
    if new.tags.is_empty() {
        part(
            former.tags != new.tags,
            &[Action::DeleteObjectTags, Action::WriteObjectTags],
            &[
                Action::DeleteObjectVersionTags,
                Action::WriteObjectVersionTags,
            ],
        );
    } else {
        part(
            former.tags != new.tags,
            &[Action::WriteObjectTags],
            &[Action::WriteObjectVersionTags],
        );
    }
    part(
        former.acl != new.acl,
        &[Action::WriteObjectAcl],
        &[Action::WriteObjectVersionAcl],
    );
    let retention: &[Action] = &[Action::WriteObjectRetention];
    part(former.retention != new.retention, retention, retention);
    let hold: &[Action] = &[Action::WriteLegalHold];
    let told = new.hold_lifted && former.hold().is_none();
    part(told || former.legal_hold != new.legal_hold, hold, hold);
    for actions in [
        &[Action::WriteObjectDocument],
        &[Action::WriteObjectAttributes],
    ] {
        let [action] = *actions;
        part(former.documents_differ(new, action), actions, actions);
    }
    needed
}

fn is_modification(former: &ObjectProperties, new: &ObjectProperties) -> bool {
    former.representation != new.representation || is_modification_beside(former, new)
}

/// The same of all but the representation.
fn is_modification_beside(former: &ObjectProperties, new: &ObjectProperties) -> bool {
    former.metadata != new.metadata
        || former.expires != new.expires
        || former.storage_class != new.storage_class
        || former.manifest != new.manifest
}

/// Segments come and go with the content that lists them.
fn check_manifest(former: &ObjectProperties, new: &ObjectProperties) -> Result<()> {
    let lists = |properties: &ObjectProperties| {
        matches!(properties.manifest, Some(Manifest::Segments { .. }))
    };
    match former.manifest == new.manifest || !lists(former) && !lists(new) {
        true => Ok(()),
        false => Err(Error::invalid("a manifest's segments are not a property")),
    }
}

/// Refuses the properties of a new content that say it lists segments: only its verb knows them.
pub(crate) fn check_new(properties: &ObjectProperties) -> Result<()> {
    match properties.manifest {
        Some(Manifest::Segments { .. }) => Err(Error::invalid(
            "a manifest's segments are put by a verb of their own",
        )),
        _ => check_properties(properties),
    }
}

/// Refuses properties beyond their limits.
pub(crate) fn check_properties(properties: &ObjectProperties) -> Result<()> {
    if let Some(Manifest::Prefix { prefix, found, .. }) = &properties.manifest
        && (found.is_some() || prefix.len() > KEY_BYTES_MAX)
    {
        return Err(Error::invalid("a prefix that joins no objects"));
    }
    check_representation(&properties.representation)?;
    check_metadata(&properties.metadata)?;
    check_tags(&properties.tags)?;
    let acl = properties.acl.as_ref().map_or(0, String::len);
    if acl > OBJECT_ACL_BYTES_MAX {
        return Err(store::too_large(
            "an object's access control list",
            OBJECT_ACL_BYTES_MAX as u64,
        ));
    }
    if bytes(&properties.documents) > OBJECT_DOCUMENTS_BYTES_MAX {
        return Err(store::too_large(
            "an object's documents",
            OBJECT_DOCUMENTS_BYTES_MAX as u64,
        ));
    }
    let class = properties.storage_class.as_ref().map_or(0, String::len);
    if class > STORAGE_CLASS_BYTES_MAX {
        return Err(Error::invalid(format!(
            "the name of a storage class has at most {STORAGE_CLASS_BYTES_MAX} bytes"
        )));
    }
    Ok(())
}
