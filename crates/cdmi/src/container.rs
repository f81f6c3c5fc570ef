//! Containers as documents: create, read, update.

use crate::acl::mask;
use crate::books::keep_unknown;
use crate::call::Call;
use crate::content::Destination;
use crate::data::{Submission, new_metadata, set_acl};
use crate::document::{Document, Source};
use crate::exports;
use crate::fault::{Answered, Fault};
use crate::media::Kind;
use crate::node::{Container, Leaf, Node, Place, check_new_name, document};
use crate::path::Names;
use crate::plain::give_headers;
use crate::protect;
use crate::render::{Rendering, bare, with_location};
use crate::rights;
use bytes::Bytes;
use futures::FutureExt;
use http::{Response, StatusCode};
use trestle_access::{Action, Resource};
use trestle_core::{BucketName, Id, Metadata, ObjectId, Owner, Result};
use trestle_http::Body;
use trestle_store::{BucketProperties, ObjectProperties, TreeOutcome};

/// The rights that a change of a bucket may need; the store says which one does.
const CHANGES: [Action; 6] = [
    Action::WriteBucketMetadata,
    Action::WriteBucketAttributes,
    Action::WriteBucketDocument,
    Action::WriteBucketAcl,
    Action::WriteBucketRetention,
    Action::WriteBucketHold,
];

/// Keeps the exports that a document asks for.
fn set_exports(
    properties: &mut ObjectProperties,
    document: &Document,
    (names, owner): (&Names, &Owner),
) -> Result<()> {
    if let Some(exports) = &document.exports {
        let exports = exports::parse(exports, names, owner.account.as_str())?;
        properties
            .documents
            .insert(document::EXPORTS.to_owned(), exports);
    }
    Ok(())
}

