//! What a server has promised, object by object, and whether it keeps it.
//!
//! A write that was answered is in force. One whose answer never came, or that failed for a reason
//! that says nothing of its effect, is open: after the next start either all of it or nothing is
//! there, and what is found then is in force. Each key has one writer at a time, except those that
//! are only ever created, by whoever comes first.

use crate::client::{Client, Response};
use crate::tree::{self, noise};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A promise that was broken, in words that name the object.
pub type Broken = String;

/// Bytes that follow from a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// The seed.
    pub seed: u64,
    /// How many.
    pub size: usize,
}

impl Content {
    fn bytes(self) -> Vec<u8> {
        noise(self.seed, self.size)
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was answered, and is in force.
    Done,
    /// It was answered with this status, and the ledger knows what that means.
    Refused(u16),
    /// No answer came.
    Lost,
}

/// What is known of one key.
#[derive(Clone, Debug, Default)]
struct Entry {
    known: Option<Content>,
    /// What may be there instead.
    open: Vec<Option<Content>>,
    /// Somebody was told that it exists.
    exists: bool,
}

impl Entry {
    fn settled(content: Option<Content>) -> Self {
        Entry {
            known: content,
            open: Vec::new(),
            exists: content.is_some(),
        }
    }

    /// Everything that may be found.
    fn allowed(&self) -> impl Iterator<Item = Option<Content>> + '_ {
        let known = (self.known.is_some() || !self.exists).then_some(self.known);
        known.into_iter().chain(self.open.iter().copied())
    }
}

/// What a comparison went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Objects whose bytes were compared.
    pub objects: u64,
    /// Keys that had to be absent.
    pub absent: u64,
    /// Requests without an answer that turned out to have happened.
    pub happened: u64,
    /// Requests without an answer that turned out not to have happened.
    pub vanished: u64,
}

/// The ledger of one bucket.
#[derive(Debug)]
pub struct Ledger {
    bucket: String,
    entries: Mutex<BTreeMap<String, Entry>>,
}

impl Ledger {
    /// An empty ledger.
    pub fn new(bucket: &str) -> Self {
        Ledger {
            bucket: bucket.to_owned(),
            entries: Mutex::default(),
        }
    }

