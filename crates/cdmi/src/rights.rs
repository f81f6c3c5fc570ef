//! Access control lists of stored objects: the standard's form in and out of the form that every
//! dialect shares, and what a new object inherits.

use crate::acl::{Acl, Entry, EntryType, flag, mask};
use crate::call::Call;
use crate::fault::{Answered, Fault};
use crate::metadata::Update;
use crate::node::{Container, Place, found};
use crate::render::Rendering;
use crate::root::AtRoot;
use futures::FutureExt;
use serde_json::Value;
use trestle_access::{Acl as Shared, AclEntry, Action, EntryKind, OrderedAsked, Resource, Who};
use trestle_core::{BucketName, Error, ErrorKind, Key, Owner, Result, Timestamp};
use trestle_store::{Bucket, Object};

/// The metadata item.
pub(crate) const ITEM: &str = "cdmi_acl";
/// The group whom the list means by GROUP@.
pub(crate) const GROUP: &str = "cdmi_group";
/// Longest name of a group, in bytes.
const GROUP_BYTES_MAX: usize = 256;

fn who(entry: &Entry) -> Who {
    let (account, name) = match entry.identifier.split_once('/') {
        Some((account, name)) => (account.to_owned(), name.to_owned()),
        None => (String::new(), entry.identifier.clone()),
    };
    match entry.identifier.as_str() {
        "OWNER@" => Who::Owner,
        "GROUP@" => Who::Group,
        "EVERYONE@" => Who::Everyone,
        "ANONYMOUS@" => Who::Anonymous,
        "AUTHENTICATED@" => Who::Authenticated,
        "ADMINISTRATOR@" => Who::Administrator,
        "ADMINUSERS@" => Who::AdminUsers,
        _ if entry.flags & flag::IDENTIFIER_GROUP != 0 => Who::NamedGroup(account, name),
        _ => Who::User(account, name),
    }
}

fn identifier(who: &Who) -> String {
    let qualified = |account: &str, name: &str| match account {
        "" => name.to_owned(),
        account => format!("{account}/{name}"),
    };
    match who {
        Who::Owner => "OWNER@".to_owned(),
        Who::Group => "GROUP@".to_owned(),
        Who::Everyone => "EVERYONE@".to_owned(),
        Who::Anonymous => "ANONYMOUS@".to_owned(),
        Who::Authenticated => "AUTHENTICATED@".to_owned(),
        Who::Administrator => "ADMINISTRATOR@".to_owned(),
        Who::AdminUsers => "ADMINUSERS@".to_owned(),
        Who::User(account, name) | Who::NamedGroup(account, name) => qualified(account, name),
    }
}

fn share(acl: &Acl) -> Vec<AclEntry> {
    let entries = acl.0.iter().map(|entry| AclEntry {
        kind: match entry.kind {
            EntryType::Allow => EntryKind::Allow,
            EntryType::Deny => EntryKind::Deny,
            EntryType::Audit => EntryKind::Audit,
        },
        who: who(entry),
        flags: entry.flags,
        mask: entry.mask,
        expires: entry.expires.map(|ends| ends.0),
    });
    entries.collect()
}

fn unshare(entries: &[AclEntry]) -> Acl {
    let entries = entries.iter().map(|entry| Entry {
        kind: match entry.kind {
            EntryKind::Allow => EntryType::Allow,
            EntryKind::Deny => EntryType::Deny,
            EntryKind::Audit => EntryType::Audit,
        },
        identifier: identifier(&entry.who),
        flags: entry.flags,
        mask: entry.mask,
        expires: entry.expires.map(Timestamp),
    });
    Acl(entries.collect())
}

/// The ordered list in a stored text.
pub(crate) fn list_of(stored: Option<&str>) -> Option<Acl> {
    let shared = Shared::parse(stored?).ok()?;
    shared.entries.as_deref().map(unshare)
}

/// A list in the form that every dialect shares.
pub(crate) fn shared(acl: &Acl) -> Shared {
    Shared {
        entries: Some(share(acl)),
        ..Shared::default()
    }
}

/// A stored text with this ordered list, beside the grants that others gave.
fn stored(former: Option<&str>, list: Option<&Acl>) -> Result<Option<String>> {
    let mut shared = match former {
        Some(former) => Shared::parse(former)?,
        None => Shared::default(),
    };
    shared.entries = list.map(share);
    if shared == Shared::default() {
        return Ok(None);
    }
    shared.to_text().map(Some)
}

/// The group of a stored text.
pub(crate) fn group_of(stored: Option<&str>) -> Option<String> {
    Shared::parse(stored?).ok()?.group
}

