//! The capability objects (clause 12): what works here, and nothing else.

use crate::call::Call;
use crate::domain::AUTHENTICATION_METHODS;
use crate::fault::{Answered, Fault};
use crate::media::Kind;
use crate::metadata::{
    HEADER_BYTES_MAX, HEADER_ITEMS_MAX, ITEM_BYTES_MAX, ITEMS_MAX, TOTAL_BYTES_MAX,
};
use crate::path::Names;
use crate::render::Rendering;
use crate::route::not_allowed;
use crate::show::ENCRYPTION;
use crate::value::range_text;
use crate::versions::VERSIONS_MAX;
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use trestle_core::Id;
use trestle_store::Redundancy;

/// Where capability objects begin.
const TOP: &str = "cdmi_capabilities";

/// Every capability object, by its path below the first.
const PATHS: [&str; 23] = [
    "container/snapshot/",
    "container/snapshots/",
    "dataobject/snapshot/",
    "queue/snapshot/",
    "container/members/",
    "dataobject/member/",
    "container/versioned/",
    "container/encrypted/",
    "container/hashed/",
    "dataobject/versioned/",
    "dataobject/encrypted/",
    "dataobject/hashed/",
    "container/summaries/",
    "dataobject/summary/",
    "dataobject/dataobject_version/",
    "container/domains/",
    "",
    "container/",
    "container/root/",
    "container/top/",
    "dataobject/",
    "domain/",
    "queue/",
];

/// System-wide.
const SYSTEM: [&str; 48] = [
    "cdmi_partial",
    "cdmi_partial_uploadid",
    "cdmi_partial_count",
    "cdmi_partial_range",
    "cdmi_partial_replace",
    "cdmi_create_value_range",
    "cdmi_snapshots",
    "cdmi_capabilities_templates",
    "cdmi_export_s3",
    "cdmi_serialize_domain_to_ID",
    "cdmi_notification",
    "cdmi_logging",
    "cdmi_security_audit",
    "cdmi_security_encryption",
    "cdmi_query_regex",
    "cdmi_query_immediate",
    "cdmi_cors",
    "cdmi_security_access_control",
    "cdmi_security_data_integrity",
    "cdmi_serialization_json",
    "cdmi_deserialize_dataobject_by_ID",
    "cdmi_deserialize_queue_by_ID",
    "cdmi_serialize_dataobject_to_ID",
    "cdmi_serialize_container_to_ID",
    "cdmi_serialize_queue_to_ID",
    "cdmi_create_value_range_by_ID",
    "cdmi_query",
    "cdmi_query_contains",
    "cdmi_query_tags",
    "cdmi_query_value",
    "cdmi_header_metadata",
    "cdmi_object_move_from_local",
    "cdmi_object_move_from_ID",
    "cdmi_object_move_to_ID",
    "cdmi_dataobjects",
    "cdmi_queues",
    "cdmi_post_queue_by_ID",
    "cdmi_copy_queue_by_ID",
    "cdmi_copy_dataobject_from_queue",
    "cdmi_security_immutability",
    "cdmi_domains",
    "cdmi_references",
    "cdmi_object_access_by_ID",
    "cdmi_object_copy_from_local",
    "cdmi_post_dataobject_by_ID",
    "cdmi_copy_dataobject_by_ID",
    "cdmi_create_reference_by_ID",
    "cdmi_multipart_mime",
];

/// Of storage system metadata that all stored objects have.
const STORED: [&str; 4] = ["cdmi_acl", "cdmi_ctime", "cdmi_mtime", "cdmi_mcount"];

/// Of those whose access control list may be set.
const GROUPED: &str = crate::rights::GROUP;

/// Of data objects.
const DATA: [&str; 9] = [
    "cdmi_modify_deserialize_dataobject",
    "cdmi_size",
    "cdmi_read_value",
    "cdmi_read_value_range",
    "cdmi_read_metadata",
    "cdmi_modify_value",
    "cdmi_modify_value_range",
    "cdmi_modify_metadata",
    "cdmi_delete_dataobject",
];

/// Of versions of data objects.
const VERSION: [&str; 5] = [
    "cdmi_size",
    "cdmi_read_value",
    "cdmi_read_value_range",
    "cdmi_read_metadata",
    "cdmi_delete_dataobject",
];

/// Of containers in a snapshot; only a snapshot itself is deleted.
const SNAPSHOT: [&str; 4] = [
    "cdmi_read_metadata",
    "cdmi_list_children",
    "cdmi_list_children_range",
    "cdmi_delete_container",
];

