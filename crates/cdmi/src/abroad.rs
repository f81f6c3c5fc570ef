//! Where domains have objects in containers of others, which the deletion of a domain has to find.
//!
//! A note is kept for each domain and bucket, before the first object comes there, so there may be
//! notes of objects that never came or have gone, and none is missing of what came over this dialect.
//! Those of objects that other dialects put there, or that come along with a nested container that is
//! moved and is another's, are not kept. Nor are those of the root user's domain, which stays.

use crate::books::tag_of;
use crate::call::Call;
use crate::fault::{Answered, Fault};
use crate::node::{document, found};
use trestle_access::{Action, Resource};
use trestle_core::{AccountId, BucketId, BucketName, Id, Key, Precondition, Result};
use trestle_store::{DeleteObject, History, ListObjects, ListingItem, Object};

/// Objects of one page.
const PAGE: usize = 1000;
/// Most objects that are looked through for those of a domain.
const LOOKED_AT_MAX: usize = 100_000;

impl Call<'_> {
    fn notes_bucket(&self) -> Result<BucketName> {
        BucketName::hidden(&self.cdmi.root_account, "abroad")
    }

    /// Notes that what is about to come into a bucket is a domain's, when the bucket is another's.
    pub(crate) async fn note_abroad(
        &self,
        domain: &AccountId,
        bucket: &BucketName,
    ) -> Answered<()> {
        if bucket.is_hidden() || *domain == self.cdmi.root_account {
            return Ok(());
        }
        match found(self.cdmi.store.peek_bucket(bucket).await)? {
            Some(of) if of.owner.account != *domain => self.keep_note(domain, of.id).await,
            _ => Ok(()),
        }
    }

    /// The same of what who asks is about to put there.
    pub(crate) async fn note_own_abroad(&self, bucket: &BucketName) -> Answered<()> {
        match self.principal.account() {
            Some(account) => self.note_abroad(account, bucket).await,
            None => Ok(()),
        }
    }

    /// Notes that what is in a bucket stays a domain's when the bucket becomes another's.
    pub(crate) async fn keep_note(&self, domain: &AccountId, bucket: BucketId) -> Answered<()> {
        if *domain == self.cdmi.root_account {
            return Ok(());
        }
        let (notes, key) = (
            self.notes_bucket()?,
            Key::parse(format!("{domain}/{bucket}"))?,
        );
        if self.look(&notes, &key).await?.is_some() {
            return Ok(());
        }
        let place = (document::PLACE, bucket.to_string());
        self.keep_own(&notes, key, place).await
    }

    /// The buckets of others in which a domain has objects. Notes of others are dropped.
    ///
    /// # Errors
    /// 400 when there is too much to look through.
    pub(crate) async fn abroad(&self, domain: &AccountId) -> Answered<Vec<BucketName>> {
        let mut buckets = Vec::new();
        let mut looked_at = 0;
        for note in self.notes(domain).await? {
            let id = note.key.as_str().rsplit('/').next().unwrap_or_default();
            let id = u128::from_str_radix(id, 16).ok();
            let id = id.map(|id| BucketId(Id(id.to_be_bytes())));
            let name = match id {
                Some(id) => found(self.cdmi.store.find_bucket_by_id(id).await)?,
                None => None,
            };
            match name {
                Some(name) if self.has_in(domain, &name, &mut looked_at).await? => {
                    buckets.push(name);
                }
                _ => self.drop_note(&note).await?,
            }
        }
        Ok(buckets)
    }

    /// Whether a bucket has objects of a domain.
    async fn has_in(
        &self,
        domain: &AccountId,
        bucket: &BucketName,
        looked_at: &mut usize,
    ) -> Answered<bool> {
        let mut after = None;
        loop {
            let (objects, next) = self.page(bucket, (String::new(), after)).await?;
            if objects.iter().any(|object| object.owner.account == *domain) {
                return Ok(true);
            }
            *looked_at = looked_at.saturating_add(objects.len());
            if *looked_at > LOOKED_AT_MAX {
                return Err(Fault::bad(format!(
                    "more than {LOOKED_AT_MAX} objects are in the containers of others where the \
                     domain may have some"
                )));
            }
            match next {
                Some(next) => after = Some(next),
                None => return Ok(false),
            }
        }
    }

    /// Drops all notes of a domain.
    pub(crate) async fn forget_abroad(&self, domain: &AccountId) -> Answered<()> {
        for note in self.notes(domain).await? {
            self.drop_note(&note).await?;
        }
        Ok(())
    }

    async fn notes(&self, domain: &AccountId) -> Answered<Vec<Object>> {
        let bucket = self.notes_bucket()?;
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let (notes, next) = self.page(&bucket, (format!("{domain}/"), after)).await?;
            all.extend(notes);
            match next {
                Some(next) => after = Some(next),
                None => return Ok(all),
            }
        }
    }

    async fn drop_note(&self, note: &Object) -> Answered<()> {
        let bucket = self.notes_bucket()?;
        let resource = Resource::Object(bucket.clone(), note.key.clone());
        let grant = self.cdmi.own_grant(Action::DeleteObject, resource).await?;
        let mut delete =
            DeleteObject::current(bucket, note.key.clone(), Precondition::none(), tag_of);
        delete.history = History::Erase;
        found(self.cdmi.store.delete(&[grant], delete).await)?;
        Ok(())
    }

    /// A page of the objects in a bucket whose keys begin with a prefix, and where the next begins.
    pub(crate) async fn page(
        &self,
        bucket: &BucketName,
        (prefix, after): (String, Option<String>),
    ) -> Result<(Vec<Object>, Option<String>)> {
        let resource = Resource::Bucket(bucket.clone());
        let Some(grant) = found(self.cdmi.own_grant(Action::ListObjects, resource).await)? else {
            return Ok((Vec::new(), None));
        };
        let list = ListObjects {
            bucket: bucket.clone(),
            prefix,
            delimiter: None,
            after,
            until: None,
            reverse: false,
            limit: PAGE,
        };
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
}
