//! Signature version 2, in the Authorization header or in the query: for clients that know no
//! better. It does not sign the host, nor parameters that name no part of a resource.

use super::canonical::Query;
use super::key::Mac;
use super::{Mismatch, RawRequest, Scope, SecretKey, SignatureError, SignatureResult, instant};
use base64::Engine as _;
use std::collections::BTreeMap;

/// The parameters that are signed with the path.
const SIGNED: [&str; 45] = [
    "accelerate",
    "acl",
    "analytics",
    "attributes",
    "cors",
    "defaultObjectAcl",
    "delete",
    "encryption",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "lifecycle",
    "location",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "partNumber",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "renameObject",
    "replication",
    "requestPayment",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "restore",
    "retention",
    "select",
    "select-type",
    "storageClass",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "usage",
    "versionId",
    "versioning",
    "versions",
    "website",
];

/// Whether a parameter of a query is signed with the path. One that chooses what is done must be.
pub fn is_signed_by_v2(parameter: &str) -> bool {
    SIGNED.contains(&parameter)
}

/// A request that is signed by version 2; not verified yet.
#[derive(Clone, Debug)]
pub struct SignedV2 {
    access_key: String,
    signature: Mac<20>,
    string_to_sign: String,
    /// The same as others write it, for whom `?policy=` is `?policy`.
    without_empty: String,
    token: Option<String>,
    presigned: bool,
}

impl SignedV2 {
    /// The access key whose secret is needed.
    pub fn access_key(&self) -> &str {
        &self.access_key
    }

    /// The session's token, when one was presented.
    pub fn session_token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Whether the signature is in the query.
    pub fn is_presigned(&self) -> bool {
        self.presigned
    }

    /// Verifies the signature.
    ///
    /// # Errors
    /// `Mismatch`.
    pub fn verify(&self, secret: &SecretKey) -> SignatureResult<()> {
        let key = secret.expose().as_bytes();
        for text in [&self.string_to_sign, &self.without_empty] {
            if Mac::<20>::sha1(key, text.as_bytes()) == self.signature {
                return Ok(());
            }
        }
        Err(SignatureError::Mismatch(Box::new(Mismatch {
            access_key: self.access_key.clone(),
            signature: self.signature.to_base64(),
            string_to_sign: self.string_to_sign.clone(),
            canonical_request: String::new(),
        })))
    }
}

/// A signature as it is written: 20 bytes in base64.
pub(super) fn signature(text: &str) -> SignatureResult<Mac<20>> {
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .ok()
        .and_then(|bytes| <[u8; 20]>::try_from(bytes).ok())
        .map(Mac::new)
        .ok_or_else(|| SignatureError::Malformed("the signature is not base64 of 20 bytes".into()))
}

/// `ACCESS-KEY:signature`.
pub(super) fn in_header(
    request: &RawRequest<'_>,
    text: &str,
    query: &Query,
    scope: &Scope<'_>,
) -> SignatureResult<SignedV2> {
    let malformed = || SignatureError::Malformed("the credential is not KEY:SIGNATURE".to_owned());
    let (access_key, mac) = text.trim().rsplit_once(':').ok_or_else(malformed)?;
    if access_key.is_empty() {
        return Err(malformed());
    }
    let name = match request.header("x-amz-date") {
        Some(_) => "x-amz-date",
        None => "date",
    };
    let presented = request
        .text(name)
        .and_then(|text| instant::rfc1123(text).or_else(|| instant::basic(text)))
        .ok_or(SignatureError::MissingDate)?;
    if instant::is_skewed(presented, scope.now) {
        return Err(SignatureError::Skewed {
            presented,
            now: scope.now,
        });
    }
    let date = match name {
        "date" => request.text("date").unwrap_or_default(),
        _ => "",
    };
    Ok(SignedV2 {
        access_key: access_key.to_owned(),
        signature: signature(mac)?,
        string_to_sign: string_to_sign(request, query, date, true),
        without_empty: string_to_sign(request, query, date, false),
        token: request.text("x-amz-security-token").map(str::to_owned),
        presigned: false,
    })
}

