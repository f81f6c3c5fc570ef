//! Access control lists: what headers and documents say.
//!
//! Only the list that everything has, which gives all to the owner, is served so far; every other is
//! refused.

use crate::answer;
use crate::call::Call;
use crate::config::root;
use crate::error::S3Error;
use crate::headers;
use crate::listing::owner;
use http::{HeaderMap, Response};
use trestle_access::Action;
use trestle_http::Body;

const GRANTS: [&str; 5] = [
    "x-amz-grant-full-control",
    "x-amz-grant-read",
    "x-amz-grant-read-acp",
    "x-amz-grant-write",
    "x-amz-grant-write-acp",
];

/// What a request's headers say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Nothing,
    /// A list by its name.
    Canned(String),
    /// Grants, header by header.
    Grants(Vec<(&'static str, String)>),
}

impl Sent {
    /// Whether more is asked for than everything has.
    pub(crate) fn needs_right(&self) -> bool {
        !matches!(self, Sent::Nothing) && *self != Sent::Canned("private".to_owned())
    }
}

/// Reads the headers.
pub(crate) fn sent(headers: &HeaderMap) -> Result<Sent, S3Error> {
    let mut grants = Vec::new();
    for name in GRANTS {
        if let Some(text) = headers::text(headers, name)? {
            grants.push((name, text.to_owned()));
        }
    }
    match (headers::text(headers, "x-amz-acl")?, grants.is_empty()) {
        (None, true) => Ok(Sent::Nothing),
        (Some(name), true) => Ok(Sent::Canned(name.to_owned())),
        (None, false) => Ok(Sent::Grants(grants)),
        (Some(_), false) => Err(S3Error::invalid(
            "Specifying both Canned ACLs and Header Grants is not allowed",
        )),
    }
}

/// The list that a new bucket gets.
pub(crate) async fn of_bucket(_call: &Call<'_>, sent: &Sent) -> Result<Option<String>, S3Error> {
    match sent.needs_right() {
        false => Ok(None),
        true => Err(S3Error::later("An access control list that is not private")),
    }
}

/// The list that a new object gets.
pub(crate) async fn of_object(call: &Call<'_>, sent: &Sent) -> Result<Option<String>, S3Error> {
    of_bucket(call, sent).await
}

fn document(account: &str) -> Response<Body> {
    let mut document = root("AccessControlPolicy");
    owner(&mut document, "Owner", account);
    document.open("AccessControlList").open("Grant");
    document.open_with(
        "Grantee",
        &[
            ("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance"),
            ("xsi:type", "CanonicalUser"),
        ],
    );
    document
        .leaf("ID", account)
        .leaf("DisplayName", account)
        .close();
    document.leaf("Permission", "FULL_CONTROL");
    answer::xml(document)
}

pub(crate) async fn get_bucket(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let bucket = call.read_bucket(Action::ReadBucketAcl).await?;
    Ok(document(bucket.owner.account.as_str()))
}

pub(crate) async fn get_object(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let version = call.version()?;
    let grant = call
        .on_version(Action::ReadObjectAcl, Action::ReadObjectVersionAcl)
        .await?;
    match call
        .s3
        .store
        .head(&grant, call.bucket()?, call.key()?, version)
        .await
    {
        Ok(object) => Ok(document(object.owner.account.as_str())),
        Err(error) => Err(crate::read::nothing(&call, version, error).await),
    }
}

pub(crate) async fn put_bucket(_call: Call<'_>) -> Result<Response<Body>, S3Error> {
    Err(S3Error::later("Changing access control lists"))
}

pub(crate) async fn put_object(_call: Call<'_>) -> Result<Response<Body>, S3Error> {
    Err(S3Error::later("Changing access control lists"))
}
