//! From an operation to what serves it.

use crate::call::Call;
use crate::error::S3Error;
use crate::route::Operation;
use crate::{
    acl, bucket, config, copy, delete, keys, lock, post, read, rename, sse, tagging, upload, write,
};
use http::Response;
use trestle_http::Body;

/// Serves a routed, authenticated request.
pub(crate) async fn serve(operation: Operation, call: Call<'_>) -> Result<Response<Body>, S3Error> {
    use Operation as O;
    match operation {
        O::ListBuckets => bucket::list(call).await,
        O::GetUsage => bucket::usage(call).await,
        O::CreateBucket => bucket::create(call).await,
        O::HeadBucket => bucket::head(call).await,
        O::DeleteBucket => bucket::delete(call).await,
        O::GetBucketLocation => bucket::location(call).await,
        O::ListObjects => keys::list(call).await,
        O::ListObjectVersions => keys::versions(call).await,
        O::ListMultipartUploads => upload::list(call).await,
        O::GetBucketVersioning => config::get_versioning(call).await,
        O::PutBucketVersioning => config::put_versioning(call).await,
        O::GetBucketCors => config::get_cors(call).await,
        O::PutBucketCors => config::put_cors(call).await,
        O::DeleteBucketCors => config::delete_cors(call).await,
        O::GetBucketPolicy => config::get_policy(call).await,
        O::PutBucketPolicy => config::put_policy(call).await,
        O::DeleteBucketPolicy => config::delete_policy(call).await,
        O::GetBucketPolicyStatus => config::policy_status(call).await,
        O::GetBucketOwnershipControls => config::get_ownership(call).await,
        O::PutBucketOwnershipControls => config::put_ownership(call).await,
        O::DeleteBucketOwnershipControls => config::delete_ownership(call).await,
        O::GetPublicAccessBlock => config::get_public_access(call).await,
        O::PutPublicAccessBlock => config::put_public_access(call).await,
        O::DeletePublicAccessBlock => config::delete_public_access(call).await,
        O::GetBucketRequestPayment => config::get_request_payment(call).await,
        O::PutBucketRequestPayment => config::put_request_payment(call).await,
        O::GetBucketAccelerate => config::get_accelerate(call).await,
        O::GetBucketEncryption => sse::get(call).await,
        O::PutBucketEncryption => sse::put(call).await,
        O::DeleteBucketEncryption => sse::delete(call).await,
        O::GetBucketTagging => tagging::get_bucket(call).await,
        O::PutBucketTagging => tagging::put_bucket(call).await,
        O::DeleteBucketTagging => tagging::delete_bucket(call).await,
        O::GetObjectTagging => tagging::get_object(call).await,
        O::PutObjectTagging => tagging::put_object(call).await,
        O::DeleteObjectTagging => tagging::delete_object(call).await,
        O::GetObjectLockConfiguration => lock::get_bucket(call).await,
        O::PutObjectLockConfiguration => lock::put_bucket(call).await,
        O::GetObjectRetention => lock::get_retention(call).await,
        O::PutObjectRetention => lock::put_retention(call).await,
        O::GetObjectLegalHold => lock::get_hold(call).await,
        O::PutObjectLegalHold => lock::put_hold(call).await,
        O::GetBucketAcl => acl::get_bucket(call).await,
        O::PutBucketAcl => acl::put_bucket(call).await,
        O::GetObjectAcl => acl::get_object(call).await,
        O::PutObjectAcl => acl::put_object(call).await,
        O::GetObject => read::get(call).await,
        O::HeadObject => read::head(call).await,
        O::GetObjectAttributes => read::attributes(call).await,
        O::PutObject if call.headers.contains_key("x-amz-copy-source") => copy::copy(call).await,
        O::PutObject => write::put(call).await,
        O::RenameObject => rename::rename(call).await,
        O::DeleteObject => delete::one(call).await,
        O::DeleteObjects => delete::many(call).await,
        O::PostObject => post::post(call).await,
        O::CreateMultipartUpload => upload::create(call).await,
        O::UploadPart if call.headers.contains_key("x-amz-copy-source") => {
            upload::part_copy(call).await
        }

        O::UploadPart => upload::part(call).await,
        O::ListParts => upload::parts(call).await,
        O::CompleteMultipartUpload => upload::complete(call).await,
        O::AbortMultipartUpload => upload::abort(call).await,
    }
}
