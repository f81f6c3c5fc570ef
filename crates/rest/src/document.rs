//! Objects and buckets as JSON documents, and merge patches of the part that can be changed.

use crate::refusal::{Answer, Refusal};
use crate::representation::{KEPT, parse_timestamp, path_of, tag_of, timestamp};
use crate::{conditions, cors};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use trestle_access::Action;
use trestle_core::{BucketName, DigestAlgorithm, Error, Metadata, Result};
use trestle_http::{Once, merge_patch};
use trestle_store::{
    Bucket, BucketProperties, BucketUsage, DefaultRetention, Object, ObjectLock, ObjectProperties,
    Period, Quota, Retention, RetentionMode, VOLUME_BLOCK_BYTES, Versioning,
};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Governance,
    Compliance,
}

impl From<RetentionMode> for Mode {
    fn from(mode: RetentionMode) -> Self {
        match mode {
            RetentionMode::Governance => Mode::Governance,
            RetentionMode::Compliance => Mode::Compliance,
        }
    }
}

impl From<Mode> for RetentionMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Governance => RetentionMode::Governance,
            Mode::Compliance => RetentionMode::Compliance,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RetentionPart {
    mode: Mode,
    until: String,
}

impl RetentionPart {
    fn of(retention: Retention) -> Self {
        RetentionPart {
            mode: retention.mode.into(),
            until: timestamp(retention.until),
        }
    }

    fn into_retention(self) -> Result<Retention> {
        Ok(Retention {
            until: parse_timestamp(&self.until)?,
            mode: self.mode.into(),
        })
    }
}

/// What can be changed of an object, as its document has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ObjectPart {
    #[serde(default)]
    representation: BTreeMap<String, String>,
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    expires: Option<String>,
    #[serde(default)]
    retention: Option<RetentionPart>,
    #[serde(default)]
    legal_hold: bool,
}

impl ObjectPart {
    fn of(properties: &ObjectProperties) -> Self {
        let retention = properties.retention.map(RetentionPart::of);
        ObjectPart {
            representation: properties.representation.clone(),
            metadata: properties.metadata.clone(),
            tags: properties.tags.clone(),
            expires: properties.expires.map(timestamp),
            retention,
            legal_hold: properties.legal_hold,
        }
    }

    fn apply(self, properties: &mut ObjectProperties) -> Result<()> {
        for (name, value) in &self.representation {
            if !is_kept(name, value) {
                return Err(Error::invalid(format!(
                    "{name:?} is not a representation field that is kept, or its value no header's"
                )));
            }
        }
        named(&self.tags)?;
        properties.representation = self.representation;
        properties.metadata = self.metadata;
        properties.tags = self.tags;
        properties.expires = self.expires.as_deref().map(parse_timestamp).transpose()?;
        let retention = self.retention.map(RetentionPart::into_retention);
        properties.retention = retention.transpose()?;
        properties.legal_hold = self.legal_hold;
        Ok(())
    }
}

/// Whether it is a representation field that is kept, with a value that a header can have.
pub(crate) fn is_kept(name: &str, value: &str) -> bool {
    let known = KEPT.iter().any(|kept| kept.as_str() == name);
    let sound = http::HeaderValue::from_str(value).is_ok_and(|value| value.to_str().is_ok());
    known && sound && !value.is_empty() && value.trim() == value
}

/// Every tag has a name.
pub(crate) fn named(tags: &BTreeMap<String, String>) -> Result<()> {
    match tags.contains_key("") {
        true => Err(Error::invalid("a tag has no name")),
        false => Ok(()),
    }
}

fn value(part: &impl Serialize) -> Result<Value> {
    serde_json::to_value(part)
        .map_err(|error| Error::corrupt("a document cannot be written").with_source(error))
}

/// Reads a merge patch: an object with known members alone. Their names say which rights it takes.
pub(crate) fn parse_patch(body: &[u8], known: &[&str]) -> Answer<(Value, Vec<String>)> {
    let Once(patch) = serde_json::from_slice(body).map_err(|error| {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            format!("the body is not JSON: {error}"),
        )
    })?;
    let names = patch_members(&patch, known)
        .map_err(|detail| Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, detail))?;
    Ok((patch, names))
}

