//! Which domain objects belong to: that of who makes them, unless another one is asked for by who has
//! the privilege to cross domains; and what becomes of a domain's objects when it is deleted.

use crate::books::tag_of;
use crate::call::Call;
use crate::content::Destination;
use crate::document::Document;
use crate::fault::{Answered, Fault};
use crate::members::{entries, is_conferring};
use crate::node::{Container, Leaf, Place, found, is_missing, nameless_bucket};
use crate::partial;
use futures::FutureExt;
use trestle_access::{Action, Grant, Resource};
use trestle_core::{
    AccountId, BucketName, ErrorKind, Key, Owner, Precondition, Result, Tag, TagMatch,
};
use trestle_store::{
    Account, ListBuckets, ListObjects, ListingItem, Object, RenameObject, UpdateObject, VersionRef,
};

/// The rights that giving something away takes where it is, of an object and of a bucket.
const GIVES_OBJECT: [Action; 2] = [Action::DeleteObject, Action::WriteObjectOwner];
const GIVES_BUCKET: [Action; 2] = [Action::DeleteBucket, Action::WriteBucketOwner];

/// The item that says whose a domain's objects are when it is deleted.
const REASSIGN: &str = "cdmi_domain_delete_reassign";
/// Most objects of a domain that is deleted.
const REASSIGNED_MAX: u64 = 100_000;
/// Objects of one page.
const PAGE: usize = 1000;

/// The owner of what a domain is given: the domain itself, by the user that has its name.
fn owner_of(id: &AccountId) -> Owner {
    Owner {
        account: id.clone(),
        user: id.as_str().to_owned(),
        domain: None,
    }
}

/// Tells one write of an object from others, whatever is said of it since.
fn version_of(object: &Object) -> String {
    object.version.to_string()
}

/// All keys of a bucket.
fn everything(bucket: &BucketName, after: Option<String>) -> ListObjects {
    ListObjects {
        bucket: bucket.clone(),
        prefix: String::new(),
        delimiter: None,
        after,
        until: None,
        reverse: false,
        limit: PAGE,
    }
}

