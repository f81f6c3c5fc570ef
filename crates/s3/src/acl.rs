//! Access control lists: this protocol's canned names, header grants and documents, in and out of
//! the neutral form.
//!
//! A document replaces all grants. The ordered list that another interface may have set stays.

use crate::answer;
use crate::call::Call;
use crate::config::root;
use crate::dialect::AccountBy;
use crate::document::parse;
use crate::error::{Code, S3Error};
use crate::headers;
use crate::listing::owner;
use crate::object::etag;
use crate::read;
use http::{HeaderMap, Response};
use trestle_access::{Acl, AclGrant, Action, Grantee, Permission};
use trestle_core::{AccountId, Precondition};
use trestle_http::{Body, Element};
use trestle_store::{Bucket, UpdateObject, VersionRef};

const GRANTS: [(&str, Permission); 5] = [
    ("x-amz-grant-read", Permission::Read),
    ("x-amz-grant-write", Permission::Write),
    ("x-amz-grant-read-acp", Permission::ReadAcl),
    ("x-amz-grant-write-acp", Permission::WriteAcl),
    ("x-amz-grant-full-control", Permission::FullControl),
];
const PERMISSIONS: [(&str, Permission); 5] = [
    ("FULL_CONTROL", Permission::FullControl),
    ("READ", Permission::Read),
    ("READ_ACP", Permission::ReadAcl),
    ("WRITE", Permission::Write),
    ("WRITE_ACP", Permission::WriteAcl),
];
const ALL_USERS: &str = "http://acs.amazonaws.com/groups/global/AllUsers";
const AUTHENTICATED: &str = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers";
const LOG_DELIVERY: &str = "http://acs.amazonaws.com/groups/s3/LogDelivery";
/// Most grants of a list.
const GRANTS_MAX: usize = 100;

/// What a request's headers say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Nothing,
    /// A list by its name.
    Canned(String),
    /// Grants, header by header.
    Grants(Vec<(Permission, String)>),
}