/// A stored text with this group.
fn with_group(former: Option<&str>, group: Option<String>) -> Result<Option<String>> {
    let mut shared = match former {
        Some(former) => Shared::parse(former)?,
        None => Shared::default(),
    };
    shared.group = group;
    if shared == Shared::default() {
        return Ok(None);
    }
    shared.to_text().map(Some)
}

/// What an update makes of the group in a stored text; metadata that is replaced without naming it
/// leaves it, as the list.
fn apply_group(update: &Update, acl: &mut Option<String>) -> Result<()> {
    let Some(given) = update.item(GROUP) else {
        return Ok(());
    };
    let group = match given {
        None => None,
        Some(Value::String(name)) if name.is_empty() => None,
        Some(Value::String(name)) if name.len() <= GROUP_BYTES_MAX => Some(name.clone()),
        Some(_) => return Err(Error::invalid("cdmi_group is the name of a group")),
    };
    *acl = with_group(acl.as_deref(), group)?;
    Ok(())
}

/// What an update of metadata makes of a stored text. Metadata that is replaced without naming the
/// list leaves it: nobody loses or gains rights by setting a colour.
pub(crate) fn apply(update: &Update, acl: &mut Option<String>) -> Result<()> {
    apply_list(update, acl, &Acl::of_owner())
}

/// The same of the root container, which has a default of its own.
pub(crate) fn apply_to_root(update: &Update, acl: &mut Option<String>) -> Result<()> {
    apply_list(update, acl, &Acl::of_root())
}

fn apply_list(update: &Update, acl: &mut Option<String>, default: &Acl) -> Result<()> {
    apply_group(update, acl)?;
    match update.item(ITEM) {
        None => {}
        Some(None) => *acl = stored(acl.as_deref(), None)?,
        Some(Some(value)) => {
            let list = Acl::parse(value)?;
            // Who sends back the default sets nothing: it only informs.
            let set = list != *default;
            *acl = stored(acl.as_deref(), Some(&list).filter(|_| set))?;
        }
    }
    Ok(())
}

/// The metadata item of a stored text: what was set, or the default.
pub(crate) fn shown(acl: Option<&str>, container: bool, root: bool) -> Value {
    let list = list_of(acl).unwrap_or_else(|| match root {
        true => Acl::of_root(),
        false => Acl::of_owner(),
    });
    list.to_value(container)
}

/// What a new child of a container gets when the request sets no list.
pub(crate) fn inherited(parent: &Container, container: bool) -> Result<Option<String>> {
    inherited_of(parent.acl.as_deref(), container)
}

/// The same of a container with this list.
pub(crate) fn inherited_of(parent: Option<&str>, container: bool) -> Result<Option<String>> {
    let Some(list) = list_of(parent) else {
        return Ok(None);
    };
    let list = list.inherited(container);
    match list.0.is_empty() {
        true => Ok(None),
        // What it says of the group goes on meaning that one.
        false => {
            let group = group_of(parent);
            with_group(stored(None, Some(&list))?.as_deref(), group)
        }
    }
}

/// The list of something new: what the request says, and what its container passes on unless that is
/// a list. A group alone is whom the list that is passed on means then.
pub(crate) fn of_new(own: Option<String>, inherited: Option<&str>) -> Result<Option<String>> {
    match (own, inherited) {
        (None, inherited) => Ok(inherited.map(str::to_owned)),
        (Some(own), Some(inherited)) if list_of(Some(&own)).is_none() => {
            with_group(Some(inherited), group_of(Some(&own)))
        }
        (own, _) => Ok(own),
    }
}

/// The owner and the list of a nested container, as those of what is new in it: who is given this
/// right to the container may write that.
pub(crate) fn of_adding(parent: &Container, wanted: u32) -> Result<Option<(Owner, String)>> {
    let nested = matches!(parent.place, Place::Directory(..));
    let Some(mut list) = list_of(parent.acl.as_deref()).filter(|_| nested) else {
        return Ok(None);
    };
    list.0.retain(|entry| entry.mask & wanted != 0);
    for entry in &mut list.0 {
        entry.mask = mask::ADD_OBJECT;
    }
    let group = group_of(parent.acl.as_deref());
    let acl = with_group(stored(None, Some(&list))?.as_deref(), group)?;
    Ok(acl.map(|acl| (parent.owner.clone(), acl)))
}

/// What may be seen of something beside its value and its children.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visible {
    /// Its metadata.
    metadata: bool,
    /// All fields that are neither of these.
    attributes: bool,
}

impl Visible {
    /// Leaves out what may not be seen.
    ///
    /// # Errors
    /// 403 when nothing is left of something.
    pub(crate) fn limit(self, rendering: &mut Rendering) -> Answered<()> {
        let keeps = |name: &str| match name {
            "metadata" => self.metadata,
            _ => self.attributes,
        };
        match rendering.retain(keeps) || !rendering.is_empty() {
            true => Ok(()),
            false => Err(Fault::forbidden(
                "the access control list does not let this be seen",
            )),
        }
    }
}

