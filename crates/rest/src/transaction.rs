//! Transactions over HTTP: `POST /-/transactions`, a list of verbs that take effect together or not
//! at all.
//!
//! What a verb takes is what its request of its own would take; its rights are asked for one by one.

use crate::conditions;
use crate::document::{self, OBJECT_MEMBERS};
use crate::refusal::{Answer, Refusal};
use crate::representation::tag_of;
use crate::route::{Asker, Call};
use crate::transfer::kept;
use crate::upload::present;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, IF_MATCH, IF_NONE_MATCH,
    IF_UNMODIFIED_SINCE,
};
use http::{HeaderName, Response, StatusCode};
use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt;
use trestle_access::{Action, Resource};
use trestle_core::{
    BucketName, Error, ErrorKind, Id, Key, Metadata, Precondition, Result, UploadId, VersionId,
};
use trestle_http::{IDEMPOTENCY_KEY, Once, Parameterized, Problem, parse_precondition};
use trestle_store::{
    BodyChecks, CheckObject, CompleteUpload, CopyObject, DeleteObject, Failed, History,
    ObjectProperties, PutObject, RenameObject, STEP_BODY_BYTES_MAX, STEPS_MAX, Source, Step,
    StepOutcome, Store, UpdateObject, UploadKey, VersionRef,
};

/// Largest document of a transaction.
const BODY_BYTES_MAX: usize = 32 << 20;
/// Longest text of a verb: a body as base64, and everything else.
const VERB_BYTES_MAX: usize = 2 << 20;
/// Longest text of a member that is not the body.
const MEMBER_BYTES_MAX: usize = 128 << 10;

/// The verbs, and the members that each may have besides its name.
pub(crate) const VERBS: &[(&str, &[&str])] = &[
    (
        "put",
        &[
            "bucket",
            "key",
            "body",
            "text",
            "upload",
            "content_type",
            "representation",
            "metadata",
            "tags",
            "if_match",
            "if_none_match",
            "if_unmodified_since",
        ],
    ),
    (
        "delete",
        &[
            "bucket",
            "key",
            "version",
            "bypass_retention",
            "if_match",
            "if_none_match",
            "if_unmodified_since",
        ],
    ),
    ("copy", MOVES),
    ("rename", MOVES),
    (
        "patch",
        &[
            "bucket",
            "key",
            "patch",
            "if_match",
            "if_none_match",
            "if_unmodified_since",
        ],
    ),
    (
        "check",
        &[
            "bucket",
            "key",
            "if_match",
            "if_none_match",
            "if_unmodified_since",
        ],
    ),
];

const MOVES: &[&str] = &[
    "bucket",
    "key",
    "version",
    "to_bucket",
    "to_key",
    "if_match",
    "if_none_match",
    "if_unmodified_since",
    "to_if_match",
    "to_if_none_match",
];

/// A verb as it is sent.
#[derive(Deserialize)]
struct Verb {
    verb: String,
    bucket: String,
    key: String,
    version: Option<String>,
    body: Option<String>,
    text: Option<String>,
    upload: Option<String>,
    content_type: Option<String>,
    representation: Option<BTreeMap<String, String>>,
    metadata: Option<Metadata>,
    tags: Option<BTreeMap<String, String>>,
    if_match: Option<String>,
    if_none_match: Option<String>,
    if_unmodified_since: Option<String>,
    to_bucket: Option<String>,
    to_key: Option<String>,
    to_if_match: Option<String>,
    to_if_none_match: Option<String>,
    patch: Option<Value>,
    #[serde(default)]
    bypass_retention: bool,
}

