//! Capability objects that a client chooses (the extension for the selection of capabilities): each
//! stands for data system metadata, which what is made or changed with it gets.
//!
//! Nothing is kept of the choice but that metadata: an object shows the capability object whose
//! metadata it has.

use crate::call::Call;
use crate::document::Document;
use crate::fault::{Answered, Fault};
use crate::media::Kind;
use crate::node::{Container, Leaf};
use crate::path::Target;
use crate::root::AtRoot;
use crate::show::ENCRYPTION;
use serde_json::{Map, Value};
use trestle_access::Action;
use trestle_core::Metadata;

/// A capability object with metadata.
struct Profile {
    /// Its path below the first capability object.
    path: &'static str,
    /// The one item that it gives.
    item: (&'static str, &'static str),
}

const fn profile(path: &'static str, item: (&'static str, &'static str)) -> Profile {
    Profile { path, item }
}

const VERSIONED: (&str, &str) = (crate::versions::ITEM, "user");
const ENCRYPTED: (&str, &str) = ("cdmi_encryption", ENCRYPTION);
const HASHED: (&str, &str) = ("cdmi_value_hash", "SHA256");

/// In the order in which an object that fits several shows the first.
const PROFILES: [Profile; 6] = [
    profile("dataobject/versioned/", VERSIONED),
    profile("dataobject/encrypted/", ENCRYPTED),
    profile("dataobject/hashed/", HASHED),
    profile("container/versioned/", VERSIONED),
    profile("container/encrypted/", ENCRYPTED),
    profile("container/hashed/", HASHED),
];

/// The metadata of a capability object; none of one that nobody chooses for it.
pub(crate) fn metadata(path: &str) -> Option<Map<String, Value>> {
    let found = PROFILES.iter().find(|profile| profile.path == path)?;
    let (name, value) = found.item;
    Some(Map::from_iter([(name.to_owned(), Value::from(value))]))
}

/// The URI of the capability object of something with this metadata of its own: that of a profile
/// below a base, or else another.
pub(crate) fn uri((base, other): (&str, &'static str), own: &Metadata) -> String {
    let mut fitting = PROFILES.iter().filter(|profile| {
        let (name, value) = profile.item;
        profile.path.starts_with(base) && own.get(name).and_then(Value::as_str) == Some(value)
    });
    let path = fitting.next().map_or(other, |profile| profile.path);
    format!("/cdmi_capabilities/{path}")
}

/// Gives what the chosen capability object stands for, in the place of what another one stood for,
/// unless the document says it itself.
pub(crate) fn apply(document: &Document, metadata: &mut Metadata) {
    let Some(chosen) = document.profile.as_deref() else {
        return;
    };
    let given = |name: &str| {
        let given = document.metadata.as_ref();
        given.is_some_and(|given| given.contains_key(name))
    };
    for profile in &PROFILES {
        let (name, value) = profile.item;
        if !given(name) && metadata.get(name).and_then(Value::as_str) == Some(value) {
            metadata.remove(name);
        }
    }
    for profile in PROFILES.iter().filter(|profile| profile.path == chosen) {
        let (name, value) = profile.item;
        if !given(name) {
            metadata.insert(name.to_owned(), Value::from(value));
        }
    }
}

impl Call<'_> {
    /// Finds the capability object that a document chooses.
    pub(crate) async fn choose_profile(
        &self,
        document: &mut Document,
        kinds: &[Kind],
    ) -> Answered<()> {
        let Some(uri) = &document.capabilities else {
            return Ok(());
        };
        let authority = self.origin.split_once("://").map(|(_, host)| host);
        let (target, _) = Target::of_field(uri, authority)?;
        let wrong = || Fault::bad(format!("{uri:?} are not capabilities of such an object"));
        let Target::Capabilities(names) = self.aliased(target).await? else {
            return Err(wrong());
        };
        let path = format!("{}/", names.names.join("/"));
        let base = |kind: &Kind| match kind {
            Kind::Object => "dataobject/",
            Kind::Container => "container/",
            Kind::Queue => "queue/",
            _ => "domain/",
        };
        let fits = kinds.iter().any(|kind| path.starts_with(base(kind)));
        if !fits || !crate::capability::is_known(&path) {
            return Err(wrong());
        }
        document.profile = Some(path);
        Ok(())
    }

    /// Refuses another choice for a data object or queue than it has, where a list does not give its
    /// attributes. The metadata that comes with it takes the right to that besides.
    pub(crate) async fn check_choice(&self, leaf: &Leaf, document: &Document) -> Answered<()> {
        let at = (&leaf.bucket, leaf.object.acl.as_deref());
        let attributes = (Action::WriteObjectAttributes, leaf.resource());
        match self.chooses(document, &leaf.object.metadata) {
            true => self.check_listed(at, attributes).await,
            false => Ok(()),
        }
    }

    /// The same for a container.
    pub(crate) async fn check_choice_of(
        &self,
        container: &Container,
        document: &Document,
    ) -> Answered<()> {
        if !self.chooses(document, &container.metadata) {
            return Ok(());
        }
        let Some((bucket, attributes)) = container.attributes() else {
            return self.check_root(container, AtRoot::Does(Action::WriteBucketAttributes));
        };
        let at = (bucket, container.acl.as_deref());
        self.check_listed(at, attributes).await
    }

    /// Whether a document chooses what is not chosen already.
    fn chooses(&self, document: &Document, own: &Metadata) -> bool {
        let mut chosen = own.clone();
        apply(document, &mut chosen);
        self.fields.has("capabilitiesURI") && chosen != *own
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_profile_takes_the_place_of_another_and_not_of_what_is_said() {
        let mut document = Document {
            profile: Some("dataobject/hashed/".to_owned()),
            ..Document::default()
        };
        let mut metadata = Metadata::from([
            ("cdmi_versioning".to_owned(), json!("user")),
            ("cdmi_encryption".to_owned(), json!("AES_CTR_128")),
            ("a".to_owned(), json!("b")),
        ]);
        apply(&document, &mut metadata);
        let expected =
            json!({"a": "b", "cdmi_encryption": "AES_CTR_128", "cdmi_value_hash": "SHA256"});
        assert_eq!(json!(metadata), expected);
        let of_data = ("dataobject/", "dataobject/");
        let hashed = "/cdmi_capabilities/dataobject/hashed/";
        assert_eq!(uri(of_data, &metadata), hashed);
        document.profile = Some("dataobject/".to_owned());
        document.metadata = json!({"cdmi_value_hash": "SHA256"}).as_object().cloned();
        apply(&document, &mut metadata);
        assert_eq!(json!(metadata), expected, "what a document says stays");
        document.metadata = None;
        apply(&document, &mut metadata);
        assert_eq!(uri(of_data, &metadata), "/cdmi_capabilities/dataobject/");
    }
}
