//! Updates by `deserialize`: what is there is brought back to a serialised state, which must be its
//! own. Of a container whose children are serialised, too, they are made, changed and deleted until
//! they are those.

use crate::call::Call;
use crate::content::Destination;
use crate::data::{new_metadata, new_properties};
use crate::document::{Document, Source};
use crate::domain_change::Heir;
use crate::fault::{Answered, Fault};
use crate::media::Kind;
use crate::modify::unchanged;
use crate::node::{Container, Leaf, Node};
use crate::path::Names;
use crate::protect;
use crate::serial::Serialized;
use crate::version_serial::{check_versions, mark_versioned};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::StatusCode;
use std::collections::BTreeSet;
use trestle_access::Action;
use trestle_core::{Id, Precondition};
use trestle_store::ObjectProperties;

impl Call<'_> {
    /// Refuses the serialised form of something else.
    fn check_same(&self, serialized: &Serialized, id: Id, kind: Kind) -> Answered<()> {
        let own = serialized.id.as_deref();
        let own = own.map(|text| self.cdmi.ids.parse(text));
        match own {
            Some(Ok(Some(own))) if own == id && serialized.kind == kind => Ok(()),
            _ => Err(Fault::bad("what is serialised is another object")),
        }
    }

    /// Brings a data object or queue back.
    pub(crate) async fn restore_leaf(
        &self,
        leaf: &Leaf,
        (document, source): (&Document, &Source),
    ) -> Answered<()> {
        let serialized = self.to_deserialize(source).await?;
        let kind = match leaf.is_queue() {
            true => Kind::Queue,
            false => Kind::Object,
        };
        self.check_same(&serialized, leaf.object.id.0, kind)?;
        self.check_serialized_domain(&serialized, document).await?;
        if leaf.is_queue() {
            let mut call = self.clone();
            if let Source::Deserialize(uri) = source {
                call.fields = self.limits(self.source_leaf(uri).await?.1)?;
            }
            return call.bring_queue_back(leaf, &serialized, false).await;
        }
        self.bring_data_back(leaf, &serialized).await
    }

    async fn bring_data_back(&self, leaf: &Leaf, serialized: &Serialized) -> Answered<()> {
        let own = &serialized.document;
        let metadata = new_metadata(own)?;
        let former = leaf.object.properties();
        let value = serialized.value()?;
        let mut properties = new_properties(&value, metadata, own, self.is_partial()?)?;
        properties.acl = properties.acl.or(former.acl.clone());
        protect::apply(&mut properties, &former, self.cdmi.store.now())?;
        match serialized.has_versions() {
            true => {
                let back = self.bring_history_back(leaf, (properties, value.bytes), serialized);
                back.boxed().await
            }
            false => self.replace(leaf, properties, value.bytes).await,
        }
    }

    /// The same with the versions that were serialised, in the place of those that there are: which
    /// takes the right to delete these. Those that are missing come first and the others go last, so
    /// that nothing is lost where it is cut off in between.
    async fn bring_history_back(
        &self,
        leaf: &Leaf,
        (mut properties, bytes): (ObjectProperties, Bytes),
        serialized: &Serialized,
    ) -> Answered<()> {
        check_versions(serialized)?;
        self.check_changeable(leaf)?;
        self.check_besides(leaf, &properties).await?;
        self.grant(Action::DeleteObject, leaf.resource()).await?;
        mark_versioned(&mut properties);
        let mut destination = self.place_of(leaf, unchanged(&leaf.object)).await?;
        destination.unversioned = true;
        let place = (&leaf.bucket, leaf.object.id);
        let history = self.history_of(place, serialized).await?;
        self.put_missing(&history).await?;
        let written = self.write_bytes(&destination, properties, bytes);
        match written.await {
            Ok(written) => {
                let of = (&leaf.bucket, &written.object);
                self.settle_history(of, &history).await
            }
            Err(fault) => {
                self.take_back(&history).await;
                Err(fault)
            }
        }
    }

    /// What a queue says of itself, as far as the request names it; its values come back with the container that it is in, and stay
    /// when it is brought back alone.
    async fn bring_queue_back(
        &self,
        leaf: &Leaf,
        serialized: &Serialized,
        values: bool,
    ) -> Answered<()> {
        let mut own = serialized.document.clone();
        own.source = None;
        // These are of its values.
        (own.mimetype, own.encoding) = (None, None);
        own.metadata.get_or_insert_default();
        self.check_queue_change(leaf, &own)?;
        let mut leaf = leaf.clone();
        if values {
            self.set_values(&leaf, &serialized.queue()?).await?;
            let object = self.look(&leaf.bucket, &leaf.object.key).await?;
            let object =
                object.ok_or_else(|| Fault::conflict("the queue was removed meanwhile"))?;
            *leaf.object = object;
        }
        self.change(&leaf, &own).await?;
        self.follow_type(&leaf).await
    }

    /// Brings a container back.
    pub(crate) async fn restore_container(
        &self,
        container: &Container,
        (document, source): (&Document, &Source),
    ) -> Answered<()> {
        let serialized = self.to_deserialize(source).await?;
        self.check_same(&serialized, container.id, Kind::Container)?;
        self.check_serialized_domain(&serialized, document).await?;
        self.bring_back(container, serialized).await
    }

    fn bring_back<'b>(
        &'b self,
        container: &'b Container,
        mut serialized: Serialized,
    ) -> BoxFuture<'b, Answered<()>> {
        async move {
            let mut own = serialized.document.clone();
            own.source = None;
            own.metadata.get_or_insert_default();
            self.with_all_fields()
                .change_container(container, &own)
                .await?;
            let children = std::mem::take(&mut serialized.children);
            if children.is_empty() {
                return Ok(());
            }
            let mut kept = BTreeSet::new();
            for child in children {
                let child = Serialized::parse(child)?;
                let names = child.names_in(container)?;
                kept.insert(names.last().unwrap_or_default().to_owned());
                self.bring_child_back(container, &names, child).await?;
            }
            for name in self.children(container, None).await?.names {
                let plain = name.trim_end_matches(['/', '?']);
                if !kept.contains(plain) {
                    let names = container.names.child(plain, name.ends_with('/'));
                    self.remove_child(&names).await?;
                }
            }
            Ok(())
        }
        .boxed()
    }

    async fn bring_child_back(
        &self,
        container: &Container,
        names: &Names,
        child: Serialized,
    ) -> Answered<()> {
        match self.at(names).await? {
            Some(Node::Container(inner)) if child.kind == Kind::Container => {
                return self.bring_back(&inner, child).await;
            }
            Some(Node::Leaf(leaf))
                if leaf.reference().is_none()
                    && !child.is_reference()
                    && leaf.is_queue() == (child.kind == Kind::Queue)
                    && child.kind != Kind::Container =>
            {
                return match leaf.is_queue() {
                    true => {
                        let all = self.with_all_fields();
                        all.bring_queue_back(&leaf, &child, true).await
                    }
                    false => self.bring_data_back(&leaf, &child).await,
                };
            }
            Some(_) => self.remove_child(names).await?,
            None => {}
        }
        let nothing = Document::default();
        self.add_child(container, names, (child, &nothing)).await
    }

    /// What is at a child's name, whether it is a container or not.
    async fn at(&self, names: &Names) -> Answered<Option<Node>> {
        match self.occupant(names).await {
            Err(Fault::Elsewhere(StatusCode::MOVED_PERMANENTLY, _)) => {
                let names = Names {
                    slash: true,
                    ..names.clone()
                };
                self.resolve(&names).await
            }
            Err(Fault::Status(StatusCode::CONFLICT, _)) => {
                let names = Names {
                    slash: false,
                    ..names.clone()
                };
                self.resolve(&names).await
            }
            found => found,
        }
    }

    async fn remove_child(&self, names: &Names) -> Answered<()> {
        match self.at(names).await? {
            Some(Node::Container(inner)) => {
                self.delete_container(&inner).boxed().await?;
            }
            Some(Node::Leaf(leaf)) => self.discard(&leaf, Precondition::none()).await?,
            None => {}
        }
        Ok(())
    }

    /// Makes a child out of its serialised form, for the domain that is given for all, if one is.
    pub(crate) async fn add_child(
        &self,
        container: &Container,
        names: &Names,
        (child, given): (Serialized, &Document),
    ) -> Answered<()> {
        if !names.slash {
            return self.add_leaf((container, names), child, given).await;
        }
        let to = self.heir_of_child(container, names, given).await?;
        self.deserialize_container(container, names, (child, given))
            .await?;
        match to {
            Some(to) => self.give_child(names, to).await,
            None => Ok(()),
        }
    }

    // Boxed here, as all of it that is not what recurses: it takes stack at each level.
    fn heir_of_child<'b>(
        &'b self,
        container: &'b Container,
        names: &'b Names,
        given: &'b Document,
    ) -> BoxFuture<'b, Answered<Option<Heir>>> {
        async move {
            self.check_parent(container, crate::acl::mask::ADD_SUBCONTAINER)
                .await?;
            self.heir_of_new_container((container, names), given).await
        }
        .boxed()
    }

    fn give_child<'b>(&'b self, names: &'b Names, to: Heir) -> BoxFuture<'b, Answered<()>> {
        async move {
            match self.resolve(names).await? {
                Some(Node::Container(made)) => self.give_restored(&made, &to).await,
                _ => Ok(()),
            }
        }
        .boxed()
    }

    fn add_leaf<'b>(
        &'b self,
        (container, names): (&'b Container, &'b Names),
        child: Serialized,
        given: &'b Document,
    ) -> BoxFuture<'b, Answered<()>> {
        async move {
            let destination: Destination = self.place_in(container, names).await?;
            let to = self.heir_of_new(&destination, given).await?;
            let object = self.store_deserialized(&destination, given, &child).await?;
            self.give_new(&destination, object, to).await?;
            Ok(())
        }
        .boxed()
    }
}