impl Verb {
    /// Reads a verb, whose members must be those that it has.
    fn parse(value: &RawValue) -> Result<Self> {
        let too_large = |what: &str, most: usize| {
            let message = format!("{what} has at most {most} bytes");
            Error::new(ErrorKind::TooLarge, message)
        };
        if value.get().len() > VERB_BYTES_MAX {
            return Err(too_large("a verb of a transaction", VERB_BYTES_MAX));
        }
        let members: BTreeMap<String, &RawValue> = serde_json::from_str(value.get())
            .map_err(|_| Error::invalid("a verb is a JSON object"))?;
        for (name, member) in &members {
            if !["body", "text"].contains(&name.as_str()) && member.get().len() > MEMBER_BYTES_MAX {
                return Err(too_large(&format!("the member {name:?}"), MEMBER_BYTES_MAX));
            }
            let nested = member.get().starts_with('{');
            if nested && let Err(error) = serde_json::from_str::<Once>(member.get()) {
                let message = format!("the member {name:?} is not understood: {error}");
                return Err(Error::invalid(message));
            }
        }
        let name = members.get("verb");
        let name = name.and_then(|name| serde_json::from_str::<String>(name.get()).ok());
        let known = VERBS
            .iter()
            .find(|(verb, _)| name.as_deref() == Some(*verb));
        let Some((verb, known)) = known else {
            let names: Vec<&str> = VERBS.iter().map(|(verb, _)| *verb).collect();
            let message = format!("a verb is one of {}", names.join(", "));
            return Err(Error::invalid(message));
        };
        let mut names = members.keys().map(String::as_str);
        if let Some(other) = names.find(|name| *name != "verb" && !known.contains(name)) {
            return Err(Error::invalid(format!("{verb} has no member {other:?}")));
        }
        serde_json::from_str(value.get())
            .map_err(|error| Error::invalid(format!("the verb is not understood: {error}")))
    }

    fn version(&self) -> Result<VersionRef> {
        match self.version.as_deref() {
            None => Ok(VersionRef::Current),
            Some("null") => Ok(VersionRef::Null),
            Some(text) => {
                let id = Id::parse(text).map(VersionId).map(VersionRef::Id);
                id.ok_or_else(|| Error::invalid(format!("{text:?} is no version")))
            }
        }
    }

    fn precondition(&self) -> Result<Precondition> {
        precondition(&[
            (IF_MATCH, &self.if_match),
            (IF_NONE_MATCH, &self.if_none_match),
            (IF_UNMODIFIED_SINCE, &self.if_unmodified_since),
        ])
    }

    fn to_precondition(&self) -> Result<Precondition> {
        precondition(&[
            (IF_MATCH, &self.to_if_match),
            (IF_NONE_MATCH, &self.to_if_none_match),
        ])
    }

    /// Refuses a change without a condition where its bucket demands one.
    async fn demand(&self, store: &Store) -> Answer<()> {
        let none = HeaderMap::new();
        let own = self.if_match.is_none()
            && self.if_none_match.is_none()
            && self.if_unmodified_since.is_none();
        let of_target = self.to_if_match.is_none() && self.to_if_none_match.is_none();
        if own && !matches!(self.verb.as_str(), "check" | "copy") {
            conditions::demand(store, &self.place()?.0, &none).await?;
        }
        if of_target && matches!(self.verb.as_str(), "copy" | "rename") {
            conditions::demand(store, &self.target()?.0, &none).await?;
        }
        Ok(())
    }

    fn place(&self) -> Result<(BucketName, Key)> {
        let bucket = BucketName::parse_qualified(&self.bucket)?;
        Ok((bucket, Key::parse(self.key.as_str())?))
    }

    fn target(&self) -> Result<(BucketName, Key)> {
        if self.to_bucket.is_none() && self.to_key.is_none() {
            let message = format!("{} has a to_bucket or a to_key", self.verb);
            return Err(Error::invalid(message));
        }
        let bucket = self.to_bucket.as_ref().unwrap_or(&self.bucket);
        let key = self.to_key.as_ref().unwrap_or(&self.key);
        Ok((
            BucketName::parse_qualified(bucket)?,
            Key::parse(key.as_str())?,
        ))
    }