/// Of data objects in a snapshot.
const SNAPSHOT_DATA: [&str; 4] = [
    "cdmi_size",
    "cdmi_read_value",
    "cdmi_read_value_range",
    "cdmi_read_metadata",
];

/// Of records of a domain's members.
const MEMBER: [&str; 7] = [
    "cdmi_size",
    "cdmi_ctime",
    "cdmi_read_value",
    "cdmi_read_metadata",
    "cdmi_modify_value",
    "cdmi_modify_metadata",
    "cdmi_delete_dataobject",
];

/// Of what leads from version to version.
const VERSION_LINKS: [&str; 5] = [
    "cdmi_version_object",
    "cdmi_version_current",
    "cdmi_version_oldest",
    "cdmi_version_parent",
    "cdmi_version_children",
];

/// Of every container.
const CONTAINER: [&str; 8] = [
    "cdmi_list_children_extended",
    "cdmi_list_children_recursive",
    "cdmi_modify_deserialize_container",
    "cdmi_read_metadata",
    "cdmi_modify_metadata",
    "cdmi_list_children",
    "cdmi_list_children_range",
    "cdmi_create_container",
];

/// Of queues.
const QUEUE: [&str; 11] = [
    "cdmi_size",
    "cdmi_multipart_mime",
    "cdmi_modify_deserialize_queue",
    "cdmi_move_queue",
    "cdmi_reference_queue",
    "cdmi_read_value",
    "cdmi_read_metadata",
    "cdmi_modify_value",
    "cdmi_modify_metadata",
    "cdmi_delete_queue",
    "cdmi_copy_queue",
];

/// Of data system metadata that protects objects.
const PROTECTION: [&str; 3] = [
    "cdmi_data_retention",
    "cdmi_data_autodelete",
    "cdmi_data_holds",
];

/// The same of containers, which do not end with their retention.
const PROTECTION_OF_CONTAINERS: [&str; 2] = ["cdmi_data_retention", "cdmi_data_holds"];

/// Of containers, for what is made in them.
const IN_CONTAINER: [&str; 19] = [
    "cdmi_copy_queue",
    "cdmi_move_queue",
    "cdmi_serialize_domain",
    "cdmi_serialize_dataobject",
    "cdmi_serialize_container",
    "cdmi_serialize_queue",
    "cdmi_deserialize_dataobject",
    "cdmi_deserialize_container",
    "cdmi_deserialize_queue",
    "cdmi_move_dataobject",
    "cdmi_copy_container",
    "cdmi_move_container",
    "cdmi_create_queue",
    "cdmi_post_dataobject",
    "cdmi_post_queue",
    "cdmi_create_dataobject",
    "cdmi_create_reference",
    "cdmi_create_value_range",
    "cdmi_copy_dataobject",
];

/// Of domains.
const DOMAIN: [&str; 15] = [
    "cdmi_mcount",
    "cdmi_size",
    "cdmi_ctime",
    "cdmi_mtime",
    "cdmi_modify_deserialize_domain",
    "cdmi_domain_members",
    "cdmi_create_domain",
    "cdmi_list_children",
    "cdmi_domain_summary",
    "cdmi_copy_domain",
    "cdmi_move_domain",
    "cdmi_deserialize_domain",
    "cdmi_read_metadata",
    "cdmi_modify_metadata",
    "cdmi_delete_domain",
];

/// Of the container of all domains.
const DOMAINS: [&str; 7] = [
    "cdmi_copy_domain",
    "cdmi_move_domain",
    "cdmi_deserialize_domain",
    "cdmi_create_domain",
    "cdmi_read_metadata",
    "cdmi_list_children",
    "cdmi_list_children_range",
];

/// Data system metadata that containers pass on to what is in them.
fn add_passed_on(items: &mut Map<String, Value>) {
    for (name, value) in [
        ("cdmi_value_hash", json!(["SHA160", "SHA256"])),
        ("cdmi_encryption", json!([ENCRYPTION])),
        ("cdmi_cors_methods", json!(crate::cors::SUPPORTED)),
        ("cdmi_cors_origins", json!("true")),
        ("cdmi_cors_headers", json!("true")),
    ] {
        items.insert(name.to_owned(), value);
    }
}

