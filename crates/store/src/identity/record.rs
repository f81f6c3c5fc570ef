//! Records of identities.

use crate::record::Record;
use minicbor::{Decode, Encode};
use trestle_core::Noun;

/// A record that stands under an account and a name.
pub(crate) trait Named: Record + Clone {
    /// The byte of its kind in row keys. Never reused.
    const KIND: u8;
    /// What it is.
    const NOUN: Noun;
    /// What resources call it.
    const WORD: &'static str;
}

/// `12 | … | 01`: a user.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct UserRecord {
    #[n(0)]
    pub(crate) id: String,
    #[n(1)]
    pub(crate) created: u64,
    #[n(2)]
    pub(crate) display_name: String,
    #[n(3)]
    pub(crate) email: Option<String>,
    /// PHC string of argon2id.
    #[n(4)]
    pub(crate) password_hash: Option<String>,
    /// Bits, below.
    #[n(5)]
    pub(crate) flags: u32,
    #[n(6)]
    pub(crate) groups: Vec<String>,
    #[n(7)]
    pub(crate) policies: Vec<String>,
    /// Client certificates: SHA-256 in hexadecimal.
    #[n(8)]
    pub(crate) certificates: Vec<String>,
    /// Grows whenever all tokens of the user become void.
    #[n(9)]
    pub(crate) epoch: u64,
}

pub(crate) const DISABLED: u32 = 1;
pub(crate) const ADMIN: u32 = 2;
pub(crate) const RESELLER_ADMIN: u32 = 4;
pub(crate) const SERVICE: u32 = 8;
/// The one root user.
pub(crate) const ROOT: u32 = 16;

impl UserRecord {
    pub(crate) fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    pub(crate) fn set(&mut self, flag: u32, on: bool) {
        match on {
            true => self.flags |= flag,
            false => self.flags &= !flag,
        }
    }
}

impl Record for UserRecord {
    const NAME: &'static str = "user";
    const VERSION: u8 = 1;
}

impl Named for UserRecord {
    const KIND: u8 = 1;
    const NOUN: Noun = Noun::User;
    const WORD: &'static str = "user";
}

/// `12 | … | 02`: a group.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct GroupRecord {
    #[n(0)]
    pub(crate) created: u64,
    #[n(1)]
    pub(crate) policies: Vec<String>,
}

impl Record for GroupRecord {
    const NAME: &'static str = "group";
    const VERSION: u8 = 1;
}

impl Named for GroupRecord {
    const KIND: u8 = 2;
    const NOUN: Noun = Noun::Group;
    const WORD: &'static str = "group";
}

/// `12 | … | 03`: a role.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct RoleRecord {
    #[n(0)]
    pub(crate) created: u64,
    #[n(1)]
    pub(crate) policies: Vec<String>,
    /// Who may take it: a policy's text.
    #[n(2)]
    pub(crate) trust: String,
}

impl Record for RoleRecord {
    const NAME: &'static str = "role";
    const VERSION: u8 = 1;
}

impl Named for RoleRecord {
    const KIND: u8 = 3;
    const NOUN: Noun = Noun::Role;
    const WORD: &'static str = "role";
}

/// `12 | … | 04`: an identity policy.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct PolicyRecord {
    #[n(0)]
    pub(crate) created: u64,
    #[n(1)]
    pub(crate) text: String,
}

impl Record for PolicyRecord {
    const NAME: &'static str = "policy";
    const VERSION: u8 = 1;
}

impl Named for PolicyRecord {
    const KIND: u8 = 4;
    const NOUN: Noun = Noun::Policy;
    const WORD: &'static str = "policy";
}

/// `13`: an access key.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct AccessKeyRecord {
    #[n(0)]
    pub(crate) account: String,
    #[n(1)]
    pub(crate) user: String,
    /// The secret key, encrypted under the key ring, bound to the access key.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub(crate) secret: Vec<u8>,
    #[n(3)]
    pub(crate) created: u64,
    #[n(4)]
    pub(crate) expires: Option<u64>,
    #[n(5)]
    pub(crate) disabled: bool,
}

impl Record for AccessKeyRecord {
    const NAME: &'static str = "access key";
    const VERSION: u8 = 1;
}
