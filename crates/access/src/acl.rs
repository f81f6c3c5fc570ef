//! Access control lists in one neutral form: grants, and an ordered list.
//!
//! A dialect parses its own form into this one and renders it back. *Grants* only ever add: to an
//! account, a user, everybody, whoever is known, or pages of a site. An *ordered list* is evaluated
//! in its own order and its verdict binds everybody; what it does not speak of, it denies.

use crate::{Action, ActionSet, Principal};
use serde::{Deserialize, Serialize};
use trestle_core::{AccountId, Error, Owner, Result, Timestamp};

/// Largest ACL, in bytes of its JSON text.
pub const ACL_BYTES_MAX: usize = 32 << 10;
/// Most grants or entries of one ACL.
const ENTRIES_MAX: usize = 1000;

/// Who a grant is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Grantee {
    /// Everybody, known or not.
    Everyone,
    /// Whoever presented a credential.
    Authenticated,
    /// An account, which decides by its own policies which of its users may use it.
    Account(String),
    /// Each user of an account.
    Members(String),
    /// One user of an account.
    User(String, String),
    /// The members of a group of an account.
    Group(String, String),
    /// Requests that name a page of this site as their referrer: a host, a domain that starts with
    /// a dot, or `*`.
    Referrer(String),
    /// Takes such requests out again; of these two kinds the last that matches counts.
    NotReferrer(String),
    /// The program that writes access logs.
    LogDelivery,
}

/// What a grant permits. On a bucket, an object or an account, each means a set of actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Of a bucket: list it. Of an object: read it.
    Read,
    /// Of a bucket: create, replace and delete objects.
    Write,
    /// Read the ACL.
    ReadAcl,
    /// Change the ACL.
    WriteAcl,
    /// All four.
    FullControl,
    /// Of a bucket: read its objects.
    ReadContents,
    /// Of a bucket: list it.
    List,
    /// Of a bucket: create, change and delete objects.
    WriteContents,
    /// Of an account: read everything in it.
    ReadAll,
    /// Of an account: read and change buckets and objects.
    WriteAll,
    /// Of an account: what its administrator may.
    Administer,
}

/// What an ACL belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// An account.
    Account,
    /// A bucket.
    Bucket,
    /// An object.
    Object,
}

/// One grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AclGrant {
    /// Who.
    pub grantee: Grantee,
    /// What.
    pub permission: Permission,
}

/// Whether an entry grants or forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// It grants.
    Allow,
    /// It forbids.
    Deny,
    /// It asks for a record; it decides nothing.
    Audit,
}

/// Who an entry is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Who {
    /// The owner.
    Owner,
    /// Users of the owner's account.
    Group,
    /// Everybody.
    Everyone,
    /// Who presented no credential.
    Anonymous,
    /// Who presented one.
    Authenticated,
    /// The root user and those who administer all accounts.
    Administrator,
    /// Those who administer the owner's account.
    AdminUsers,
    /// A user: of this account, or of the owner's when it is empty.
    User(String, String),
    /// A group: of this account, or of the owner's when it is empty.
    NamedGroup(String, String),
}

/// One entry of an ordered list. Flags and mask are the bits of NFSv4 (RFC 3530).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AclEntry {
    /// What it does.
    pub kind: EntryKind,
    /// To whom.
    pub who: Who,
    /// How it is inherited.
    #[serde(default)]
    pub flags: u32,
    /// What it is about.
    pub mask: u32,
    /// When it ends, in microseconds; it counts no more then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
}

/// Who asks an ordered list, and when.
#[derive(Clone, Copy, Debug)]
pub struct OrderedAsked<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// The groups that they are in.
    pub groups: &'a [String],
    /// The owner of what the list belongs to.
    pub owner: &'a Owner,
    /// When it is asked.
    pub time: Timestamp,
}