    /// The same ledger, to go on with a copy of the folder.
    #[must_use]
    pub fn copy(&self) -> Self {
        Ledger {
            bucket: self.bucket.clone(),
            entries: Mutex::new(self.entries().clone()),
        }
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(
        &self,
        client: &mut Client,
        method: &str,
        key: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Response> {
        client.send(method, &tree::target(&self.bucket, key), headers, body)
    }

    /// What is in force for a key; of one with an open request, what was before it.
    pub fn known(&self, key: &str) -> Option<Content> {
        self.entries().get(key).and_then(|entry| entry.known)
    }

    /// The keys that are in the ledger.
    pub fn keys(&self) -> Vec<String> {
        self.entries().keys().cloned().collect()
    }

    /// Makes the bucket, unless an earlier attempt did.
    ///
    /// # Errors
    /// Any other answer than that it was made, or exists.
    pub fn make_bucket(&self, client: &mut Client) -> Result<Ended, Broken> {
        let target = format!("/rest/{}/", self.bucket);
        match client.send("PUT", &target, &[], &[]) {
            Ok(response) if matches!(response.status, 201 | 409) => Ok(Ended::Done),
            Ok(response) if response.status >= 500 => Ok(Ended::Refused(response.status)),
            Ok(response) => Err(format!("PUT {target}: {}", shown(&response))),
            Err(_) => Ok(Ended::Lost),
        }
    }

    /// Puts an object. Nobody else may write this key meanwhile.
    ///
    /// # Errors
    /// An answer that cannot be right.
    pub fn put(&self, client: &mut Client, key: &str, content: Content) -> Result<Ended, Broken> {
        let sent = self.send(client, "PUT", key, &[], &content.bytes());
        self.written(key, Some(content), sent)
    }

    /// Deletes an object. Nobody else may write this key meanwhile.
    ///
    /// # Errors
    /// An answer that cannot be right.
    pub fn delete(&self, client: &mut Client, key: &str) -> Result<Ended, Broken> {
        let sent = self.send(client, "DELETE", key, &[], &[]);
        self.written(key, None, sent)
    }

    fn written(
        &self,
        key: &str,
        content: Option<Content>,
        sent: io::Result<Response>,
    ) -> Result<Ended, Broken> {
        let mut entries = self.entries();
        let entry = entries.entry(key.to_owned()).or_default();
        let Ok(response) = sent else {
            entry.open.push(content);
            return Ok(Ended::Lost);
        };
        // Which of the two it is says what was there before.
        let expected = |before: Option<Content>| match (before, content) {
            (None, Some(_)) => 201,
            (Some(_), _) => 204,
            (None, None) => 404,
        };
        match response.status {
            status @ (201 | 204 | 404) => {
                if !entry.allowed().any(|before| expected(before) == status) {
                    return Err(format!(
                        "{key}: {entry:?}, but a write: {}",
                        shown(&response)
                    ));
                }
                if status == 404 {
                    // Nothing was written, so an open request may still come into force.
                    entry.known = None;
                } else {
                    *entry = Entry::settled(content);
                }
                Ok(Ended::Done)
            }
            // The refusal itself says that nothing was changed.
            507 => Ok(Ended::Refused(507)),
            status @ 500.. => {
                entry.open.push(content);
                Ok(Ended::Refused(status))
            }
            _ => Err(format!("{key}: a write: {}", shown(&response))),
        }
    }

    /// Creates an object that must not exist. Any number may try it, with contents of their own, and
    /// nobody may write the key in another way until [`Ledger::compare`] has settled it.
    ///
    /// # Errors
    /// A second winner, a refusal without a winner, or an answer that cannot be right.
    pub fn create(
        &self,
        client: &mut Client,
        key: &str,
        content: Content,
    ) -> Result<Ended, Broken> {
        let mut entries = self.entries();
        let entry = entries.entry(key.to_owned()).or_default();
        if entry.known.is_none() {
            // Whoever reads it meanwhile may find this already.
            entry.open.push(Some(content));
        }
        drop(entries);
        let condition = [("if-none-match", "*")];
        let sent = self.send(client, "PUT", key, &condition, &content.bytes());
        let mut entries = self.entries();
        let entry = entries.entry(key.to_owned()).or_default();
        let Ok(response) = sent else {
            return Ok(Ended::Lost);
        };
        let not_mine = |open: &Option<Content>| *open != Some(content);
        match response.status {
            201 => {
                if let Some(winner) = entry.known.filter(|winner| *winner != content) {
                    return Err(format!(
                        "{key}: created twice, as {winner:?} and {content:?}"
                    ));
                }
                *entry = Entry::settled(Some(content));
                Ok(Ended::Done)
            }
            412 => {
                entry.open.retain(not_mine);
                entry.exists = true;
                if entry.allowed().next().is_none() {
                    return Err(format!("{key}: refused as existing, but nobody made it"));
                }
                Ok(Ended::Refused(412))
            }
            507 => {
                entry.open.retain(not_mine);
                Ok(Ended::Refused(507))
            }
            status @ 500.. => Ok(Ended::Refused(status)),
            _ => Err(format!("{key}: a creation: {}", shown(&response))),
        }
    }

    /// Reads an object back. Nobody may write this key meanwhile. What is found is in force; when it
    /// is what was there before, an open request may still come into force at the next start.
    ///
    /// # Errors
    /// Anything else than what is in force, or what an open request leaves.
    pub fn read(&self, client: &mut Client, key: &str) -> Result<Ended, Broken> {
        match self.find(client, key)? {
            Ok((found, _)) => {
                let mut entries = self.entries();
                let entry = entries.entry(key.to_owned()).or_default();
                if found != entry.known {
                    *entry = Entry::settled(found);
                }
                Ok(Ended::Done)
            }
            Err(ended) => Ok(ended),
        }
    }

    /// A write that failed is not to be seen: the object is what it was before, and can be read.
    ///
    /// # Errors
    /// When it is not, or cannot.
    pub fn unchanged(&self, client: &mut Client, key: &str) -> Result<(), Broken> {
        let before = Ledger::new(&self.bucket);
        let entry = Entry::settled(self.known(key));
        before.entries().insert(key.to_owned(), entry);
        match before.find(client, key)? {
            Ok(_) => Ok(()),
            Err(ended) => Err(format!("{key}: cannot be read after a failure: {ended:?}")),
        }
    }

    /// What is there of a key, when the ledger allows it, and whether that had to be found out.
    fn find(
        &self,
        client: &mut Client,
        key: &str,
    ) -> Result<Result<(Option<Content>, bool), Ended>, Broken> {
        let Ok(response) = self.send(client, "GET", key, &[], &[]) else {
            return Ok(Err(Ended::Lost));
        };
        let mut entries = self.entries();
        let entry = entries.entry(key.to_owned()).or_default();
        let is = |content: &Option<Content>| match (content, response.status) {
            (None, 404) => true,
            (Some(content), 200) => {
                content.size == response.body.len() && content.bytes() == response.body
            }
            _ => false,
        };
        match entry.allowed().find(is) {
            Some(found) => Ok(Ok((found, !entry.open.is_empty()))),
            None if response.status >= 500 => Ok(Err(Ended::Refused(response.status))),
            None => Err(format!("{key}: {entry:?}, but found: {}", shown(&response))),
        }
    }

    /// Compares everything: each object's bytes, that what was deleted is gone, the listing, the
    /// counters. Nobody may write meanwhile. What was open is settled by what is found.
    ///
    /// # Errors
    /// The first object that is not as promised, or a request that failed.
    pub fn compare(&self, client: &mut Client) -> Result<Compared, Broken> {
        let mut compared = Compared::default();
        for key in self.keys() {
            let before = self.known(&key);
            let (found, was_open) = self
                .find(client, &key)?
                .map_err(|ended| format!("{key}: cannot be read: {ended:?}"))?;
            match (was_open, found == before) {
                (true, true) => compared.vanished += 1,
                (true, false) => compared.happened += 1,
                (false, _) => {}
            }
            match found {
                Some(_) => compared.objects += 1,
                None => compared.absent += 1,
            }
            self.entries().insert(key, Entry::settled(found));
        }
        self.compare_listing(client)?;
        Ok(compared)
    }

    fn compare_listing(&self, client: &mut Client) -> Result<(), Broken> {
        let failed = |error: io::Error| format!("the listing failed: {error}");
        let listed = tree::list(client, &self.bucket, 37).map_err(failed)?;
        let mut expected = Vec::new();
        for (key, entry) in self.entries().iter() {
            expected.extend(
                entry
                    .known
                    .map(|content| (key.clone(), content.size as u64)),
            );
        }
        if listed != expected {
            let place = listed.iter().zip(&expected).take_while(|(a, b)| a == b);
            let place = place.count();
            return Err(format!(
                "the listing has {} objects and should have {}; the first that differ are {:?} \
                 and {:?}",
                listed.len(),
                expected.len(),
                listed.get(place),
                expected.get(place)
            ));
        }
        let target = format!("/rest/{}/?limit=0", self.bucket);
        let page = client.send("GET", &target, &[], &[]).map_err(failed)?;
        let page: serde_json::Value =
            serde_json::from_slice(&page.body).map_err(|error| failed(error.into()))?;
        let counted = (page["objects"].as_u64(), page["bytes"].as_u64());
        let bytes = expected.iter().map(|(_, size)| size).sum();
        if counted != (Some(expected.len() as u64), Some(bytes)) {
            return Err(format!(
                "the counters say {counted:?} objects and bytes, there are {} of {bytes}",
                expected.len()
            ));
        }
        Ok(())
    }
}

/// An answer, short enough to read.
fn shown(response: &Response) -> String {
    let text: String = response.text().chars().take(200).collect();
    let bytes = response.body.len();
    format!("{} with {bytes} bytes: {text:?}", response.status)
}
