//! Whose objects are, and in which domain: of who makes them and in theirs, unless another owner is
//! named by who may change it, or another domain by who has the privilege to cross domains; and what
//! becomes of a domain's objects when it is deleted.

use crate::books::tag_of;
use crate::call::Call;
use crate::content::Destination;
use crate::document::{Document, Source};
use crate::fault::{Answered, Fault};
use crate::node::{Container, Leaf, Place, is_missing, nameless_bucket};
use crate::partial;
use crate::path::Names;
use futures::FutureExt;
use http::StatusCode;
use serde_json::Value;
use trestle_access::{Action, Grant, Resource};
use trestle_core::{
    AccountId, BucketId, BucketName, Error, ErrorKind, Key, Owner, Precondition, Result, Tag,
    TagMatch,
};
use trestle_store::{Account, ListBuckets, Object, RenameObject, UpdateObject, VersionRef};

/// The rights that giving something away takes where it is, of an object and of a bucket; within a
/// domain, the first.
const GIVES_OBJECT: [Action; 2] = [Action::WriteObjectOwner, Action::DeleteObject];
const GIVES_BUCKET: [Action; 2] = [Action::WriteBucketOwner, Action::DeleteBucket];

/// The item that says who owns something.
const OWNER: &str = "cdmi_owner";

/// The item that says whose a domain's objects are when it is deleted.
const REASSIGN: &str = "cdmi_domain_delete_reassign";
/// Most objects of a domain that is deleted.
const REASSIGNED_MAX: u64 = 100_000;
/// Objects of one page.
const PAGE: usize = 1000;

/// Whose something is to be that is another's now.
#[derive(Clone, Debug)]
pub(crate) struct Heir {
    owner: Owner,
    /// Whether a request names the user, who may not be there.
    named: bool,
    /// Whether it comes into another domain.
    crosses: bool,
}

impl Heir {
    /// A domain itself, by the user that has its name.
    fn domain(id: &AccountId) -> Self {
        Heir {
            owner: Owner {
                account: id.clone(),
                user: id.as_str().to_owned(),
                domain: None,
            },
            named: false,
            crosses: true,
        }
    }
}

/// Which state of an object is given away, and no other that came in its place.
type Only = (String, fn(&Object) -> String);

/// Tells one write of an object from others, whatever is said of it since.
fn version_of(object: &Object) -> String {
    object.version.to_string()
}

/// Tells an object from others that have its key.
fn id_of(object: &Object) -> String {
    object.id.0.to_string()
}

