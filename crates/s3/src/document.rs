//! Documents of requests, read into nouns. Each has a root, known elements, and limits.
//!
//! Refuses what is not well-formed, what is of another root, and values that the protocol does not
//! know, and elements that have no meaning there (`shape`).

mod shape;

use crate::checksum;
use crate::error::{Code, S3Error};
use crate::time::{parse_any_seconds, parse_iso};
use std::collections::BTreeMap;
use trestle_core::{Digest, Timestamp};
use trestle_http::{Element, parse_xml};
use trestle_store::{
    DefaultRetention, ObjectLock, Period, PublicAccessBlock, Retention, RetentionMode, Versioning,
};

/// Largest document.
pub(crate) const DOCUMENT_BYTES_MAX: usize = 2 << 20;
/// Most keys of one delete.
pub(crate) const DELETE_MAX: usize = 1000;
/// Most parts of one completion.
pub(crate) const PARTS_MAX: usize = 10_000;
/// Most tags of an object.
pub(crate) const OBJECT_TAGS_MAX: usize = 10;
/// Most tags of a bucket.
pub(crate) const BUCKET_TAGS_MAX: usize = 50;
/// Longest key of a tag, in characters.
const TAG_KEY_MAX: usize = 128;
/// Longest value of a tag, in characters.
const TAG_VALUE_MAX: usize = 256;
/// Longest default retention, in days.
const RETENTION_DAYS_MAX: u32 = 36_500;
/// Longest default retention, in years.
const RETENTION_YEARS_MAX: u32 = 100;

pub(crate) type Tags = BTreeMap<String, String>;

pub(crate) fn malformed() -> S3Error {
    S3Error::new(
        Code::MalformedXML,
        "The XML you provided was not well-formed or did not validate against our published schema",
    )
}

/// Reads a document with this root, which holds what is known of it and nothing else.
pub(crate) fn parse(body: &[u8], root: &str) -> Result<Element, S3Error> {
    let element = parse_xml(body, DOCUMENT_BYTES_MAX).map_err(|_| malformed())?;
    match shape::fits(&element, root) {
        true => Ok(element),
        false => Err(malformed()),
    }
}

fn text<'a>(element: &'a Element, name: &str) -> Result<&'a str, S3Error> {
    element.child_text(name).ok_or_else(malformed)
}

/// A text that is kept with its blanks.
fn exact(element: &Element, name: &str) -> Result<String, S3Error> {
    element
        .child(name)
        .map(|child| child.text.clone())
        .ok_or_else(malformed)
}

fn boolean(element: &Element, name: &str) -> Result<bool, S3Error> {
    match element.child_text(name) {
        None => Ok(false),
        Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        Some(_) => Err(malformed()),
    }
}

/// One key of a delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeleteKey {
    pub(crate) key: String,
    pub(crate) version: Option<String>,
    pub(crate) etag: Option<String>,
    pub(crate) size: Option<u64>,
    /// In whole seconds.
    pub(crate) modified: Option<u64>,
}

/// Whether to be quiet about what worked, and the keys.
pub(crate) fn delete(body: &[u8]) -> Result<(bool, Vec<DeleteKey>), S3Error> {
    let root = parse(body, "Delete")?;
    let quiet = boolean(&root, "Quiet")?;
    let mut keys = Vec::new();
    for object in root.children_named("Object") {
        let modified = match object.child_text("LastModifiedTime") {
            None => None,
            Some(text) => Some(parse_any_seconds(text).ok_or_else(malformed)?),
        };
        let size = match object.child_text("Size") {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| malformed())?),
        };
        keys.push(DeleteKey {
            key: exact(object, "Key")?,
            version: object
                .child_text("VersionId")
                .filter(|version| !version.is_empty())
                .map(str::to_owned),
            etag: object.child_text("ETag").map(str::to_owned),
            size,
            modified,
        });
    }
    if keys.is_empty() || keys.len() > DELETE_MAX {
        return Err(malformed());
    }
    Ok((quiet, keys))
}

/// One part of a completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedPart {
    pub(crate) number: u32,
    /// Without quotes.
    pub(crate) etag: String,
    pub(crate) checksum: Option<Digest>,
}

/// The number of a part that is completed.
fn part_number(text: &str) -> Result<u32, S3Error> {
    let number: i64 = text.parse().map_err(|_| malformed())?;
    let most = PARTS_MAX as i64;
    if number < 1 {
        let message = "PartNumber must be >= 1";
        return Err(S3Error::argument("PartNumber", text, message));
    }
    if number > most {
        let message = format!("PartNumber must be <= {most}");
        return Err(S3Error::argument("PartNumber", text, &message));
    }
    u32::try_from(number).map_err(|_| malformed())
}