/// The members that a merge patch changes, which must be `known`; else why not.
pub(crate) fn patch_members(
    patch: &Value,
    known: &[&str],
) -> std::result::Result<Vec<String>, String> {
    let Value::Object(members) = patch else {
        return Err("a merge patch of this is a JSON object".to_owned());
    };
    match members.keys().find(|name| !known.contains(&name.as_str())) {
        Some(unknown) => Err(format!(
            "{unknown:?} cannot be changed: only {}",
            known.join(", ")
        )),
        None => Ok(members.keys().cloned().collect()),
    }
}

/// The members of an object's document that can be changed.
pub(crate) const OBJECT_MEMBERS: [&str; 6] = [
    "representation",
    "metadata",
    "tags",
    "expires",
    "retention",
    "legal_hold",
];

/// The tags that a patch gives an object; those that it takes away are none of them.
pub(crate) fn tags_of(patch: &Value) -> BTreeMap<String, String> {
    let given = patch.get("tags").and_then(Value::as_object);
    let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    given.into_iter().flatten().filter_map(text).collect()
}

/// What a change of these members takes, for a version or for the current object.
pub(crate) fn object_actions(members: &[String], version: bool) -> Vec<Action> {
    let mut actions: Vec<Action> = members
        .iter()
        .map(|member| match (member.as_str(), version) {
            ("tags", false) => Action::WriteObjectTags,
            ("tags", true) => Action::WriteObjectVersionTags,
            ("retention", _) => Action::WriteObjectRetention,
            ("legal_hold", _) => Action::WriteLegalHold,
            ("representation", _) => Action::WriteObjectAttributes,
            _ => Action::WriteObjectMetadata,
        })
        .collect();
    actions.sort();
    actions.dedup();
    actions
}

/// Changes an object's properties by a merge patch.
pub(crate) fn patch_object(properties: &mut ObjectProperties, patch: &Value) -> Result<()> {
    let mut document = value(&ObjectPart::of(properties))?;
    merge_patch(&mut document, patch.clone());
    let part: ObjectPart = serde_json::from_value(document)
        .map_err(|error| Error::invalid(format!("the patch does not fit: {error}")))?;
    part.apply(properties)
}

