//! A bucket's rights: its policy, its ACL, who owns its objects, and the block of public access.

use crate::answer::{Answer, nothing, ok, problem};
use crate::call::{self, Call, not_allowed};
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use trestle_access::{Action, Resource};
use trestle_core::{AccountId, BucketName};
use trestle_http::Problem;
use trestle_store::{BucketProperties, PublicAccessBlock};

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct BlockDocument {
    block_acls: bool,
    ignore_acls: bool,
    block_policy: bool,
    restrict_buckets: bool,
}

impl BlockDocument {
    fn of(block: PublicAccessBlock) -> Self {
        BlockDocument {
            block_acls: block.block_acls,
            ignore_acls: block.ignore_acls,
            block_policy: block.block_policy,
            restrict_buckets: block.restrict_buckets,
        }
    }

    fn block(&self) -> PublicAccessBlock {
        PublicAccessBlock {
            block_acls: self.block_acls,
            ignore_acls: self.ignore_acls,
            block_policy: self.block_policy,
            restrict_buckets: self.restrict_buckets,
        }
    }
}

/// The block of public access of all buckets of an account.
pub(crate) async fn of_account(mut call: Call<'_>, account: &AccountId) -> Answer {
    let resource = Resource::Account(account.clone());
    let (read, write) = (
        Action::ReadAccountPublicAccess,
        Action::WriteAccountPublicAccess,
    );
    let block = match call.method {
        Method::GET | Method::HEAD => {
            call.no_body()?;
            let grant = call.grant(read, resource).await?;
            let found = call.store().account_public_access(&grant, account).await;
            return ok(&BlockDocument::of(found.map_err(problem)?));
        }
        Method::PUT => call.json::<BlockDocument>().await?.block(),
        Method::DELETE => {
            call.no_body()?;
            PublicAccessBlock::default()
        }
        _ => return Err(not_allowed()),
    };
    let grant = call.grant(write, resource).await?;
    let set = call
        .store()
        .set_account_public_access(&grant, account, block);
    set.await.map_err(problem)?;
    match call.method {
        Method::DELETE => nothing(),
        _ => ok(&BlockDocument::of(block)),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnershipDocument {
    ownership: String,
}

/// The actions that read, set and remove a part.
fn actions(part: &str) -> Option<[Action; 3]> {
    use Action as A;
    Some(match part {
        "policy" => [
            A::ReadBucketPolicy,
            A::WriteBucketPolicy,
            A::DeleteBucketPolicy,
        ],
        "acl" => [A::ReadBucketAcl, A::WriteBucketAcl, A::WriteBucketAcl],
        "ownership" => [
            A::ReadBucketOwnership,
            A::WriteBucketOwnership,
            A::WriteBucketOwnership,
        ],
        "public-access" => [
            A::ReadBucketPublicAccess,
            A::WriteBucketPublicAccess,
            A::WriteBucketPublicAccess,
        ],
        _ => return None,
    })
}

/// One part of a bucket's rights.
pub(crate) async fn answer(mut call: Call<'_>, bucket: &str, part: &str) -> Answer {
    let nowhere = || Problem::not_found("nothing is served here");
    let [read, write, remove] = actions(part).ok_or_else(nowhere)?;
    let name = BucketName::parse_qualified(bucket).map_err(problem)?;
    let resource = Resource::Bucket(name.clone());
    match call.method {
        Method::GET | Method::HEAD => {
            call.no_body()?;
            let grant = call.grant(read, resource).await?;
            let found = call.store().bucket(&grant, &name).await;
            let (bucket, _) = found.map_err(problem)?;
            shown(part, &bucket.properties)
        }
        Method::PUT => {
            let text = call.text().await?;
            let grant = call.grant(write, resource).await?;
            let set = parsed(part, &text)?;
            let (policy, acl) = match part {
                "policy" => (Some(text.as_str()), None),
                "acl" => (None, Some(text.as_str())),
                _ => (None, None),
            };
            let blocked = call.store().check_blocked(&name, policy, acl);
            blocked.await.map_err(problem)?;
            let change = |properties: &mut BucketProperties| {
                set(properties);
                Ok(())
            };
            let changed = call.store().update_bucket(&[grant], &name, &change).await;
            shown(part, &changed.map_err(problem)?.properties)
        }
        Method::DELETE => {
            call.no_body()?;
            let grant = call.grant(remove, resource).await?;
            let change = |properties: &mut BucketProperties| {
                match part {
                    "policy" => properties.policy = None,
                    "acl" => properties.acl = None,
                    "ownership" => properties.choose_ownership(None),
                    _ => properties.public_access = PublicAccessBlock::default(),
                }
                Ok(())
            };
            let changed = call.store().update_bucket(&[grant], &name, &change).await;
            changed.map_err(problem)?;
            nothing()
        }
        _ => Err(not_allowed()),
    }
}

type Set = Box<dyn Fn(&mut BucketProperties) + Send + Sync>;

/// What a body sets.
fn parsed(part: &str, text: &str) -> Result<Set, Problem> {
    let kept = text.to_owned();
    Ok(match part {
        "policy" => Box::new(move |p| p.policy = Some(kept.clone())),
        "acl" => Box::new(move |p| p.acl = Some(kept.clone())),
        "ownership" => {
            let document: OwnershipDocument = call::parsed(text)?;
            Box::new(move |p| p.choose_ownership(Some(document.ownership.clone())))
        }
        _ => {
            let block: BlockDocument = call::parsed(text)?;
            Box::new(move |p| p.public_access = block.block())
        }
    })
}

fn shown(part: &str, properties: &BucketProperties) -> Answer {
    let text = match part {
        "policy" => &properties.policy,
        "acl" => &properties.acl,
        "ownership" => {
            return match &properties.ownership {
                Some(ownership) => ok(&json!({ "ownership": ownership })),
                None => Err(Problem::not_found("the bucket's ownership is not set")),
            };
        }
        _ => {
            return ok(&BlockDocument::of(properties.public_access));
        }
    };
    let missing = || Problem::not_found(format!("the bucket has no {part}"));
    let text = text.as_ref().ok_or_else(missing)?;
    ok(&serde_json::from_str::<Value>(text).unwrap_or_default())
}