/// Reads the headers.
pub(crate) fn sent(headers: &HeaderMap) -> Result<Sent, S3Error> {
    let mut grants = Vec::new();
    for (name, permission) in GRANTS {
        if let Some(text) = headers::text(headers, name)? {
            grants.push((permission, text.to_owned()));
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

/// The list of a canned name; none for the one that everything has.
fn canned(
    name: &str,
    owner: &AccountId,
    bucket_owner: Option<&AccountId>,
) -> Result<Option<Acl>, S3Error> {
    let own = Acl::default().grant(
        Grantee::Account(owner.as_str().to_owned()),
        Permission::FullControl,
    );
    let of_bucket = |permission| match bucket_owner {
        Some(other) if other != owner => Some(
            own.clone()
                .grant(Grantee::Account(other.as_str().to_owned()), permission),
        ),
        _ => None,
    };
    Ok(match name {
        "private" => None,
        "public-read" => Some(own.grant(Grantee::Everyone, Permission::Read)),
        "public-read-write" => Some(
            own.grant(Grantee::Everyone, Permission::Read)
                .grant(Grantee::Everyone, Permission::Write),
        ),
        "authenticated-read" => Some(own.grant(Grantee::Authenticated, Permission::Read)),
        "bucket-owner-read" => of_bucket(Permission::Read),
        "bucket-owner-full-control" => of_bucket(Permission::FullControl),
        "log-delivery-write" => Some(
            own.grant(Grantee::LogDelivery, Permission::Write)
                .grant(Grantee::LogDelivery, Permission::ReadAcl),
        ),
        "aws-exec-read" => return Err(S3Error::later("The canned list aws-exec-read")),
        other => return Err(S3Error::argument("x-amz-acl", other, "")),
    })
}

/// The account that a grantee is, when it is known.
async fn account(call: &Call<'_>, by: AccountBy) -> Result<Grantee, S3Error> {
    let unknown = match &by {
        AccountBy::Id(id) => S3Error::new(Code::InvalidArgument, "Invalid id")
            .field("ArgumentName", "CanonicalUser/ID")
            .field("ArgumentValue", id),
        AccountBy::Email(email) => S3Error::new(
            Code::UnresolvableGrantByEmailAddress,
            "The e-mail address you provided does not match any account on record.",
        )
        .field("Email", email),
    };
    let found = (call.s3.accounts)(by).await?;
    found
        .map(|account| Grantee::Account(account.as_str().to_owned()))
        .ok_or(unknown)
}

fn group(uri: &str) -> Result<Grantee, S3Error> {
    match uri {
        ALL_USERS => Ok(Grantee::Everyone),
        AUTHENTICATED => Ok(Grantee::Authenticated),
        LOG_DELIVERY => Ok(Grantee::LogDelivery),
        other => Err(S3Error::argument("Group/URI", other, "Invalid group uri")),
    }
}

/// The grants of headers: `id="…", emailAddress="…", uri="…"`.
async fn header_grants(call: &Call<'_>, list: &[(Permission, String)]) -> Result<Acl, S3Error> {
    let mut acl = Acl::default();
    for (permission, text) in list {
        for one in text.split(',') {
            let wrong = || S3Error::argument("x-amz-grant", one, "Argument format not recognized");
            let (kind, value) = one.trim().split_once('=').ok_or_else(wrong)?;
            let value = value.trim().trim_matches('"').to_owned();
            let grantee = match kind.trim() {
                "id" => account(call, AccountBy::Id(value)).await?,
                "emailAddress" => account(call, AccountBy::Email(value)).await?,
                "uri" => group(&value)?,
                _ => return Err(wrong()),
            };
            acl.grants.push(AclGrant {
                grantee,
                permission: *permission,
            });
        }
    }
    check_size(acl)
}

fn check_size(acl: Acl) -> Result<Acl, S3Error> {
    match acl.grants.len() <= GRANTS_MAX {
        true => Ok(acl),
        false => Err(S3Error::new(
            Code::MalformedACLError,
            "The list has too many grants",
        )),
    }
}

fn malformed_list() -> S3Error {
    S3Error::new(
        Code::MalformedACLError,
        "The XML you provided was not well-formed or did not validate against our published schema",
    )
}

/// The list of a document, whose owner has to be the real one.
async fn read_document(call: &Call<'_>, body: &[u8], owner: &AccountId) -> Result<Acl, S3Error> {
    let root = parse(body, "AccessControlPolicy").map_err(|_| malformed_list())?;
    let named = root.child("Owner").and_then(|owner| owner.child_text("ID"));
    if named.ok_or_else(malformed_list)? != owner.as_str() {
        return Err(S3Error::new(Code::AccessDenied, "Access Denied"));
    }
    let list = root.child("AccessControlList").ok_or_else(malformed_list)?;
    let mut acl = Acl::default();
    for grant in list.children_named("Grant") {
        let grantee = grant.child("Grantee").ok_or_else(malformed_list)?;
        let permission = grant.child_text("Permission").unwrap_or_default();
        let permission = PERMISSIONS
            .into_iter()
            .find(|(name, _)| *name == permission)
            .map(|(_, permission)| permission)
            .ok_or_else(malformed_list)?;
        acl.grants.push(AclGrant {
            grantee: grantee_of(call, grantee).await?,
            permission,
        });
    }
    check_size(acl)
}

/// Who a document's grantee is, by its type or by the element that it has.
async fn grantee_of(call: &Call<'_>, element: &Element) -> Result<Grantee, S3Error> {
    let text = |name: &str| element.child_text(name).map(str::to_owned);
    match (text("ID"), text("EmailAddress"), text("URI")) {
        (Some(id), None, None) => account(call, AccountBy::Id(id)).await,
        (None, Some(email), None) => account(call, AccountBy::Email(email)).await,
        (None, None, Some(uri)) => group(&uri),
        _ => Err(malformed_list()),
    }
}

/// What a list is for.
struct Subject<'a> {
    /// Who owns what it is for.
    owner: &'a AccountId,
    /// Who owns the bucket of an object.
    bucket_owner: Option<&'a AccountId>,
}

/// The list that headers ask for; none for the one that everything has.
async fn of_sent(
    call: &Call<'_>,
    sent: &Sent,
    subject: &Subject<'_>,
) -> Result<Option<Acl>, S3Error> {
    match sent {
        Sent::Nothing => Ok(None),
        Sent::Canned(name) => canned(name, subject.owner, subject.bucket_owner),
        Sent::Grants(list) => header_grants(call, list).await.map(Some),
    }
}

fn text_of(acl: Option<Acl>) -> Result<Option<String>, S3Error> {
    Ok(acl.map(|acl| acl.to_text()).transpose()?)
}

/// The list that a new bucket gets.
pub(crate) async fn of_bucket(call: &Call<'_>, sent: &Sent) -> Result<Option<String>, S3Error> {
    let subject = Subject {
        owner: call.account()?,
        bucket_owner: None,
    };
    text_of(of_sent(call, sent, &subject).await?)
}

fn unsupported() -> S3Error {
    S3Error::new(
        Code::AccessControlListNotSupported,
        "The bucket does not allow ACLs",
    )
}

/// Whether the bucket's owner owns every object, so that lists are off.
fn is_enforced(bucket: &Bucket) -> bool {
    bucket.properties.ownership.as_deref() == Some("BucketOwnerEnforced")
}

/// Refuses a public list where the bucket's block, or its account's, keeps such lists out.
async fn check_blocked(call: &Call<'_>, acl: Option<&Acl>) -> Result<(), S3Error> {
    let Some(acl) = acl else { return Ok(()) };
    let text = acl.to_text()?;
    let blocked = call
        .s3
        .store
        .check_blocked(call.bucket()?, None, Some(&text));
    Ok(blocked.await?)
}

/// The list that a new object gets, and whether it takes a right of its own: not when it gives
/// nothing to anybody but who writes the object and who owns the bucket.
pub(crate) struct NewList {
    pub(crate) text: Option<String>,
    pub(crate) needs_right: bool,
}

/// The list that a new object gets.
pub(crate) async fn of_object(call: &Call<'_>, sent: &Sent) -> Result<NewList, S3Error> {
    let none = |needs_right| NewList {
        text: None,
        needs_right,
    };
    if *sent == Sent::Nothing {
        return Ok(none(false));
    }
    let bucket = call.s3.store.bucket_settings(call.bucket()?).await?;
    if is_enforced(&bucket) {
        return match sent {
            Sent::Canned(name) if name == "bucket-owner-full-control" => Ok(none(false)),
            _ => Err(unsupported()),
        };
    }
    let writer = call.principal.account().unwrap_or(&bucket.owner.account);
    let subject = Subject {
        owner: writer,
        bucket_owner: Some(&bucket.owner.account),
    };
    let acl = of_sent(call, sent, &subject).await?;
    check_blocked(call, acl.as_ref()).await?;
    let grants = acl.iter().flat_map(|acl| &acl.grants);
    let within = [writer, &bucket.owner.account];
    let is_within = |one: &AclGrant| match &one.grantee {
        Grantee::Account(id) => within.iter().any(|account| account.as_str() == id),
        _ => false,
    };
    Ok(NewList {
        needs_right: !grants.into_iter().all(is_within),
        text: text_of(acl)?,
    })
}

/// The document of a list; of the one that everything has, when there is none.
fn document(account: &AccountId, text: Option<&str>) -> Result<Response<Body>, S3Error> {
    let own = || {
        Acl::default().grant(
            Grantee::Account(account.as_str().to_owned()),
            Permission::FullControl,
        )
    };
    let acl = match text {
        None => own(),
        Some(text) => Acl::parse(text)?,
    };
    let mut document = root("AccessControlPolicy");
    owner(&mut document, "Owner", account.as_str());
    document.open("AccessControlList");
    // Groups come first, which some clients count on.
    let group = |grant: &&AclGrant| !matches!(grant.grantee, Grantee::Account(_));
    let (groups, accounts): (Vec<_>, Vec<_>) = acl.grants.iter().partition(group);
    for grant in groups.into_iter().chain(accounts) {
        let (kind, value) = match &grant.grantee {
            Grantee::Account(id) => ("CanonicalUser", id.as_str()),
            Grantee::Everyone => ("Group", ALL_USERS),
            Grantee::Authenticated => ("Group", AUTHENTICATED),
            Grantee::LogDelivery => ("Group", LOG_DELIVERY),
            // What other interfaces grant has no form here.
            _ => continue,
        };
        let Some((permission, _)) = PERMISSIONS
            .into_iter()
            .find(|(_, permission)| *permission == grant.permission)
        else {
            continue;
        };
        document.open("Grant").open_with(
            "Grantee",
            &[
                ("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance"),
                ("xsi:type", kind),
            ],
        );
        match kind {
            "CanonicalUser" => document.leaf("ID", value).leaf("DisplayName", value),
            _ => document.leaf("URI", value),
        };
        document.close().leaf("Permission", permission).close();
    }
    Ok(answer::xml(document))
}

pub(crate) async fn get_bucket(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let bucket = call.read_bucket(Action::ReadBucketAcl).await?;
    document(&bucket.owner.account, bucket.properties.acl.as_deref())
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
        Ok(object) => document(&object.owner.account, object.acl.as_deref()),
        Err(error) => Err(read::nothing(&call, version, error).await),
    }
}

/// The list that a request to change one asks for: by headers or by a document.
async fn asked(
    call: &mut Call<'_>,
    owner: &AccountId,
    bucket_owner: Option<&AccountId>,
) -> Result<Option<Acl>, S3Error> {
    let sent = sent(&call.headers)?;
    let body = call.document().await?;
    match (&sent, body.is_empty()) {
        (Sent::Nothing, false) => read_document(call, &body, owner).await.map(Some),
        (Sent::Nothing, true) => Err(S3Error::new(
            Code::MissingSecurityHeader,
            "Your request was missing a required header: x-amz-acl",
        )),
        (_, false) => Err(S3Error::new(
            Code::UnexpectedContent,
            "This request does not support content",
        )),
        (_, true) => {
            let subject = Subject {
                owner,
                bucket_owner,
            };
            of_sent(call, &sent, &subject).await
        }
    }
}

/// The text of new grants beside the ordered list that was there.
fn beside(former: Option<&str>, new: Option<&Acl>) -> trestle_core::Result<Option<String>> {
    let entries = match former {
        None => None,
        Some(text) => Acl::parse(text)?.entries,
    };
    match (entries, new) {
        (None, None) => Ok(None),
        (entries, new) => {
            let mut acl = new.cloned().unwrap_or_default();
            acl.entries = entries;
            acl.to_text().map(Some)
        }
    }
}

pub(crate) async fn put_bucket(mut call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let grant = call.on_bucket(Action::WriteBucketAcl).await?;
    let bucket = call.s3.store.bucket_settings(call.bucket()?).await?;
    if is_enforced(&bucket) {
        return Err(unsupported());
    }
    let new = asked(&mut call, &bucket.owner.account, None).await?;
    check_blocked(&call, new.as_ref()).await?;
    call.s3
        .store
        .update_bucket(&[grant], call.bucket()?, &|properties| {
            properties.acl = beside(properties.acl.as_deref(), new.as_ref())?;
            Ok(())
        })
        .await?;
    Ok(answer::empty())
}

pub(crate) async fn put_object(mut call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let version = call.version()?;
    let action = match version {
        VersionRef::Current | VersionRef::Ended => Action::WriteObjectAcl,
        VersionRef::Null | VersionRef::Id(_) => Action::WriteObjectVersionAcl,
    };
    let grant = call.on_object(action).await?;
    let bucket = call.s3.store.bucket_settings(call.bucket()?).await?;
    if is_enforced(&bucket) {
        return Err(unsupported());
    }
    let owner = match call
        .s3
        .store
        .object_owner(call.bucket()?, call.key()?, version)
        .await
    {
        Ok(owner) => owner.account,
        Err(error) => return Err(read::nothing(&call, version, error).await),
    };
    let new = asked(&mut call, &owner, Some(&bucket.owner.account)).await?;
    check_blocked(&call, new.as_ref()).await?;
    let update = UpdateObject {
        bucket: call.bucket()?.clone(),
        key: call.key()?.clone(),
        version,
        precondition: Precondition::none(),
        tag_of: etag,
    };
    let changed = call
        .s3
        .store
        .update_object(&[grant], &update, &|properties| {
            properties.acl = beside(properties.acl.as_deref(), new.as_ref())?;
            Ok(())
        })
        .await;
    match changed {
        Ok(_) => Ok(answer::empty()),
        Err(error) => Err(read::nothing(&call, version, error).await),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canned_lists_name_the_owner_first() {
        let [a, b] = ["a", "b"].map(|id| AccountId::parse(id).unwrap());
        let list = |name| canned(name, &a, Some(&b)).map_err(|error| error.code());
        assert_eq!(list("private"), Ok(None));
        let public = list("public-read-write").unwrap().unwrap();
        assert!(public.is_public() && public.grants.len() == 3);
        let shared = list("bucket-owner-full-control").unwrap().unwrap();
        assert_eq!(shared.grants[1].grantee, Grantee::Account("b".into()));
        assert_eq!(canned("bucket-owner-read", &a, Some(&a)).unwrap(), None);
        assert_eq!(list("nonsense"), Err(Code::InvalidArgument));
        assert_eq!(list("aws-exec-read"), Err(Code::NotImplemented));
    }

    #[test]
    fn headers_say_one_thing() {
        let read = |list: &[(&'static str, &str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in list {
                map.insert(*name, value.parse().unwrap());
            }
            sent(&map).map_err(|error| error.code())
        };
        assert_eq!(read(&[]), Ok(Sent::Nothing));
        assert_eq!(
            read(&[("x-amz-acl", "private")]),
            Ok(Sent::Canned("private".into()))
        );
        let both = [("x-amz-acl", "private"), ("x-amz-grant-read", "id=a")];
        assert_eq!(read(&both), Err(Code::InvalidRequest));
        assert_eq!(
            read(&[("x-amz-grant-read", "id=a")]),
            Ok(Sent::Grants(vec![(Permission::Read, "id=a".into())]))
        );
    }

    #[test]
    fn an_ordered_list_stays_beside_new_grants() {
        let former = r#"{"entries":[]}"#;
        let new = Acl::default().grant(Grantee::Everyone, Permission::Read);
        let text = beside(Some(former), Some(&new)).unwrap().unwrap();
        let acl = Acl::parse(&text).unwrap();
        assert!(acl.is_public() && acl.entries.is_some());
        assert_eq!(beside(None, None).unwrap(), None);
        assert!(beside(Some(former), None).unwrap().is_some());
    }
}
