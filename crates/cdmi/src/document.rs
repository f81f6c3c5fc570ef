//! Documents of requests: JSON into what a client asks for, with at most one source of a value.

use crate::value::Encoding;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use trestle_core::{Error, ErrorKind, Result};

/// Largest document, in bytes.
pub(crate) const DOCUMENT_BYTES_MAX: usize = 32 << 20;

/// Fields that say where a value comes from: at most one of them.
const SOURCES: [&str; 7] = [
    "value",
    "copy",
    "move",
    "reference",
    "serialize",
    "deserialize",
    "deserializevalue",
];

/// Fields that the server makes. Clients that send back what they read are not refused; nothing
/// is taken from these.
const MADE: [&str; 11] = [
    "objectType",
    "objectID",
    "objectName",
    "parentURI",
    "parentID",
    "completionStatus",
    "percentComplete",
    "valuerange",
    "childrenrange",
    "children",
    "snapshots",
];

/// Where the content of an object comes from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Source {
    /// The document itself.
    Value(Value),
    /// A copy of what a URI names.
    Copy(String),
    /// What a URI names, which goes away there.
    Move(String),
    /// Nothing: the object redirects to a URI.
    Reference(String),
    /// The serialised form of what a URI names.
    Serialize(String),
    /// What is serialised in the object that a URI names.
    Deserialize(String),
    /// What is serialised in this base64 text.
    DeserializeValue(String),
}

/// A document as far as it is understood, and the rest of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Document {
    /// The media type of the value, or of each value of a queue.
    pub(crate) mimetype: Option<Value>,
    /// The metadata, whole.
    pub(crate) metadata: Option<Map<String, Value>>,
    /// The owning domain.
    pub(crate) domain: Option<String>,
    /// The URI of the capabilities that are asked for.
    pub(crate) capabilities: Option<String>,
    /// The path of the capability object that the URI was found to name.
    pub(crate) profile: Option<String>,
    /// The encoding of the value, or of each value of a queue.
    pub(crate) encoding: Option<Value>,
    /// Where the content comes from.
    pub(crate) source: Option<Source>,
    /// The exports of a container.
    pub(crate) exports: Option<Value>,
    /// The name of a snapshot to take.
    pub(crate) snapshot: Option<String>,
    /// Fields that the standard does not know: kept, and shown again.
    pub(crate) unknown: BTreeMap<String, Value>,
}

/// The fields of a document. One that stands twice is refused: another reader could take the other.
struct Once(Map<String, Value>);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(OfMap)
    }
}

struct OfMap;

impl<'de> Visitor<'de> for OfMap {
    type Value = Once;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> std::result::Result<Once, A::Error> {
        let mut map = Map::new();
        while let Some((name, value)) = fields.next_entry::<String, Value>()? {
            if map.contains_key(&name) {
                let message = format!("the field {name:?} stands twice");
                return Err(A::Error::custom(message));
            }
            map.insert(name, value);
        }
        Ok(Once(map))
    }
}

impl Document {
    /// Whether it says that something else is copied or moved.
    pub(crate) fn is_transfer(&self) -> bool {
        matches!(self.source, Some(Source::Copy(_) | Source::Move(_)))
    }

