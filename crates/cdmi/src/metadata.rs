//! Metadata: what a client may set, how an update names items, what a read selects.
//!
//! Items that the server makes are never stored; everything else that a client sends is kept,
//! whether its name is understood here or not.

use crate::query::Fields;
use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};
use trestle_core::{Error, Metadata, Result};

/// Most items of an object.
pub(crate) const ITEMS_MAX: usize = 1024;
/// Largest item: its name and its JSON text, in bytes.
pub(crate) const ITEM_BYTES_MAX: usize = 32 << 10;
/// All items together, as the store counts them.
pub(crate) const TOTAL_BYTES_MAX: usize = trestle_store::METADATA_BYTES_MAX;
/// Most items of an object that are headers: with those that each answer has besides, they are not
/// more than the 100 that common clients take, and one too many is told of as such.
pub(crate) const HEADER_ITEMS_MAX: usize = 80;
/// All items together that are headers, in bytes, with room for the others as well.
pub(crate) const HEADER_BYTES_MAX: usize = trestle_http::HEAD_BYTES_MAX - (16 << 10);

/// Items that the server makes: what a client sends for them is passed over, as clause 16.2 says.
const MADE: [&str; 13] = [
    "cdmi_logging_status",
    "cdmi_size",
    "cdmi_ctime",
    "cdmi_mtime",
    "cdmi_mcount",
    "cdmi_hash",
    "cdmi_version_object",
    "cdmi_version_current",
    "cdmi_version_oldest",
    "cdmi_version_parent",
    "cdmi_version_children",
    "cdmi_query_status",
    "cdmi_notification_status",
];

/// Items that are kept in the store's own fields rather than as metadata.
const ELSEWHERE: [&str; 3] = [crate::rights::ITEM, crate::rights::GROUP, "cdmi_owner"];

/// Data system metadata: inherited from the container unless the object has its own.
const INHERITED: [&str; 21] = [
    "cdmi_cors_methods",
    "cdmi_cors_origins",
    "cdmi_cors_headers",
    "cdmi_data_redundancy",
    "cdmi_immediate_redundancy",
    "cdmi_infrastructure_redundancy",
    "cdmi_data_dispersion",
    "cdmi_geographic_placement",
    "cdmi_retention_autodelete",
    "cdmi_encryption",
    "cdmi_value_hash",
    "cdmi_latency",
    "cdmi_throughput",
    "cdmi_sanitization_method",
    "cdmi_RPO",
    "cdmi_RTO",
    "cdmi_authentication_methods",
    "cdmi_versioning",
    "cdmi_versions_count",
    "cdmi_versions_age",
    "cdmi_versions_size",
];

/// Whether the server makes an item.
fn is_made(name: &str) -> bool {
    MADE.contains(&name) || name.starts_with("cdmi_") && name.ends_with("_provided")
}

/// Whether an item is kept as metadata.
fn is_kept(name: &str) -> bool {
    !is_made(name) && !ELSEWHERE.contains(&name)
}

/// Whether an item is data system metadata that containers pass on.
pub(crate) fn is_inherited(name: &str) -> bool {
    INHERITED.contains(&name)
}

/// Whether an item is also a header over plain HTTP (extension of clause 26.5).
pub(crate) fn is_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("x-") && name.contains("-meta-") && !name.ends_with("-meta-")
}

/// Refuses items of a document that are headers by their names, and could not be sent as such.
fn check_headers<'i>(items: impl Iterator<Item = (&'i String, &'i Value)> + Clone) -> Result<()> {
    for (name, value) in items.clone().filter(|(name, _)| is_header(name)) {
        let text = value.as_str().unwrap_or_default();
        let fits = value.is_string()
            && HeaderName::from_bytes(name.as_bytes()).is_ok()
            && HeaderValue::from_bytes(text.as_bytes()).is_ok();
        if !fits {
            return Err(Error::invalid(format!(
                "{name:?} has the name of a header, and is none"
            )));
        }
    }
    check_header_room(items)
}

/// Refuses more items that are headers than there may be.
pub(crate) fn check_header_room<'i>(
    items: impl Iterator<Item = (&'i String, &'i Value)>,
) -> Result<()> {
    let (mut count, mut total) = (0, 0);
    for (name, value) in items.filter(|(name, _)| is_header(name)) {
        count += 1;
        total += name.len() + value.as_str().unwrap_or_default().len();
    }
    match count > HEADER_ITEMS_MAX || total > HEADER_BYTES_MAX {
        true => Err(Error::invalid("there are too many items that are headers")),
        false => Ok(()),
    }
}

/// An update of metadata: the whole, or the items that the query names.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Update {
    given: Map<String, Value>,
    names: Option<Vec<String>>,
}

impl Update {
    /// Of a document's metadata, with the items that a query names.
    pub(crate) fn new(given: Map<String, Value>, fields: &Fields) -> Self {
        let names = fields.arguments("metadata");
        let names = (!names.is_empty()).then(|| names.into_iter().map(str::to_owned).collect());
        Update { given, names }
    }

    /// All of it.
    pub(crate) fn whole(given: Map<String, Value>) -> Self {
        Update { given, names: None }
    }

