//! Where domains are: where the ids of their accounts say, until they are moved.
//!
//! A domain that is moved keeps its account, whose id its users, lists, policies and objects carry, so
//! that only its place among domains is another. All such places are in one setting of the store: a
//! move is one commit, and of two at once the later one knows of the former.

use crate::dialect::Cdmi;
use crate::node::found;
use crate::path::RESERVED;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use trestle_core::{AccountId, Error, ErrorKind, Noun, Result};

/// Where domains begin.
pub(crate) const TOP: &str = "cdmi_domains";

/// Between the names of nested domains in an account's id.
const BAR: char = '|';

/// The setting that holds the places of those that were moved.
const SETTING: &str = "cdmi.domains";

/// Most domains that are elsewhere than their accounts' ids say.
pub(crate) const MOVED_MAX: usize = 100;

/// How deep domains nest.
pub(crate) const DEPTH_MAX: usize = 32;

/// More domains than one can be in: a name of each but the moved is in its account's id.
const ABOVE_MAX: usize = 512;

/// The place of a domain that was moved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Place {
    /// The account of the domain that it is in; none of one at the top.
    parent: Option<String>,
    name: String,
    /// When the account was made: another one of its id was never moved.
    made: u64,
}

/// A place among domains.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spot {
    /// The account whose domain is there, or would be.
    pub(crate) id: AccountId,
    /// Its domain, or one above, was moved away from there.
    pub(crate) left: bool,
}

/// The places of all domains.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct DomainTree {
    moved: BTreeMap<String, Place>,
}

/// The place that an account's id says.
fn first_place(id: &str) -> (Option<&str>, &str) {
    match id.rsplit_once(BAR) {
        Some((parent, name)) => (Some(parent), name),
        None => (None, id),
    }
}

/// The path by which a domain is kept wherever it is: that of its account's id.
pub(crate) fn kept_path(id: &AccountId) -> String {
    format!("/{TOP}/{}/", id.as_str().replace(BAR, "/"))
}

impl DomainTree {
    fn read(text: Option<&Bytes>) -> Result<Self> {
        let wrong = |_| Error::corrupt("the places of domains cannot be decoded");
        text.map_or(Ok(DomainTree::default()), |text| {
            serde_json::from_slice(text).map_err(wrong)
        })
    }

    /// Which domain was moved to a place.
    fn taker(&self, parent: Option<&str>, name: &str) -> Option<&str> {
        let mut moved = self.moved.iter();
        let (id, _) =
            moved.find(|(_, place)| place.parent.as_deref() == parent && place.name == name)?;
        Some(id)
    }

