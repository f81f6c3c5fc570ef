//! References that only an id leads to, and that lead to what has that very id on another server:
//! each has the id of what it leads to, so that ids go on leading to objects that are elsewhere (5.8).
//!
//! Ids of other servers, which are not ids of the store, are in the dialect's own books until their
//! reference is deleted. An entry whose reference has gone in another way, such as with its account,
//! leads nowhere, and the next reference takes its place.

use crate::books::tag_of;
use crate::call::Call;
use crate::content::Destination;
use crate::document::Source;
use crate::fault::Answered;
use crate::modify::unchanged;
use crate::node::{Leaf, document, found, ids_bucket};
use crate::object_id::well_formed;
use crate::path::{Names, Target};
use trestle_access::{Action, Resource};
use trestle_core::{ErrorKind, Id, Key, ObjectId};
use trestle_store::{DeleteObject, History};

/// The id that a URI by object id ends in.
fn id_at_end(uri: &str) -> Option<&str> {
    let (before, id) = uri.rsplit_once('/')?;
    let by_id = before.ends_with("/cdmi_objectid") || before == "cdmi_objectid";
    (by_id && well_formed(id)).then_some(id)
}

/// Where the books have the reference with an id of another server.
fn entry(id: &str) -> trestle_core::Result<Key> {
    Key::parse(format!("elsewhere/{}", id.to_ascii_uppercase()))
}

impl Call<'_> {
    /// Gives a new reference without a name the id that what it leads to has on another server, unless
    /// that leads to something here.
    pub(crate) async fn name_referral(
        &self,
        destination: &mut Destination,
        source: Option<&Source>,
    ) -> Answered<()> {
        let Some(Source::Reference(uri)) = source else {
            return Ok(());
        };
        let Some(text) = id_at_end(uri) else {
            return Ok(());
        };
        if let Some(id) = self.cdmi.ids.parse(text)? {
            destination.id = self.is_free(id).await?.then_some(ObjectId(id));
            return Ok(());
        }
        if self.referred(text).await?.is_some() {
            return Ok(());
        }
        // Who may not make it leaves nothing in the books, either.
        drop(self.right_to_write(destination).await?);
        let (id, text) = (self.cdmi.host.id(), text.to_ascii_uppercase());
        let place = (document::PLACE, id.to_string());
        self.keep_own(&ids_bucket(self)?, entry(&text)?, place)
            .await?;
        destination.id = Some(ObjectId(id));
        destination.known_as = Some(text);
        Ok(())
    }

    /// Whether an id of this store leads to nothing.
    async fn is_free(&self, id: Id) -> Answered<bool> {
        let target = Target::Id(self.id_text(id), Names::default());
        let made = self.aliased(target.clone()).await? != target;
        let used = found(self.cdmi.store.find_by_id(ObjectId(id)).await)?;
        Ok(!made && used.is_none() && self.path_of(id).await?.is_none())
    }

    /// The id in the store of the reference that has an id of another server.
    pub(crate) async fn referred(&self, text: &str) -> Answered<Option<Id>> {
        let Some(kept) = self.look(&ids_bucket(self)?, &entry(text)?).await? else {
            return Ok(None);
        };
        let place = kept.documents.get(document::PLACE);
        let id = place.and_then(|place| u128::from_str_radix(place, 16).ok());
        let Some(id) = id.map(|id| Id(id.to_be_bytes())) else {
            return Ok(None);
        };
        let there = found(self.cdmi.store.find_by_id(ObjectId(id)).await)?;
        Ok(there.map(|_| id))
    }

    /// Takes a reference that has gone out of the books, unless another has its place by now.
    pub(crate) async fn forget_referral(&self, text: &str, id: Id) -> Answered<()> {
        let (bucket, key) = (ids_bucket(self)?, entry(text)?);
        let Some(kept) = self.look(&bucket, &key).await? else {
            return Ok(());
        };
        if kept.documents.get(document::PLACE) != Some(&id.to_string()) {
            return Ok(());
        }
        let resource = Resource::Object(bucket.clone(), key.clone());
        let grant = self.cdmi.own_grant(Action::DeleteObject, resource).await?;
        let mut delete = DeleteObject::current(bucket, key, unchanged(&kept), tag_of);
        delete.history = History::Erase;
        match self.cdmi.store.delete(&[grant], delete).await {
            Err(error) if error.kind() == ErrorKind::PreconditionFailed => Ok(()),
            deleted => Ok(found(deleted).map(drop)?),
        }
    }

    /// The id of something as clients see it.
    pub(crate) fn id_of(&self, leaf: &Leaf) -> String {
        match leaf.object.documents.get(document::KNOWN_AS) {
            Some(text) => text.clone(),
            None => self.id_text(leaf.object.id.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_end_in_ids_or_not() {
        let id = "00006FFD0010AA33D8CEF9711E0835CA";
        for uri in [
            format!("https://archive.example.com/cdmi/2.0.0/cdmi_objectid/{id}"),
            format!("/cdmi_objectid/{id}"),
            format!("cdmi_objectid/{}", id.to_ascii_lowercase()),
        ] {
            assert!(id_at_end(&uri).is_some(), "{uri}");
        }
        for uri in [
            format!("/c/{id}"),
            format!("/cdmi_objectid/{id}/"),
            format!("/cdmi_objectid/{id}?value"),
            format!("/cdmi_objectid/{}", id.replace("AA", "AB")),
            "/c/o".to_owned(),
        ] {
            assert_eq!(id_at_end(&uri), None, "{uri}");
        }
    }
}
