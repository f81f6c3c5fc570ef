//! Who may do what: principals, credentials, and the decision that lets a verb run.
//!
//! Pure: no I/O. A store verb takes a [`Grant`], which only this crate makes, so a request that was
//! not authorised does not compile. A malformed credential is never anonymous.

mod action;
mod context;
mod decision;
mod password;
mod principal;
mod signature;

pub use action::{Action, Level};
pub use context::Context;
pub use decision::{
    Asked, BucketFacts, Facts, Grant, ObjectFacts, Resource, Revisions, Seen, Verdict, decide,
    verdict,
};
pub use password::{PasswordCache, hash_secret, verify_secret};
pub use principal::{Principal, PrincipalKind};
pub use signature::{
    ChunkChain, Mac, Payload, Presented, RawRequest, Scope, SecretKey, SignatureError,
    SignatureResult, SignedForm, SignedV2, SignedV4, SigningKeys,
};