    /// Where a domain is. One whose place another was moved to has a bar behind its name.
    fn place<'t>(&'t self, id: &'t str) -> (Option<&'t str>, String) {
        if let Some(place) = self.moved.get(id) {
            return (place.parent.as_deref(), place.name.clone());
        }
        let (parent, name) = first_place(id);
        match self.taker(parent, name) {
            Some(_) => (parent, format!("{name}{BAR}")),
            None => (parent, name.to_owned()),
        }
    }

    /// The names that lead to a domain.
    pub(crate) fn names(&self, id: &AccountId) -> Vec<String> {
        let (mut names, mut at) = (Vec::new(), Some(id.as_str()));
        while let Some(id) = at.filter(|_| names.len() < ABOVE_MAX) {
            let (parent, name) = self.place(id);
            names.push(name);
            at = parent;
        }
        names.reverse();
        names
    }

    /// The name of a domain in the one that it is in.
    pub(crate) fn name(&self, id: &AccountId) -> String {
        self.place(id.as_str()).1
    }

    /// Where a domain is: relative to the root URI, with the slash behind it.
    pub(crate) fn path(&self, id: &AccountId) -> String {
        format!("/{TOP}/{}/", self.names(id).join("/"))
    }

    /// Whether a domain is right below another, or at the top.
    pub(crate) fn is_below(&self, id: &AccountId, parent: Option<&AccountId>) -> bool {
        self.place(id.as_str()).0 == parent.map(AccountId::as_str)
    }

    /// The domains that one is in, from the top.
    pub(crate) fn above(&self, id: &AccountId) -> Result<Vec<AccountId>> {
        let (mut above, mut at) = (Vec::new(), self.place(id.as_str()).0);
        while let Some(id) = at.filter(|_| above.len() < ABOVE_MAX) {
            above.push(AccountId::parse(id)?);
            at = self.place(id).0;
        }
        above.reverse();
        Ok(above)
    }

    /// The place of a name in a domain, or at the top.
    ///
    /// # Errors
    /// `InvalidInput` for what is no name of a domain.
    pub(crate) fn child(&self, parent: Option<&AccountId>, name: &str) -> Result<Spot> {
        let above = parent.map(AccountId::as_str);
        if let Some(id) = self.taker(above, name) {
            let id = AccountId::parse(id)?;
            return Ok(Spot { id, left: false });
        }
        let bare = name.strip_suffix(BAR);
        let bare = bare.filter(|bare| self.taker(above, bare).is_some());
        let own = bare.unwrap_or(name);
        if own.contains(BAR) {
            return Err(Error::invalid("the name of a domain has no bar"));
        }
        let id = match parent {
            Some(parent) => AccountId::parse(format!("{parent}{BAR}{own}"))?,
            None => AccountId::parse(own)?,
        };
        let left = self.moved.contains_key(id.as_str());
        Ok(Spot { id, left })
    }

    /// The place that names lead to.
    ///
    /// # Errors
    /// `InvalidInput` for what are no names of domains.
    pub(crate) fn at(&self, names: &[String]) -> Result<Spot> {
        let mut spot: Option<Spot> = None;
        for name in names {
            let parent = spot.as_ref().map(|spot| &spot.id);
            let child = self.child(parent, name)?;
            let left = child.left || spot.as_ref().is_some_and(|spot| spot.left);
            spot = Some(Spot { left, ..child });
        }
        spot.ok_or_else(|| Error::invalid("no domain is named"))
    }

    /// Leaves no domain within itself, which it can get when an account above it is made anew.
    fn break_circles(&mut self) {
        let in_itself = |tree: &DomainTree, id: &String| {
            let mut at = tree.place(id).0;
            for _ in 0..ABOVE_MAX {
                match at {
                    Some(above) if above == id => return true,
                    Some(above) => at = tree.place(above).0,
                    None => return false,
                }
            }
            false
        };
        while let Some(id) = self.moved.keys().find(|id| in_itself(self, id)).cloned() {
            self.moved.remove(&id);
        }
    }

    /// Names with those of a domain at their beginning taken out of one form into another.
    fn renamed(names: &[String], own: impl Fn(&[String]) -> Option<Vec<String>>) -> Vec<String> {
        let reserved = |name: &String| name.is_empty() || name.starts_with(RESERVED);
        let end = names.iter().position(reserved).unwrap_or(names.len());
        let (domain, rest) = names.split_at(end);
        let mut renamed = own(domain).unwrap_or_else(|| domain.to_vec());
        renamed.extend_from_slice(rest);
        renamed
    }

    /// The path by which what is at a path is kept, wherever its domain is.
    pub(crate) fn kept(&self, path: &str) -> String {
        let top = format!("/{TOP}/");
        let below = path.strip_prefix(&top).filter(|_| !self.moved.is_empty());
        let Some(below) = below else {
            return path.to_owned();
        };
        let names: Vec<String> = below.split('/').map(str::to_owned).collect();
        let kept = Self::renamed(&names, |own| {
            let spot = self.at(own).ok().filter(|spot| !spot.left)?;
            Some(spot.id.as_str().split(BAR).map(str::to_owned).collect())
        });
        top + &kept.join("/")
    }

    /// The names that lead now to what is kept by these.
    pub(crate) fn shown(&self, kept: &[String]) -> Vec<String> {
        Self::renamed(kept, |own| {
            let id = AccountId::parse(own.join("|")).ok()?;
            Some(self.names(&id))
        })
    }

    /// The path that leads now to the domain that is kept by one.
    pub(crate) fn shown_path(&self, kept: &str) -> String {
        let top = format!("/{TOP}/");
        match kept.strip_prefix(&top) {
            Some(below) => {
                let names: Vec<String> = below.split('/').map(str::to_owned).collect();
                top + &self.shown(&names).join("/")
            }
            None => kept.to_owned(),
        }
    }

    /// The tree with a domain in another place, which is free.
    ///
    /// # Errors
    /// `InvalidInput` for a place within the domain itself or too deep; `AlreadyExists` for one that
    /// another domain was moved to; `TooLarge` for too many that were moved.
    fn with(
        &self,
        (id, made): (&AccountId, u64),
        (parent, name): (Option<&AccountId>, &str),
    ) -> Result<Self> {
        let mut tree = self.clone();
        tree.moved.remove(id.as_str());
        let above = parent.map(AccountId::as_str);
        if tree.taker(above, name).is_some() {
            let taken = ErrorKind::AlreadyExists(Noun::Account);
            return Err(Error::new(taken, "another domain was moved there"));
        }
        if first_place(id.as_str()) != (above, name) {
            if tree.moved.len() >= MOVED_MAX {
                let message = format!("at most {MOVED_MAX} domains are moved");
                return Err(Error::new(ErrorKind::TooLarge, message));
            }
            let place = Place {
                parent: above.map(str::to_owned),
                name: name.to_owned(),
                made,
            };
            tree.moved.insert(id.as_str().to_owned(), place);
        }
        let around = parent.map(|parent| tree.above(parent)).transpose()?;
        let around = around.unwrap_or_default();
        if parent == Some(id) || around.contains(id) || around.len() >= DEPTH_MAX {
            return Err(Error::invalid(
                "a domain is moved neither into itself nor this deep",
            ));
        }
        Ok(tree)
    }
}

