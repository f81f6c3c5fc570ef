//! Copies within the server: COPY with a destination, PUT with a source, and bringing back a version.

use crate::call::{Call, Input, Place, set};
use crate::container::{Container, key};
use crate::duplicate::{Original, duplicate};
use crate::facts::{self, LINK};
use crate::fault::{Fault, Outcome};
use crate::large::{self, Shape};
use crate::metadata;
use crate::object::{SIZE_MAX, writable};
use crate::read::{Through, View, part_number, precondition, spaceless, verdict};
use crate::symlink::asked_version;
use crate::target::{container_and_object, quote, unquote};
use crate::write::{self, Write};
use crate::{manifest, times, versions};
use http::Response;
use trestle_access::Action;
use trestle_core::{AccountId, ResolvedRange, Validators, Verdict};
use trestle_http::{Body, RangeHeader, parse_range};
use trestle_store::{PutOutcome, VersionRef, Versioning};

fn account_of(call: &Call, header: &str) -> Outcome<Option<(AccountId, String)>> {
    let Some(text) = call.some_header(header)? else {
        return Ok(None);
    };
    let name = unquote(text)?;
    if name.contains('/') {
        return Err(Fault::text(412, "Account name cannot contain slashes"));
    }
    let account = call.swift.prefixes.account(&name);
    let account = account.ok_or_else(|| Fault::new(403))?;
    Ok(Some((account, name)))
}

fn object_of(call: &Call, header: &str, shown: &str) -> Outcome<(String, String)> {
    let text = call.header(header)?.unwrap_or_default();
    let text = text.split('?').next().unwrap_or_default();
    container_and_object(&unquote(text)?).ok_or_else(|| {
        let form = format!("{shown} header must be of the form <container name>/<object name>");
        Fault::text(412, form)
    })
}

/// Answers a COPY.
pub(crate) async fn to(call: &Call) -> Outcome<Response<Body>> {
    if call.some_header("destination")?.is_none() {
        return Err(Fault::html(412, "Destination header required"));
    }
    let account = account_of(call, "destination-account")?;
    let (container, object) = object_of(call, "destination", "Destination")?;
    let target = Place {
        account: account.map_or_else(|| call.account.clone(), |(account, _)| account),
        container,
        object,
    };
    copy(call, call.place(), target).await
}

/// Answers a PUT with `X-Copy-From`.
pub(crate) async fn from(call: &Call, length: Option<u64>) -> Outcome<Response<Body>> {
    if call.query.get("multipart-manifest") == Some("put") {
        return Err(Fault::html(
            405,
            "Multipart Manifest PUTs cannot be COPY requests",
        ));
    }
    match length {
        Some(0) => {}
        None if !call.headers.contains_key("transfer-encoding") => {}
        _ => return Err(Fault::text(400, "Copy requests require a zero byte body")),
    }
    let account = account_of(call, "x-copy-from-account")?;
    let (container, object) = object_of(call, "x-copy-from", "X-Copy-From")?;
    let source = Place {
        account: account.map_or_else(|| call.account.clone(), |(account, _)| account),
        container,
        object,
    };
    copy(call, source, call.place()).await
}

/// What of the source is copied: all, or one range of it.
fn range(call: &Call, view: &View) -> Outcome<ResolvedRange> {
    let whole = ResolvedRange {
        start: 0,
        end: view.length,
    };
    if let Some((range, _)) = part_number(call, view)? {
        return match range.is_empty() {
            true => Err(Fault::new(416)),
            false => Ok(range),
        };
    }
    match parse_range(&spaceless(&call.headers)) {
        RangeHeader::One(range) if view.instead.is_none() => Ok(range.resolve(view.length)?),
        RangeHeader::Several(_) => Err(Fault::text(400, "Copies take one range")),
        _ => Ok(whole),
    }
}

/// The source's own, changed by what the request says.
fn merged(call: &Call, view: &View, through: Through, target: &AccountId) -> Outcome<Write> {
    let mut write = Write::default();
    let source = &view.found.object;
    let fresh = call.says("x-fresh-metadata");
    let properties = &mut write.properties;
    if !fresh {
        properties.representation = source.representation.clone();
        properties.metadata = source.metadata.clone();
        properties.expires = source.expires;
    }
    properties.tags = source.tags.clone();
    properties.representation.extend(write::kept(call)?);
    let kind = match call.some_header("content-type")? {
        Some(given) => given.to_owned(),
        None => facts::content_type(source).to_owned(),
    };
    properties
        .representation
        .insert("content-type".to_owned(), kind);
    properties
        .metadata
        .extend(metadata::of_object(&call.headers)?);
    if call.headers.contains_key("x-delete-at") || call.headers.contains_key("x-delete-after") {
        properties.expires = write::expiry(call)?;
    }
    if let Some(manifest) = write::manifest(call)? {
        write::set_dynamic(properties, Some(write::dynamic(target, manifest)?));
    } else if let (Through::Links | Through::LinksRaw, Some(manifest)) =
        (through, facts::manifest(source))
    {
        let manifest = write::dynamic(target, manifest.to_owned())?;
        write::set_dynamic(properties, Some(manifest));
    }
    if through == Through::Nothing
        && let Some(mut link) = facts::link(source)
    {
        // Without an account of its own it leads into the one that it is copied to.
        if let Some((_, name)) = account_of(call, "x-symlink-target-account")? {
            link.account = Some(quote(&name));
        }
        properties.documents.insert(LINK.to_owned(), link.text());
    }
    Ok(write)
}

