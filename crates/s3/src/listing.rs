//! Listings: their parameters, and the documents that they are answered with.
//!
//! Owns paging tokens and the encoding of names. Refuses numbers and tokens that are malformed.

use crate::checksum;
use crate::error::{Code, S3Error};
use crate::object::{checksum_of, etag};
use crate::route::Parameters;
use crate::time::iso_time;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::borrow::Cow;
use trestle_core::BucketName;
use trestle_http::XmlWriter;
use trestle_store::{Listing, ListingItem, Object};

/// Most items of a page, and as many as there are without a number.
pub(crate) const PAGE_MAX: usize = 1000;

/// The namespace of every document.
pub(crate) const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

const IN_NAME: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/')
    .remove(b'*');

/// What all listings of a bucket have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Common {
    pub(crate) prefix: String,
    pub(crate) delimiter: Option<String>,
    pub(crate) limit: usize,
    /// Whether names are percent-encoded in the answer.
    pub(crate) encoded: bool,
}

impl Common {
    pub(crate) fn new(parameters: &Parameters, limit: &str) -> Result<Self, S3Error> {
        let text = |name| parameters.get(name).unwrap_or_default().to_owned();
        let encoded = match parameters.get("encoding-type") {
            None | Some("") => false,
            Some("url") => true,
            Some(other) => {
                let message = "Invalid Encoding Method specified in Request";
                return Err(S3Error::argument("encoding-type", other, message));
            }
        };
        Ok(Common {
            prefix: text("prefix"),
            delimiter: Some(text("delimiter")).filter(|text| !text.is_empty()),
            limit: number(parameters, limit, PAGE_MAX)?,
            encoded,
        })
    }

    /// A name as the answer has it.
    pub(crate) fn name<'a>(&self, name: &'a str) -> Cow<'a, str> {
        match self.encoded {
            true => utf8_percent_encode(name, IN_NAME).into(),
            false => name.into(),
        }
    }

    /// The prefix as version 1 repeats it: its clients decode every other name but this one, so it
    /// is encoded only when XML has no way to say it.
    fn first_prefix(&self) -> Cow<'_, str> {
        let unspeakable = |c: char| c < ' ' && !matches!(c, '\t' | '\n' | '\r');
        match self.prefix.contains(unspeakable) {
            true => self.name(&self.prefix),
            false => self.prefix.as_str().into(),
        }
    }
}

/// A number of at most `most`, which is what a missing one means.
pub(crate) fn number(parameters: &Parameters, name: &str, most: usize) -> Result<usize, S3Error> {
    let Some(text) = parameters.get(name).filter(|text| !text.is_empty()) else {
        return Ok(most);
    };
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let value: Option<u32> = text
        .parse()
        .ok()
        .filter(|value| digits && *value <= i32::MAX as u32);
    let message = "Argument must be an integer between 0 and 2147483647";
    let value = value.ok_or_else(|| S3Error::argument(name, text, message))?;
    Ok((value as usize).min(most))
}

/// What continues a listing, as an opaque token.
pub(crate) fn token(next: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("1{next}"))
}

/// What a token continues.
pub(crate) fn of_token(token: &str) -> Result<String, S3Error> {
    let read = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
        Some(text.strip_prefix('1')?.to_owned())
    };
    let message = "The continuation token provided is incorrect";
    read().ok_or_else(|| S3Error::argument("continuation-token", token, message))
}

/// Where a listing of keys begins and how its answer says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// Version 1.
    Marker(String),
    /// Version 2.
    Token {
        after: Option<String>,
        start_after: Option<String>,
        token: Option<String>,
        fetch_owner: bool,
    },
}