/// `AWSAccessKeyId=…&Expires=…&Signature=…`.
pub(super) fn presigned(
    request: &RawRequest<'_>,
    query: &Query,
    scope: &Scope<'_>,
) -> SignatureResult<SignedV2> {
    let one = |name: &str| {
        let malformed = || {
            SignatureError::MalformedQuery(format!("a URL signed by version 2 needs {name}, once"))
        };
        query
            .one(name)
            .filter(|value| !value.is_empty())
            .ok_or_else(malformed)
    };
    let expires = one("Expires")?;
    let digits = expires.bytes().all(|byte| byte.is_ascii_digit());
    let seconds: u64 = expires.parse().ok().filter(|_| digits).ok_or_else(|| {
        SignatureError::MalformedQuery("Expires is a number of seconds since 1970".to_owned())
    })?;
    let at = trestle_core::Timestamp(seconds.saturating_mul(1_000_000));
    if at < scope.now {
        return Err(SignatureError::Expired { at });
    }
    Ok(SignedV2 {
        access_key: one("AWSAccessKeyId")?.to_owned(),
        signature: signature(one("Signature")?)?,
        string_to_sign: string_to_sign(request, query, expires, true),
        without_empty: string_to_sign(request, query, expires, false),
        token: query.one("x-amz-security-token").map(str::to_owned),
        presigned: true,
    })
}

fn string_to_sign(request: &RawRequest<'_>, query: &Query, date: &str, empty: bool) -> String {
    let trimmed = |value: &[u8]| {
        let value = String::from_utf8_lossy(value);
        value.trim_matches([' ', '\t']).to_owned()
    };
    let header = |name: &str| {
        let values = request.headers.iter().filter(|(n, _)| *n == name);
        let values: Vec<String> = values.map(|(_, value)| trimmed(value)).collect();
        values.join(",")
    };
    let mut text = format!(
        "{}\n{}\n{}\n{date}\n",
        request.method,
        header("content-md5"),
        header("content-type"),
    );
    let mut extra: BTreeMap<String, String> = BTreeMap::new();
    for (name, _) in request.headers {
        if name.starts_with("x-amz-") {
            extra.insert((*name).to_owned(), header(name));
        }
    }
    // A URL may carry what a header would, and it counts as one: it is signed as one, too.
    for name in query.names() {
        let lower = name.to_ascii_lowercase();
        if lower.starts_with("x-amz-") {
            // One that differs from the header of its name is refused by whoever reads both.
            let value = query.one(name).unwrap_or_default().trim();
            extra.entry(lower).or_insert_with(|| value.to_owned());
        }
    }
    for (name, value) in &extra {
        text.extend([name, ":", value, "\n"]);
    }
    text.push_str(&resource(request, query, empty));
    text
}

/// The bucket of the host, the path as it was sent, and the signed parameters in order, with the `=`
/// of an empty value or without it.
fn resource(request: &RawRequest<'_>, query: &Query, empty: bool) -> String {
    let mut text = String::new();
    if let Some(bucket) = request.host_bucket {
        text.extend(["/", bucket]);
    }
    text.push_str(match request.path {
        "" => "/",
        path => path,
    });
    let mut signed: Vec<(&str, Option<&[u8]>)> = query
        .pairs()
        .filter_map(|(name, value)| {
            let known = SIGNED.iter().find(|known| known.as_bytes() == name)?;
            Some((*known, value))
        })
        .collect();
    signed.sort_unstable();
    for (place, (name, value)) in signed.into_iter().enumerate() {
        text.push(if place == 0 { '?' } else { '&' });
        text.push_str(name);
        if let Some(value) = value.filter(|value| empty || !value.is_empty()) {
            text.extend(["=", &String::from_utf8_lossy(value)]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_value_is_signed_with_its_sign_or_without() {
        let request = RawRequest {
            method: "GET",
            path: "/b",
            query: Some("acl=&x=1"),
            headers: &[],
            host_bucket: None,
        };
        let query = Query::parse(request.query);
        let text = |empty| string_to_sign(&request, &query, "", empty);
        assert!(text(true).ends_with("/b?acl=") && text(false).ends_with("/b?acl"));
        for (empty, other) in [(true, "/b?acl=1"), (false, "/b")] {
            let signed = |text: &str| SignedV2 {
                access_key: String::new(),
                signature: Mac::<20>::sha1(b"secret", text.as_bytes()),
                string_to_sign: string_to_sign(&request, &query, "", true),
                without_empty: string_to_sign(&request, &query, "", false),
                token: None,
                presigned: false,
            };
            let secret = SecretKey::new("secret");
            assert!(signed(&text(empty)).verify(&secret).is_ok());
            assert!(
                signed(&format!("GET\n\n\n\n{other}"))
                    .verify(&secret)
                    .is_err()
            );
        }
    }
}
