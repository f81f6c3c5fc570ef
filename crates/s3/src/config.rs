//! A bucket's configuration: versioning, policy, rules for other origins, ownership, public access,
//! and what is fixed here.

use crate::answer;
use crate::body::fault;
use crate::bucket::LISTS_OFF;
use crate::call::Call;
use crate::cors;
use crate::document;
use crate::error::{Code, S3Error};
use crate::listing::NAMESPACE;
use crate::policy;
use http::Response;
use http::header::{CONTENT_TYPE, HeaderValue};
use trestle_access::{Acl, Action, Grant, Grantee};
use trestle_core::ErrorKind;
use trestle_http::{Body, XmlWriter};
use trestle_store::{BucketProperties, PublicAccessBlock, Versioning};

/// Changes one part of the bucket's configuration, with the right that it takes.
pub(crate) async fn update(
    call: &Call<'_>,
    action: Action,
    change: &(dyn Fn(&mut BucketProperties) -> trestle_core::Result<()> + Send + Sync),
) -> Result<(), S3Error> {
    let grant = call.on_bucket(action).await?;
    update_by(call, grant, change).await
}

async fn update_by(
    call: &Call<'_>,
    grant: Grant,
    change: &(dyn Fn(&mut BucketProperties) -> trestle_core::Result<()> + Send + Sync),
) -> Result<(), S3Error> {
    let changed = call
        .s3
        .store
        .update_bucket(&[grant], call.bucket()?, change)
        .await;
    match changed {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::InvalidState => {
            Err(S3Error::new(Code::InvalidBucketState, error.message()))
        }
        Err(error) => Err(error.into()),
    }
}

/// A document with this root, empty so far.
pub(crate) fn root(name: &'static str) -> XmlWriter {
    let mut document = XmlWriter::new();
    document.open_with(name, &[("xmlns", NAMESPACE)]);
    document
}

pub(crate) async fn get_versioning(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let bucket = call.read_bucket(Action::ReadBucketVersioning).await?;
    let mut document = root("VersioningConfiguration");
    match bucket.properties.versioning {
        Versioning::Off => {}
        Versioning::Enabled => drop(document.leaf("Status", "Enabled")),
        Versioning::Suspended => drop(document.leaf("Status", "Suspended")),
    }
    Ok(answer::xml(document))
}

pub(crate) async fn put_versioning(mut call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let body = call.document().await?;
    let wanted = document::versioning(&body)?;
    update(&call, Action::WriteBucketVersioning, &move |properties| {
        properties.versioning = wanted;
        Ok(())
    })
    .await?;
    Ok(answer::empty())
}

pub(crate) async fn get_cors(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let bucket = call.read_bucket(Action::ReadBucketCors).await?;
    let text = bucket
        .properties
        .documents
        .get(cors::DOCUMENT)
        .ok_or_else(|| {
            S3Error::new(
                Code::NoSuchCORSConfiguration,
                "The CORS configuration does not exist",
            )
            .field("BucketName", bucket.name.as_str())
        })?;
    Ok(answer::xml(cors::document(&cors::kept(text)?)))
}

pub(crate) async fn put_cors(mut call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let rules = cors::rules(&call.document().await?)?;
    let text = cors::document(&rules).finish();
    update(&call, Action::WriteBucketCors, &|properties| {
        properties
            .documents
            .insert(cors::DOCUMENT.to_owned(), text.clone());
        Ok(())
    })
    .await?;
    Ok(answer::empty())
}

pub(crate) async fn delete_cors(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    update(&call, Action::WriteBucketCors, &|properties| {
        properties.documents.remove(cors::DOCUMENT);
        Ok(())
    })
    .await?;
    Ok(answer::no_content())
}

pub(crate) async fn get_policy(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let bucket = call.read_bucket(Action::ReadBucketPolicy).await?;
    let text = bucket
        .properties
        .policy
        .ok_or_else(|| no_policy(bucket.name.as_str()))?;
    let mut response = Response::new(Body::full(text));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    Ok(response)
}

fn no_policy(bucket: &str) -> S3Error {
    S3Error::new(Code::NoSuchBucketPolicy, "The bucket policy does not exist")
        .field("BucketName", bucket)
}

pub(crate) async fn delete_policy(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    update(&call, Action::DeleteBucketPolicy, &|properties| {
        properties.policy = None;
        Ok(())
    })
    .await?;
    Ok(answer::no_content())
}