    /// The bytes that a put brings.
    fn bytes(&self) -> Result<Bytes> {
        let bytes = match (&self.body, &self.text) {
            (Some(body), None) => STANDARD
                .decode(body)
                .map_err(|_| Error::invalid("body is not base64"))?,
            (None, Some(text)) => text.clone().into_bytes(),
            (None, None) => Vec::new(),
            (Some(_), Some(_)) => return Err(Error::invalid("a put has one of body and text")),
        };
        if bytes.len() > STEP_BODY_BYTES_MAX {
            let message =
                format!("a body within a transaction has at most {STEP_BODY_BYTES_MAX} bytes");
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        Ok(bytes.into())
    }

    fn properties(&self) -> Result<ObjectProperties> {
        let mut representation = self.representation.clone().unwrap_or_default();
        if let Some(content_type) = &self.content_type {
            representation.insert(CONTENT_TYPE.as_str().to_owned(), content_type.clone());
        }
        for (name, value) in &representation {
            if !document::is_kept(name, value) {
                let message =
                    format!("{name:?} is no representation field, or its value no header's");
                return Err(Error::invalid(message));
            }
        }
        let tags = self.tags.clone().unwrap_or_default();
        document::named(&tags)?;
        Ok(ObjectProperties {
            representation,
            metadata: self.metadata.clone().unwrap_or_default(),
            tags,
            ..ObjectProperties::default()
        })
    }

    /// What it is for whoever has to find it again.
    fn told(&self) -> Map<String, Value> {
        let mut told = Map::new();
        told.insert("verb".to_owned(), self.verb.as_str().into());
        told.insert("bucket".to_owned(), self.bucket.as_str().into());
        told.insert("key".to_owned(), self.key.as_str().into());
        told
    }
}

/// Conditions as the headers of these names have them. A tag may come without its quotes.
fn precondition(conditions: &[(HeaderName, &Option<String>)]) -> Result<Precondition> {
    let mut headers = HeaderMap::new();
    for (name, value) in conditions {
        let Some(value) = value else { continue };
        let bare = *name != IF_UNMODIFIED_SINCE && value != "*" && !value.contains('"');
        let text = if bare {
            format!("\"{value}\"")
        } else {
            value.clone()
        };
        let value = HeaderValue::from_str(&text)
            .map_err(|_| Error::invalid(format!("{name} is no condition")))?;
        headers.insert(name.clone(), value);
    }
    let parsed = parse_precondition(&headers)?;
    if parsed.is_none() && !headers.is_empty() {
        return Err(Error::invalid("a condition is not understood"));
    }
    Ok(parsed)
}

/// POST: does all of it, or nothing.
pub(crate) async fn answer(call: Call<'_>) -> Answer {
    let headers = call.request.headers();
    let media_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let media_type = media_type.and_then(|text| Parameterized::parse(text).ok());
    if media_type.is_none_or(|found| !found.value.eq_ignore_ascii_case("application/json")) {
        let detail = "a transaction is application/json";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    if headers.contains_key(IDEMPOTENCY_KEY) {
        let detail =
            "Idempotency-Key is not supported here: conditions make a transaction repeatable";
        return Err(Refusal::unsupported(detail));
    }
    if !parse_precondition(headers)?.is_none() {
        let detail = "conditions of a transaction are those of its verbs";
        return Err(Refusal::unsupported(detail));
    }
    let anonymous = call.principal.is_anonymous();
    let (asker, body) = call.document(BODY_BYTES_MAX).await?;
    let Verbs(verbs) = verbs(&body)?;
    let mut steps = Vec::with_capacity(verbs.len());
    let mut told = Vec::with_capacity(verbs.len());
    for (index, verb) in verbs.into_iter().enumerate() {
        let verb = Verb::parse(verb).map_err(|error| refused(error, index, Map::new()))?;
        let step = step(&asker, &verb).await;
        match step {
            Ok(step) => {
                verb.demand(&asker.rest.store)
                    .await
                    .map_err(|refusal| named(refusal, index, &verb))?;
                steps.push(step);
            }
            // Who is nobody is asked for credentials.
            Err(error) if anonymous => return Err(error.into()),
            Err(error) => return Err(refused(error, index, verb.told())),
        }
        told.push(verb.told());
    }
    let outcomes = asker.rest.store.transact(&steps).await;
    let outcomes = outcomes.map_err(|Failed { step, error }| match step {
        Some(index) => {
            let told = told.get(index).cloned().unwrap_or_default();
            refused(error, index, told)
        }
        None => error.into(),
    })?;
    let shown: Vec<Value> = told
        .into_iter()
        .zip(&outcomes)
        .map(|(told, outcome)| shown(told, outcome))
        .collect();
    let mut response = Response::new(trestle_http::Body::full(
        json!({ "outcomes": shown }).to_string(),
    ));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The verbs of a document, each as it was sent: their bytes are read one verb at a time, since what
/// becomes of them takes many times their room.
struct Verbs<'a>(Vec<&'a RawValue>);

impl<'a, 'de: 'a> Deserialize<'de> for Verbs<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        struct Bounded;

        impl<'de> Visitor<'de> for Bounded {
            type Value = Verbs<'de>;

            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(to, "1 to {STEPS_MAX} verbs")
            }

            fn visit_seq<A: SeqAccess<'de>>(
                self,
                mut sequence: A,
            ) -> std::result::Result<Verbs<'de>, A::Error> {
                let mut verbs = Vec::new();
                while let Some(verb) = sequence.next_element()? {
                    if verbs.len() == STEPS_MAX {
                        return Err(serde::de::Error::invalid_length(STEPS_MAX + 1, &self));
                    }
                    verbs.push(verb);
                }
                match verbs.is_empty() {
                    true => Err(serde::de::Error::invalid_length(0, &self)),
                    false => Ok(Verbs(verbs)),
                }
            }
        }

        from.deserialize_seq(Bounded)
    }
}