    /// Parses a document.
    ///
    /// # Errors
    /// `InvalidInput` for what is not a JSON object, a field of the wrong type, or several sources;
    /// `TooLarge`.
    pub(crate) fn parse(text: &[u8]) -> Result<Self> {
        if text.len() > DOCUMENT_BYTES_MAX {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!("a document has at most {DOCUMENT_BYTES_MAX} bytes"),
            ));
        }
        // An absent body says nothing, as an empty object does.
        if text.iter().all(u8::is_ascii_whitespace) {
            return Ok(Document::default());
        }
        crate::json::check(text)?;
        let once: Once = serde_json::from_slice(text).map_err(|error| {
            let what = match error.is_data() {
                true => "is not understood",
                false => "is not JSON",
            };
            Error::invalid(format!("the document {what}: {error}"))
        })?;
        Document::from_map(once.0)
    }

    /// Reads the fields of a JSON object.
    pub(crate) fn from_map(map: Map<String, Value>) -> Result<Self> {
        let mut document = Document::default();
        let mut sources = Vec::new();
        for (name, value) in map {
            match name.as_str() {
                "mimetype" => document.mimetype = Some(value),
                "valuetransferencoding" => document.encoding = Some(value),
                "metadata" => match value {
                    Value::Object(metadata) => document.metadata = Some(metadata),
                    _ => return Err(Error::invalid("metadata is not a JSON object")),
                },
                "domainURI" => document.domain = Some(string(&name, value)?),
                "capabilitiesURI" => document.capabilities = Some(string(&name, value)?),
                "exports" => match value {
                    Value::Object(_) => document.exports = Some(value),
                    _ => return Err(Error::invalid("exports is not a JSON object")),
                },
                "snapshot" => document.snapshot = Some(string(&name, value)?),
                name if SOURCES.contains(&name) => sources.push((name.to_owned(), value)),
                name if MADE.contains(&name) => {}
                _ => {
                    document.unknown.insert(name, value);
                }
            }
        }
        if sources.len() > 1 {
            let names: Vec<&str> = sources.iter().map(|(name, _)| name.as_str()).collect();
            return Err(Error::invalid(format!(
                "only one of {} may be given",
                names.join(", ")
            )));
        }
        document.source = sources.pop().map(|(n, v)| source(&n, v)).transpose()?;
        document.check_reference()?;
        Ok(document)
    }

    /// Whether it asks for a snapshot and changes nothing else.
    pub(crate) fn is_snapshot_alone(&self) -> bool {
        self.snapshot.is_some()
            && self.domain.is_none()
            && self.metadata.is_none()
            && self.exports.is_none()
            && self.profile.is_none()
            && self.unknown.is_empty()
    }

    /// A reference has no other field.
    fn check_reference(&self) -> Result<()> {
        let alone = self.mimetype.is_none()
            && self.metadata.is_none()
            && self.domain.is_none()
            && self.capabilities.is_none()
            && self.encoding.is_none()
            && self.exports.is_none()
            && self.snapshot.is_none()
            && self.unknown.is_empty();
        match &self.source {
            Some(Source::Reference(_)) if !alone => {
                Err(Error::invalid("a reference has no other field"))
            }
            _ => Ok(()),
        }
    }

    /// The one media type, in lower case.
    pub(crate) fn mimetype(&self) -> Result<Option<String>> {
        match &self.mimetype {
            None => Ok(None),
            Some(Value::String(mimetype)) => Ok(Some(mimetype.to_lowercase())),
            Some(_) => Err(Error::invalid("mimetype is not a string")),
        }
    }

    /// The one encoding.
    pub(crate) fn encoding(&self) -> Result<Option<Encoding>> {
        match &self.encoding {
            None => Ok(None),
            Some(Value::String(encoding)) => Encoding::parse(encoding).map(Some),
            Some(_) => Err(Error::invalid("valuetransferencoding is not a string")),
        }
    }

    /// Refuses an encoding without a value: it is only for creating or updating by value.
    pub(crate) fn check_encoding(&self) -> Result<()> {
        match &self.source {
            None | Some(Source::Value(_)) => Ok(()),
            Some(_) if self.encoding.is_none() => Ok(()),
            Some(_) => Err(Error::invalid(
                "valuetransferencoding is only for a value in the document",
            )),
        }
    }
}

fn string(name: &str, value: Value) -> Result<String> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err(Error::invalid(format!("{name} is not a string"))),
    }
}

fn source(name: &str, value: Value) -> Result<Source> {
    if name == "value" {
        return Ok(Source::Value(value));
    }
    let text = string(name, value)?;
    Ok(match name {
        "copy" => Source::Copy(text),
        "move" => Source::Move(text),
        "reference" => Source::Reference(text),
        "serialize" => Source::Serialize(text),
        "deserialize" => Source::Deserialize(text),
        _ => Source::DeserializeValue(text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(value: Value) -> Result<Document> {
        Document::parse(value.to_string().as_bytes())
    }

    #[test]
    fn a_snapshot_alone_gives_nothing_away() {
        let alone = |document| parse(document).unwrap().is_snapshot_alone();
        assert!(alone(json!({"snapshot": "s"})));
        assert!(!alone(
            json!({"snapshot": "s", "domainURI": "/cdmi_domains/d/"})
        ));
    }

    #[test]
    fn a_document_has_one_source_at_most() {
        let document = parse(json!({
            "mimetype": "Text/Plain", "metadata": {"a": ["b", {"c": "d"}]}, "value": "x",
            "valuetransferencoding": "base64", "objectID": "ignored", "color": 3,
        }))
        .unwrap();
        assert_eq!(document.mimetype().unwrap().unwrap(), "text/plain");
        assert_eq!(document.encoding().unwrap(), Some(Encoding::Base64));
        assert_eq!(document.source, Some(Source::Value(json!("x"))));
        assert_eq!(
            document.unknown,
            BTreeMap::from([("color".into(), json!(3))])
        );
        assert_eq!(Document::parse(b" ").unwrap(), Document::default());
        for bad in [
            json!({"value": "x", "copy": "/a"}),
            json!({"move": "/a", "reference": "/b"}),
            json!({"copy": 1}),
            json!({"metadata": []}),
            json!({"exports": "x"}),
            json!({"reference": "/a", "metadata": {}}),
            json!([1]),
        ] {
            assert!(parse(bad.clone()).is_err(), "{bad}");
        }
        assert!(Document::parse(b"{\"a\":").is_err());
        assert!(parse(json!({"mimetype": 1})).unwrap().mimetype().is_err());
        let wrong = json!({"copy": "/a", "valuetransferencoding": "utf-8"});
        assert!(parse(wrong).unwrap().check_encoding().is_err());
    }
}
