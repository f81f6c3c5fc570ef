//! Encryption of contents: which key a content is encrypted under, and how it is found again.
//!
//! Each content has a data key of its own, wrapped under a key of the ring, or under one that the
//! client keeps and gives with every request. Encrypted bytes are always a layer's, whose header has
//! the wrapped key; so copies, joins and changes refer to them as to any other bytes, and nothing
//! above the layers sees anything but plain bytes.

use crate::keys::SecretKey;
use crate::ring::Keys;
use crate::seal::FrameCipher;
use std::sync::Arc;
use trestle_core::{Error, ErrorKind, Id, LayerId, Result};

/// The key of the ring for contents whose client names none.
const DEFAULT_KEY: &str = "contents";
/// What a data key is wrapped for.
const DATA_KEY: &[u8] = b"data key\0";

/// Under which key a content is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// One of the store's own.
    Store,
    /// The key of the ring that has this name.
    Named(String),
    /// One that the client keeps.
    Customer {
        /// MD5 of the key, which tells whether the right one is given.
        digest: [u8; 16],
    },
}

/// Under which key a content is to be encrypted.
#[derive(Clone, Debug)]
pub enum Encrypt {
    /// One of the store's own.
    Store,
    /// The key of the ring that has this name, made when there is none.
    Named(String),
    /// One that the client keeps.
    Customer(CustomerKey),
}

/// A key that the client keeps.
#[derive(Clone, Debug)]
pub struct CustomerKey {
    /// The key.
    pub key: SecretKey,
    /// Its MD5.
    pub digest: [u8; 16],
}

impl Encrypt {
    /// What continues an encryption that was begun before, with the key that the client keeps.
    ///
    /// # Errors
    /// `WrongKey`.
    pub(crate) fn again(
        encryption: Option<&Encryption>,
        given: Option<CustomerKey>,
    ) -> Result<Option<Encrypt>> {
        check_customer_key(encryption, given.as_ref())?;
        Ok(match (encryption, given) {
            (Some(Encryption::Store), _) => Some(Encrypt::Store),
            (Some(Encryption::Named(name)), _) => Some(Encrypt::Named(name.clone())),
            (Some(Encryption::Customer { .. }), given) => given.map(Encrypt::Customer),
            (None, _) => None,
        })
    }

    /// What will be known of it later.
    pub fn encryption(&self) -> Encryption {
        match self {
            Encrypt::Store => Encryption::Store,
            Encrypt::Named(name) => Encryption::Named(name.clone()),
            Encrypt::Customer(key) => Encryption::Customer { digest: key.digest },
        }
    }
}

/// A wrapped data key, as a layer's header keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SealedKey {
    /// The key of the ring that wraps it, with its version; none when the client keeps that.
    pub(crate) under: Option<(String, u32)>,
    pub(crate) wrapped: Vec<u8>,
}

/// What a new content is sealed with.
pub(crate) struct Sealing {
    pub(crate) cipher: FrameCipher,
    pub(crate) key: SealedKey,
}

/// Finds the keys of contents that are read.
#[derive(Clone)]
pub(crate) struct Unsealer {
    keys: Arc<Keys>,
    customer: Option<SecretKey>,
}

impl Unsealer {
    /// The cipher of a layer.
    ///
    /// # Errors
    /// `WrongKey` when the client keeps the key and gave none or another; `Corrupt`.
    pub(crate) async fn cipher(&self, layer: LayerId, key: &SealedKey) -> Result<FrameCipher> {
        let purpose = purpose(layer.0);
        let data_key = match &key.under {
            Some((name, version)) => {
                let above = self.keys.key_version(name, *version).await?;
                above.unwrap_key(&purpose, &key.wrapped)?
            }
            None => {
                let given = self.customer.as_ref().ok_or_else(wrong_key)?;
                let opened = given.unwrap_key(&purpose, &key.wrapped);
                opened.map_err(|error| wrong_key().with_source(error))?
            }
        };
        Ok(FrameCipher::new(&data_key, layer.0))
    }
}

impl Keys {
    /// Finds keys of contents, with the one that the client gave.
    pub(crate) fn unsealer(self: &Arc<Self>, customer: Option<SecretKey>) -> Unsealer {
        Unsealer {
            keys: self.clone(),
            customer,
        }
    }

    /// A new data key for a new content, which will be `layer`.
    ///
    /// # Errors
    /// `InvalidInput` for a bad name, or when the store was opened without its master key.
    pub(crate) async fn sealing(&self, encrypt: &Encrypt, layer: LayerId) -> Result<Sealing> {
        let (under, above) = match encrypt {
            Encrypt::Customer(customer) => (None, customer.key.clone()),
            Encrypt::Store => self.wrapping(DEFAULT_KEY).await?,
            Encrypt::Named(name) => self.wrapping(&named(name)).await?,
        };
        let data_key = SecretKey::generate(self.random());
        let wrapped = above.wrap(self.random(), &purpose(layer.0), data_key.as_bytes())?;
        Ok(Sealing {
            cipher: FrameCipher::new(&data_key, layer.0),
            key: SealedKey { under, wrapped },
        })
    }

    async fn wrapping(&self, name: &str) -> Result<(Option<(String, u32)>, SecretKey)> {
        let (version, key) = self.newest_key(name).await?;
        Ok((Some((name.to_owned(), version)), key))
    }
}

/// Refuses a read or a copy of a content whose key the client keeps and did not give, before any of
/// it is read.
///
/// # Errors
/// `WrongKey`, also for a key that the content does not need.
pub(crate) fn check_customer_key(
    encryption: Option<&Encryption>,
    given: Option<&CustomerKey>,
) -> Result<()> {
    match (encryption, given) {
        (Some(Encryption::Customer { digest }), Some(given)) if *digest == given.digest => Ok(()),
        (Some(Encryption::Customer { .. }), _) | (_, Some(_)) => Err(wrong_key()),
        _ => Ok(()),
    }
}

/// The ring's name of a key that clients name, apart from the store's own.
fn named(name: &str) -> String {
    format!("named/{name}")
}

fn purpose(layer: Id) -> Vec<u8> {
    [DATA_KEY, layer.as_bytes()].concat()
}

fn wrong_key() -> Error {
    Error::new(
        ErrorKind::WrongKey,
        "the content is encrypted under another key than the one that was given, if any was",
    )
}