/// The verbs of a document.
fn verbs(body: &[u8]) -> Result<Verbs<'_>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Document<'a> {
        #[serde(borrow)]
        verbs: Verbs<'a>,
    }
    let document: Document<'_> = serde_json::from_slice(body)
        .map_err(|error| Error::invalid(format!("the body is no transaction: {error}")))?;
    Ok(document.verbs)
}

/// A refusal that names its verb, which has been told.
fn named(refusal: Refusal, index: usize, verb: &Verb) -> Refusal {
    match refusal {
        Refusal::Problem(problem) => place(problem, index, verb.told()),
        other => other,
    }
}

/// A refusal that names its verb.
fn refused(error: Error, index: usize, told: Map<String, Value>) -> Refusal {
    place(Problem::from(error), index, told)
}

fn place(problem: Problem, index: usize, told: Map<String, Value>) -> Refusal {
    let problem = problem.with_member("index", index);
    let name = |problem: Problem, (name, value): (String, Value)| problem.with_member(&name, value);
    Refusal::Problem(told.into_iter().fold(problem, name))
}

/// What became of a verb, as its own request would have answered.
fn shown(mut told: Map<String, Value>, outcome: &StepOutcome) -> Value {
    let verb = told.get("verb").and_then(Value::as_str).unwrap_or_default();
    let status: u16 = match (verb, outcome.created) {
        ("check" | "patch", _) => 200,
        (_, true) => 201,
        (_, false) => 204,
    };
    told.insert("status".to_owned(), status.into());
    if let Some(object) = &outcome.object {
        let version = object.version.to_string();
        told.insert("version".to_owned(), version.into());
        if object.is_marker() {
            told.insert("deleted".to_owned(), "marker".into());
        } else {
            let tag = format!("\"{}\"", tag_of(object));
            told.insert("etag".to_owned(), tag.into());
            told.insert("size".to_owned(), object.length().into());
        }
    }
    Value::Object(told)
}

/// A verb with its grants.
async fn step(asker: &Asker<'_>, verb: &Verb) -> Result<Step> {
    let (bucket, key) = verb.place()?;
    let precondition = verb.precondition()?;
    match verb.verb.as_str() {
        "put" => put(asker, verb, bucket, key).await,
        "delete" => {
            let version = verb.version()?;
            let action = match version {
                VersionRef::Current => Action::DeleteObject,
                _ => Action::DeleteObjectVersion,
            };
            let resource = Resource::Object(bucket.clone(), key.clone());
            let mut grants = vec![asker.grant(action, resource.clone()).await?];
            if verb.bypass_retention {
                grants.push(asker.grant(Action::BypassRetention, resource).await?);
            }
            let delete = DeleteObject {
                bucket,
                key,
                version,
                history: History::ByBucket,
                mark_missing: false,
                precondition,
                tag_of,
            };
            Ok(Step::Delete {
                grants,
                delete: Box::new(delete),
            })
        }
        "copy" => copy(asker, verb, bucket, key).await,
        "rename" => rename(asker, verb, bucket, key).await,
        "patch" => patch(asker, verb, bucket, key).await,
        _ => {
            if precondition.is_none() {
                return Err(Error::invalid("a check has a condition"));
            }
            let resource = Resource::Object(bucket.clone(), key.clone());
            let grant = asker.grant(Action::ReadObjectMetadata, resource).await?;
            let check = CheckObject {
                bucket,
                key,
                precondition,
                tag_of,
            };
            Ok(Step::Check {
                grant,
                check: Box::new(check),
            })
        }
    }
}