/// The refusal of what is in a container that may not be traversed.
pub(crate) fn shut_out() -> Fault {
    Fault::forbidden("the access control list of a container denies what is in it")
}

impl Call<'_> {
    /// What who asks may see of something that is in a bucket, or that is one. An ordered list gives
    /// attributes by a right of their own; without one they come with the metadata.
    ///
    /// # Errors
    /// 403 when that is nothing.
    pub(crate) async fn visible(
        &self,
        (bucket, acl): (&BucketName, Option<&str>),
        (action, resource): (Action, Resource),
    ) -> Answered<Visible> {
        if self.fields.is_list_alone() && !self.may_see_list(&resource).await? {
            return Err(Fault::forbidden("the access control list may not be seen"));
        }
        let (metadata, refused) = match self.may_read_metadata(action, resource.clone()).await {
            // Who may mend each list sees what it is about.
            Err(fault) if fault.is_forbidden() && self.mends_lists() => (true, None),
            Err(fault) if fault.is_forbidden() => (false, Some(fault)),
            read => (read.map(|()| true)?, None),
        };
        let attributes = match &resource {
            // Who may mend each list sees what it is about.
            _ if metadata && self.mends_lists() => Ok(true),
            _ if !self.is_listed(bucket, acl).await? => Ok(metadata),
            Resource::Bucket(_) => self.has(Action::ReadBucketLocation, resource).await,
            _ => self.has(Action::ReadObjectAttributes, resource).await,
        };
        let attributes = attributes?;
        match refused.filter(|_| !attributes) {
            Some(refused) => Err(refused),
            None => Ok(Visible {
                metadata,
                attributes,
            }),
        }
    }

    /// Whether a list decides about what is in a bucket, or about that: its own, or the bucket's.
    async fn is_listed(&self, bucket: &BucketName, acl: Option<&str>) -> Result<bool> {
        if list_of(acl).is_some() {
            return Ok(true);
        }
        let bucket = found(self.cdmi.store.peek_bucket(bucket).await)?;
        let list = bucket.and_then(|bucket| list_of(bucket.properties.acl.as_deref()));
        Ok(list.is_some())
    }

    /// Refuses a change of attributes that a list does not give. For changes that policies know by
    /// another right.
    pub(crate) async fn check_listed(
        &self,
        (bucket, acl): (&BucketName, Option<&str>),
        (action, resource): (Action, Resource),
    ) -> Answered<()> {
        if self.is_listed(bucket, acl).await? {
            self.grant(action, resource).await?;
        }
        Ok(())
    }

    /// Whether it is the root user who asks, in no session that may do less.
    pub(crate) fn mends_lists(&self) -> bool {
        self.principal.is_root() && self.principal.session_policies.is_empty()
    }

    /// Whether who asks has a right.
    async fn has(&self, action: Action, resource: Resource) -> Result<bool> {
        match self.grant(action, resource).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Forbidden => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Refuses what the list of a container does not allow its children to undergo. Lists of
    /// buckets and of objects are evaluated with every right that is asked for; but those know of
    /// no subcontainers, so a list that gives the right to add objects alone is looked at here.
    pub(crate) async fn check_parent(&self, parent: &Container, wanted: u32) -> Answered<()> {
        let Some(list) = list_of(parent.acl.as_deref()) else {
            return Ok(());
        };
        let refused = match parent.place {
            Place::Root => return self.check_root(parent, AtRoot::Adds(wanted)),
            Place::Bucket(_) => {
                wanted == mask::ADD_SUBCONTAINER
                    && self.is_given(parent, &list, mask::ADD_OBJECT)
                    && !self.is_given(parent, &list, wanted)
            }
            Place::Directory(..) => !self.is_given(parent, &list, wanted),
        };
        match refused && !self.backs_up(&parent.owner).boxed().await? {
            false => Ok(()),
            true => Err(Fault::forbidden(
                "the access control list of the container does not allow it",
            )),
        }
    }

    /// Refuses what is below a container whose list denies to traverse it. That of a bucket is
    /// evaluated with every right to its objects, but not where a nested container is listed.
    pub(crate) async fn check_traversable(&self, bucket: &Bucket, path: &str) -> Answered<()> {
        if self.principal.is_server() {
            return Ok(());
        }
        let of_bucket = bucket.properties.acl.as_deref();
        if self.is_shut_by(of_bucket, &bucket.owner).await? {
            return Err(shut_out());
        }
        for (at, _) in path.match_indices('/') {
            let above = path.get(..=at).unwrap_or_default();
            let Some(object) = self.look(&bucket.name, &Key::parse(above)?).await? else {
                continue;
            };
            if self.is_shut(&object).await? {
                return Err(shut_out());
            }
        }
        Ok(())
    }

    /// Whether the list of a nested container denies who asks to traverse it.
    pub(crate) async fn is_shut(&self, object: &Object) -> Answered<bool> {
        self.is_shut_by(object.acl.as_deref(), &object.owner).await
    }

    /// The same of the list of any container of this owner.
    async fn is_shut_by(&self, acl: Option<&str>, owner: &Owner) -> Answered<bool> {
        let principal = &self.principal;
        let Some(acl) = acl.filter(|_| !principal.is_server()) else {
            return Ok(false);
        };
        let denied = Shared::parse(acl)?.traversal_denied(&OrderedAsked {
            principal,
            groups: &principal.groups,
            owner,
            time: self.context.time,
        });
        Ok(denied.is_some() && !self.backs_up(owner).boxed().await?)
    }

    /// Whether the list of something of this owner does not bind who asks.
    async fn backs_up(&self, owner: &Owner) -> Result<bool> {
        Ok(self.principal.account() == Some(&owner.account) && self.is_backup_operator().await?)
    }

    /// Whether the list of a container gives all of these rights to who asks.
    fn is_given(&self, parent: &Container, list: &Acl, wanted: u32) -> bool {
        let principal = &self.principal;
        let account = principal.account();
        let own = account == Some(&parent.owner.account);
        let theirs = group_of(parent.acl.as_deref());
        let now = self.context.time;
        list.grants(wanted, now, |identifier, group| match identifier {
            "OWNER@" => own && principal.user == parent.owner.user,
            "GROUP@" => {
                own && theirs
                    .as_ref()
                    .is_none_or(|theirs| principal.groups.contains(theirs))
            }
            "EVERYONE@" => true,
            "ANONYMOUS@" => principal.is_anonymous(),
            "AUTHENTICATED@" => !principal.is_anonymous(),
            "ADMINISTRATOR@" => principal.is_root() || principal.reseller_admin,
            "ADMINUSERS@" => own && principal.admin,
            name => {
                let (theirs, name) = match name.split_once('/') {
                    Some((theirs, name)) => (account.is_some_and(|id| id.as_str() == theirs), name),
                    None => (own, name),
                };
                theirs
                    && match group {
                        true => principal.groups.iter().any(|group| group == name),
                        false => principal.user == name,
                    }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Fields;
    use serde_json::{Map, json};

    #[test]
    fn lists_are_stored_beside_grants_and_shown_as_they_were_set() {
        let set = json!({"cdmi_acl": [
            {"acetype": "DENY", "identifier": "other/bob", "aceflags": "0x0", "acemask": "DELETE"},
            {"acetype": "ALLOW", "identifier": "AUTHENTICATED@", "aceflags": "0x3", "acemask": "READ"},
            {"acetype": "ALLOW", "identifier": "staff", "aceflags": "0x40", "acemask": "RW"},
        ]});
        let given: Map<String, Value> = set.as_object().unwrap().clone();
        let mut acl = None;
        apply(&Update::whole(given), &mut acl).unwrap();
        let entries = Shared::parse(acl.as_deref().unwrap())
            .unwrap()
            .entries
            .unwrap();
        assert_eq!(entries[0].who, Who::User("other".into(), "bob".into()));
        assert_eq!(
            entries[2].who,
            Who::NamedGroup(String::new(), "staff".into())
        );
        let shown = shown(acl.as_deref(), false, false);
        assert_eq!(shown[0]["identifier"], "other/bob");
        assert_eq!(shown[1]["aceflags"], "OBJECT_INHERIT, CONTAINER_INHERIT");
        let mut none = None;
        let default = json!({"cdmi_acl": Acl::of_owner().to_value(true)});
        apply(
            &Update::whole(default.as_object().unwrap().clone()),
            &mut none,
        )
        .unwrap();
        assert_eq!(none, None, "the default sets nothing");
        let kept = acl.clone();
        apply(&Update::whole(Map::new()), &mut acl).unwrap();
        assert_eq!(acl, kept, "a list that is not named stays");
        let fields = Fields::parse(Some("metadata=cdmi_acl"), &crate::version::Version::Second);
        apply(&Update::new(Map::new(), &fields.unwrap()), &mut acl).unwrap();
        assert_eq!(acl, None);
    }

    #[test]
    fn without_a_list_the_owner_may_do_everything() {
        assert_eq!(shown(None, false, false)[0]["acemask"], "ALL_PERMS");
        assert_eq!(shown(None, true, true)[1]["identifier"], "AUTHENTICATED@");
    }
}
