//! What the dialect keeps for itself: the state of the root container, and entries in hidden
//! buckets, which are made when they are first needed.

use crate::call::Call;
use crate::fault::Answered;
use crate::node::{document, root_bucket};
use serde_json::Value;
use std::collections::BTreeMap;
use trestle_core::{BucketName, Error, ErrorKind, Key, Metadata, Precondition, Result};
use trestle_store::{Books, Object, ObjectProperties};

/// The entry of the root container's own state: no client can give such a name.
const ROOT_STATE: &str = "\u{1}root";

/// This dialect's entity tag: the revision.
pub(crate) fn tag_of(object: &Object) -> String {
    object.revision()
}

impl Call<'_> {
    /// Writes an entry of the dialect's own.
    pub(crate) async fn keep_own(
        &self,
        bucket: &BucketName,
        key: Key,
        (name, value): (&str, String),
    ) -> Answered<()> {
        let properties = ObjectProperties {
            documents: BTreeMap::from([(name.to_owned(), value)]),
            ..ObjectProperties::default()
        };
        self.put_own(bucket, key, properties).await
    }

    async fn put_own(
        &self,
        bucket: &BucketName,
        key: Key,
        properties: ObjectProperties,
    ) -> Answered<()> {
        let (books, always) = (self.books(), Precondition::none());
        books.keep(bucket, key, properties, always).await?;
        Ok(())
    }

    /// Makes a hidden bucket when it is not there.
    pub(crate) async fn make_hidden(&self, bucket: &BucketName) -> Result<()> {
        self.books().make(bucket).await
    }

    fn books(&self) -> Books {
        Books::new(self.cdmi.store.clone(), self.cdmi.root_account.clone())
    }

    /// The root container's metadata and its other state.
    pub(crate) async fn root_state(&self) -> Answered<(Metadata, BTreeMap<String, String>)> {
        let entry = self.root_entry().await?;
        Ok(entry.map_or_else(Default::default, |entry| (entry.metadata, entry.documents)))
    }

    /// The entry that has them, once something was set.
    pub(crate) async fn root_entry(&self) -> Answered<Option<Object>> {
        let key = Key::parse(ROOT_STATE)?;
        self.look(&root_bucket(self)?, &key).await
    }

    /// Replaces the root container's metadata, its list and its other state.
    pub(crate) async fn set_root_state(&self, properties: ObjectProperties) -> Answered<()> {
        self.put_own(&root_bucket(self)?, Key::parse(ROOT_STATE)?, properties)
            .await
    }
}

/// Whether a key of the root's bucket is the dialect's own entry.
pub(crate) fn is_own(key: &str) -> bool {
    key.starts_with('\u{1}')
}

/// Fields that the standard does not know, out of an object's documents.
pub(crate) fn unknown_fields(documents: &BTreeMap<String, String>) -> BTreeMap<String, Value> {
    documents
        .get(document::FIELDS)
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

/// Puts fields that the standard does not know into an object's documents, beside those there.
pub(crate) fn keep_unknown(
    documents: &mut BTreeMap<String, String>,
    unknown: &BTreeMap<String, Value>,
) -> Result<()> {
    if unknown.is_empty() {
        return Ok(());
    }
    let mut all = unknown_fields(documents);
    all.extend(unknown.clone());
    let text = serde_json::to_string(&all).map_err(|error| {
        Error::new(ErrorKind::Internal, "fields cannot be written").with_source(error)
    })?;
    if text.len() > crate::metadata::ITEM_BYTES_MAX {
        return Err(Error::invalid(format!(
            "fields that the standard does not know have at most {} bytes",
            crate::metadata::ITEM_BYTES_MAX
        )));
    }
    documents.insert(document::FIELDS.to_owned(), text);
    Ok(())
}