async fn put(asker: &Asker<'_>, verb: &Verb, bucket: BucketName, key: Key) -> Result<Step> {
    let resource = Resource::Object(bucket.clone(), key.clone());
    let precondition = verb.precondition()?;
    let Some(upload) = &verb.upload else {
        let asker = &asker.tagging(verb.tags.as_ref().unwrap_or(&BTreeMap::new()));
        let grant = asker.grant(Action::WriteObject, resource).await?;
        let body = verb.bytes()?;
        let properties = verb.properties()?;
        asker.check_tags(&properties, &grant).await?;
        let put = PutObject {
            encrypt: None,
            bucket,
            key,
            precondition,
            tag_of,
            properties,
            checks: BodyChecks {
                declared_length: Some(body.len() as u64),
                ..BodyChecks::default()
            },
            checksum: None,
        };
        return Ok(Step::Put {
            grant,
            put: Box::new(put),
            body,
        });
    };
    let of_its_own = verb.body.is_some()
        || verb.text.is_some()
        || verb.content_type.is_some()
        || verb.representation.is_some()
        || verb.metadata.is_some()
        || verb.tags.is_some();
    if of_its_own {
        let message = "an upload brings its bytes, its representation, metadata and tags itself";
        return Err(Error::invalid(message));
    }
    let upload = Id::parse(upload).map(UploadId);
    let upload = upload.ok_or_else(|| Error::invalid("upload is no id of an upload"))?;
    let upload = UploadKey {
        bucket,
        key,
        upload,
    };
    let present = present(asker, &upload).await?;
    let asker = asker.tagging(&present.tags);
    let grant = asker.grant(Action::WriteObject, resource).await?;
    if let Some(length) = present.length.filter(|length| *length != present.offset) {
        let message = format!(
            "of the {length} bytes of the upload {} arrived",
            present.offset
        );
        return Err(Error::new(ErrorKind::InvalidState, message));
    }
    let complete = CompleteUpload {
        upload,
        parts: present.parts,
        part_bytes_min: 0,
        expected_length: present.length,
        expected_checksum: None,
        precondition,
        tag_of,
    };
    Ok(Step::Complete {
        grant,
        complete: Box::new(complete),
    })
}

async fn copy(asker: &Asker<'_>, verb: &Verb, bucket: BucketName, key: Key) -> Result<Step> {
    let (to_bucket, to_key) = verb.target()?;
    let version = verb.version()?;
    let action = match version {
        VersionRef::Current => Action::ReadObject,
        _ => Action::ReadObjectVersion,
    };
    let from = Resource::Object(bucket.clone(), key.clone());
    let to = Resource::Object(to_bucket.clone(), to_key.clone());
    let copy = CopyObject {
        encrypt: None,
        source: Source {
            key_of_client: None,
            itself: false,
            bucket,
            key,
            version,
            precondition: verb.precondition()?,
            tag_of,
            range: None,
        },
        bucket: to_bucket,
        key: to_key,
        precondition: verb.to_precondition()?,
        tag_of,
        checksum: None,
    };
    Ok(Step::Copy {
        source_grant: asker.grant(action, from).await?,
        grant: asker.grant(Action::WriteObject, to).await?,
        copy: Box::new(copy),
        properties: Box::new(kept),
    })
}

async fn rename(asker: &Asker<'_>, verb: &Verb, bucket: BucketName, key: Key) -> Result<Step> {
    if verb.version.is_some() {
        return Err(Error::invalid("a rename moves all versions"));
    }
    let (to_bucket, to_key) = verb.target()?;
    let from = Resource::Object(bucket.clone(), key.clone());
    let to = Resource::Object(to_bucket.clone(), to_key.clone());
    // Elsewhere it may be read by who may not here.
    asker.grant(Action::ReadObject, from.clone()).await?;
    let grants = vec![
        asker.grant(Action::DeleteObject, from).await?,
        asker.grant(Action::WriteObject, to).await?,
    ];
    let rename = RenameObject {
        bucket,
        key,
        to_bucket,
        to_key,
        precondition: verb.precondition()?,
        target: verb.to_precondition()?,
        tag_of,
    };
    Ok(Step::Rename {
        grants,
        rename: Box::new(rename),
    })
}

