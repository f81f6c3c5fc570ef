//! Symbolic links: what a client may link to, and finding what is at the end of one.

use crate::call::{Call, Place};
use crate::container::{Container, key};
use crate::facts::{self, Link};
use crate::fault::{Fault, Outcome};
use crate::target::{container_and_object, quote, unquote};
use crate::versions;
use trestle_access::Action;
use trestle_core::{ErrorKind, Noun};
use trestle_store::{Object, VersionRef, Versioning};

/// How many links are followed.
pub(crate) const HOPS_MAX: usize = 2;

/// An object that was found, and the way to it.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) place: Place,
    pub(crate) container: Container,
    pub(crate) object: Object,
    /// Which version was asked for, of the object that was found.
    pub(crate) version: VersionRef,
    /// Where it is, when links led there.
    pub(crate) location: Option<String>,
}

impl Call {
    /// An object that the caller may read, by its own name. A link is not followed.
    ///
    /// # Errors
    /// 401, 403; 404.
    pub(crate) async fn look(&self, place: &Place, version: VersionRef) -> Outcome<Found> {
        let container = self.container(&place.account, &place.container).await?;
        let rights = self.may_object(place, true).await?;
        let container = container.ok_or_else(|| Fault::new(404))?;
        // Former versions are the owner's matter, unless a signature names one.
        if matches!(version, VersionRef::Id(_)) && !rights.owner && self.who.pass.is_none() {
            return Err(Fault::new(403));
        }
        let bucket = self.bucket_of(&container);
        let key = key(&place.object)?;
        let version = match version {
            VersionRef::Current => self.current(),
            version => version,
        };
        let action = match version.is_current() {
            true => Action::ReadObjectMetadata,
            false => Action::ReadObjectVersionMetadata,
        };
        let grant = self.on_object(action, &bucket, &key).await?;
        let object = self
            .swift
            .store
            .head_itself(&grant, &bucket, &key, version)
            .await;
        let object = object.map_err(|error| match error.kind() {
            ErrorKind::NotFound(Noun::Object | Noun::Version) => match error.marker() {
                Some(marker) if !version.is_current() => Fault::new(404)
                    .with("x-object-version-id", marker.version.to_string())
                    .with("content-type", versions::MARKER_TYPE),
                _ => Fault::new(404),
            },
            _ => error.into(),
        })?;
        if object.is_marker() {
            return Err(Fault::new(404)
                .with("x-object-version-id", versions::id(&object))
                .with("content-type", versions::MARKER_TYPE));
        }
        Ok(Found {
            place: place.clone(),
            container,
            object,
            version,
            location: None,
        })
    }

    /// An object that the caller may read, at the end of the links that start here.
    ///
    /// # Errors
    /// Those of [`Call::look`]; 409 for too many links, and when a static link's target is not what
    /// it was.
    pub(crate) async fn follow(&self, place: &Place, version: VersionRef) -> Outcome<Found> {
        self.follow_from(place, version, None).await
    }

    /// Follows static links only, the first of which expects `etag`: what a new static link rests on.
    pub(crate) async fn follow_static(&self, place: &Place, etag: &str) -> Outcome<Found> {
        self.follow_from(place, VersionRef::Current, Some(etag.to_owned()))
            .await
    }

    async fn follow_from(
        &self,
        place: &Place,
        version: VersionRef,
        expected: Option<String>,
    ) -> Outcome<Found> {
        let only_static = expected.is_some();
        let mut expected = expected;
        let mut place = place.clone();
        let mut version = version;
        let mut location: Option<String> = None;
        for hops in 0.. {
            let mut found = match self.look(&place, version).await {
                Err(fault) => {
                    return Err(match &location {
                        Some(location) => fault.with("content-location", location),
                        None => fault,
                    });
                }
                Ok(found) => found,
            };
            version = VersionRef::Current;
            let link = facts::link(&found.object);
            let link = link.filter(|link| !only_static || link.etag.is_some());
            let Some(link) = link else {
                let etag = facts::hash(&found.object);
                if let Some(expected) = expected.filter(|expected| *expected != etag) {
                    let text = format!(
                        "Object Etag '{etag}' does not match X-Symlink-Target-Etag header \
                         '{expected}'"
                    );
                    let fault = Fault::text(409, text);
                    return Err(fault.with("content-location", location.unwrap_or_default()));
                }
                found.location = location;
                return Ok(found);
            };
            let own = link
                .etag
                .clone()
                .unwrap_or_else(|| facts::hash(&found.object));
            if expected.is_some_and(|expected| expected != own) {
                let fault = Fault::text(409, "X-Symlink-Target-Etag headers do not match");
                return Err(fault.with("content-location", location.unwrap_or_default()));
            }
            if hops >= HOPS_MAX {
                let text =
                    format!("Too many levels of symbolic links, maximum allowed is {HOPS_MAX}");
                return Err(Fault::text(409, text));
            }
            expected = link.etag.clone();
            location = Some(self.location(&place, &link));
            place = self.target_of(&place, &link)?;
        }
        Err(Fault::new(409))
    }