/// How often contents are there, which containers pass on, too: as often as the engine can have them.
fn add_redundancy(items: &mut Map<String, Value>, most: Redundancy) {
    for (name, most) in [
        ("cdmi_data_redundancy", most.copies),
        ("cdmi_immediate_redundancy", most.copies),
        ("cdmi_infrastructure_redundancy", most.infrastructures),
    ] {
        items.insert(name.to_owned(), Value::from(most.to_string()));
    }
}

fn add_versioning(items: &mut Map<String, Value>) {
    let most = u64::from(u32::MAX).to_string();
    for (name, value) in [
        (crate::versions::ITEM, json!(["value", "user", "all"])),
        ("cdmi_versions_count", json!(VERSIONS_MAX.to_string())),
        ("cdmi_version_age", json!(most)),
        ("cdmi_versions_size", json!(most)),
    ] {
        items.insert(name.to_owned(), value);
    }
}

/// The capabilities of one object.
fn capabilities(path: &str, redundancy: Redundancy) -> Map<String, Value> {
    let mut items = Map::new();
    let mut enable = |names: &[&str]| {
        for name in names {
            items.insert((*name).to_owned(), Value::from("true"));
        }
    };
    match path {
        "" => {
            enable(&SYSTEM);
            let limit = |items: &mut Map<String, Value>, name: &str, limit: usize| {
                items.insert(name.to_owned(), Value::from(limit.to_string()));
            };
            limit(&mut items, "cdmi_metadata_maxitems", ITEMS_MAX);
            limit(&mut items, "cdmi_metadata_maxsize", ITEM_BYTES_MAX);
            limit(&mut items, "cdmi_metadata_maxtotalsize", TOTAL_BYTES_MAX);
            limit(
                &mut items,
                "cdmi_header_metadata_maxitems",
                HEADER_ITEMS_MAX,
            );
            limit(&mut items, "cdmi_header_metadata_maxsize", ITEM_BYTES_MAX);
            limit(
                &mut items,
                "cdmi_header_metadata_maxtotalsize",
                HEADER_BYTES_MAX,
            );
            let timeout = crate::partial::TIMEOUT.as_secs().to_string();
            items.insert("cdmi_partial_timeout".to_owned(), Value::from(timeout));
            items.insert(
                "cdmi_valuetransferencoding_json".to_owned(),
                Value::from("true"),
            );
        }
        "dataobject/dataobject_version/" => {
            enable(&STORED);
            enable(&VERSION);
            enable(&VERSION_LINKS);
        }
        "dataobject/"
        | "dataobject/versioned/"
        | "dataobject/encrypted/"
        | "dataobject/hashed/" => {
            enable(&VERSION_LINKS);
            enable(&STORED);
            enable(&DATA);
            enable(&[GROUPED]);
            enable(&PROTECTION);
            add_passed_on(&mut items);
            add_redundancy(&mut items, redundancy);
            add_versioning(&mut items);
        }
        "queue/" => {
            enable(&STORED);
            enable(&QUEUE);
            enable(&[GROUPED]);
            enable(&PROTECTION);
            add_redundancy(&mut items, redundancy);
        }
        "domain/" => {
            enable(&DOMAIN);
            let methods = json!(AUTHENTICATION_METHODS);
            items.insert("cdmi_authentication_methods".to_owned(), methods);
        }
        "container/domains/" => enable(&DOMAINS),
        "container/summaries/" => enable(&["cdmi_list_children", "cdmi_list_children_range"]),
        "container/snapshots/" => enable(&["cdmi_list_children", "cdmi_list_children_range"]),
        "container/snapshot/" => {
            enable(&STORED);
            enable(&SNAPSHOT);
        }
        "dataobject/snapshot/" => {
            enable(&STORED);
            enable(&SNAPSHOT_DATA);
        }
        "queue/snapshot/" => {
            enable(&STORED);
            enable(&["cdmi_size", "cdmi_read_value", "cdmi_read_metadata"]);
        }
        "container/members/" => enable(&[
            "cdmi_list_children",
            "cdmi_list_children_range",
            "cdmi_create_dataobject",
        ]),
        "dataobject/member/" => enable(&MEMBER),
        "dataobject/summary/" => enable(&["cdmi_size", "cdmi_read_value"]),
        _ => {
            enable(&STORED);
            enable(&CONTAINER);
            enable(&IN_CONTAINER);
            if path != "container/root/" {
                enable(&["cdmi_delete_container", "cdmi_snapshot"]);
                enable(&PROTECTION_OF_CONTAINERS);
                enable(&[GROUPED]);
            }
            if path == "container/top/" {
                enable(&["cdmi_size", "cdmi_export_container_s3"]);
            }
            add_passed_on(&mut items);
            add_redundancy(&mut items, redundancy);
            add_versioning(&mut items);
        }
    }
    items
}

