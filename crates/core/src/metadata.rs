//! What is kept beside an object's bytes.

use crate::AccountId;
use std::collections::BTreeMap;

/// A user's metadata: name → JSON value. Flat dialects see the string-valued part.
pub type Metadata = BTreeMap<String, serde_json::Value>;

/// How the bytes are to be represented (media type, cache control …): field → value, opaque here.
pub type Representation = BTreeMap<String, String>;

/// Who owns a record. It may differ from the owner of the bucket that holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The account.
    pub account: AccountId,
    /// The user within the account.
    pub user: String,
    /// The domain, when it is not the account's own.
    pub domain: Option<String>,
}