/// The bits of masks and flags.
pub mod bits {
    /// Read the bytes; list a container.
    pub const READ: u32 = 0x1;
    /// Change the bytes; add an object to a container.
    pub const WRITE: u32 = 0x2;
    /// Append; add a container to a container.
    pub const APPEND: u32 = 0x4;
    /// Read the metadata.
    pub const READ_METADATA: u32 = 0x8;
    /// Change the metadata.
    pub const WRITE_METADATA: u32 = 0x10;
    /// Execute, which nobody does here; traverse.
    pub const EXECUTE: u32 = 0x20;
    /// Delete something in a container.
    pub const DELETE_CHILD: u32 = 0x40;
    /// Read attributes.
    pub const READ_ATTRIBUTES: u32 = 0x80;
    /// Change attributes.
    pub const WRITE_ATTRIBUTES: u32 = 0x100;
    /// Change the retention.
    pub const WRITE_RETENTION: u32 = 0x200;
    /// Change holds.
    pub const WRITE_HOLD: u32 = 0x400;
    /// Delete it.
    pub const DELETE: u32 = 0x1_0000;
    /// Read the ACL.
    pub const READ_ACL: u32 = 0x2_0000;
    /// Change the ACL.
    pub const WRITE_ACL: u32 = 0x4_0000;
    /// Change the owner.
    pub const WRITE_OWNER: u32 = 0x8_0000;
    /// Use it by synchronous reads and writes on the server itself: kept, and decides nothing.
    pub const SYNCHRONIZE: u32 = 0x10_0000;
    /// Flag: objects within inherit it.
    pub const INHERIT_OBJECT: u32 = 0x1;
    /// Flag: containers within inherit it.
    pub const INHERIT_CONTAINER: u32 = 0x2;
    /// Flag: what inherits it does not pass it on.
    pub const NO_PROPAGATE: u32 = 0x4;
    /// Flag: it counts for what inherits it alone.
    pub const INHERIT_ONLY: u32 = 0x8;
    /// Flag: it was inherited.
    pub const INHERITED: u32 = 0x80;
}

/// An access control list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acl {
    /// Grants, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<AclGrant>,
    /// The ordered list, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entries: Option<Vec<AclEntry>>,
    /// The group of the owner's account that its entries mean by the group; all users of the account
    /// when it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// How an ordered list decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ordered {
    /// This entry granted the last bit that was needed.
    Allowed(usize),
    /// This entry forbade one.
    Denied(usize),
    /// No entry granted some bit.
    Silent,
}

/// What grants are asked.
#[derive(Clone, Copy, Debug)]
pub struct AclAsked<'a> {
    /// What the ACL belongs to.
    pub place: Place,
    /// What is to be done.
    pub action: Action,
    /// Who asks.
    pub principal: &'a Principal,
    /// The groups that they are in.
    pub groups: &'a [String],
    /// The page that the request names as its referrer.
    pub referrer: Option<&'a str>,
    /// Whether grants to everybody, or to everybody who is known, count.
    pub public: bool,
    /// Whether S3's kind of grants counts: not, where the bucket's owner owns every object.
    pub grants: bool,
}

/// How a grant admits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Admission {
    /// As one of an account, whose own policies must allow it, too.
    Account(usize),
    /// By itself.
    Person(usize),
    /// Because everybody, or everybody who is known, is admitted.
    Public(usize),
}

impl Acl {
    /// Reads an ACL's JSON text.
    ///
    /// # Errors
    /// `InvalidInput`; `TooLarge`.
    pub fn parse(text: &str) -> Result<Acl> {
        if text.len() > ACL_BYTES_MAX {
            return Err(Error::new(
                trestle_core::ErrorKind::TooLarge,
                format!("an ACL is limited to {ACL_BYTES_MAX} bytes"),
            ));
        }
        if !text.trim_start().starts_with('{') {
            return Err(Error::invalid("the ACL is not understood: it is no map"));
        }
        let acl: Acl = serde_json::from_str(text)
            .map_err(|error| Error::invalid(format!("the ACL is not understood: {error}")))?;
        let entries = acl.entries.as_ref().map_or(0, Vec::len);
        if acl.grants.len().max(entries) > ENTRIES_MAX {
            return Err(Error::invalid(format!(
                "an ACL has at most {ENTRIES_MAX} entries"
            )));
        }
        Ok(acl)
    }

