//! The record of how a content is encrypted.

use crate::encryption::Encryption;
use minicbor::{Decode, Encode};
use trestle_core::{Error, Result};

const STORE: u8 = 1;
const NAMED: u8 = 2;
const CUSTOMER: u8 = 3;

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct EncryptionRecord {
    #[n(0)]
    scheme: u8,
    #[n(1)]
    name: Option<String>,
    #[cbor(n(2), with = "minicbor::bytes")]
    digest: Option<Vec<u8>>,
}

impl EncryptionRecord {
    pub(crate) fn new(encryption: &Encryption) -> Self {
        let (scheme, name, digest) = match encryption {
            Encryption::Store => (STORE, None, None),
            Encryption::Named(name) => (NAMED, Some(name.clone()), None),
            Encryption::Customer { digest } => (CUSTOMER, None, Some(digest.to_vec())),
        };
        EncryptionRecord {
            scheme,
            name,
            digest,
        }
    }

    pub(crate) fn into_encryption(self) -> Result<Encryption> {
        let unknown = || Error::corrupt("a record of an unknown encryption");
        match (self.scheme, self.name, self.digest) {
            (STORE, None, None) => Ok(Encryption::Store),
            (NAMED, Some(name), None) => Ok(Encryption::Named(name)),
            (CUSTOMER, None, Some(digest)) => Ok(Encryption::Customer {
                digest: digest.try_into().map_err(|_| unknown())?,
            }),
            _ => Err(unknown()),
        }
    }
}