/// The one checksum that a part is named with.
fn part_checksum(part: &Element) -> Result<Option<Digest>, S3Error> {
    let mut named = Vec::new();
    for child in &part.children {
        if let Some(name) = child.name.strip_prefix("Checksum") {
            named.push((checksum::named(name)?, child.text.trim()));
        }
    }
    let found = match named.as_slice() {
        [] => return Ok(None),
        [(algorithm, text)] => checksum::digest(*algorithm, text),
        _ => None,
    };
    found.map(Some).ok_or_else(|| {
        let texts: String = match named.as_slice() {
            [(_, text)] => (*text).to_owned(),
            all => all
                .iter()
                .map(|(algorithm, text)| format!("{}:{text};", checksum::name(*algorithm)))
                .collect(),
        };
        let message = "Invalid Base64 or multiple checksums present in request";
        S3Error::argument("Checksum", &texts, message)
    })
}

pub(crate) fn complete(body: &[u8]) -> Result<Vec<NamedPart>, S3Error> {
    let root = parse(body, "CompleteMultipartUpload")?;
    let mut parts = Vec::new();
    for part in root.children_named("Part") {
        parts.push(NamedPart {
            number: part_number(text(part, "PartNumber")?)?,
            etag: text(part, "ETag")?.trim_matches('"').to_owned(),
            checksum: part_checksum(part)?,
        });
    }
    if parts.is_empty() || parts.len() > PARTS_MAX {
        return Err(malformed());
    }
    Ok(parts)
}

/// Whether a bucket is to keep versions.
pub(crate) fn versioning(body: &[u8]) -> Result<Versioning, S3Error> {
    let root = parse(body, "VersioningConfiguration")?;
    match root
        .child_text("MfaDelete")
        .or(root.child_text("MFADelete"))
    {
        None | Some("Disabled") => {}
        Some("Enabled") => return Err(S3Error::later("MFA delete")),
        Some(_) => return Err(malformed()),
    }
    match text(&root, "Status")? {
        "Enabled" => Ok(Versioning::Enabled),
        "Suspended" => Ok(Versioning::Suspended),
        _ => Err(malformed()),
    }
}

/// Adds a tag that follows the rules.
fn tag(tags: &mut Tags, key: String, value: String, most: usize) -> Result<(), S3Error> {
    let wrong = |message: &str| Err(S3Error::new(Code::InvalidTag, message));
    let sound = |text: &str| {
        text.chars()
            .all(|c| c.is_alphanumeric() || c.is_whitespace() || "+-=._:/@".contains(c))
    };
    if key.is_empty() || key.chars().count() > TAG_KEY_MAX || !sound(&key) {
        return wrong("The TagKey you have provided is invalid");
    }
    if value.chars().count() > TAG_VALUE_MAX || !sound(&value) {
        return wrong("The TagValue you have provided is invalid");
    }
    if key.starts_with("aws:") {
        return wrong("System tags cannot be added/updated by requester");
    }
    if tags.insert(key, value).is_some() {
        return wrong("Cannot provide multiple Tags with the same key");
    }
    if tags.len() > most {
        return wrong(&format!(
            "There are more tags than the {most} that there may be"
        ));
    }
    Ok(())
}

pub(crate) fn tagging(body: &[u8], most: usize) -> Result<Tags, S3Error> {
    let root = parse(body, "Tagging")?;
    tag_set(root.child("TagSet").ok_or_else(malformed)?, most)
}

fn tag_set(set: &Element, most: usize) -> Result<Tags, S3Error> {
    let mut tags = Tags::new();
    for element in &set.children {
        if element.name != "Tag" {
            return Err(malformed());
        }
        tag(
            &mut tags,
            exact(element, "Key")?,
            exact(element, "Value")?,
            most,
        )?;
    }
    Ok(tags)
}

/// The tags of a header: like a query, where `+` stands for a space.
pub(crate) fn header_tags(text: &str) -> Result<Tags, S3Error> {
    let wrong = || {
        S3Error::argument(
            "x-amz-tagging",
            text,
            "The header 'x-amz-tagging' shall be \
        encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.",
        )
    };
    let mut tags = Tags::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decode =
            |text: &str| trestle_http::decode(&text.replace('+', " ")).map_err(|_| wrong());
        tag(&mut tags, decode(key)?, decode(value)?, OBJECT_TAGS_MAX)?;
    }
    Ok(tags)
}

pub(crate) fn retention_mode(text: &str) -> Option<RetentionMode> {
    match text {
        "GOVERNANCE" => Some(RetentionMode::Governance),
        "COMPLIANCE" => Some(RetentionMode::Compliance),
        _ => None,
    }
}

/// The retention of a version; none to lift it.
pub(crate) fn retention(body: &[u8]) -> Result<Option<Retention>, S3Error> {
    let root = parse(body, "Retention")?;
    match (root.child_text("Mode"), root.child_text("RetainUntilDate")) {
        (None, None) => Ok(None),
        (Some(mode), Some(until)) => Ok(Some(Retention {
            mode: retention_mode(mode).ok_or_else(malformed)?,
            until: parse_iso(until).ok_or_else(malformed)?,
        })),
        _ => Err(malformed()),
    }
}