pub(crate) async fn put_policy(mut call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let body = call.document().await?;
    let malformed = |message: &str| S3Error::new(Code::MalformedPolicy, message);
    let text = String::from_utf8(body.to_vec()).map_err(|_| malformed("The policy is not text"))?;
    policy::parse(call.bucket()?, &text)?;
    let grant = call.on_bucket(Action::WriteBucketPolicy).await?;
    let blocked = call
        .s3
        .store
        .check_blocked(call.bucket()?, Some(&text), None);
    blocked.await.map_err(|error| match error.kind() {
        ErrorKind::Forbidden => S3Error::new(
            Code::AccessDenied,
            "public policies are blocked by the BlockPublicPolicy block public access setting",
        ),
        _ => error.into(),
    })?;
    update_by(&call, grant, &|properties| {
        properties.policy = Some(text.clone());
        Ok(())
    })
    .await?;
    Ok(answer::no_content())
}

pub(crate) async fn policy_status(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let bucket = call.read_bucket(Action::ReadBucketPolicyStatus).await?;
    let public = policy::is_public(&bucket);
    let mut document = root("PolicyStatus");
    document.leaf("IsPublic", if public { "true" } else { "false" });
    Ok(answer::xml(document))
}

pub(crate) async fn get_ownership(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let bucket = call.read_bucket(Action::ReadBucketOwnership).await?;
    let chosen = bucket.properties.chosen_ownership().ok_or_else(|| {
        S3Error::new(
            Code::OwnershipControlsNotFoundError,
            "The bucket ownership controls were not found",
        )
        .field("BucketName", bucket.name.as_str())
    })?;
    let mut document = root("OwnershipControls");
    document.open("Rule").leaf("ObjectOwnership", chosen);
    Ok(answer::xml(document))
}

pub(crate) async fn put_ownership(mut call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let chosen = document::ownership(&call.document().await?)?;
    let bucket = call.s3.store.bucket_settings(call.bucket()?).await?;
    let owner = Grantee::Account(bucket.owner.account.as_str().to_owned());
    update(&call, Action::WriteBucketOwnership, &|properties| {
        if chosen == "BucketOwnerEnforced"
            && let Some(text) = &properties.acl
            && Acl::parse(text)?
                .grants
                .iter()
                .any(|one| one.grantee != owner)
        {
            let code = Code::InvalidBucketAclWithObjectOwnership;
            return Err(fault(code, LISTS_OFF));
        }
        properties.choose_ownership(Some(chosen.clone()));
        Ok(())
    })
    .await?;
    Ok(answer::empty())
}

pub(crate) async fn delete_ownership(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    update(&call, Action::WriteBucketOwnership, &|properties| {
        properties.choose_ownership(None);
        Ok(())
    })
    .await?;
    Ok(answer::no_content())
}

pub(crate) async fn get_public_access(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let bucket = call.read_bucket(Action::ReadBucketPublicAccess).await?;
    let block = bucket.properties.public_access;
    if block == PublicAccessBlock::default() {
        return Err(S3Error::new(
            Code::NoSuchPublicAccessBlockConfiguration,
            "The public access block configuration was not found",
        )
        .field("BucketName", bucket.name.as_str()));
    }
    let text = |on| if on { "true" } else { "false" };
    let mut document = root("PublicAccessBlockConfiguration");
    document
        .leaf("BlockPublicAcls", text(block.block_acls))
        .leaf("IgnorePublicAcls", text(block.ignore_acls))
        .leaf("BlockPublicPolicy", text(block.block_policy))
        .leaf("RestrictPublicBuckets", text(block.restrict_buckets));
    Ok(answer::xml(document))
}

pub(crate) async fn put_public_access(mut call: Call<'_>) -> Result<Response<Body>, S3Error> {
    let block = document::public_access(&call.document().await?)?;
    set_public_access(&call, block).await?;
    Ok(answer::empty())
}

pub(crate) async fn delete_public_access(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    set_public_access(&call, PublicAccessBlock::default()).await?;
    Ok(answer::no_content())
}

async fn set_public_access(call: &Call<'_>, block: PublicAccessBlock) -> Result<(), S3Error> {
    update(call, Action::WriteBucketPublicAccess, &|properties| {
        properties.public_access = block;
        Ok(())
    })
    .await
}

pub(crate) async fn get_request_payment(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    call.read_bucket(Action::ReadBucketRequestPayment).await?;
    let mut document = root("RequestPaymentConfiguration");
    document.leaf("Payer", "BucketOwner");
    Ok(answer::xml(document))
}

/// Only the owner pays: there is nothing to keep.
pub(crate) async fn put_request_payment(mut call: Call<'_>) -> Result<Response<Body>, S3Error> {
    call.on_bucket(Action::WriteBucketRequestPayment).await?;
    document::request_payment(&call.document().await?)?;
    Ok(answer::empty())
}

/// Nothing is accelerated, which is what a document without a state says.
pub(crate) async fn get_accelerate(call: Call<'_>) -> Result<Response<Body>, S3Error> {
    call.read_bucket(Action::ReadBucketDocument).await?;
    Ok(answer::xml(root("AccelerateConfiguration")))
}