    /// Its JSON text.
    ///
    /// # Errors
    /// `Internal`, which does not happen.
    pub fn to_text(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| {
            Error::new(
                trestle_core::ErrorKind::Internal,
                "an ACL cannot be written",
            )
            .with_source(error)
        })
    }

    /// Adds a grant.
    #[must_use]
    pub fn grant(mut self, grantee: Grantee, permission: Permission) -> Self {
        self.grants.push(AclGrant {
            grantee,
            permission,
        });
        self
    }

    /// The same list for another owner's: whom it names in the former owner's account, it goes on
    /// naming there, and whom it names in the new one's, by the name alone.
    #[must_use]
    pub fn leaving(mut self, former: &AccountId, to: &AccountId) -> Self {
        for entry in self.entries.iter_mut().flatten() {
            if let Who::User(account, _) | Who::NamedGroup(account, _) = &mut entry.who {
                if account.is_empty() {
                    *account = former.as_str().to_owned();
                }
                if account == to.as_str() {
                    account.clear();
                }
            }
        }
        self
    }

    /// Whether it admits anybody who is not known, or whoever is known: also those who name a page,
    /// which anybody can.
    pub fn is_public(&self) -> bool {
        self.is_public_beside(&Acl::default())
    }

    /// The same of what it says and a former list did not.
    pub fn is_public_beside(&self, former: &Acl) -> bool {
        let mut new = self
            .grants
            .iter()
            .filter(|one| !former.grants.contains(one));
        new.any(|one| one.grantee.is_public())
            || self.entries != former.entries && self.lists_the_public()
    }

    /// The list without what a container passes on.
    #[must_use]
    pub fn without_inherited(mut self) -> Self {
        if let Some(entries) = &mut self.entries {
            entries.retain(|entry| entry.flags & bits::INHERITED == 0);
        }
        self
    }

    /// Whether its ordered list grants something to who is not known, or to whoever is.
    fn lists_the_public(&self) -> bool {
        // These two grant nothing.
        let something = !(bits::EXECUTE | bits::SYNCHRONIZE);
        [Who::Anonymous, Who::Authenticated].iter().any(|stranger| {
            let mut denied = 0;
            let entries = self.entries.iter().flatten();
            let mut about = entries.filter(|e| e.who == Who::Everyone || e.who == *stranger);
            about.any(|entry| match entry.kind {
                EntryKind::Allow => entry.mask & something & !denied != 0,
                EntryKind::Deny => {
                    denied |= entry.mask;
                    false
                }
                EntryKind::Audit => false,
            })
        })
    }

    /// How its grants admit a principal to an action; the widest way.
    pub fn admits(&self, asked: &AclAsked<'_>) -> Option<Admission> {
        let mut found: Option<Admission> = None;
        let mut by_referrer = None;
        for (index, one) in self.grants.iter().enumerate() {
            let turned_off = !asked.grants && one.permission.is_of_objects_owner();
            if turned_off || !one.permission.actions(asked.place).holds(asked.action) {
                continue;
            }
            match &one.grantee {
                Grantee::Referrer(site) if is_of(asked.referrer, site) => by_referrer = Some(index),
                Grantee::NotReferrer(site) if is_of(asked.referrer, site) => by_referrer = None,
                grantee => found = found.max(grantee.admits(asked, index)),
            }
        }
        found.max(by_referrer.filter(|_| asked.public).map(Admission::Public))
    }

    /// How its ordered list decides; none when it has none, or it has no say about the action.
    pub fn ordered(
        &self,
        place: Place,
        action: Action,
        asked: &OrderedAsked<'_>,
    ) -> Option<Ordered> {
        self.grants_all(mask(place, action)?, asked)
    }

    /// How its ordered list decides whether a subcontainer is made: a right of its own.
    pub fn subcontainer(&self, asked: &OrderedAsked<'_>) -> Option<Ordered> {
        self.grants_all(bits::APPEND, asked)
    }

    /// The entry of its ordered list that shuts who asks out of all that is in the container whose list
    /// it is. Everybody may traverse whom no entry denies it: lists give rights to what is in a
    /// container, as the least of them do, without a word about that.
    pub fn traversal_denied(&self, asked: &OrderedAsked<'_>) -> Option<usize> {
        match self.grants_all(bits::EXECUTE, asked)? {
            Ordered::Denied(index) => Some(index),
            Ordered::Allowed(_) | Ordered::Silent => None,
        }
    }

    fn grants_all(&self, mut needed: u32, asked: &OrderedAsked<'_>) -> Option<Ordered> {
        let entries = self.entries.as_ref()?;
        for (index, entry) in entries.iter().enumerate() {
            let ended = entry.expires.is_some_and(|ends| ends < asked.time.0);
            let counts = entry.flags & bits::INHERIT_ONLY == 0 && entry.mask & needed != 0;
            if !counts || ended || !entry.who.is(asked, self.group.as_deref()) {
                continue;
            }
            match entry.kind {
                EntryKind::Deny => return Some(Ordered::Denied(index)),
                EntryKind::Allow => needed &= !entry.mask,
                EntryKind::Audit => {}
            }
            if needed == 0 {
                return Some(Ordered::Allowed(index));
            }
        }
        Some(Ordered::Silent)
    }
}