async fn patch(asker: &Asker<'_>, verb: &Verb, bucket: BucketName, key: Key) -> Result<Step> {
    let patch = verb.patch.clone().unwrap_or_default();
    let members = document::patch_members(&patch, &OBJECT_MEMBERS).map_err(Error::invalid)?;
    let mut actions = document::object_actions(&members, false);
    if actions.is_empty() {
        actions.push(Action::WriteObjectMetadata);
    }
    let resource = Resource::Object(bucket.clone(), key.clone());
    let mut grants = Vec::with_capacity(actions.len());
    let asker = asker.tagging(&document::tags_of(&patch));
    for action in actions {
        grants.push(asker.grant(action, resource.clone()).await?);
    }
    let update = UpdateObject {
        bucket,
        key,
        version: VersionRef::Current,
        precondition: verb.precondition()?,
        tag_of,
    };
    Ok(Step::Update {
        grants,
        update: Box::new(update),
        change: Box::new(move |properties: &mut ObjectProperties| {
            document::patch_object(properties, &patch)
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_have_their_own_members_alone() {
        let parse = |value: Value| {
            let raw = serde_json::value::to_raw_value(&value).unwrap();
            Verb::parse(&raw)
        };
        let put = json!({"verb": "put", "bucket": "b", "key": "k", "body": "aGk=",
            "if_none_match": "*", "metadata": {"a": [1]}});
        let verb = parse(put).unwrap();
        assert_eq!(verb.bytes().unwrap(), "hi");
        assert_eq!(verb.precondition().unwrap(), Precondition::absent());
        assert_eq!(verb.properties().unwrap().metadata["a"], json!([1]));
        for bad in [
            json!({"verb": "put", "bucket": "b"}),
            json!({"verb": "put", "bucket": "b", "key": 1}),
            json!({"verb": "put", "bucket": "b", "key": "k", "to_key": "l"}),
            json!({"verb": "check", "bucket": "b", "key": "k", "body": ""}),
            json!({"verb": "fly", "bucket": "b", "key": "k"}),
            json!([]),
        ] {
            assert!(parse(bad.clone()).is_err(), "{bad}");
        }
        let large = "x".repeat(MEMBER_BYTES_MAX);
        for twice in [
            r#""tags": {"a": "1", "a": "2"}"#,
            r#""metadata": {"a": {"b": 1, "b": 2}}"#,
        ] {
            let text = format!(r#"{{"verb": "put", "bucket": "b", "key": "k", {twice}}}"#);
            let raw = RawValue::from_string(text).unwrap();
            assert!(Verb::parse(&raw).is_err(), "{twice}");
        }
        let unnamed = json!({"verb": "put", "bucket": "b", "key": "k", "tags": {"": "1"}});
        assert!(parse(unnamed).unwrap().properties().is_err());
        let large = json!({"verb": "put", "bucket": "b", "key": "k", "metadata": {"a": large}});
        let error = parse(large).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        let many = |count| format!("{{\"verbs\":[{}]}}", vec!["{}"; count].join(","));
        let count = |text: &str| verbs(text.as_bytes()).map(|verbs| verbs.0.len()).ok();
        assert_eq!(count(&many(STEPS_MAX)), Some(STEPS_MAX));
        assert_eq!(count(&many(STEPS_MAX + 1)), None);
        assert_eq!(count(&many(0)), None);
        let body = json!({"verb": "put", "bucket": "b", "key": "k", "body": "!"});
        assert!(parse(body).unwrap().bytes().is_err());
    }

    #[test]
    fn tags_need_no_quotes() {
        let of = |text: &str| precondition(&[(IF_MATCH, &Some(text.to_owned()))]).unwrap();
        assert_eq!(of("x"), of("\"x\""));
        assert_ne!(of("*"), of("\"*\""));
    }
}