impl Call<'_> {
    /// The domain that a document gives something to; none when it is there, or nothing is said.
    /// `around` is the domain of what it is in, which needs no privilege.
    ///
    /// # Errors
    /// 400 for what is no domain; 403 without the privilege.
    pub(crate) async fn other_domain(
        &self,
        document: &Document,
        (now, around): (Option<&AccountId>, Option<&AccountId>),
    ) -> Answered<Option<AccountId>> {
        let named = self.fields.is_all() || self.fields.has("domainURI");
        let Some(uri) = document.domain.as_ref().filter(|_| named) else {
            return Ok(None);
        };
        let wrong = || Fault::bad(format!("{uri:?} is not a domain"));
        let to = self.source_domain(uri).await?.ok_or_else(wrong)?;
        if now == Some(&to) {
            return Ok(None);
        }
        if around != Some(&to) && !self.crosses_domains().await? {
            return Err(Fault::forbidden(format!(
                "{uri:?} is another domain, and you do not have the privilege cross_domain"
            )));
        }
        match found(self.cdmi.own_account(&to).await)? {
            Some(account) if !account.properties.closed => {}
            _ => return Err(wrong()),
        }
        self.check_enabled(&to).await?;
        Ok(Some(to))
    }

    /// Whether who asks has the privilege to give what it makes to other domains.
    async fn crosses_domains(&self) -> Answered<bool> {
        if self.principal.is_root() {
            return Ok(true);
        }
        let account = self.cdmi.own_account(self.account()?).await?;
        let narrowed = !self.principal.session_policies.is_empty();
        let entries = entries(&account.properties)?;
        let mut entries = entries.values();
        Ok(!narrowed && entries.any(|entry| is_conferring(entry, &self.principal)))
    }

    /// The rights to give something away: the dialect's own for what is new, and otherwise those of
    /// who asks.
    async fn rights(
        &self,
        actions: [Action; 2],
        (of, new): (Resource, bool),
    ) -> Result<Vec<Grant>> {
        let mut grants = Vec::new();
        for action in actions {
            grants.push(match new {
                true => self.cdmi.own_grant(action, of.clone()).await?,
                false => self.grant(action, of.clone()).await?,
            });
        }
        Ok(grants)
    }

    /// Gives an object to a domain that has just been made, and not what came in its place since.
    async fn give_made(
        &self,
        (bucket, key): (&BucketName, &Key),
        (object, to): (&Object, &AccountId),
    ) -> Answered<Object> {
        let resource = Resource::Object(bucket.clone(), key.clone());
        let grants = self.rights(GIVES_OBJECT, (resource, true)).await?;
        let made = Tag {
            opaque: version_of(object),
            weak: false,
        };
        let update = UpdateObject {
            bucket: bucket.clone(),
            key: key.clone(),
            version: VersionRef::Current,
            precondition: Precondition {
                if_match: Some(TagMatch::Tags(vec![made])),
                ..Precondition::default()
            },
            tag_of: version_of,
        };
        let store = &self.cdmi.store;
        match store.give_object(&grants, &update, &owner_of(to)).await {
            Err(error) if error.kind() == ErrorKind::PreconditionFailed => Err(Fault::conflict(
                "the object was replaced before it was given to its domain",
            )),
            given => Ok(given?),
        }
    }

    /// Gives an object to a domain: one that is the dialect's to give, or that who asks may take away.
    pub(crate) async fn give(
        &self,
        (bucket, key): (&BucketName, &Key),
        (to, new): (&AccountId, bool),
    ) -> Answered<Object> {
        let resource = Resource::Object(bucket.clone(), key.clone());
        let grants = self.rights(GIVES_OBJECT, (resource, new)).await?;
        let update = UpdateObject {
            bucket: bucket.clone(),
            key: key.clone(),
            version: VersionRef::Current,
            precondition: Precondition::none(),
            tag_of,
        };
        let store = &self.cdmi.store;
        Ok(store.give_object(&grants, &update, &owner_of(to)).await?)
    }

    /// The domain that a document gives a new object to.
    pub(crate) async fn domain_of_new(
        &self,
        destination: &Destination,
        document: &Document,
    ) -> Answered<Option<AccountId>> {
        if document.domain.is_none() {
            return Ok(None);
        }
        let bucket = self.cdmi.store.peek_bucket(&destination.bucket).await?;
        let around = &bucket.owner.account;
        self.other_domain(document, (self.principal.account(), Some(around)))
            .await
    }

    /// The new object, given to a domain if it is to be.
    pub(crate) async fn give_new(
        &self,
        destination: &Destination,
        object: Object,
        to: Option<AccountId>,
    ) -> Answered<Object> {
        match to {
            Some(to) => {
                let at = (&destination.bucket, &destination.key);
                self.give_made(at, (&object, &to)).boxed().await
            }
            None => Ok(object),
        }
    }

    /// The domain that a document gives an object to that is there.
    pub(crate) async fn domain_of_leaf(
        &self,
        leaf: &Leaf,
        document: &Document,
    ) -> Answered<Option<AccountId>> {
        let now = Some(&leaf.object.owner.account);
        let to = self.other_domain(document, (now, None)).await?;
        if to.is_some() {
            // Asked before anything changes, and again when it is given.
            self.rights(GIVES_OBJECT, (leaf.resource(), false)).await?;
        }
        Ok(to)
    }

    /// Gives an object that is there to a domain, if it is to be.
    pub(crate) async fn give_leaf(&self, leaf: &Leaf, to: Option<AccountId>) -> Answered<()> {
        if let Some(to) = to {
            let at = (&leaf.bucket, &leaf.object.key);
            self.give(at, (&to, false)).await?;
        }
        Ok(())
    }

    /// The domain that a document gives a container to that is there.
    pub(crate) async fn domain_of_container(
        &self,
        container: &Container,
        document: &Document,
    ) -> Answered<Option<AccountId>> {
        let now = Some(&container.owner.account);
        let to = self.other_domain(document, (now, None)).await?;
        match &container.place {
            Place::Bucket(bucket) if to.is_some() => {
                let of = Resource::Bucket(bucket.clone());
                self.rights(GIVES_BUCKET, (of, false)).await?;
            }
            Place::Directory(bucket, key, Some(_)) if to.is_some() => {
                let of = Resource::Object(bucket.clone(), key.clone());
                self.rights(GIVES_OBJECT, (of, false)).await?;
            }
            _ => {}
        }
        Ok(to)
    }

    /// Gives a container to a domain; what is in it stays where it belongs.
    pub(crate) async fn give_container(
        &self,
        container: &Container,
        (to, new): (&AccountId, bool),
    ) -> Answered<()> {
        match &container.place {
            Place::Root => Err(Fault::bad("the root container stays in its domain")),
            Place::Bucket(bucket) => self.give_bucket(bucket, (to, new)).await,
            Place::Directory(bucket, key, Some(made)) if new => {
                self.give_made((bucket, key), (made, to)).await?;
                Ok(())
            }
            Place::Directory(bucket, key, Some(_)) => {
                self.give((bucket, key), (to, false)).await?;
                Ok(())
            }
            Place::Directory(_, _, None) => Err(Fault::bad(
                "a container that exists by what is in it belongs to the domain of its bucket",
            )),
        }
    }

    async fn give_bucket(
        &self,
        bucket: &BucketName,
        (to, new): (&AccountId, bool),
    ) -> Answered<()> {
        let own = &self.cdmi;
        let of = Resource::Bucket(bucket.clone());
        let mut grants = self.rights(GIVES_BUCKET, (of, new)).await?;
        let account = Resource::Account(to.clone());
        grants.push(own.own_grant(Action::WriteAccount, account).await?);
        let owner = owner_of(to);
        own.store.give_bucket(&grants, bucket, &owner).await?;
        Ok(())
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
        let hidden = [
            nameless_bucket(&domain.id)?,
            BucketName::hidden(&domain.id, "versions")?,
        ];
        let uploads = BucketName::hidden(&domain.id, partial::PURPOSE)?;
        if named.is_none() && self.drop_empty(&hidden).await? && buckets.is_empty() {
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
        match found(self.cdmi.own_account(&to).await)? {
            Some(account) if !account.properties.closed => {}
            _ => return Err(wrong()),
        }
        // Who deletes this domain does not decide alone what becomes of the other one.
        let resource = Resource::Account(to.clone());
        self.grant(Action::WriteAccount, resource).await?;
        if usage.objects > REASSIGNED_MAX {
            return Err(Fault::bad(format!(
                "a domain with more than {REASSIGNED_MAX} objects is not reassigned at once"
            )));
        }
        for bucket in buckets {
            self.give_all_in(&bucket, (&domain.id, &to)).await?;
            self.give_bucket(&bucket, (&to, true)).await?;
        }
        let [nameless, versions] = hidden;
        let hidden = [nameless, versions, uploads];
        let purposes = ["nameless", "versions", partial::PURPOSE];
        for (from, purpose) in hidden.iter().zip(purposes) {
            let into = BucketName::hidden(&to, purpose)?;
            self.move_all(from, &into, (&domain.id, &to)).await?;
        }
        self.drop_empty(&hidden).await?;
        Ok(())
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

    async fn buckets_of(&self, id: &AccountId) -> Answered<Vec<BucketName>> {
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
            all.extend(buckets.into_iter().map(|(bucket, _)| bucket.name));
            match next {
                Some(next) if all.len() < crate::children::CHILDREN_MAX => list.after = Some(next),
                _ => return Ok(all),
            }
        }
    }

    /// A page of the objects in a bucket, and where the next one begins.
    async fn page(
        &self,
        bucket: &BucketName,
        after: Option<String>,
    ) -> Result<(Vec<Object>, Option<String>)> {
        let resource = Resource::Bucket(bucket.clone());
        let Some(grant) = found(self.cdmi.own_grant(Action::ListObjects, resource).await)? else {
            return Ok((Vec::new(), None));
        };
        let list = everything(bucket, after);
        let Some(listing) = found(self.cdmi.store.list(&grant, &list).await)? else {
            return Ok((Vec::new(), None));
        };
        let items = listing.items.into_iter();
        let objects = items.filter_map(|item| match item {
            ListingItem::Object(object) => Some(*object),
            ListingItem::Prefix(_) => None,
        });
        Ok((objects.collect(), listing.next))
    }

    /// Gives the objects of a domain in a bucket to another one.
    async fn give_all_in(
        &self,
        bucket: &BucketName,
        (from, to): (&AccountId, &AccountId),
    ) -> Answered<()> {
        let mut after = None;
        loop {
            let (objects, next) = self.page(bucket, after).await?;
            for object in objects {
                if object.owner.account == *from {
                    self.give_if_there((bucket, &object.key), to).await?;
                }
            }
            match next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }

    async fn give_if_there(&self, at: (&BucketName, &Key), to: &AccountId) -> Answered<()> {
        match self.give(at, (to, true)).await {
            Err(fault) if fault.is_missing() => Ok(()),
            given => given.map(drop),
        }
    }

    /// Erases what is in one of the dialect's own buckets.
    async fn erase_all(&self, bucket: &BucketName) -> Answered<()> {
        loop {
            let (objects, _) = self.page(bucket, None).await?;
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
            let (objects, _) = self.page(from, None).await?;
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
                    self.give_if_there((into, &object.key), to).await?;
                }
            }
        }
    }
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