impl Call<'_> {
    /// Makes a container; the answer is its document.
    pub(crate) async fn create_container(
        &self,
        parent: &Container,
        names: &Names,
        document: &Document,
    ) -> Answered {
        check_new_name(names)?;
        self.check_parent(parent, mask::ADD_SUBCONTAINER).await?;
        if document.mimetype.is_some() || document.encoding.is_some() || document.snapshot.is_some()
        {
            return Err(Fault::bad("a container has no value, and no snapshot yet"));
        }
        if let Some(given) = &document.metadata {
            self.note_metadata(given);
        }
        if document.exports.is_some() {
            self.note("cdmi_export");
        }
        let place = (parent, names);
        let to = self.heir_of_new_container(place, document).boxed().await?;
        let document = self.of_heir(document, to.as_ref());
        let (answer, made) = self.make_of(parent, names, &document).await?;
        let Some(to) = to else { return Ok(answer) };
        if let Some(Node::Container(found)) = self.resolve(names).await? {
            // What came in its place is not given away.
            if made != Some(found.id) {
                return Err(Fault::conflict("the container was replaced meanwhile"));
            }
            self.give_container(&found, (&to, true)).boxed().await?;
        }
        self.container_created(names).await
    }

    /// Makes a container out of what a document says; its id goes with the answer.
    async fn make_of(
        &self,
        parent: &Container,
        names: &Names,
        document: &Document,
    ) -> Answered<(Response<Body>, Option<Id>)> {
        match &document.source {
            None => {}
            Some(Source::Reference(uri)) => {
                let made = self.create_container_reference(parent, names, uri).await?;
                return Ok((made, None));
            }
            Some(Source::Copy(uri)) => {
                let copied = self.copy_container(parent, names, (uri, document));
                let id = copied.boxed().await?;
                return Ok((self.container_filled(names).await?, Some(id)));
            }
            Some(Source::Move(uri)) => {
                let moved = self.move_container(parent, names, (uri, document)).boxed();
                let (outcome, id) = moved.await?;
                let answer = match outcome {
                    TreeOutcome::Done { .. } => self.container_filled(names).await?,
                    TreeOutcome::Started(_) => self.accepted(names),
                };
                return Ok((answer, Some(id)));
            }
            Some(source @ (Source::Deserialize(_) | Source::DeserializeValue(_))) => {
                let serialized = self.to_deserialize(source).await?;
                let made = self.deserialize_container(parent, names, (serialized, document));
                let id = made.await?;
                return Ok((self.container_filled(names).await?, Some(id)));
            }
            Some(_) => {
                return Err(Fault::bad("a container is not made of this"));
            }
        }
        let metadata = new_metadata(document)?;
        let made = self.make_container(parent, names, metadata, document);
        let id = made.await?;
        Ok((self.container_created(names).await?, Some(id)))
    }

    /// Makes a container; its id.
    pub(crate) async fn make_container(
        &self,
        parent: &Container,
        names: &Names,
        metadata: Metadata,
        document: &Document,
    ) -> Answered<Id> {
        let mut properties = ObjectProperties {
            metadata,
            ..ObjectProperties::default()
        };
        keep_unknown(&mut properties.documents, &document.unknown)?;
        if document.exports.is_some() {
            let owner = match &parent.place {
                Place::Root => self.principal.owner(),
                _ => None,
            };
            let owner = owner.unwrap_or_else(|| parent.owner.clone());
            set_exports(&mut properties, document, (names, &owner))?;
        }
        set_acl(&mut properties, document)?;
        self.protect_new_container(&mut properties)?;
        let name = names.last().unwrap_or_default();
        match &parent.place {
            Place::Root => {
                let inherited = rights::inherited(parent, true)?;
                self.make_bucket(name, properties, inherited).await
            }
            _ => {
                let (bucket, key) = parent.slot(self, &format!("{name}/"))?;
                let mut destination = Destination::free(bucket, key);
                destination.acl = rights::inherited(parent, true)?;
                destination.adding = rights::of_adding(parent, mask::ADD_SUBCONTAINER)?;
                let made = self.write_bytes(&destination, properties, Bytes::new());
                Ok(made.await?.object.id.0)
            }
        }
    }

    /// The protection that a new container's metadata asks for.
    pub(crate) fn protect_new_container(&self, properties: &mut ObjectProperties) -> Result<()> {
        let now = self.cdmi.store.now();
        protect::apply_to_container(properties, &ObjectProperties::default(), now)
    }

    async fn make_bucket(
        &self,
        name: &str,
        properties: ObjectProperties,
        inherited: Option<String>,
    ) -> Answered<Id> {
        let name = BucketName::parse(name)?;
        let resource = Resource::Bucket(name.clone());
        let grant = self.grant(Action::CreateBucket, resource).await?;
        let acl = rights::of_new(properties.acl, inherited.as_deref())?;
        let properties = BucketProperties {
            metadata: properties.metadata,
            documents: properties.documents,
            acl,
            retention: properties.retention,
            legal_hold: properties.legal_hold,
            ..BucketProperties::default()
        };
        let store = &self.cdmi.store;
        for (set, action) in [
            (
                properties.acl.is_some() && properties.acl != inherited,
                Action::WriteBucketAcl,
            ),
            (properties.retention.is_some(), Action::WriteBucketRetention),
            (properties.legal_hold, Action::WriteBucketHold),
        ] {
            if set {
                let resource = Resource::Bucket(name.clone());
                store.authorize_made(self.asked(action, resource)).await?;
            }
        }
        let made = store.create_bucket_with(&grant, &name, properties).await?;
        Ok(made.id.0)
    }

    async fn create_container_reference(
        &self,
        parent: &Container,
        names: &Names,
        uri: &str,
    ) -> Answered {
        let destination = self.place_in(parent, names).await?;
        let object = self.store_reference(&destination, uri).await?;
        let leaf = Leaf::made(destination, (Some(names.clone()), Some(parent.id)), object);
        self.created(&leaf).await
    }

    /// 201 with the document of a container, which has no children yet.
    async fn container_created(&self, names: &Names) -> Answered {
        let mut rendering = self.made_head(names).await?;
        rendering.add("childrenrange", "");
        rendering.add("children", Vec::<String>::new());
        self.container_answer(names, &rendering)
    }

    /// 201 with the document of a container that came with what is in it: its children are left
    /// out of that.
    async fn container_filled(&self, names: &Names) -> Answered {
        let rendering = self.made_head(names).await?;
        self.container_answer(names, &rendering)
    }

    async fn made_head(&self, names: &Names) -> Answered<Rendering> {
        let all = self.with_all_fields();
        let Some(Node::Container(container)) = all.resolve(names).await? else {
            return Err(Fault::conflict("the container was removed meanwhile"));
        };
        all.made_container_head(&container).await
    }

    fn container_answer(&self, names: &Names, rendering: &Rendering) -> Answered {
        let response = rendering.answer(StatusCode::CREATED, Kind::Container.media_type())?;
        Ok(with_location(response, &self.url(names)))
    }

    /// The document of a container.
    pub(crate) async fn read_container(&self, container: &Container) -> Answered {
        self.check_acceptable(Kind::Container)?;
        let rendering = self.container_document(container).await?;
        let mut response = rendering.answer(StatusCode::OK, Kind::Container.media_type())?;
        if rendering.has("metadata") {
            give_headers(&container.metadata, response.headers_mut());
        }
        Ok(response)
    }

    /// Changes what a container says of itself.
    pub(crate) async fn update_container(
        &self,
        container: &Container,
        submission: Submission,
    ) -> Answered {
        self.check_content(&[Kind::Container])?;
        let document = &submission.document;
        if document.mimetype.is_some() || document.encoding.is_some() {
            return Err(Fault::bad("a container has no value"));
        }
        if container.place == Place::Root {
            protect::check_root(document.metadata.as_ref())?;
        }
        let choice = self.check_choice_of(container, document);
        choice.boxed().await?;
        let to = self.heir_of_container(container, document);
        let to = to.boxed().await?;
        if document.exports.is_some() {
            self.note("cdmi_export");
        }
        match &document.source {
            None if document.is_snapshot_alone() => {}
            None if to.is_some() && self.is_of_owner_alone() => {}
            None => self.change_container(container, document).await?,
            Some(Source::Copy(uri)) => {
                let copied = self.copy_onto(container, document, uri);
                copied.boxed().await?;
            }
            Some(source @ (Source::Deserialize(_) | Source::DeserializeValue(_))) => {
                let restored = self.restore_container(container, (document, source));
                restored.boxed().await?;
            }
            Some(_) => {
                return Err(Fault::bad("this cannot be done to an existing container"));
            }
        }
        if let Some(to) = to {
            let given = self.give_container(container, (&to, false));
            given.boxed().await?;
        }
        if let Some(name) = &document.snapshot {
            return self.take_snapshot(container, name).boxed().await;
        }
        Ok(bare(StatusCode::NO_CONTENT))
    }

    /// Replaces what a container says of itself by what another does; its children stay.
    async fn copy_onto(
        &self,
        container: &Container,
        document: &Document,
        uri: &str,
    ) -> Answered<()> {
        self.note("cdmi_copy");
        let (mut source, fields) = self.source_container(uri).await?;
        self.may_read(&source).await.map_err(Fault::of_source)?;
        let limits = self.limits(fields)?;
        let mut own = document.clone();
        own.source = None;
        if own.metadata.is_none() && limits.has("metadata") {
            let copied = crate::transfer::without_protection(std::mem::take(&mut source.metadata));
            own.metadata = Some(copied.into_iter().collect());
        }
        if limits.is_all() {
            crate::transfer::take_unknown(&source.documents, &mut own);
        }
        self.with_all_fields()
            .change_container(container, &own)
            .await
    }

    /// Changes what a container says of itself, as a document says.
    pub(crate) async fn change_container(
        &self,
        container: &Container,
        document: &Document,
    ) -> Answered<()> {
        let mut properties = ObjectProperties {
            metadata: container.metadata.clone(),
            documents: container.documents.clone(),
            ..ObjectProperties::default()
        };
        self.change_properties(&mut properties, document)?;
        let whose = (&container.names, &container.owner);
        set_exports(&mut properties, document, whose)?;
        let now = self.cdmi.store.now();
        match &container.place {
            Place::Root => self.change_root(container, document, properties).await?,
            Place::Bucket(bucket) => self.update_bucket(bucket, (document, whose)).await?,
            Place::Directory(bucket, key, Some(_)) => {
                let change = |properties: &mut ObjectProperties| -> Result<()> {
                    let former = properties.clone();
                    self.change_properties(properties, document)?;
                    set_exports(properties, document, whose)?;
                    protect::apply_to_container(properties, &former, now)
                };
                self.check_named_list(bucket, document).await?;
                self.update(bucket, key, &change).await?;
            }
            // It was there by its keys only: now it is there by itself, and keeps its id.
            Place::Directory(bucket, key, None) => {
                self.protect_new_container(&mut properties)?;
                // It changes all the same: the right to add objects is none to that.
                for (differs, action) in [
                    (
                        properties.metadata != container.metadata,
                        Action::WriteObjectMetadata,
                    ),
                    (
                        properties.documents != container.documents,
                        Action::WriteObjectAttributes,
                    ),
                ] {
                    if differs {
                        let resource = Resource::Object(bucket.clone(), key.clone());
                        self.grant(action, resource).await?;
                    }
                }
                let mut destination = Destination::free(bucket.clone(), key.clone());
                destination.id = Some(ObjectId(container.id));
                self.write_bytes(&destination, properties, Bytes::new())
                    .await?;
            }
        }
        Ok(())
    }

    /// Changes the metadata and the dialect's state of a bucket.
    async fn update_bucket(
        &self,
        bucket: &BucketName,
        (document, whose): (&Document, (&Names, &Owner)),
    ) -> Answered<()> {
        let resource = Resource::Bucket(bucket.clone());
        let grants = self.grants(&CHANGES, &resource).await?;
        self.check_named_list(bucket, document).await?;
        let now = self.cdmi.store.now();
        let change = |properties: &mut BucketProperties| -> Result<()> {
            let mut shared = ObjectProperties {
                metadata: std::mem::take(&mut properties.metadata),
                documents: std::mem::take(&mut properties.documents),
                acl: properties.acl.take(),
                retention: properties.retention,
                legal_hold: properties.legal_hold,
                ..ObjectProperties::default()
            };
            let former = shared.clone();
            self.change_properties(&mut shared, document)?;
            set_exports(&mut shared, document, whose)?;
            protect::apply_to_container(&mut shared, &former, now)?;
            properties.retention = shared.retention;
            properties.legal_hold = shared.legal_hold;
            properties.acl = shared.acl;
            properties.metadata = shared.metadata;
            properties.documents = shared.documents;
            Ok(())
        };
        let store = &self.cdmi.store;
        store.update_bucket(&grants, bucket, &change).await?;
        Ok(())
    }
}