    /// The path that a link leads to.
    pub(crate) fn location(&self, place: &Place, link: &Link) -> String {
        let own = || quote(&self.swift.prefixes.name(&place.account));
        let account = link.account.clone().unwrap_or_else(own);
        format!("/v1/{account}/{}", link.target)
    }

    fn target_of(&self, place: &Place, link: &Link) -> Outcome<Place> {
        let (container, object) =
            container_and_object(&unquote(&link.target)?).ok_or_else(|| Fault::new(404))?;
        let account = match &link.account {
            Some(name) => {
                let account = self.swift.prefixes.account(&unquote(name)?);
                account.ok_or_else(|| Fault::new(403))?
            }
            None => place.account.clone(),
        };
        Ok(Place {
            account,
            container,
            object,
        })
    }

    /// The link that a PUT asks for; none when it asks for none.
    ///
    /// # Errors
    /// 412 for a malformed target, 400 for a link to itself, 409 when a static link's target is not
    /// there or is another.
    pub(crate) async fn wanted_link(&self) -> Outcome<Option<(Link, Option<String>)>> {
        let Some(target) = self.header("x-symlink-target")? else {
            return Ok(None);
        };
        let malformed = || {
            let form = "X-Symlink-Target header must be of the form <container name>/<object name>";
            Fault::text(412, form)
        };
        let plain = unquote(target)?;
        let (container, object) = container_and_object(&plain)
            .filter(|_| !plain.starts_with('/'))
            .ok_or_else(malformed)?;
        let account = match self.some_header("x-symlink-target-account")? {
            Some(name) => {
                let name = unquote(name)?;
                if name.contains('/') {
                    return Err(Fault::text(412, "Account name cannot contain slashes"));
                }
                Some(name)
            }
            None => None,
        };
        let own = self.place();
        let place = Place {
            account: match &account {
                Some(name) => {
                    let account = self.swift.prefixes.account(name);
                    account.ok_or_else(|| Fault::new(403))?
                }
                None => own.account.clone(),
            },
            container,
            object,
        };
        if place == own {
            return Err(Fault::text(400, "Symlink cannot target itself"));
        }
        let mut link = Link {
            target: quote(&format!("{}/{}", place.container, place.object)),
            account: account.map(|name| quote(&name)),
            ..Link::default()
        };
        let etag = self.some_header("x-symlink-target-etag")?;
        let Some(etag) = etag.map(|etag| etag.trim_matches('"')) else {
            return Ok(Some((link, None)));
        };
        if etag.contains([';', '"', '\\']) {
            return Err(Fault::text(400, "Bad X-Symlink-Target-Etag format"));
        }
        let location = self.location(&place, &link);
        let found = self.follow_static(&place, etag).await;
        let found = found.map_err(|fault| match fault.status() {
            404 => Fault::text(409, "X-Symlink-Target does not exist")
                .with("content-location", &location),
            409 => fault.with("content-location", &location),
            _ => fault,
        })?;
        link.etag = Some(etag.to_owned());
        match facts::large(&found.object) {
            Some(large) => {
                link.bytes = large.size;
                link.slo_etag = Some(large.etag);
            }
            None => link.bytes = found.object.length(),
        }
        let kind = facts::content_type(&found.object).to_owned();
        Ok(Some((link, Some(kind))))
    }
}

/// The version that a request names in its query, where that is allowed.
///
/// # Errors
/// 400 for a container that keeps no versions, and for what is no id.
pub(crate) fn asked_version(call: &Call, container: Option<&Container>) -> Outcome<VersionRef> {
    let Some(text) = call.query.some("version-id") else {
        return Ok(VersionRef::Current);
    };
    let version = versions::parse(text)?;
    let versioned = container.is_none_or(|c| c.versioning() != Versioning::Off);
    match version {
        // Without versions, what is there is the one that has no id.
        VersionRef::Null if !versioned => Ok(VersionRef::Current),
        _ if versioned => Ok(version),
        _ => Err(Fault::html(
            400,
            "version-aware operations require that the container is versioned",
        )),
    }
}