impl Call<'_> {
    /// Whose a document makes something, when that is not whose it is: of who is named as its owner,
    /// and of the domain that is. What comes into the domain of who asks is theirs.
    ///
    /// # Errors
    /// As [`Call::other_domain`]; 400 for an owner that is no name.
    pub(crate) async fn heir(
        &self,
        document: &Document,
        (now, around): (Option<&Owner>, Option<&AccountId>),
    ) -> Answered<Option<Heir>> {
        let account = now.map(|now| &now.account);
        let to = self.other_domain(document, (account, around)).await?;
        let crosses = to.is_some();
        let Some(domain) = to.or_else(|| account.cloned()) else {
            return match self.named_owner(document)? {
                Some(_) => Err(Fault::forbidden("nobody in particular names no owner")),
                None => Ok(None),
            };
        };
        let user = self.named_owner(document)?.map(|user| {
            let within = user.split_once('/');
            let within = within.filter(|(of, _)| *of == domain.as_str());
            within.map_or(user, |(_, name)| name).to_owned()
        });
        if let Some(user) = user.filter(|user| now.is_none_or(|now| now.user != *user)) {
            return Ok(Some(Heir {
                owner: Owner {
                    account: domain,
                    user,
                    domain: None,
                },
                named: true,
                crosses,
            }));
        }
        if !crosses {
            return Ok(None);
        }
        let own = self.principal.owner();
        let mut heir = Heir::domain(&domain);
        if let Some(own) = own.filter(|own| own.account == domain) {
            heir.owner = own;
        }
        Ok(Some(heir))
    }

    /// The user that a document names as the owner.
    fn named_owner<'d>(&self, document: &'d Document) -> Result<Option<&'d str>> {
        let metadata = document.metadata.as_ref();
        let at_all = self.fields.is_all() || self.fields.has("metadata");
        let items = self.fields.arguments("metadata");
        let alone = items.contains(&OWNER);
        if !at_all || !items.is_empty() && !alone {
            return Ok(None);
        }
        match metadata.and_then(|metadata| metadata.get(OWNER)) {
            None if alone => Err(Error::invalid("what there is has an owner")),
            None => Ok(None),
            Some(value) => match value.as_str() {
                Some(name) if !name.is_empty() => Ok(Some(name)),
                _ => Err(Error::invalid("cdmi_owner is the name of a user")),
            },
        }
    }

    /// Whether a request is about the owner of something alone, for which it takes no other right.
    pub(crate) fn is_of_owner_alone(&self) -> bool {
        self.fields.arguments("metadata") == [OWNER] && self.fields.is_one()
    }

    /// Refuses an heir who is not there.
    async fn check_heir(&self, heir: &Heir) -> Answered<()> {
        let Owner { account, user, .. } = &heir.owner;
        let there = !heir.named || self.cdmi.identities.user(account, user).await?.is_some();
        match there {
            true => Ok(()),
            false => Err(Fault::bad(format!("{user:?} is no user of the domain"))),
        }
    }

    /// The domain that a document gives something to; none when it is there, or nothing is said.
    /// `around` is the domain of what it is in, which needs no privilege.
    ///
    /// # Errors
    /// 400 for what is no domain; 403 without the privilege.
    async fn other_domain(
        &self,
        document: &Document,
        (now, around): (Option<&AccountId>, Option<&AccountId>),
    ) -> Answered<Option<AccountId>> {
        let named = self.fields.has("domainURI");
        let Some(uri) = document.domain.as_ref().filter(|_| named) else {
            return Ok(None);
        };
        let wrong = || Fault::bad(format!("{uri:?} is not a domain"));
        let to = self.source_domain(uri).await?.ok_or_else(wrong)?;
        if now == Some(&to) {
            return Ok(None);
        }
        if around != Some(&to) && !self.crosses_domains().await? {
            let message = format!(
                "{uri:?} is another domain, and you do not have the privilege cross_domain"
            );
            return Err(match &document.source {
                // 15.4 has a status of its own for it.
                Some(Source::Deserialize(_) | Source::DeserializeValue(_)) => Fault::bad(message),
                _ => Fault::forbidden(message),
            });
        }
        if !self.is_domain(&to).await? {
            return Err(wrong());
        }
        self.check_enabled(&to).await?;
        Ok(Some(to))
    }

    /// Whether who asks has the privilege to give what it makes to other domains.
    pub(crate) async fn crosses_domains(&self) -> Answered<bool> {
        if self.principal.is_root() {
            return Ok(true);
        }
        Ok(self.has_privilege(|entry| entry.cross_domain).await?)
    }

    /// The rights to give something away: the dialect's own for what is new, and otherwise those of
    /// who asks.
    async fn rights(
        &self,
        [own, away]: [Action; 2],
        (of, heir, new): (Resource, &Heir, bool),
    ) -> Result<Vec<Grant>> {
        let mut grants = Vec::new();
        for action in [own, away].into_iter().take(1 + usize::from(heir.crosses)) {
            grants.push(match new {
                true => self.cdmi.own_grant(action, of.clone()).await?,
                false => self.grant(action, of.clone()).await?,
            });
        }
        Ok(grants)
    }

    /// Gives an object away: one that is the dialect's to give, or that who asks may take away.
    async fn give(
        &self,
        (bucket, key): (&BucketName, &Key),
        (heir, new): (&Heir, bool),
        only: Option<Only>,
    ) -> Answered<Object> {
        let resource = Resource::Object(bucket.clone(), key.clone());
        let grants = self.rights(GIVES_OBJECT, (resource, heir, new)).await?;
        self.note_abroad(&heir.owner.account, bucket)
            .boxed()
            .await?;
        let (if_match, tag_of) = match only {
            Some((opaque, tag_of)) => {
                let weak = false;
                (Some(TagMatch::Tags(vec![Tag { opaque, weak }])), tag_of)
            }
            None => (None, tag_of as fn(&Object) -> String),
        };
        let update = UpdateObject {
            bucket: bucket.clone(),
            key: key.clone(),
            version: VersionRef::Current,
            precondition: Precondition {
                if_match,
                ..Precondition::default()
            },
            tag_of,
        };
        let store = &self.cdmi.store;
        match store.give_object(&grants, &update, &heir.owner).await {
            Err(error) if error.kind() == ErrorKind::PreconditionFailed => Err(replaced()),
            given => Ok(given?),
        }
    }

    /// Whose a document makes a new object.
    pub(crate) async fn heir_of_new(
        &self,
        destination: &Destination,
        document: &Document,
    ) -> Answered<Option<Heir>> {
        let metadata = document.metadata.as_ref();
        let named = metadata.is_some_and(|metadata| metadata.contains_key(OWNER));
        if document.domain.is_none() && !named {
            return Ok(None);
        }
        let around = self.domain_around(destination).await?;
        let own = self.principal.owner();
        let heir = self.heir(document, (own.as_ref(), Some(&around))).await?;
        if let Some(heir) = heir.as_ref().filter(|heir| heir.named) {
            let (bucket, key) = (destination.bucket.clone(), destination.key.clone());
            let resource = Resource::Object(bucket, key);
            self.grant(Action::WriteObjectOwner, resource).await?;
            self.check_heir(heir).await?;
        }
        Ok(heir)
    }

    /// The domain that a document gives something new to where it names none: of the root user, who
    /// makes things for others, that of the container; others own what they make.
    pub(crate) fn in_domain_of(&self, parent: &Container, document: &mut Document) {
        let own = self.principal.account();
        let around = &parent.owner.account;
        let brings_its_own = matches!(
            document.source,
            Some(
                Source::Move(_)
                    | Source::Reference(_)
                    | Source::Deserialize(_)
                    | Source::DeserializeValue(_)
            )
        );
        if self.principal.is_root() && own != Some(around) && !brings_its_own {
            document
                .domain
                .get_or_insert_with(|| self.domain_path(around));
        }
    }

    /// The domain of the container that a new object comes into.
    async fn domain_around(&self, destination: &Destination) -> Answered<AccountId> {
        let bucket = &destination.bucket;
        let mut above = destination.key.as_str();
        while let Some(at) = above.rfind('/') {
            above = above.get(..at).unwrap_or_default();
            let key = Key::parse(format!("{above}/"))?;
            if let Some(parent) = self.look(bucket, &key).await? {
                return Ok(parent.owner.account);
            }
        }
        let bucket = self.cdmi.store.peek_bucket(bucket).await?;
        Ok(bucket.owner.account)
    }

    /// Whose a document makes a new container.
    pub(crate) async fn heir_of_new_container(
        &self,
        (parent, names): (&Container, &Names),
        document: &Document,
    ) -> Answered<Option<Heir>> {
        let own = self.principal.owner();
        let around = Some(&parent.owner.account);
        let heir = self.heir(document, (own.as_ref(), around)).await?;
        if let Some(heir) = heir.as_ref().filter(|heir| heir.named) {
            match &parent.place {
                // There is no bucket yet whose owner could be changed.
                Place::Root => {
                    let resource = Resource::Account(heir.owner.account.clone());
                    self.grant(Action::WriteAccount, resource).await?;
                }
                _ => {
                    let name = names.last().unwrap_or_default();
                    let (bucket, key) = parent.slot(self, &format!("{name}/"))?;
                    let resource = Resource::Object(bucket, key);
                    self.grant(Action::WriteObjectOwner, resource).await?;
                }
            }
            self.check_heir(heir).await?;
        }
        Ok(heir)
    }

    /// A document of something new as whose it will be understands it: its list names those of that
    /// domain, where it names no other.
    pub(crate) fn of_heir<'d>(
        &self,
        document: &'d Document,
        to: Option<&Heir>,
    ) -> std::borrow::Cow<'d, Document> {
        use std::borrow::Cow;
        let crossing = to.filter(|to| to.crosses);
        let listed = |document: &Document| {
            let metadata = document.metadata.as_ref();
            metadata.is_some_and(|metadata| metadata.contains_key(crate::rights::ITEM))
        };
        let Some(to) = crossing.filter(|_| listed(document)) else {
            return Cow::Borrowed(document);
        };
        let mut document = document.clone();
        let metadata = document.metadata.as_mut();
        let list = metadata.and_then(|metadata| metadata.get_mut(crate::rights::ITEM));
        for entry in list.and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(Value::String(name)) = entry.get_mut("identifier")
                && !name.contains('/')
                && !name.ends_with('@')
            {
                *name = format!("{}/{name}", to.owner.account);
            }
        }
        Cow::Owned(document)
    }

    /// The new object, given away if it is to be.
    pub(crate) async fn give_new(
        &self,
        destination: &Destination,
        object: Object,
        to: Option<Heir>,
    ) -> Answered<Object> {
        match to {
            Some(to) => {
                let at = (&destination.bucket, &destination.key);
                let only: Only = (version_of(&object), version_of);
                self.give(at, (&to, true), Some(only)).boxed().await
            }
            None => Ok(object),
        }
    }

    /// Whose a document makes an object that is there.
    pub(crate) async fn heir_of_leaf(
        &self,
        leaf: &Leaf,
        document: &Document,
    ) -> Answered<Option<Heir>> {
        let now = Some(&leaf.object.owner);
        let to = self.heir(document, (now, None)).await?;
        if let Some(to) = &to {
            // Asked before anything changes, and again when it is given.
            let of = leaf.resource();
            self.rights(GIVES_OBJECT, (of.clone(), to, false)).await?;
            if to.crosses {
                let at = (&leaf.bucket, leaf.object.acl.as_deref());
                let attributes = (Action::WriteObjectAttributes, of);
                self.check_listed(at, attributes).boxed().await?;
            }
            self.check_heir(to).await?;
            crate::protect::check_change(&leaf.object, self.cdmi.store.now())?;
        }
        Ok(to)
    }

    /// Gives an object that is there away, if it is to be.
    pub(crate) async fn give_leaf(&self, leaf: &Leaf, to: Option<Heir>) -> Answered<()> {
        if let Some(to) = to {
            let at = (&leaf.bucket, &leaf.object.key);
            let only: Only = (id_of(&leaf.object), id_of);
            self.give(at, (&to, false), Some(only)).await?;
        }
        Ok(())
    }

    /// Whose a document makes a container that is there.
    pub(crate) async fn heir_of_container(
        &self,
        container: &Container,
        document: &Document,
    ) -> Answered<Option<Heir>> {
        let now = Some(&container.owner);
        let to = self.heir(document, (now, None)).await?;
        let Some(heir) = &to else { return Ok(None) };
        match &container.place {
            Place::Bucket(bucket) => {
                let of = Resource::Bucket(bucket.clone());
                self.rights(GIVES_BUCKET, (of, heir, false)).await?;
            }
            Place::Directory(bucket, key, Some(_)) => {
                let of = Resource::Object(bucket.clone(), key.clone());
                self.rights(GIVES_OBJECT, (of, heir, false)).await?;
            }
            place => return Err(not_given(place)),
        }
        if let Some((bucket, attributes)) = container.attributes().filter(|_| heir.crosses) {
            let at = (bucket, container.acl.as_deref());
            self.check_listed(at, attributes).boxed().await?;
        }
        container.protection.check(self.cdmi.store.now())?;
        self.check_heir(heir).await?;
        Ok(to)
    }

    /// Gives a container away; what is in it stays whose it is.
    pub(crate) async fn give_container(
        &self,
        container: &Container,
        (to, new): (&Heir, bool),
    ) -> Answered<()> {
        match &container.place {
            Place::Bucket(bucket) => {
                let bucket = (bucket, BucketId(container.id));
                self.give_bucket(bucket, (to, new)).await
            }
            Place::Directory(bucket, key, Some(made)) => {
                let only: Only = match new {
                    true => (version_of(made), version_of),
                    false => (id_of(made), id_of),
                };
                self.give((bucket, key), (to, new), Some(only)).await?;
                Ok(())
            }
            place => Err(not_given(place)),
        }
    }

    async fn give_bucket(
        &self,
        (bucket, id): (&BucketName, BucketId),
        (to, new): (&Heir, bool),
    ) -> Answered<()> {
        let own = &self.cdmi;
        let of = Resource::Bucket(bucket.clone());
        let mut grants = self.rights(GIVES_BUCKET, (of, to, new)).await?;
        let account = Resource::Account(to.owner.account.clone());
        grants.push(own.own_grant(Action::WriteAccount, account).await?);
        // What is in it stays whose it is.
        let former = own.store.peek_bucket(bucket).await?.owner.account;
        if former != to.owner.account {
            self.keep_note(&former, id).await?;
        }
        let only = (bucket, Some(id));
        match own.store.give_bucket(&grants, only, &to.owner).await {
            Err(error) if error.kind() == ErrorKind::PreconditionFailed => Err(replaced()),
            given => {
                given?;
                Ok(())
            }
        }
    }

    /// Gives everything that belongs to a domain to the one that its metadata names.
    ///
    /// # Errors
    /// 400 when there is something, and no such domain.
    pub(crate) async fn reassign(&self, domain: &Account) -> Answered<()> {
        let named = domain.properties.metadata.get(REASSIGN);
        let named = named.and_then(serde_json::Value::as_str);
        let (_, usage) = self.domain_usage(&domain.id).await?;
        let buckets = self.buckets_of(&domain.id).await?;
        let abroad = self.abroad(&domain.id).boxed().await?;
        let hidden = [
            nameless_bucket(&domain.id)?,
            BucketName::hidden(&domain.id, "versions")?,
        ];
        let uploads = BucketName::hidden(&domain.id, partial::PURPOSE)?;
        let owns = !buckets.is_empty() || !abroad.is_empty();
        if named.is_none() && !owns && self.drop_empty(&hidden).await? {
            // No object is left that pieces could become a value of.
            self.erase_all(&uploads).await?;
            self.drop_empty(&[uploads]).await?;
            return Ok(());
        }
        let wrong = || {
            Fault::bad(format!(
                "the domain has objects: its {REASSIGN} has to name another domain for them"
            ))
        };
        let to = match named {
            Some(uri) => self.source_domain(uri).await?,
            None => None,
        };
        let to = to.filter(|to| *to != domain.id).ok_or_else(wrong)?;
        if !self.is_domain(&to).await? {
            return Err(wrong());
        }
        // Who deletes this domain does not decide alone what becomes of the other one.
        let resource = Resource::Account(to.clone());
        self.grant(Action::WriteAccount, resource).await?;
        if usage.objects > REASSIGNED_MAX {
            return Err(Fault::bad(format!(
                "a domain with more than {REASSIGNED_MAX} objects is not reassigned at once"
            )));
        }
        let heir = Heir::domain(&to);
        for (bucket, id) in buckets {
            self.give_all_in(&bucket, (&domain.id, &heir)).await?;
            self.give_bucket((&bucket, id), (&heir, true)).await?;
        }
        for bucket in abroad {
            self.give_all_in(&bucket, (&domain.id, &heir)).await?;
        }
        let [nameless, versions] = hidden;
        let hidden = [nameless, versions, uploads];
        let purposes = ["nameless", "versions", partial::PURPOSE];
        for (from, purpose) in hidden.iter().zip(purposes) {
            let into = BucketName::hidden(&to, purpose)?;
            self.move_all(from, &into, (&domain.id, &to)).await?;
        }
        self.drop_empty(&hidden).await?;
        self.forget_abroad(&domain.id).await
    }

    /// Deletes those of the dialect's own buckets that are empty; whether none is left.
    async fn drop_empty(&self, hidden: &[BucketName]) -> Answered<bool> {
        let mut gone = true;
        for bucket in hidden {
            let resource = Resource::Bucket(bucket.clone());
            let grant = match self.cdmi.own_grant(Action::DeleteBucket, resource).await {
                Err(error) if is_missing(&error) => continue,
                grant => grant?,
            };
            match self.cdmi.store.delete_bucket(&grant, bucket).await {
                Ok(()) => {}
                Err(error) if is_missing(&error) => {}
                Err(error) if error.kind() == ErrorKind::NotEmpty => gone = false,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(gone)
    }

    async fn buckets_of(&self, id: &AccountId) -> Answered<Vec<(BucketName, BucketId)>> {
        let resource = Resource::Account(id.clone());
        let grant = self.cdmi.own_grant(Action::ListBuckets, resource).await?;
        let mut list = ListBuckets {
            account: id.clone(),
            prefix: String::new(),
            after: None,
            until: None,
            reverse: false,
            limit: PAGE,
        };
        let mut all = Vec::new();
        loop {
            let (buckets, next) = self.cdmi.store.list_buckets(&grant, &list).await?;
            all.extend(
                buckets
                    .into_iter()
                    .map(|(bucket, _)| (bucket.name, bucket.id)),
            );
            match next {
                Some(next) if all.len() < crate::children::CHILDREN_MAX => list.after = Some(next),
                _ => return Ok(all),
            }
        }
    }

    /// Gives the objects of a domain in a bucket to another one.
    async fn give_all_in(
        &self,
        bucket: &BucketName,
        (from, to): (&AccountId, &Heir),
    ) -> Answered<()> {
        let mut after = None;
        loop {
            let (objects, next) = self.page(bucket, (String::new(), after)).await?;
            for object in objects {
                if object.owner.account == *from {
                    self.give_if_there((bucket, &object), to).await?;
                }
            }
            match next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }

    async fn give_if_there(
        &self,
        (bucket, object): (&BucketName, &Object),
        to: &Heir,
    ) -> Answered<()> {
        let only: Only = (id_of(object), id_of);
        match self
            .give((bucket, &object.key), (to, true), Some(only))
            .await
        {
            Err(Fault::Status(StatusCode::CONFLICT, _)) => Ok(()),
            Err(fault) if fault.is_missing() => Ok(()),
            given => given.map(drop),
        }
    }

    /// Erases what is in one of the dialect's own buckets.
    async fn erase_all(&self, bucket: &BucketName) -> Answered<()> {
        loop {
            let (objects, _) = self.page(bucket, (String::new(), None)).await?;
            if objects.is_empty() {
                return Ok(());
            }
            let own = self.cdmi.own_call();
            for object in objects {
                match own.erase(bucket, &object.key, Precondition::none()).await {
                    Err(fault) if fault.is_missing() => {}
                    erased => erased?,
                }
            }
        }
    }

    /// Moves what is in one of the dialect's own buckets to that of another domain.
    async fn move_all(
        &self,
        from: &BucketName,
        into: &BucketName,
        (domain, to): (&AccountId, &AccountId),
    ) -> Answered<()> {
        loop {
            // What was moved is no longer there.
            let (objects, _) = self.page(from, (String::new(), None)).await?;
            if objects.is_empty() {
                return Ok(());
            }
            self.make_hidden(into).await?;
            for object in objects {
                let at = |bucket: &BucketName| Resource::Object(bucket.clone(), object.key.clone());
                let own = &self.cdmi;
                let grants = [
                    own.own_grant(Action::DeleteObject, at(from)).await?,
                    own.own_grant(Action::WriteObject, at(into)).await?,
                ];
                let rename = RenameObject {
                    bucket: from.clone(),
                    key: object.key.clone(),
                    to_bucket: into.clone(),
                    to_key: object.key.clone(),
                    precondition: Precondition::none(),
                    target: Precondition::none(),
                    tag_of,
                };
                match own.store.rename(&grants, &rename).await {
                    Err(error) if is_missing(&error) => continue,
                    moved => drop(moved?),
                }
                if object.owner.account == *domain {
                    self.give_if_there((into, &object), &Heir::domain(to))
                        .await?;
                }
            }
        }
    }
}

fn replaced() -> Fault {
    Fault::conflict("what was to be given was replaced meanwhile")
}

fn not_given(place: &Place) -> Fault {
    Fault::bad(match place {
        Place::Root => "the root container stays whose it is",
        _ => "a container that exists by what is in it belongs to whom its bucket does",
    })
}

/// Refuses metadata of a domain that names no domain for its objects.
pub(crate) fn check_reassign(metadata: &trestle_core::Metadata) -> Result<()> {
    match metadata.get(REASSIGN).map(|value| value.as_str()) {
        None | Some(Some(_)) => Ok(()),
        Some(None) => Err(trestle_core::Error::invalid(format!(
            "{REASSIGN} is the URI of a domain"
        ))),
    }
}