async fn copy(call: &Call, source: Place, target: Place) -> Outcome<Response<Body>> {
    let through = match Through::of(call) {
        Through::Links => Through::LinksRaw,
        through => through,
    };
    let container = call.container(&source.account, &source.container).await?;
    let version = match call.query.has("version-id") {
        true => asked_version(call, container.as_ref())?,
        false => version_in_header(call, container.as_ref())?,
    };
    let view = call.view(&source, version, through).await?;
    let validators = Validators {
        tag: view.etag.clone(),
        modified: times::at_second(times::rounded_up(view.found.object.modified)),
    };
    match verdict(&precondition(&call.headers)?, &validators) {
        Verdict::Proceed => {}
        Verdict::NotModified => return Err(Fault::new(304)),
        Verdict::Failed => return Err(Fault::new(412)),
    }
    let range = range(call, &view)?;
    if range.len() > SIZE_MAX {
        return Err(Fault::new(413));
    }
    let container = writable(call, &target).await?;
    let write = merged(call, &view, through, &target.account)?;
    let response = match &view.instead {
        Some(text) => manifest::store(call, &container, &target, write, text.as_bytes()).await?,
        None => {
            let whole = range.len() == view.length && matches!(view.shape, Shape::Plain);
            // Where the digest of its own bytes is known, the copy is another reference to them.
            if whole && !facts::of_parts(&view.found.object) {
                let original = Original {
                    place: &view.found.place,
                    version: view.found.version,
                    object: &view.found.object,
                };
                write::before(call, &container, &target, range.len()).await?;
                let place = (call.bucket_of(&container), target.object.as_str());
                let outcome = duplicate(call, original, place, &write.properties).await?;
                let etag = facts::hash(&outcome.object);
                let response = write::written(&container, &outcome, &etag, false);
                return Ok(copied(call, &source, &view, response));
            }
            let input = Input {
                length: Some(range.len()),
                stream: large::open(call, &view.found, &view.shape, range).await?,
            };
            let outcome = write::store(call, &container, &target, write, input).await?;
            write::written(&container, &outcome, &facts::hash(&outcome.object), false)
        }
    };
    Ok(copied(call, &source, &view, response))
}

/// Says where a copy is from.
fn copied(
    call: &Call,
    source: &Place,
    view: &View,
    mut response: Response<Body>,
) -> Response<Body> {
    let headers = response.headers_mut();
    let from = format!("{}/{}", source.container, source.object);
    set(headers, "x-copied-from", &quote(&from));
    let account = call.swift.prefixes.name(&source.account);
    set(headers, "x-copied-from-account", &quote(&account));
    let modified = times::last_modified(view.found.object.modified);
    set(headers, "x-copied-from-last-modified", &modified);
    if view.found.container.versioning() != Versioning::Off {
        let id = versions::id(&view.found.object);
        set(headers, "x-copied-from-version-id", &id);
    }
    response
}

/// The version that `X-Copy-From` names after a `?`.
fn version_in_header(call: &Call, container: Option<&Container>) -> Outcome<VersionRef> {
    let text = call.header("x-copy-from")?.unwrap_or_default();
    let Some((_, query)) = text.split_once('?') else {
        return Ok(VersionRef::Current);
    };
    let mut asking = call.clone();
    asking.query = crate::query::Query::parse(Some(query))?;
    asked_version(&asking, container)
}

/// Makes a version current again, as it is.
pub(crate) async fn restore(
    call: &Call,
    container: &Container,
    length: Option<u64>,
) -> Outcome<Response<Body>> {
    if call.query.get("version-id") == Some("null") {
        return Err(Fault::html(400, "Invalid version parameter"));
    }
    let version = asked_version(call, Some(container))?;
    if length.is_some_and(|length| length != 0) {
        return Err(Fault::text(
            400,
            "PUT version-id requests require a zero byte body",
        ));
    }
    let place = call.place();
    call.look(&place, version)
        .await
        .map_err(|fault| match fault.status() {
            404 => Fault::text(404, "The specified version does not exist"),
            _ => fault,
        })?;
    write::before(call, container, &place, 0).await?;
    let (bucket, key) = (call.bucket_of(container), key(&place.object)?);
    let mut grants = Vec::new();
    for action in [Action::WriteObject, Action::ReadObjectVersion] {
        grants.push(call.on_object(action, &bucket, &key).await?);
    }
    let store = &call.swift.store;
    let object = store.reinstate(&grants, &bucket, &key, version).await?;
    let quoted = facts::large(&object).is_some();
    let (etag, id) = (facts::tag(&object), versions::id(&object));
    let outcome = PutOutcome {
        object,
        created: false,
    };
    let mut response = write::written(container, &outcome, &etag, quoted);
    set(response.headers_mut(), "x-object-version-id", &id);
    Ok(response)
}