/// An object as a document.
pub(crate) fn of_object(bucket: &BucketName, object: &Object) -> Result<Value> {
    let mut document = value(&ObjectPart::of(&object.properties()))?;
    let name = |algorithm| match algorithm {
        DigestAlgorithm::Md5 => Some("md5"),
        DigestAlgorithm::Sha256 => Some("sha-256"),
        DigestAlgorithm::Crc64Nvme => Some("crc64nvme"),
        _ => None,
    };
    let digests: BTreeMap<&str, String> = object
        .digests
        .iter()
        .filter_map(|digest| Some((name(digest.algorithm)?, digest.hex())))
        .collect();
    let more = json!({
        "bucket": bucket.as_str(),
        "key": object.key.as_str(),
        "id": object.id.to_string(),
        "version": object.version.to_string(),
        "etag": tag_of(object),
        "size": object.length(),
        "digests": digests,
        "created": timestamp(object.created),
        "modified": timestamp(object.modified),
        "owner": object.owner.account.as_str(),
        "href": path_of(bucket, Some(object.key.as_str())),
    });
    if let (Value::Object(document), Value::Object(more)) = (&mut document, more) {
        document.extend(more);
        if object.frozen {
            document.insert("snapshot".to_owned(), Value::Bool(true));
        }
        if object.is_volume() {
            let volume = json!({"size": object.length(), "block_size": VOLUME_BLOCK_BYTES});
            document.insert("volume".to_owned(), volume);
        }
    }
    Ok(document)
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum VersioningPart {
    Off,
    Enabled,
    Suspended,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct QuotaPart {
    #[serde(default)]
    bytes: Option<u64>,
    #[serde(default)]
    objects: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LockPart {
    #[serde(default)]
    default: Option<DefaultPart>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DefaultPart {
    mode: Mode,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    days: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    years: Option<u32>,
}

/// What can be changed of a bucket, as its document has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BucketPart {
    versioning: VersioningPart,
    #[serde(default)]
    lock: Option<LockPart>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    quota: QuotaPart,
    #[serde(default)]
    retention: Option<RetentionPart>,
    #[serde(default)]
    legal_hold: bool,
    #[serde(default)]
    cors: Vec<cors::RulePart>,
    #[serde(default)]
    require_conditions: bool,
}

/// The members of a bucket's document that can be changed.
pub(crate) const BUCKET_MEMBERS: [&str; 9] = [
    "versioning",
    "lock",
    "tags",
    "metadata",
    "quota",
    "retention",
    "legal_hold",
    "cors",
    "require_conditions",
];

/// What reading and changing a member takes.
pub(crate) fn bucket_action(member: &str) -> Action {
    match member {
        "versioning" => Action::WriteBucketVersioning,
        "lock" => Action::WriteBucketLock,
        "tags" => Action::WriteBucketTags,
        "quota" => Action::WriteBucketQuota,
        "retention" => Action::WriteBucketRetention,
        "legal_hold" => Action::WriteBucketHold,
        "cors" => Action::WriteBucketCors,
        "require_conditions" => Action::WriteBucketDocument,
        _ => Action::WriteBucketMetadata,
    }
}

impl BucketPart {
    fn of(properties: &BucketProperties) -> Result<Self> {
        let default = |default: DefaultRetention| {
            let (days, years) = match default.period {
                Period::Days(days) => (Some(days), None),
                Period::Years(years) => (None, Some(years)),
            };
            DefaultPart {
                mode: default.mode.into(),
                days,
                years,
            }
        };
        Ok(BucketPart {
            versioning: match properties.versioning {
                Versioning::Off => VersioningPart::Off,
                Versioning::Enabled => VersioningPart::Enabled,
                Versioning::Suspended => VersioningPart::Suspended,
            },
            lock: properties.lock.map(|lock| LockPart {
                default: lock.default.map(default),
            }),
            tags: properties.tags.clone(),
            metadata: properties.metadata.clone(),
            quota: QuotaPart {
                bytes: properties.quota.bytes,
                objects: properties.quota.objects,
            },
            retention: properties.retention.map(RetentionPart::of),
            legal_hold: properties.legal_hold,
            cors: cors::of(properties)?,
            require_conditions: conditions::of(properties),
        })
    }

    fn apply(self, properties: &mut BucketProperties) -> Result<()> {
        let default = |part: DefaultPart| {
            let period = match (part.days, part.years) {
                (Some(days), None) => Period::Days(days),
                (None, Some(years)) => Period::Years(years),
                _ => return Err(Error::invalid("a default retention has days or years")),
            };
            Ok(DefaultRetention {
                mode: part.mode.into(),
                period,
            })
        };
        properties.versioning = match self.versioning {
            VersioningPart::Off => Versioning::Off,
            VersioningPart::Enabled => Versioning::Enabled,
            VersioningPart::Suspended => Versioning::Suspended,
        };
        properties.lock = match self.lock {
            None => None,
            Some(lock) => Some(ObjectLock {
                default: lock.default.map(default).transpose()?,
            }),
        };
        named(&self.tags)?;
        properties.tags = self.tags;
        properties.metadata = self.metadata;
        properties.quota = Quota {
            bytes: self.quota.bytes,
            objects: self.quota.objects,
        };
        let retention = self.retention.map(RetentionPart::into_retention);
        properties.retention = retention.transpose()?;
        properties.legal_hold = self.legal_hold;
        conditions::set(self.require_conditions, properties);
        // What was not changed stays as it was written.
        if value(&cors::of(properties)?)? != value(&self.cors)? {
            cors::set(self.cors, properties)?;
        }
        Ok(())
    }
}

/// Changes a bucket's properties by a merge patch.
pub(crate) fn patch_bucket(properties: &mut BucketProperties, patch: &Value) -> Result<()> {
    let mut document = value(&BucketPart::of(properties)?)?;
    merge_patch(&mut document, patch.clone());
    let part: BucketPart = serde_json::from_value(document)
        .map_err(|error| Error::invalid(format!("the patch does not fit: {error}")))?;
    part.apply(properties)
}

/// A bucket as a document.
pub(crate) fn of_bucket(bucket: &Bucket, usage: &BucketUsage) -> Result<Value> {
    let mut document = value(&BucketPart::of(&bucket.properties)?)?;
    let more = json!({
        "bucket": bucket.name.as_str(),
        "created": timestamp(bucket.created),
        "owner": bucket.owner.account.as_str(),
        "objects": usage.objects,
        "bytes": usage.bytes,
        "versions": usage.versions,
        "version_bytes": usage.version_bytes,
        "snapshot_bytes": usage.snapshot_bytes,
        "href": path_of(&bucket.name, None),
    });
    if let Some((of, name, directory)) = bucket.snapshot_of() {
        let of = json!({"bucket": of.as_str(), "name": name, "key": directory});
        let members = document.as_object_mut();
        members.map(|members| members.insert("snapshot_of".to_owned(), of));
    }
    if let (Value::Object(document), Value::Object(more)) = (&mut document, more) {
        document.extend(more);
    }
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_change_what_they_name() {
        let mut properties = ObjectProperties::default();
        let patch = json!({"metadata": {"a": [1], "b": "x"}, "tags": {"t": "1"},
            "representation": {"content-type": "text/plain"}, "legal_hold": true,
            "expires": "2030-01-01T00:00:00Z",
            "retention": {"mode": "governance", "until": "2031-01-01T00:00:00Z"}});
        patch_object(&mut properties, &patch).unwrap();
        assert_eq!(properties.metadata["a"], json!([1]));
        assert_eq!(
            properties.retention.unwrap().mode,
            RetentionMode::Governance
        );
        let patch = json!({"metadata": {"a": null}, "expires": null, "retention": null});
        patch_object(&mut properties, &patch).unwrap();
        assert_eq!(properties.metadata.len(), 1);
        assert_eq!((properties.expires, properties.retention), (None, None));
        assert!(properties.legal_hold);
        for bad in [
            json!({"tags": {"t": 1}}),
            json!({"tags": {"": "1"}}),
            json!({"representation": {"content-type": ""}}),
            json!({"representation": {"content-language": " de"}}),
            json!({"metadata": 1}),
            json!({"expires": "soon"}),
            json!({"representation": {"x-evil": "1"}}),
            json!({"representation": {"content-type": "a\r\nb"}}),
            json!({"retention": {"mode": "governance"}}),
        ] {
            assert!(
                patch_object(&mut properties.clone(), &bad).is_err(),
                "{bad}"
            );
        }
        let mut bucket = BucketProperties::default();
        let patch = json!({"versioning": "enabled", "quota": {"bytes": 7},
            "lock": {"default": {"mode": "compliance", "days": 3}}});
        patch_bucket(&mut bucket, &patch).unwrap();
        assert_eq!(bucket.versioning, Versioning::Enabled);
        assert_eq!(bucket.quota.bytes, Some(7));
        let both = json!({"lock": {"default": {"mode": "compliance", "days": 3, "years": 1}}});
        assert!(patch_bucket(&mut bucket, &both).is_err());
        assert!(patch_bucket(&mut bucket, &json!({"versioning": null})).is_err());
    }

    #[test]
    fn members_need_their_own_rights() {
        let members = ["tags", "metadata", "expires"].map(str::to_owned);
        assert_eq!(
            object_actions(&members, false),
            [Action::WriteObjectMetadata, Action::WriteObjectTags]
        );
        let members = ["representation".to_owned()];
        let attributes = [Action::WriteObjectAttributes];
        assert_eq!(object_actions(&members, true), attributes);
        assert!(parse_patch(b"{\"size\": 1}", &OBJECT_MEMBERS).is_err());
        assert!(parse_patch(b"[]", &OBJECT_MEMBERS).is_err());
        assert!(parse_patch(b"{", &OBJECT_MEMBERS).is_err());
        let twice = br#"{"tags": {"a": "1", "a": "2"}}"#;
        assert!(parse_patch(twice, &OBJECT_MEMBERS).is_err());
    }
}
