//! Who may do what: principals, credentials, and the decision that lets a verb run.
//!
//! Pure: no I/O. A store verb takes a [`Grant`], which only this crate makes, so a request that was
//! not authorised does not compile. A malformed credential is never anonymous.

mod acl;
mod action;
mod auditor;
mod context;
mod decision;
mod facts;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod generate;
mod keyed;
mod password;
mod policy;
mod principal;
mod signature;
mod throttle;
mod token;
mod verdict;

pub use acl::{
    ACL_BYTES_MAX, Acl, AclAsked, AclEntry, AclGrant, Admission, EntryKind, Grantee, Ordered,
    OrderedAsked, Permission, Place, Who, bits,
};
pub use action::{Action, ActionSet, Level};
pub use auditor::Auditor;
pub use context::{Context, Signed};
pub use decision::{Asked, Grant, Resource, Revisions, Seen, decide, judge};
pub use facts::{BucketFacts, Facts, IdentityFacts, ObjectFacts, Ownership, PublicAccessBlock};
pub use generate::{new_access_key, new_password, new_secret_key};
pub use password::{PasswordCache, Remembered, hash_secret, verify_secret};
pub use policy::{
    AttachedPolicies, AttachedPolicy, Effect, Naming, POLICY_BYTES_MAX, Policy, PolicyKind,
    actions_named, suppose,
};
pub use principal::{Borne, Principal, PrincipalKind};
pub use signature::{
    ChunkChain, Mac, Mismatch, Payload, Presented, RawRequest, Scope, SecretKey, SignatureError,
    SignatureResult, SignedForm, SignedV2, SignedV4, is_signed_by_v2,
};
pub use throttle::Throttle;
pub use token::{SealedToken, TOKEN_BYTES_MAX, TakenRole, Token, TokenKey};
pub use verdict::{PolicyPlace, Reason, Verdict, verdict};