/// Whether a request's referrer is a page of a site.
fn is_of(referrer: Option<&str>, site: &str) -> bool {
    if site == "*" {
        return true;
    }
    let host = referrer
        .and_then(|referrer| referrer.split_once("://"))
        .and_then(|(_, rest)| rest.split(['/', '?', '#']).next())
        .map(|authority| authority.rsplit('@').next().unwrap_or_default())
        .map(|host| {
            host.split(':')
                .next()
                .unwrap_or_default()
                .to_ascii_lowercase()
        });
    let Some(host) = host.filter(|host| !host.is_empty()) else {
        return false;
    };
    let site = site.to_ascii_lowercase();
    host == site || site.starts_with('.') && host.ends_with(&site)
}

impl Grantee {
    fn is_public(&self) -> bool {
        matches!(
            self,
            Grantee::Everyone | Grantee::Authenticated | Grantee::Referrer(_)
        )
    }

    fn admits(&self, asked: &AclAsked<'_>, index: usize) -> Option<Admission> {
        let principal = asked.principal;
        let account = principal.account().map(AccountId::as_str);
        let of = |named: &str| account == Some(named);
        let admission = match self {
            Grantee::Everyone => Admission::Public(index),
            Grantee::Authenticated if account.is_some() => Admission::Public(index),
            Grantee::Account(named) if of(named) => Admission::Account(index),
            Grantee::Members(named) if of(named) => Admission::Person(index),
            Grantee::User(named, user) if of(named) && *user == principal.user => {
                Admission::Person(index)
            }
            Grantee::Group(named, group) if of(named) && asked.groups.contains(group) => {
                Admission::Person(index)
            }
            _ => return None,
        };
        (asked.public || !matches!(admission, Admission::Public(_))).then_some(admission)
    }
}

impl Who {
    fn is(&self, asked: &OrderedAsked<'_>, group: Option<&str>) -> bool {
        let OrderedAsked {
            principal,
            groups,
            owner,
            ..
        } = asked;
        let in_group = |name: &str| groups.iter().any(|group| group == name);
        let account = principal.account();
        let of = |named: &str| match named {
            "" => account == Some(&owner.account),
            named => account.map(AccountId::as_str) == Some(named),
        };
        match self {
            Who::Everyone => true,
            Who::Anonymous => principal.is_anonymous(),
            Who::Authenticated => !principal.is_anonymous(),
            Who::Owner => account == Some(&owner.account) && principal.user == owner.user,
            Who::Group => account == Some(&owner.account) && group.is_none_or(in_group),
            Who::Administrator => principal.is_root() || principal.reseller_admin,
            Who::AdminUsers => {
                principal.is_root() || principal.admin && account == Some(&owner.account)
            }
            Who::User(named, user) => of(named) && principal.user == *user,
            Who::NamedGroup(named, group) => of(named) && in_group(group),
        }
    }
}

impl Permission {
    /// The actions that it permits where it stands.
    pub fn actions(self, place: Place) -> ActionSet {
        use Action as A;
        let of = |actions: &[Action]| -> ActionSet { actions.iter().copied().collect() };
        const READ_OBJECTS: &[Action] = &[
            A::ReadObject,
            A::ReadObjectMetadata,
            A::ReadObjectVersion,
            A::ReadObjectVersionMetadata,
            A::ReadObjectAttributes,
            A::ReadObjectVersionAttributes,
        ];
        const LIST: &[Action] = &[
            A::ReadBucket,
            A::ReadBucketLocation,
            A::ListObjects,
            A::ListVersions,
            A::ListUploads,
        ];
        const WRITE_OBJECTS: &[Action] = &[
            A::WriteObject,
            A::AppendObject,
            A::WriteObjectMetadata,
            A::WriteObjectAttributes,
            A::WriteObjectDocument,
            A::DeleteObject,
            A::AbortUpload,
            A::ListParts,
        ];
        match (self, place) {
            (Permission::Read, Place::Bucket) | (Permission::List, Place::Bucket) => of(LIST),
            (Permission::Read, Place::Object) => of(READ_OBJECTS),
            (Permission::Write, Place::Bucket) => of(WRITE_OBJECTS),
            (Permission::WriteContents, Place::Bucket) => {
                of(WRITE_OBJECTS).or(of(&[A::DeleteObjectVersion]))
            }
            (Permission::ReadContents, Place::Bucket) => of(READ_OBJECTS),
            (Permission::ReadAcl, Place::Bucket) => of(&[A::ReadBucketAcl]),
            (Permission::WriteAcl, Place::Bucket) => of(&[A::WriteBucketAcl]),
            (Permission::ReadAcl, Place::Object) => {
                of(&[A::ReadObjectAcl, A::ReadObjectVersionAcl])
            }
            (Permission::WriteAcl, Place::Object) => {
                of(&[A::WriteObjectAcl, A::WriteObjectVersionAcl])
            }
            (Permission::FullControl, place) => [
                Permission::Read,
                Permission::Write,
                Permission::ReadAcl,
                Permission::WriteAcl,
            ]
            .into_iter()
            .fold(ActionSet::default(), |set, one| set.or(one.actions(place))),
            (Permission::ReadAll, Place::Account) => of(READ_OBJECTS).or(of(LIST)).or(of(&[
                A::ReadAccount,
                A::ListBuckets,
                A::ReadBucketMetadata,
            ])),
            (Permission::WriteAll, Place::Account) => {
                let own = [A::CreateBucket, A::DeleteBucket, A::WriteBucketMetadata];
                Permission::ReadAll
                    .actions(place)
                    .or(of(WRITE_OBJECTS))
                    .or(of(&[A::DeleteObjectVersion]))
                    .or(of(&own))
            }
            (Permission::Administer, Place::Account) => crate::verdict::of_administrators(),
            _ => ActionSet::default(),
        }
    }

