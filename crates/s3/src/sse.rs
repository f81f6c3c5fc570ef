//! Encryption at rest as this protocol asks for it: by a key of the server, by one with a name, or
//! by one that the client sends.
//!
//! Refuses a key of the client over a connection that others could read, a key that is not known,
//! and everything that would have to be ignored. A key never reaches a log or a policy's conditions.

use crate::answer;
use crate::call::Call;
use crate::config::{root, update};
use crate::document::{malformed, parse};
use crate::error::{Code, S3Error};
use crate::headers;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Response};
use trestle_access::Action;
use trestle_core::{DigestAlgorithm, Hasher};
use trestle_http::{Body, Element};
use trestle_store::{CustomerKey, Encrypt, Encryption, SecretKey};

const METHOD: &str = "x-amz-server-side-encryption";
const KEY_ID: &str = "x-amz-server-side-encryption-aws-kms-key-id";
const CONTEXT: &str = "x-amz-server-side-encryption-context";
const BUCKET_KEY: &str = "x-amz-server-side-encryption-bucket-key-enabled";

/// The headers of a key that the client sends: its algorithm, the key, its MD5.
type Names = [&'static str; 3];

const OWN: Names = [
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-server-side-encryption-customer-key",
    "x-amz-server-side-encryption-customer-key-md5",
];
const SOURCE: Names = [
    "x-amz-copy-source-server-side-encryption-customer-algorithm",
    "x-amz-copy-source-server-side-encryption-customer-key",
    "x-amz-copy-source-server-side-encryption-customer-key-md5",
];

/// Whether a header is one of these.
pub(crate) fn is_known(name: &str) -> bool {
    is_choice(name) || OWN.contains(&name) || SOURCE.contains(&name)
}

/// Whether a header chooses how something is encrypted.
pub(crate) fn is_choice(name: &str) -> bool {
    [METHOD, KEY_ID, CONTEXT, BUCKET_KEY].contains(&name)
}

/// Whether a policy may ask about this header.
pub(crate) fn is_public(name: &str) -> bool {
    name.starts_with(METHOD) && ![OWN, SOURCE].iter().any(|[_, key, _]| *key == name)
}

fn refused(message: &str) -> S3Error {
    S3Error::new(Code::InvalidArgument, message)
}

/// The key that the client sends under these names.
fn customer(call: &Call<'_>, names: Names) -> Result<Option<CustomerKey>, S3Error> {
    let [algorithm, key, md5] = names.map(|name| headers::text(&call.headers, name));
    let (algorithm, key, md5) = (algorithm?, key?, md5?);
    let (algorithm, key, md5) = match (algorithm, key, md5) {
        (None, None, None) => return Ok(None),
        (Some(algorithm), Some(key), Some(md5)) => (algorithm, key, md5),
        _ => {
            return Err(refused(
                "Requests specifying Server Side Encryption with Customer provided keys must \
                 provide an algorithm, a key and the MD5 of the key.",
            ));
        }
    };
    if !call.private {
        return Err(S3Error::invalid(
            "Requests specifying Server Side Encryption with Customer provided keys must be made \
             over a secure connection.",
        ));
    }
    if algorithm != "AES256" {
        return Err(S3Error::new(
            Code::InvalidEncryptionAlgorithmError,
            "The encryption request you specified is not valid. The valid value is AES256.",
        ));
    }
    let wrong = || refused("The secret key was invalid for the specified algorithm.");
    let key: [u8; 32] = STANDARD
        .decode(key)
        .ok()
        .and_then(|key| key.try_into().ok())
        .ok_or_else(wrong)?;
    let mut hasher = Hasher::new(&[DigestAlgorithm::Md5]);
    hasher.update(&key);
    let digests = hasher.finish();
    let digest: [u8; 16] = digests
        .get(DigestAlgorithm::Md5)
        .and_then(|digest| digest.value.as_slice().try_into().ok())
        .ok_or_else(wrong)?;
    if STANDARD.decode(md5).ok().as_deref() != Some(&digest[..]) {
        let message =
            "The calculated MD5 hash of the key did not match the hash that was provided.";
        return Err(refused(message));
    }
    Ok(Some(CustomerKey {
        key: SecretKey::from_bytes(key),
        digest,
    }))
}

/// The key that a part of an upload, or its completion, comes with. How it is encrypted was said when
/// it began: some clients say it again, and it has to be the same.
pub(crate) fn key_of_part(
    call: &Call<'_>,
    encryption: Option<&Encryption>,
) -> Result<Option<CustomerKey>, S3Error> {
    let text = |name| headers::text(&call.headers, name);
    let same = match (text(METHOD)?, text(KEY_ID)?, encryption) {
        (None, None, _) => true,
        (Some("AES256"), None, Some(Encryption::Store)) => true,
        (Some("aws:kms"), id, Some(Encryption::Named(name))) => {
            id.is_none_or(|id| short(id) == name)
        }
        _ => false,
    };
    if !same
        || [CONTEXT, BUCKET_KEY]
            .iter()
            .any(|name| call.headers.contains_key(*name))
    {
        return Err(refused("The upload was created with another encryption."));
    }
    customer(call, OWN)
}

/// The name in a key's resource name.
fn short(id: &str) -> &str {
    id.rsplit_once("key/").map_or(id, |(_, name)| name)
}

/// The key that a read comes with. How something is encrypted is said when it is written, so the
/// headers that choose it are refused here.
pub(crate) fn key(call: &Call<'_>) -> Result<Option<CustomerKey>, S3Error> {
    if [METHOD, KEY_ID, CONTEXT, BUCKET_KEY]
        .iter()
        .any(|name| call.headers.contains_key(*name))
    {
        return Err(refused(
            "x-amz-server-side-encryption header is not supported for this operation.",
        ));
    }
    customer(call, OWN)
}

/// The key that the source of a copy needs.
pub(crate) fn source_key(call: &Call<'_>) -> Result<Option<CustomerKey>, S3Error> {
    customer(call, SOURCE)
}

/// The key of this name, plain or as a resource name.
fn named(call: &Call<'_>, id: Option<&str>) -> Result<String, S3Error> {
    let known = &call.s3.settings.kms_keys;
    let name = match id {
        None | Some("") => known.first().map(String::as_str),
        Some(id) => Some(short(id)),
    };
    let found = name.filter(|name| known.iter().any(|known| known == name));
    found.map(str::to_owned).ok_or_else(|| {
        S3Error::new(Code::KMSNotFoundException, "The key does not exist here")
            .field("KeyId", id.unwrap_or_default())
    })
}

/// What a write asks for; none to leave it to the bucket.
pub(crate) fn asked(call: &Call<'_>) -> Result<Option<Encrypt>, S3Error> {
    let text = |name| headers::text(&call.headers, name);
    let (method, id) = (text(METHOD)?, text(KEY_ID)?);
    if text(CONTEXT)?.is_some() {
        return Err(S3Error::later("An encryption context"));
    }
    if headers::flag(&call.headers, BUCKET_KEY)? {
        return Err(S3Error::later("A bucket key"));
    }
    let own = customer(call, OWN)?;
    match (method, id, own) {
        (None, None, own) => Ok(own.map(Encrypt::Customer)),
        (Some("AES256"), None, None) => Ok(Some(Encrypt::Store)),
        (Some("aws:kms"), id, None) => Ok(Some(Encrypt::Named(named(call, id)?))),
        (Some("aws:kms:dsse"), _, None) => Err(S3Error::later("Encryption in two layers")),
        (Some(_), _, Some(_)) => Err(refused(
            "Server Side Encryption with Customer provided key is incompatible with the encryption \
             method specified",
        )),
        (None, Some(_), _) => Err(refused(
            "Server Side Encryption with AWS KMS managed key requires HTTP header \
             x-amz-server-side-encryption : aws:kms",
        )),
        _ => Err(refused("The encryption method specified is not supported")),
    }
}

/// Whether this object may be shown to who sent this key.
pub(crate) fn check(
    encryption: Option<&Encryption>,
    key: Option<&CustomerKey>,
) -> Result<(), S3Error> {
    match (encryption, key) {
        (Some(Encryption::Customer { digest }), Some(key)) if key.digest == *digest => Ok(()),
        (Some(Encryption::Customer { .. }), _) => Err(wrong_key()),
        (_, Some(_)) => Err(S3Error::invalid(
            "The encryption parameters are not applicable to this object.",
        )),
        (_, None) => Ok(()),
    }
}

/// The object needs another key, or none.
pub(crate) fn wrong_key() -> S3Error {
    S3Error::invalid(
        "The object was stored using a form of Server Side Encryption. The correct parameters must \
         be provided to retrieve the object.",
    )
}

/// Shows how something is encrypted.
pub(crate) fn show(headers: &mut HeaderMap, encryption: Option<&Encryption>) {
    match encryption {
        None => {}
        Some(Encryption::Store) => headers::set(headers, METHOD, "AES256"),
        Some(Encryption::Named(name)) => {
            headers::set(headers, METHOD, "aws:kms");
            headers::set(headers, KEY_ID, name);
        }
        Some(Encryption::Customer { digest }) => {
            let [algorithm, _, md5] = OWN;
            headers::set(headers, algorithm, "AES256");
            headers::set(headers, md5, &STANDARD.encode(digest));
        }
    }
}

fn not_found(bucket: &str) -> S3Error {
    S3Error::new(
        Code::ServerSideEncryptionConfigurationNotFoundError,
        "The server side encryption configuration was not found",
    )
    .field("BucketName", bucket)
}

pub(crate) async fn get(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let bucket = call.read_bucket(Action::ReadBucketEncryption).await?;
    let mut document = root("ServerSideEncryptionConfiguration");
    document
        .open("Rule")
        .open("ApplyServerSideEncryptionByDefault");
    match bucket.properties.encryption {
        Some(Encryption::Store) => document.leaf("SSEAlgorithm", "AES256"),
        Some(Encryption::Named(name)) => document
            .leaf("SSEAlgorithm", "aws:kms")
            .leaf("KMSMasterKeyID", &name),
        _ => return Err(not_found(bucket.name.as_str())),
    };
    document.close().leaf("BucketKeyEnabled", "false");
    Ok(answer::xml(document))
}

/// Whether a rule wants writes of some encryption refused.
fn blocks(rule: &Element) -> bool {
    let lists = rule.children_named("BlockedEncryptionTypes");
    let mut kinds = lists.flat_map(|list| &list.children);
    kinds.any(|kind| kind.text.trim() != "NONE")
}

pub(crate) async fn put(mut call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let body = call.document().await?;
    let document = parse(&body, "ServerSideEncryptionConfiguration")?;
    let mut rules = document.children_named("Rule");
    let rule = rules
        .next()
        .filter(|_| rules.next().is_none())
        .ok_or_else(malformed)?;
    if rule.child_text("BucketKeyEnabled") == Some("true") {
        return Err(S3Error::later("A bucket key"));
    }
    if blocks(rule) {
        return Err(S3Error::later("A block on a kind of encryption"));
    }
    let default = rule
        .child("ApplyServerSideEncryptionByDefault")
        .ok_or_else(malformed)?;
    let id = default.child_text("KMSMasterKeyID");
    let encryption = match (default.child_text("SSEAlgorithm"), id) {
        (Some("AES256"), None) => Encryption::Store,
        (Some("aws:kms"), id) => Encryption::Named(named(&call, id)?),
        (Some("aws:kms:dsse"), _) => return Err(S3Error::later("Encryption in two layers")),
        _ => return Err(malformed()),
    };
    update(&call, Action::WriteBucketEncryption, &|properties| {
        properties.encryption = Some(encryption.clone());
        Ok(())
    })
    .await?;
    Ok(answer::empty())
}

pub(crate) async fn delete(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    update(&call, Action::WriteBucketEncryption, &|properties| {
        properties.encryption = None;
        Ok(())
    })
    .await?;
    Ok(answer::no_content())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_s_key_is_never_shown() {
        assert!(is_known(OWN[1]) && !is_public(OWN[1]) && !is_public(SOURCE[1]));
        assert!(is_public(METHOD) && is_public(OWN[0]) && is_public(KEY_ID));
        let digest = [7; 16];
        let mut map = HeaderMap::new();
        show(&mut map, Some(&Encryption::Customer { digest }));
        assert_eq!(map.len(), 2);
        assert!(!map.contains_key(OWN[1]));
    }

    #[test]
    fn a_block_is_seen() {
        let rule = |kinds: &str| {
            let root = "ServerSideEncryptionConfiguration";
            let blocked = format!("<BlockedEncryptionTypes>{kinds}</BlockedEncryptionTypes>");
            let text = format!("<{root}><Rule>{blocked}</Rule></{root}>");
            let document = parse(text.as_bytes(), root).ok().unwrap();
            blocks(document.child("Rule").unwrap())
        };
        assert!(rule("<EncryptionType>SSE-C</EncryptionType>"));
        assert!(!rule("<EncryptionType>NONE</EncryptionType>") && !rule(""));
    }

    #[test]
    fn a_key_is_the_right_one_or_none() {
        let key = |digest| CustomerKey {
            key: SecretKey::from_bytes([1; 32]),
            digest,
        };
        let encrypted = Encryption::Customer { digest: [7; 16] };
        assert!(check(Some(&encrypted), Some(&key([7; 16]))).is_ok());
        assert!(check(Some(&encrypted), Some(&key([8; 16]))).is_err());
        assert!(check(Some(&encrypted), None).is_err());
        assert!(check(None, Some(&key([7; 16]))).is_err());
        assert!(check(Some(&Encryption::Store), None).is_ok());
    }
}
