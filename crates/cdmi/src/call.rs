//! One authenticated request: what its head says, and the rights that it asks for.

use crate::dialect::Cdmi;
use crate::fault::{Answered, Fault};
use crate::media::{Accepted, Kind, MediaType};
use crate::notify::Notes;
use crate::path::Names;
use crate::query::Fields;
use crate::version::Version;
use futures::FutureExt;
use http::{HeaderMap, Method, StatusCode};
use std::sync::Arc;
use trestle_access::{Action, Asked, Context, Grant, Principal, Resource};
use trestle_core::{AccountId, BucketName, Error, ErrorKind, Owner, Result};
use trestle_store::VersionRef;

/// The head of a request.
#[derive(Clone, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) cdmi: &'a Cdmi,
    pub(crate) principal: Arc<Principal>,
    /// How the principal authenticated, in the words of `cdmi_authentication_methods`.
    pub(crate) authenticated: &'static str,
    pub(crate) context: Arc<Context>,
    pub(crate) method: Method,
    pub(crate) version: Version,
    pub(crate) fields: Fields,
    pub(crate) accepted: Accepted,
    pub(crate) content: Option<MediaType>,
    pub(crate) headers: HeaderMap,
    /// Scheme and authority of this server, as the client calls it.
    pub(crate) origin: String,
    /// The size that the body announces.
    pub(crate) declared_length: Option<u64>,
    /// What queues that watch are to be told.
    pub(crate) notes: Notes,
}

