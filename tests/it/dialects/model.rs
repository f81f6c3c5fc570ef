//! What a bucket holds after a history of writes through any dialect: plain maps, and the few rules
//! in which dialects differ.

use super::{Dialect, Version};
use std::collections::BTreeMap;

/// What every dialect can say of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) bytes: Vec<u8>,
    pub(crate) kind: String,
    pub(crate) metadata: BTreeMap<String, String>,
}

/// A bucket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    /// The versions of each key, oldest first; none is a marker.
    keys: BTreeMap<String, Vec<Option<Object>>>,
    keeps_versions: bool,
}

impl Model {
    pub(crate) fn new(keeps_versions: bool) -> Self {
        Model {
            keys: BTreeMap::new(),
            keeps_versions,
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Object> {
        self.keys.get(key)?.last()?.as_ref()
    }

    pub(crate) fn listed(&self) -> BTreeMap<String, u64> {
        let current = |(key, _): (&String, _)| {
            let object = self.get(key)?;
            Some((key.clone(), object.bytes.len() as u64))
        };
        self.keys.iter().filter_map(current).collect()
    }

    pub(crate) fn versions(&self) -> Vec<Version> {
        let of = |(key, versions): (&String, &Vec<Option<Object>>)| -> Vec<Version> {
            let one = |object: &Option<Object>| {
                let length = object.as_ref().map(|object| object.bytes.len() as u64);
                (key.clone(), length)
            };
            versions.iter().rev().map(one).collect()
        };
        self.keys.iter().flat_map(of).collect()
    }

    /// Whether CDMI can write an object there: it is there, or its containers are and it is none
    /// itself.
    fn has_place(&self, key: &str) -> bool {
        if self.get(key).is_some() {
            return true;
        }
        let exists = |container: &str| {
            let below = |(other, _): (&String, _)| {
                other.starts_with(container) && self.get(other).is_some()
            };
            self.keys.iter().any(below)
        };
        let mut parents = key.match_indices('/').map(|(at, _)| &key[..=at]);
        parents.all(exists) && !exists(&format!("{key}/"))
    }

    /// Writes, and says whether the dialect lets it.
    pub(crate) fn put(&mut self, dialect: Dialect, key: &str, object: Object) -> bool {
        if dialect == Dialect::Cdmi && !self.has_place(key) {
            return false;
        }
        self.install(key, Some(object));
        true
    }

    fn install(&mut self, key: &str, object: Option<Object>) {
        let versions = self.keys.entry(key.to_owned()).or_default();
        if !self.keeps_versions {
            versions.clear();
        }
        versions.push(object);
    }

    /// Replaces the metadata of what is there.
    pub(crate) fn describe(&mut self, dialect: Dialect, key: &str, object: &Object) -> bool {
        let Some(mut new) = self.get(key).cloned() else {
            return false;
        };
        new.metadata.clone_from(&object.metadata);
        if dialect == Dialect::S3 {
            // It is a copy onto itself, and says the type anew.
            new.kind.clone_from(&object.kind);
            self.install(key, Some(new));
            return true;
        }
        let versions = self.keys.entry(key.to_owned()).or_default();
        versions.pop();
        versions.push(Some(new));
        true
    }

    pub(crate) fn copy(&mut self, dialect: Dialect, from: &str, to: &str) -> bool {
        match self.get(from).cloned() {
            Some(object) => self.put(dialect, to, object),
            None => false,
        }
    }

    /// Deletes, and says whether there was something.
    pub(crate) fn delete(&mut self, dialect: Dialect, key: &str) -> bool {
        let there = self.get(key).is_some();
        if dialect == Dialect::Cdmi {
            // The object goes with all of its versions.
            if there {
                self.keys.remove(key);
            }
        } else if !self.keeps_versions {
            self.keys.remove(key);
        } else if there || dialect != Dialect::Rest {
            // S3 and Swift leave a marker where nothing was, too.
            self.install(key, None);
        }
        there
    }
}