    /// Whether S3's owner enforcement turns it off.
    pub(crate) fn is_of_objects_owner(self) -> bool {
        matches!(
            self,
            Permission::Read
                | Permission::Write
                | Permission::ReadAcl
                | Permission::WriteAcl
                | Permission::FullControl
        )
    }
}

/// The bits that an action needs of an ordered list; none when the list has no say.
fn mask(place: Place, action: Action) -> Option<u32> {
    use Action as A;
    Some(match (place, action) {
        (_, A::ReadObject | A::ReadObjectVersion | A::ListObjects | A::ListVersions) => bits::READ,
        (_, A::ListParts | A::ListUploads) => bits::READ,
        (_, A::ReadObjectMetadata | A::ReadObjectVersionMetadata) => bits::READ_METADATA,
        (_, A::ReadObjectTags | A::ReadObjectVersionTags) => bits::READ_METADATA,
        (_, A::ReadObjectAttributes | A::ReadObjectVersionAttributes) => bits::READ_ATTRIBUTES,
        (_, A::ReadBucketLocation) => bits::READ_ATTRIBUTES,
        (_, A::ReadBucket | A::ReadBucketMetadata | A::ReadBucketTags) => bits::READ_METADATA,
        (_, A::WriteObject | A::AbortUpload | A::WriteObjectDocument) => bits::WRITE,
        (Place::Object, A::AppendObject) => bits::APPEND,
        // There the bit is another right.
        (_, A::AppendObject) => bits::WRITE,
        (_, A::WriteObjectMetadata | A::WriteBucketMetadata) => bits::WRITE_METADATA,
        (_, A::WriteObjectAttributes | A::WriteBucketAttributes) => bits::WRITE_ATTRIBUTES,
        (_, A::WriteObjectTags | A::WriteObjectVersionTags | A::WriteBucketTags) => {
            bits::WRITE_METADATA
        }
        (_, A::DeleteObjectTags | A::DeleteObjectVersionTags) => bits::WRITE_METADATA,
        (Place::Bucket, A::DeleteObject | A::DeleteObjectVersion) => bits::DELETE_CHILD,
        (_, A::DeleteObject | A::DeleteObjectVersion | A::DeleteBucket) => bits::DELETE,
        (_, A::ReadObjectAcl | A::ReadObjectVersionAcl | A::ReadBucketAcl) => bits::READ_ACL,
        (_, A::WriteObjectAcl | A::WriteObjectVersionAcl | A::WriteBucketAcl) => bits::WRITE_ACL,
        (_, A::WriteObjectOwner | A::WriteBucketOwner) => bits::WRITE_OWNER,
        (_, A::WriteObjectRetention | A::WriteBucketRetention) => bits::WRITE_RETENTION,
        (_, A::WriteLegalHold | A::WriteBucketHold) => bits::WRITE_HOLD,
        (_, A::ReadObjectRetention | A::ReadLegalHold) => bits::READ_METADATA,
        _ => return None,
    })
}

#[cfg(test)]
pub(crate) mod tests;