/// Whether a hold is set.
pub(crate) fn on_off(text: &str) -> Option<bool> {
    match text {
        "ON" => Some(true),
        "OFF" => Some(false),
        _ => None,
    }
}

pub(crate) fn legal_hold(body: &[u8]) -> Result<bool, S3Error> {
    let root = parse(body, "LegalHold")?;
    on_off(text(&root, "Status")?).ok_or_else(malformed)
}

pub(crate) fn object_lock(body: &[u8]) -> Result<ObjectLock, S3Error> {
    if body.is_empty() {
        let message = "Request Body is empty";
        return Err(S3Error::new(Code::MissingRequestBodyError, message));
    }
    let root = parse(body, "ObjectLockConfiguration")?;
    if text(&root, "ObjectLockEnabled")? != "Enabled" {
        return Err(malformed());
    }
    let Some(rule) = root.child("Rule") else {
        return Ok(ObjectLock { default: None });
    };
    let rule = rule.child("DefaultRetention").ok_or_else(malformed)?;
    let mode = retention_mode(text(rule, "Mode")?).ok_or_else(malformed)?;
    let number = |text: &str, most: u32| {
        let wrong = || {
            let message = "Default retention period must be a positive integer value";
            S3Error::new(Code::InvalidRetentionPeriod, message)
        };
        let value: u32 = text.parse().map_err(|_| wrong())?;
        if value == 0 || value > most {
            Err(wrong())
        } else {
            Ok(value)
        }
    };
    let period = match (rule.child_text("Days"), rule.child_text("Years")) {
        (Some(days), None) => Period::Days(number(days, RETENTION_DAYS_MAX)?),
        (None, Some(years)) => Period::Years(number(years, RETENTION_YEARS_MAX)?),
        _ => return Err(malformed()),
    };
    Ok(ObjectLock {
        default: Some(DefaultRetention { mode, period }),
    })
}

/// The rules of ownership that exist.
pub(crate) const OWNERSHIPS: [&str; 3] = [
    "BucketOwnerEnforced",
    "BucketOwnerPreferred",
    "ObjectWriter",
];

pub(crate) fn ownership(body: &[u8]) -> Result<String, S3Error> {
    let root = parse(body, "OwnershipControls")?;
    let mut rules = root.children_named("Rule");
    let rule = rules.next().ok_or_else(malformed)?;
    let chosen = text(rule, "ObjectOwnership")?;
    if rules.next().is_some() || !OWNERSHIPS.contains(&chosen) {
        return Err(malformed());
    }
    Ok(chosen.to_owned())
}

pub(crate) fn public_access(body: &[u8]) -> Result<PublicAccessBlock, S3Error> {
    let root = parse(body, "PublicAccessBlockConfiguration")?;
    Ok(PublicAccessBlock {
        block_acls: boolean(&root, "BlockPublicAcls")?,
        ignore_acls: boolean(&root, "IgnorePublicAcls")?,
        block_policy: boolean(&root, "BlockPublicPolicy")?,
        restrict_buckets: boolean(&root, "RestrictPublicBuckets")?,
    })
}

/// What a bucket is created with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NewBucket {
    pub(crate) location: Option<String>,
    pub(crate) tags: Tags,
}

pub(crate) fn create_bucket(body: &[u8]) -> Result<NewBucket, S3Error> {
    if body.is_empty() {
        return Ok(NewBucket::default());
    }
    let root = parse(body, "CreateBucketConfiguration")?;
    let mut new = NewBucket::default();
    for child in &root.children {
        match child.name.as_str() {
            "LocationConstraint" => new.location = Some(child.text.trim().to_owned()),
            "Tags" => new.tags = tag_set(child, BUCKET_TAGS_MAX)?,
            "Location" | "Bucket" => return Err(S3Error::later("A directory bucket")),
            _ => return Err(malformed()),
        }
    }
    Ok(new)
}

/// Who pays for requests: only the owner does here.
pub(crate) fn request_payment(body: &[u8]) -> Result<(), S3Error> {
    let root = parse(body, "RequestPaymentConfiguration")?;
    match text(&root, "Payer")? {
        "BucketOwner" => Ok(()),
        "Requester" => Err(S3Error::later("Payment by the requester")),
        _ => Err(malformed()),
    }
}

/// The earliest time that a retention may end at is after now.
pub(crate) fn retain_until(text: &str, now: Timestamp) -> Result<Timestamp, S3Error> {
    let name = "x-amz-object-lock-retain-until-date";
    let until = parse_iso(text)
        .ok_or_else(|| S3Error::argument(name, text, "The retain until date is not a time"))?;
    if until <= now {
        let message = "The retain until date must be in the future!";
        return Err(S3Error::argument(name, text, message));
    }
    Ok(until)
}

#[cfg(test)]
mod tests;