/// Whether there is a capability object at a path.
pub(crate) fn is_known(path: &str) -> bool {
    PATHS.contains(&path)
}

/// The names of the capability objects right below one.
fn children(path: &str) -> Vec<&'static str> {
    PATHS
        .iter()
        .filter_map(|other| other.strip_prefix(path))
        .filter(|name| !name.is_empty() && name.matches('/').count() == 1)
        .collect()
}

impl Call<'_> {
    /// Answers at a path below `cdmi_capabilities`.
    pub(crate) async fn capabilities(&self, names: &Names) -> Answered {
        if !matches!(self.method, Method::GET | Method::HEAD) {
            return Ok(not_allowed("GET, HEAD"));
        }
        self.account()?;
        let mut path = names.names.join("/");
        if !path.is_empty() {
            path.push('/');
        }
        let known = PATHS.iter().find(|known| **known == path);
        let known = known.ok_or_else(|| Fault::missing(&path))?;
        if !names.slash {
            let whole = format!("{}{}/{TOP}/{known}", self.origin, crate::path::ROOT);
            return Err(Fault::Elsewhere(StatusCode::MOVED_PERMANENTLY, whole));
        }
        self.capability(known)
    }

    /// The path of the capability object with this id.
    pub(crate) fn capability_of(&self, id: Id) -> Option<&'static str> {
        let mut paths = PATHS.iter();
        paths.find(|path| self.capability_id(path) == id).copied()
    }

    fn capability_id(&self, path: &str) -> Id {
        self.cdmi.derived(&format!("/{TOP}/{path}"))
    }

    /// The document of a capability object.
    pub(crate) fn capability(&self, path: &str) -> Answered {
        self.check_acceptable(Kind::Capability)?;
        let fields = &self.fields;
        let mut rendering = Rendering::default();
        let kind = Kind::Capability.media_type();
        rendering.choose(fields, "objectType", kind);
        rendering.choose(fields, "objectID", self.id_text(self.capability_id(path)));
        let inner = path.strip_suffix('/').unwrap_or(path);
        let (above, name) = match inner.rsplit_once('/') {
            Some((above, name)) => (Some(format!("{above}/")), format!("{name}/")),
            None if inner.is_empty() => (None, format!("{TOP}/")),
            None => (Some(String::new()), format!("{inner}/")),
        };
        rendering.choose(fields, "objectName", name);
        let (parent_uri, parent) = match above {
            Some(above) => (format!("/{TOP}/{above}"), self.capability_id(&above)),
            None => ("/".to_owned(), self.cdmi.root),
        };
        rendering.choose(fields, "parentURI", parent_uri);
        rendering.choose(fields, "parentID", self.id_text(parent));
        if fields.has("capabilities") {
            let prefixes = fields.arguments("capabilities");
            let mut items = capabilities(path, self.cdmi.store.redundancy());
            items.retain(|name, _| {
                prefixes.is_empty() || prefixes.iter().any(|prefix| name.starts_with(prefix))
            });
            rendering.add("capabilities", items);
        }
        if let Some(metadata) = crate::profile::metadata(path) {
            rendering.choose(fields, "metadata", metadata);
        }
        let mut names = children(path);
        let span = fields.span("children")?;
        let first = span.map_or(0, |span| span.first);
        if let Some(span) = span {
            let skip = usize::try_from(span.first).unwrap_or(usize::MAX);
            let count = usize::try_from(span.count()).unwrap_or(usize::MAX);
            names = names.into_iter().skip(skip).take(count).collect();
        }
        let range = range_text(first, names.len() as u64);
        rendering.choose(fields, "childrenrange", range);
        rendering.choose(fields, "children", names);
        Ok(rendering.answer(StatusCode::OK, kind)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_holds_together() {
        let top = ["container/", "dataobject/", "domain/", "queue/"];
        assert_eq!(children(""), top);
        assert_eq!(children("container/").len(), 10);
        assert_eq!(children("dataobject/").len(), 7);
        let once = Redundancy {
            copies: 1,
            infrastructures: 1,
        };
        for path in PATHS {
            for (name, value) in capabilities(path, once) {
                assert!(name.starts_with("cdmi_"), "{name}");
                assert!(value.is_string() || value.is_array(), "{name}");
            }
        }
    }
}