impl Start {
    pub(crate) fn new(parameters: &Parameters) -> Result<Self, S3Error> {
        let text = |name| parameters.get(name).filter(|text: &&str| !text.is_empty());
        let version = parameters.get("list-type");
        let of_other: &[(&str, &str)] = match version {
            Some("2") => &[("marker", "Marker is not for listings with list-type=2")],
            _ => &[
                (
                    "continuation-token",
                    "The token is only for listings with list-type=2",
                ),
                (
                    "start-after",
                    "The key is only for listings with list-type=2",
                ),
            ],
        };
        // Even an empty one, as the original has it: its client means the other version.
        if let Some((name, why)) = of_other.iter().find(|(n, _)| parameters.get(n).is_some()) {
            return Err(S3Error::new(Code::InvalidArgument, *why).field("ArgumentName", *name));
        }
        match version {
            None | Some("1") => Ok(Start::Marker(text("marker").unwrap_or_default().to_owned())),
            Some("2") => {
                let start_after = text("start-after").map(str::to_owned);
                let token = parameters.get("continuation-token").map(str::to_owned);
                let after = match &token {
                    // Clients send the token that they have not got yet.
                    Some(token) if token.is_empty() => start_after.clone(),
                    Some(token) => Some(of_token(token)?),
                    None => start_after.clone(),
                };
                Ok(Start::Token {
                    after,
                    start_after,
                    token,
                    fetch_owner: text("fetch-owner") == Some("true"),
                })
            }
            Some(other) => Err(S3Error::argument(
                "list-type",
                other,
                "list-type is 1, 2 or absent",
            )),
        }
    }

    pub(crate) fn after(&self) -> Option<String> {
        match self {
            Start::Marker(marker) => Some(marker.clone()).filter(|marker| !marker.is_empty()),
            Start::Token { after, .. } => after.clone(),
        }
    }
}

/// The answer to a listing of keys.
pub(crate) fn keys(
    bucket: &BucketName,
    common: &Common,
    start: &Start,
    listing: &Listing,
) -> XmlWriter {
    let mut document = XmlWriter::new();
    document.open_with("ListBucketResult", &[("xmlns", NAMESPACE)]);
    document.leaf("Name", bucket.as_str());
    match start {
        Start::Marker(marker) => {
            document.leaf("Prefix", &common.first_prefix());
            document.leaf("Marker", &common.name(marker));
            let next = listing
                .next
                .as_deref()
                .filter(|_| common.delimiter.is_some());
            document.leaf_if("NextMarker", next.map(|next| common.name(next)).as_deref());
        }
        Start::Token {
            start_after, token, ..
        } => {
            document.leaf("Prefix", &common.name(&common.prefix));
            let start_after = start_after.as_deref().map(|name| common.name(name));
            document.leaf_if("StartAfter", start_after.as_deref());
            document.leaf_if("ContinuationToken", token.as_deref());
            let next = listing.next.as_deref().map(self::token);
            document.leaf_if("NextContinuationToken", next.as_deref());
            document.leaf("KeyCount", &listing.items.len().to_string());
        }
    }
    page(&mut document, common, listing.next.is_some(), "MaxKeys");
    let owner = !matches!(
        start,
        Start::Token {
            fetch_owner: false,
            ..
        }
    );
    for item in &listing.items {
        if let ListingItem::Object(object) = item {
            document.open("Contents");
            describe(&mut document, common, object);
            if owner {
                self::owner(&mut document, "Owner", object.owner.account.as_str());
            }
            document.close();
        }
    }
    for item in &listing.items {
        if let ListingItem::Prefix(prefix) = item {
            document
                .open("CommonPrefixes")
                .leaf("Prefix", &common.name(prefix))
                .close();
        }
    }
    document
}

/// The fields that tell of a page.
pub(crate) fn page(document: &mut XmlWriter, common: &Common, more: bool, limit: &'static str) {
    document.leaf(limit, &common.limit.to_string());
    let delimiter = common.delimiter.as_deref().map(|text| common.name(text));
    document.leaf_if("Delimiter", delimiter.as_deref());
    document.leaf("IsTruncated", if more { "true" } else { "false" });
    document.leaf_if("EncodingType", common.encoded.then_some("url"));
}

