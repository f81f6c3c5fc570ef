//! Tokens: signed, self-contained, of limited life and scope. They are borne, or signed with: each
//! has an access key and a secret key of its own, which follow from it.
//!
//! A token says who it is for, until when, and which policies narrow it. Whoever has the key can
//! check one without asking anybody; what it says of rights is never trusted, those are looked up.

use crate::SecretKey;
use crate::keyed::{Keyed, same};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use trestle_core::{Error, ErrorKind, Result, Timestamp};

/// How a token begins, so that one is known when it is seen.
const PREFIX: &str = "tr1.";
/// Longest token, in bytes.
pub const TOKEN_BYTES_MAX: usize = 8 << 10;

/// What decoding a signature takes at most: a longer one is none.
const SIGNATURE_ROOM: usize = 36;

/// How access keys of tokens begin.
const ACCESS_KEY_PREFIX: &str = "TST";

/// A role that was taken for a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TakenRole {
    /// The role's account.
    #[serde(rename = "a")]
    pub account: String,
    /// The role.
    #[serde(rename = "r")]
    pub role: String,
    /// The session's name.
    #[serde(rename = "s")]
    pub session: String,
    /// When the role was made: another one of that name voids the token.
    #[serde(rename = "m")]
    pub made: u64,
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Its own id, by which it can be revoked.
    #[serde(rename = "i")]
    pub id: String,
    /// The account of the user.
    #[serde(rename = "a")]
    pub account: String,
    /// The user that it was issued to.
    #[serde(rename = "u")]
    pub user: String,
    /// The user's key epoch when it was issued: a later one voids it.
    #[serde(rename = "e")]
    pub epoch: u64,
    /// When it was issued, in microseconds since 1970.
    #[serde(rename = "f")]
    pub issued: u64,
    /// Until when it is valid, in microseconds since 1970.
    #[serde(rename = "t")]
    pub expires: u64,
    /// Policies that narrow it.
    #[serde(rename = "p", default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// The role that the user took.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub role: Option<TakenRole>,
    /// The id of the token by which the role was taken: that one's end is this one's, too.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
}

impl Token {
    /// The token as it is sent.
    ///
    /// # Errors
    /// `TooLarge` when its policies are too many.
    pub fn sign(&self, key: &TokenKey) -> Result<String> {
        let payload = serde_json::to_vec(self).map_err(|error| {
            Error::new(ErrorKind::Internal, "a token cannot be written").with_source(error)
        })?;
        let payload = URL_SAFE_NO_PAD.encode(payload);
        let signature = URL_SAFE_NO_PAD.encode(key.mac(BEARER, payload.as_bytes()));
        let token = format!("{PREFIX}{payload}.{signature}");
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!("a token is limited to {TOKEN_BYTES_MAX} bytes"),
            ));
        }
        Ok(token)
    }

    /// The access key by which a signed request names it, beside the token itself.
    pub fn access_key(&self) -> String {
        format!("{ACCESS_KEY_PREFIX}{}", self.id)
    }

    /// The secret key that goes with it: nobody has to keep it.
    pub fn secret_key(&self, key: &TokenKey) -> SecretKey {
        SecretKey::new(URL_SAFE_NO_PAD.encode(key.mac(SECRET, self.id.as_bytes())))
    }

    /// Whether its time is over.
    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.expires <= now.0
    }
}

/// A text that was signed with the key of tokens. What it says was not read yet.
#[derive(Clone, Copy)]
pub struct SealedToken<'a> {
    payload: &'a str,
    mac: [u8; 32],
}

impl<'a> SealedToken<'a> {
    /// Checks the signature of a text; none for any that was not signed with this key.
    pub fn check(text: &'a str, key: &TokenKey) -> Option<SealedToken<'a>> {
        if text.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let (payload, signature) = text.strip_prefix(PREFIX)?.split_once('.')?;
        let mut room = [0; SIGNATURE_ROOM];
        let length = URL_SAFE_NO_PAD.decode_slice(signature, &mut room).ok()?;
        let signature = room.get(..length)?;
        let mac = key.mac(BEARER, payload.as_bytes());
        same(&mac, signature).then_some(SealedToken { payload, mac })
    }

    /// What tells it from any other token.
    pub fn mac(&self) -> [u8; 32] {
        self.mac
    }

    /// What it says, whether it has ended or not.
    pub fn read(&self) -> Option<Token> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(self.payload).ok()?).ok()
    }
}

/// What the key of tokens is used for: never the same for two things.
const BEARER: &[u8] = b"trestle bearer token\0";
const SECRET: &[u8] = b"trestle secret of a token\0";

/// The key that tokens are signed with. Never shown.
#[derive(Clone)]
pub struct TokenKey(Keyed);

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenKey")
    }
}

impl TokenKey {
    /// Of 32 bytes.
    pub fn new(key: &[u8; 32]) -> Self {
        TokenKey(Keyed::new(key))
    }

    fn mac(&self, purpose: &[u8], message: &[u8]) -> [u8; 32] {
        self.0.mac(&[purpose, message])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Token {
        Token {
            id: "0a".to_owned(),
            account: "acct".to_owned(),
            user: "ann".to_owned(),
            epoch: 3,
            issued: 10,
            expires: 100,
            policies: vec!["{}".to_owned()],
            role: None,
            parent: None,
        }
    }

    fn key(byte: u8) -> TokenKey {
        TokenKey::new(&[byte; 32])
    }

    fn read(text: &str, byte: u8) -> Option<Token> {
        SealedToken::check(text, &key(byte))?.read()
    }

    #[test]
    fn a_token_has_keys_of_its_own() {
        let (one, mut other) = (token(), token());
        other.id = "0b".to_owned();
        assert_eq!(one.access_key(), "TST0a");
        let secret = |token: &Token, byte| token.secret_key(&key(byte)).expose().to_owned();
        assert_eq!(secret(&one, 7), secret(&one, 7));
        assert_ne!(secret(&one, 7), secret(&other, 7));
        assert_ne!(secret(&one, 7), secret(&one, 8));
        let text = one.sign(&key(7)).unwrap();
        assert!(!text.contains(&secret(&one, 7)));
    }

    #[test]
    fn a_token_is_valid_until_it_ends_under_its_key_alone() {
        let text = token().sign(&key(7)).unwrap();
        assert_eq!(read(&text, 7), Some(token()));
        assert_eq!(read(&text, 8), None);
        let ended = |now| token().has_ended(Timestamp(now));
        assert_eq!((ended(99), ended(100)), (false, true));
    }

    #[test]
    fn every_changed_byte_voids_it() {
        let text = token().sign(&key(7)).unwrap();
        for place in 0..text.len() {
            for change in [1, 2, 0x20] {
                let mut bytes = text.clone().into_bytes();
                bytes[place] ^= change;
                let changed = String::from_utf8(bytes).unwrap();
                assert_eq!(read(&changed, 7), None, "{changed}");
            }
            assert_eq!(read(&text[..place], 7), None);
        }
        for more in [
            "",
            ".",
            "tr1.",
            "tr1..",
            &format!("{text}x"),
            &format!("{text}="),
        ] {
            assert_eq!(read(more, 7), None);
        }
    }

    #[test]
    fn a_token_is_bounded() {
        let mut token = token();
        token.policies = vec!["x".repeat(TOKEN_BYTES_MAX)];
        assert_eq!(token.sign(&key(7)).unwrap_err().kind(), ErrorKind::TooLarge);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_answered(text in "(tr1\\.)?[A-Za-z0-9_.-]{0,60}") {
            proptest::prop_assert_eq!(read(&text, 7), None);
        }
    }
}