impl Cdmi {
    /// Where domains are, by what was known when the newest request began.
    pub(crate) fn domains(&self) -> Arc<DomainTree> {
        self.domains.read().clone()
    }

    /// Learns where domains are now, and says of which accounts that are gone a place is still kept.
    ///
    /// # Errors
    /// The engine's; `Corrupt`.
    pub(crate) async fn load_domains(&self) -> Result<Vec<String>> {
        let mut tree = DomainTree::read(self.store.setting(SETTING).await?.as_ref())?;
        let mut gone = Vec::new();
        for (id, place) in &tree.moved {
            let account = found(self.own_account(&AccountId::parse(id.as_str())?).await)?;
            if account.is_none_or(|account| account.created.0 != place.made) {
                gone.push(id.clone());
            }
        }
        tree.moved.retain(|id, _| !gone.contains(id));
        tree.break_circles();
        if *self.domains() != tree {
            *self.domains.write() = Arc::new(tree);
        }
        Ok(gone)
    }

    /// Keeps another place of a domain, which is free.
    ///
    /// # Errors
    /// Those of a place that it cannot have, see [`DomainTree::with`]; the engine's.
    pub(crate) async fn place_domain(
        &self,
        of: (&AccountId, u64),
        to: (Option<&AccountId>, &str),
    ) -> Result<()> {
        let gone = self.load_domains().await?;
        let change = |text: Option<&Bytes>| -> Result<Bytes> {
            let mut tree = DomainTree::read(text)?;
            tree.moved.retain(|id, _| !gone.contains(id));
            let text = serde_json::to_vec(&tree.with(of, to)?);
            let text = text.map_err(|error| {
                Error::new(ErrorKind::Internal, "places cannot be written").with_source(error)
            })?;
            Ok(Bytes::from(text))
        };
        self.store.change_setting(SETTING, &change).await?;
        self.load_domains().await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> AccountId {
        AccountId::parse(text).unwrap()
    }

    fn names(path: &str) -> Vec<String> {
        path.split('/').map(str::to_owned).collect()
    }

    #[test]
    fn a_domain_is_where_it_was_moved_and_what_is_below_it_is_there() {
        let (a, b, inner) = (id("a"), id("b"), id("a|in"));
        let tree = DomainTree::default()
            .with((&a, 1), (Some(&b), "x"))
            .unwrap();
        assert_eq!(tree.path(&inner), "/cdmi_domains/b/x/in/");
        assert_eq!(tree.above(&inner).unwrap(), [b.clone(), a.clone()]);
        assert!(tree.is_below(&a, Some(&b)) && !tree.is_below(&a, None));
        let spot = |path: &str| tree.at(&names(path)).unwrap();
        assert_eq!(
            spot("b/x/in"),
            Spot {
                id: inner.clone(),
                left: false
            }
        );
        assert!(spot("a").left && spot("a/in").left && !spot("b/y").left);
        let kept = "/cdmi_domains/a/in/cdmi_domain_members/ann";
        assert_eq!(
            tree.kept("/cdmi_domains/b/x/in/cdmi_domain_members/ann"),
            kept
        );
        assert_eq!(
            tree.shown_path(kept),
            "/cdmi_domains/b/x/in/cdmi_domain_members/ann"
        );
        assert_eq!(tree.kept("/c/o"), "/c/o");
        assert_eq!(
            tree.with((&a, 1), (None, "a")).unwrap(),
            DomainTree::default()
        );
        // Another account's own place is beside what was moved there.
        let other = id("b|x");
        assert_eq!(tree.path(&other), "/cdmi_domains/b/x|/");
        assert_eq!(spot("b/x|").id, other);
        assert!(tree.at(&names("b/y|")).is_err() && tree.at(&[]).is_err());
    }

    #[test]
    fn no_domain_gets_into_itself() {
        let (a, inner) = (id("a"), id("a|in"));
        let tree = DomainTree::default();
        for parent in [&a, &inner] {
            assert!(tree.with((&a, 1), (Some(parent), "x")).is_err());
        }
        let out = tree.with((&inner, 2), (None, "in")).unwrap();
        let mut within = out.with((&a, 1), (Some(&inner), "a")).unwrap();
        assert!(within.with((&inner, 2), (Some(&a), "in")).is_err());
        let taken = within.with((&id("c"), 3), (Some(&inner), "a")).unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AlreadyExists(Noun::Account));
        // The place of an account that was made anew is that of its id.
        within.moved.remove("a|in");
        within.break_circles();
        assert_eq!(within, DomainTree::default());
    }
}
