//! Changes of what is there, each in one commit: everything that a change does not name stays.

use crate::books::tag_of;
use crate::call::Call;
use crate::content::{Destination, collect, pieces};
use crate::document::Document;
use crate::fault::Answered;
use crate::node::Leaf;
use bytes::{Bytes, BytesMut};
use trestle_access::Action;
use trestle_core::{Precondition, ResolvedRange, Tag, TagMatch};
use trestle_http::parse_precondition;
use trestle_store::{DeleteObject, Object, ObjectProperties};

/// Only while the object is as it was found.
fn unchanged(object: &Object) -> Precondition {
    Precondition {
        if_match: Some(TagMatch::Tags(vec![Tag {
            opaque: tag_of(object),
            weak: false,
        }])),
        ..Precondition::default()
    }
}

impl Call<'_> {
    /// Replaces the value.
    pub(crate) async fn replace(
        &self,
        leaf: &Leaf,
        properties: ObjectProperties,
        bytes: Bytes,
    ) -> Answered<()> {
        self.check_conditions(leaf)?;
        let destination = Destination::of(leaf, unchanged(&leaf.object));
        self.write_bytes(&destination, properties, bytes).await?;
        Ok(())
    }

    /// Overwrites ranges of the value; gaps are zeros.
    pub(crate) async fn patch(
        &self,
        leaf: &Leaf,
        properties: ObjectProperties,
        ranges: Vec<(u64, Bytes)>,
    ) -> Answered<()> {
        self.check_conditions(leaf)?;
        let reader = self.open(leaf).await?;
        let whole = ResolvedRange {
            start: 0,
            end: reader.object().length(),
        };
        let mut bytes = BytesMut::from(collect(reader, whole).await?);
        for (at, range) in ranges {
            crate::data::overwrite(&mut bytes, at, &range)?;
        }
        let destination = Destination::of(leaf, unchanged(&leaf.object));
        self.write_bytes(&destination, properties, bytes.freeze())
            .await?;
        Ok(())
    }

    /// Changes everything but the value.
    pub(crate) async fn change(
        &self,
        leaf: &Leaf,
        properties: ObjectProperties,
        _document: &Document,
    ) -> Answered<()> {
        self.check_conditions(leaf)?;
        let length = leaf.object.length();
        let body = pieces(self.open(leaf).await?).await?;
        let destination = Destination::of(leaf, unchanged(&leaf.object));
        self.write(&destination, properties, Some(length), body)
            .await?;
        Ok(())
    }

    /// Removes an object.
    pub(crate) async fn remove(&self, leaf: &Leaf) -> Answered<()> {
        let grant = self.grant(Action::DeleteObject, leaf.resource()).await?;
        let precondition = parse_precondition(&self.headers)?;
        let (bucket, key) = (leaf.bucket.clone(), leaf.object.key.clone());
        let delete = DeleteObject::current(bucket, key, precondition, tag_of);
        self.cdmi.store.delete(&[grant], delete).await?;
        Ok(())
    }

    /// Refuses when a condition of the request does not hold of what was found.
    fn check_conditions(&self, leaf: &Leaf) -> Answered<()> {
        let precondition = parse_precondition(&self.headers)?;
        let validators = trestle_core::Validators {
            tag: tag_of(&leaf.object),
            modified: leaf.object.modified,
        };
        match precondition.for_write(Some(&validators)) {
            trestle_core::Verdict::Proceed => Ok(()),
            _ => Err(trestle_core::Error::new(
                trestle_core::ErrorKind::PreconditionFailed,
                "a condition of the request fails",
            )
            .into()),
        }
    }
}