impl Call<'_> {
    /// What is asked of whoever decides.
    pub(crate) fn asked(&self, action: Action, resource: Resource) -> Asked {
        Asked {
            principal: self.principal.clone(),
            action,
            resource,
            context: self.context.clone(),
        }
    }

    /// Asks for a right.
    pub(crate) async fn grant(&self, action: Action, resource: Resource) -> Result<Grant> {
        self.grant_asked(self.asked(action, resource)).await
    }

    /// The grant to list what is directly in a directory of a bucket: by the owner and the list of
    /// that, where it has one, else by the bucket's.
    pub(crate) async fn grant_listing(
        &self,
        (bucket, prefix): (&BucketName, &str),
        of: Option<(&Owner, &str)>,
    ) -> Result<Grant> {
        let mut asked = self.asked(Action::ListObjects, Resource::Bucket(bucket.clone()));
        let context = Arc::make_mut(&mut asked.context);
        context.set("s3:prefix", vec![prefix.to_owned()]);
        context.set("s3:delimiter", vec!["/".to_owned()]);
        if let Some(of) = of {
            let store = &self.cdmi.store;
            match store.authorize_listing(asked.clone(), of).boxed().await {
                Err(error) if error.kind() == ErrorKind::Forbidden => {}
                decided => return decided,
            }
        }
        self.grant_asked(asked).await
    }

    async fn grant_asked(&self, asked: Asked) -> Result<Grant> {
        // Boxed, as it is at the bottom of all that is deep.
        match self.decide(asked.clone()).boxed().await {
            Err(error)
                if error.kind() == ErrorKind::Forbidden
                    && self.is_backup_operator().boxed().await? =>
            {
                let principal = self.as_backup_operator();
                self.decide(Asked { principal, ..asked }).boxed().await
            }
            decided => decided,
        }
    }

    /// Asks for a right to an object that is about to be made, as if it were there with this list.
    pub(crate) async fn check_made(
        &self,
        action: Action,
        resource: Resource,
        acl: Option<&str>,
    ) -> Result<()> {
        let asked = self.asked(action, resource);
        let store = &self.cdmi.store;
        match store.authorize_new(asked.clone(), acl).boxed().await {
            Err(error)
                if error.kind() == ErrorKind::Forbidden
                    && self.is_backup_operator().boxed().await? =>
            {
                let principal = self.as_backup_operator();
                let asked = Asked { principal, ..asked };
                store.authorize_new(asked, acl).boxed().await
            }
            decided => decided,
        }
    }

    fn as_backup_operator(&self) -> Arc<Principal> {
        let mut principal = Principal::clone(&self.principal);
        principal.backup_operator = true;
        Arc::new(principal)
    }

    async fn decide(&self, asked: Asked) -> Result<Grant> {
        let store = &self.cdmi.store;
        match asked.resource {
            // Much is shown, or refused, without a verb that would look at the object's own list.
            Resource::Object(..) => store.authorize_on(asked, VersionRef::Current).await,
            _ => store.authorize(asked).await,
        }
    }

    /// The account of who asks.
    pub(crate) fn account(&self) -> Result<&AccountId> {
        let anonymous = || Error::new(ErrorKind::Forbidden, "anonymous access is not allowed");
        self.principal.account().ok_or_else(anonymous)
    }

    /// The kind of object that the body describes, if it is a CDMI document.
    pub(crate) fn content_kind(&self) -> Option<Kind> {
        self.content.as_ref().and_then(MediaType::kind)
    }

    /// Whether the body is a CDMI document or parts that start with one.
    pub(crate) fn brings_document(&self) -> bool {
        self.content_kind().is_some() || self.brings_parts()
    }

    /// Whether the body is `multipart/mixed`.
    pub(crate) fn brings_parts(&self) -> bool {
        self.content.as_ref().is_some_and(MediaType::is_mixed)
    }

    /// Whether a read asks for a CDMI document of something that has bytes of its own, too.
    pub(crate) fn wants_document(&self) -> bool {
        // A CDMI type in Content-Type says, too, that CDMI is spoken.
        let speaks = self.version.is_first() || self.content_kind().is_some();
        let indifferent = self.accepted.is_indifferent();
        self.accepted.is_cdmi() || indifferent && (speaks || self.names_fields())
    }

    /// The same of a data object with this mimetype, of which Accept may say more.
    pub(crate) fn wants_document_of(&self, mimetype: &str) -> bool {
        let speaks = self.version.is_first() || self.content_kind().is_some();
        let wants = self.wants_document();
        match wants {
            true if !speaks && !self.names_fields() => !self.accepted.prefers_bytes(mimetype),
            true => true,
            false => self.accepted.takes_document_alone(mimetype),
        }
    }

    /// Whether the query names a field that the standard knows.
    fn names_fields(&self) -> bool {
        const KNOWN: [&str; 15] = [
            "objectType",
            "objectID",
            "objectName",
            "parentURI",
            "parentID",
            "domainURI",
            "capabilitiesURI",
            "completionStatus",
            "percentComplete",
            "mimetype",
            "metadata",
            "valuerange",
            "valuetransferencoding",
            "value",
            "children",
        ];
        KNOWN.iter().any(|name| self.fields.names(name))
    }

    /// Refuses to answer with a kind that is not acceptable.
    pub(crate) fn check_acceptable(&self, kind: Kind) -> Answered<()> {
        let parts = kind == Kind::Object || kind == Kind::Queue;
        let reads = matches!(self.method, Method::GET | Method::HEAD);
        if !reads
            || self.accepted.takes(kind)
            || !self.accepted.is_cdmi() && self.accepted.takes_json()
            || parts && self.accepted.wants_parts()
        {
            return Ok(());
        }
        Err(Fault::Status(
            StatusCode::NOT_ACCEPTABLE,
            format!("this is {}", kind.media_type()),
        ))
    }

    /// Refuses a document that describes another kind.
    pub(crate) fn check_content(&self, kinds: &[Kind]) -> Answered<()> {
        match self.content_kind() {
            Some(kind) if !kinds.contains(&kind) => Err(Fault::bad(format!(
                "a document of the type {} does not fit here",
                kind.media_type()
            ))),
            _ => Ok(()),
        }
    }

    /// Whether this write is one of several.
    pub(crate) fn is_partial(&self) -> Result<bool> {
        let mut values = self.headers.get_all("x-cdmi-partial").iter();
        let Some(value) = values.next() else {
            return Ok(false);
        };
        match value.to_str().map(str::trim) {
            Ok(text) if text.eq_ignore_ascii_case("true") && values.next().is_none() => Ok(true),
            Ok(text) if text.eq_ignore_ascii_case("false") && values.next().is_none() => Ok(false),
            _ => Err(Error::invalid(
                "X-CDMI-Partial is true or false; an upload-id is for values without a document",
            )),
        }
    }

    /// The absolute URL of a path.
    pub(crate) fn url(&self, names: &Names) -> String {
        format!("{}{}", self.origin, names.url())
    }

    /// The URL of a path that is relative to the root URI.
    pub(crate) fn url_of(&self, path: &str) -> String {
        format!("{}{}", self.origin, crate::path::url_of(path))
    }

    /// An object id as clients see it.
    pub(crate) fn id_text(&self, id: trestle_core::Id) -> String {
        self.cdmi.ids.text(id)
    }
}