/// The fields of an object that every listing has.
pub(crate) fn describe(document: &mut XmlWriter, common: &Common, object: &Object) {
    document
        .leaf("Key", &common.name(object.key.as_str()))
        .leaf("LastModified", &iso_time(object.modified))
        .leaf("ETag", &format!("\"{}\"", etag(object)))
        .leaf("Size", &object.length().to_string());
    checksum(document, object);
    document.leaf(
        "StorageClass",
        object.storage_class.as_deref().unwrap_or("STANDARD"),
    );
}

/// Which checksum an object has.
pub(crate) fn checksum(document: &mut XmlWriter, object: &Object) {
    if let Some((digest, kind, _)) = checksum_of(object) {
        document
            .leaf("ChecksumAlgorithm", checksum::name(digest.algorithm))
            .leaf("ChecksumType", kind.name());
    }
}

/// Who owns or initiated something.
pub(crate) fn owner(document: &mut XmlWriter, element: &'static str, id: &str) {
    document
        .open(element)
        .leaf("ID", id)
        .leaf("DisplayName", id)
        .close();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::{Level, route};

    fn parameters(pairs: &[(&str, &str)]) -> Parameters {
        let pairs = pairs
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        route(&http::Method::GET, Level::Bucket, pairs)
            .unwrap()
            .parameters
    }

    #[test]
    fn numbers_are_bounded_and_strict() {
        let limit = |text| number(&parameters(&[("max-keys", text)]), "max-keys", PAGE_MAX);
        assert_eq!(limit("0").unwrap(), 0);
        assert_eq!(limit("7").unwrap(), 7);
        assert_eq!(limit("5000").unwrap(), PAGE_MAX);
        assert_eq!(limit("").unwrap(), PAGE_MAX);
        for bad in ["-1", "+1", "x", "1.5", "99999999999", "2147483648"] {
            assert!(limit(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn tokens_are_opaque_and_checked() {
        for name in ["a", "", "é/\u{1}+"] {
            assert_eq!(of_token(&token(name)).unwrap(), name);
        }
        for bad in ["", "a", "%%", "YQ"] {
            assert!(of_token(bad).is_err(), "{bad}");
        }
        let start = |pairs: &[(&str, &str)]| Start::new(&parameters(pairs));
        let continued = start(&[
            ("list-type", "2"),
            ("start-after", "z"),
            ("continuation-token", &token("k")),
        ]);
        assert_eq!(continued.unwrap().after().as_deref(), Some("k"));
        assert_eq!(start(&[("marker", "")]).unwrap().after(), None);
        assert!(start(&[("list-type", "3")]).is_err() && start(&[("list-type", "1")]).is_ok());
        for (version, other) in [
            ("2", "marker"),
            ("1", "start-after"),
            ("1", "continuation-token"),
        ] {
            assert!(
                start(&[("list-type", version), (other, "")]).is_err(),
                "{other}"
            );
        }
        let first = start(&[("list-type", "2"), ("continuation-token", "")]);
        assert_eq!(first.unwrap().after(), None);
    }

    #[test]
    fn names_are_encoded_on_request() {
        let common = Common::new(&parameters(&[("encoding-type", "url")]), "max-keys").unwrap();
        assert_eq!(common.name("a/b c+\u{1}é*"), "a/b%20c%2B%01%C3%A9*");
        let plain = Common::new(&parameters(&[]), "max-keys").unwrap();
        assert_eq!(plain.name("a+b"), "a+b");
        assert!(Common::new(&parameters(&[("encoding-type", "x")]), "max-keys").is_err());
        let prefix = |text| {
            let pairs = parameters(&[("encoding-type", "url"), ("prefix", text)]);
            let common = Common::new(&pairs, "max-keys").unwrap();
            common.first_prefix().into_owned()
        };
        assert_eq!(prefix("\n +é"), "\n +é");
        assert_eq!(prefix("\u{1}é"), "%01%C3%A9");
    }
}