    /// What the update says of one item: absent when it says nothing, `None` within when the item
    /// is to go.
    pub(crate) fn item(&self, name: &str) -> Option<Option<&Value>> {
        match &self.names {
            Some(names) if names.iter().any(|named| named == name) => Some(self.given.get(name)),
            Some(_) => None,
            None => self.given.get(name).map(Some),
        }
    }

    /// The metadata as it is after the update.
    ///
    /// # Errors
    /// `InvalidInput` beyond a limit.
    pub(crate) fn apply(&self, current: &Metadata) -> Result<Metadata> {
        let takes = |name: &String| match &self.names {
            Some(names) => names.contains(name),
            None => true,
        };
        check_headers(self.given.iter().filter(|(name, _)| takes(name)))?;
        let mut metadata = match &self.names {
            Some(_) => current.clone(),
            None => Metadata::new(),
        };
        match &self.names {
            Some(names) => {
                for name in names.iter().filter(|name| is_kept(name)) {
                    match self.given.get(name) {
                        Some(value) => metadata.insert(name.clone(), value.clone()),
                        None => metadata.remove(name),
                    };
                }
            }
            None => metadata.extend(
                self.given
                    .iter()
                    .filter(|(name, _)| is_kept(name))
                    .map(|(name, value)| (name.clone(), value.clone())),
            ),
        }
        check(&metadata)?;
        Ok(metadata)
    }
}

/// Refuses metadata beyond a limit.
pub(crate) fn check(metadata: &Metadata) -> Result<()> {
    if metadata.len() > ITEMS_MAX {
        return Err(Error::invalid(format!(
            "an object has at most {ITEMS_MAX} metadata items"
        )));
    }
    let mut total = 2;
    for (name, value) in metadata {
        if name.is_empty() {
            return Err(Error::invalid("a metadata item has no name"));
        }
        let size = name.len() + value.to_string().len();
        if size > ITEM_BYTES_MAX {
            return Err(Error::invalid(format!(
                "a metadata item has at most {ITEM_BYTES_MAX} bytes"
            )));
        }
        total += Value::from(name.as_str()).to_string().len() + value.to_string().len() + 2;
    }
    if total > TOTAL_BYTES_MAX {
        return Err(Error::invalid(format!(
            "the metadata of an object has at most {TOTAL_BYTES_MAX} bytes"
        )));
    }
    Ok(())
}

/// Those items whose names start with one of the prefixes that a query names; all without any.
pub(crate) fn select(items: Map<String, Value>, fields: &Fields) -> Map<String, Value> {
    let prefixes = fields.arguments("metadata");
    if prefixes.is_empty() {
        return items;
    }
    items
        .into_iter()
        .filter(|(name, _)| prefixes.iter().any(|prefix| name.starts_with(prefix)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::Version;
    use serde_json::json;

    fn map(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }

    fn update(query: &str, given: Value) -> Metadata {
        let fields = Fields::parse(Some(query), &Version::Second).unwrap();
        let current = Metadata::from([
            ("colour".to_owned(), json!("green")),
            ("shape".to_owned(), json!("round")),
        ]);
        Update::new(map(given), &fields).apply(&current).unwrap()
    }

    #[test]
    fn an_update_replaces_all_or_what_it_names() {
        let given = json!({"colour": "red", "size": "10", "other": "x", "cdmi_size": "9"});
        assert_eq!(
            json!(update("", given.clone())),
            json!({"colour": "red", "size": "10", "other": "x"})
        );
        assert_eq!(
            json!(update("metadata", given.clone())),
            json!({"colour": "red", "size": "10", "other": "x"})
        );
        let named = "metadata=colour&metadata=shape&metadata=size&metadata=cdmi_size";
        assert_eq!(
            json!(update(named, given)),
            json!({"colour": "red", "size": "10"})
        );
        assert_eq!(
            json!(update("metadata=colour", json!({}))),
            json!({"shape": "round"})
        );
    }

    #[test]
    fn reads_select_by_prefix() {
        let items = map(json!({"cdmi_size": "1", "colour": "x", "cold": "y"}));
        let fields = |query| Fields::parse(Some(query), &Version::Second).unwrap();
        assert_eq!(select(items.clone(), &fields("metadata")).len(), 3);
        assert_eq!(
            json!(select(items.clone(), &fields("metadata=col"))),
            json!({"cold": "y", "colour": "x"})
        );
        let both = fields("metadata=cdmi_&metadata=cold");
        assert_eq!(select(items, &both).len(), 2);
    }

    #[test]
    fn limits_are_kept() {
        let of = |value: Value| Metadata::from_iter(map(value));
        assert!(check(&of(json!({"a": {"b": ["c", {"d": "e"}]}}))).is_ok());
        assert!(check(&of(json!({"a": "x".repeat(ITEM_BYTES_MAX)}))).is_err());
        let wide: Metadata = (0..3)
            .map(|n| (n.to_string(), json!("x".repeat(30 << 10))))
            .collect();
        assert!(check(&wide).is_err());
        let many: Metadata = (0..=ITEMS_MAX)
            .map(|n| (n.to_string(), json!("")))
            .collect();
        assert!(check(&many).is_err());
    }
}
