//! From a request to its operation: the target, the method, and whether a CDMI document is spoken.

use crate::call::Call;
use crate::content::Destination;
use crate::cors;
use crate::data::Submission;
use crate::dialect::Cdmi;
use crate::document::{DOCUMENT_BYTES_MAX, Document, Source};
use crate::fault::{Answered, Fault};
use crate::media::{Accepted, Kind, MediaType};
use crate::multipart;
use crate::node::{Container, Leaf, Node, nameless_bucket};
use crate::notify::Notes;
use crate::path::{Names, ROOT, Target};
use crate::query::Fields;
use crate::render::bare;
use crate::show::mimetype_of;
use crate::snapshots;
use crate::version::Version;
use bytes::Bytes;
use futures::FutureExt;
use http::header::{ALLOW, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use std::sync::Arc;
use trestle_access::{Context, Principal};
use trestle_core::{Id, Key, ObjectId, Result};
use trestle_http::{
    Body, Client, Credentials, LoggedUser, Presented, Problem, RequestBody, RequestId, incoming,
    read_whole,
};
use trestle_store::Object;

/// Largest body of parts, in bytes.
const PARTS_BYTES_MAX: usize = 64 << 20;

impl Cdmi {
    /// Answers a request whose path is `/cdmi` or lies below it.
    pub async fn answer(&self, request: Request<RequestBody>) -> Response<Body> {
        let version = match Version::of(request.headers()) {
            Ok(version) => version,
            Err(error) => return Fault::Error(error).answer(false),
        };
        if let Err(error) = self.load_domains().await {
            return Fault::Error(error).answer(false);
        }
        let mut response = match self.principal(&request).await {
            Ok((principal, how)) => {
                let anonymous = principal.is_anonymous();
                let user = (!anonymous).then(|| LoggedUser(principal.user.clone()));
                let who = (principal, how);
                let answered = self.operate(who, version.clone(), request).await;
                let mut response = answered.unwrap_or_else(|fault| fault.answer(anonymous));
                if let Some(user) = user {
                    response.extensions_mut().insert(user);
                }
                response
            }
            Err(response) => {
                let (method, path) = (request.method().clone(), request.uri().path().to_owned());
                let status = response.status();
                self.log_unknown(&method, &path, status).await;
                response
            }
        };
        version.mark(response.headers_mut());
        response
    }

    /// Who asks, and how that was shown.
    async fn principal(
        &self,
        request: &Request<RequestBody>,
    ) -> std::result::Result<(Arc<Principal>, &'static str), Response<Body>> {
        let presented = match Presented::of(request.headers(), request.extensions()) {
            Ok(presented) => presented,
            Err(error) => return Err(Problem::unauthorized(error.message()).into_response()),
        };
        let presented = match self.by_its_own_name(presented).await {
            Ok(presented) => presented,
            Err(error) => return Err(Fault::Error(error).answer(false)),
        };
        let how = match (&presented.credentials, &presented.certificate) {
            (Some(Credentials::Basic(_)), _) => "basic",
            (Some(Credentials::Bearer(_)), _) => "bearer",
            (None, Some(_)) => "x509",
            (None, None) => "anonymous",
        };
        match (self.authenticate)(presented).await {
            // A certificate that nobody has is no credential.
            Ok(Some(principal)) if principal.is_anonymous() => Ok((principal, "anonymous")),
            Ok(Some(principal)) => Ok((principal, how)),
            Ok(None) => {
                Err(Problem::unauthorized("the user or the password is wrong").into_response())
            }
            Err(error) => Err(Fault::Error(error).answer(false)),
        }
    }

    /// What is presented, with the user in the place of the name that its domain's record has.
    async fn by_its_own_name(&self, mut presented: Presented) -> Result<Presented> {
        if let Some(Credentials::Basic(basic)) = &mut presented.credentials
            && let Some(user) = self.user_behind(&basic.user).await?
        {
            basic.user = user;
        }
        Ok(presented)
    }

    async fn operate(
        &self,
        (principal, authenticated): (Arc<Principal>, &'static str),
        version: Version,
        request: Request<RequestBody>,
    ) -> Answered {
        let (head, body) = request.into_parts();
        let fields = Fields::parse(head.uri.query(), &version)?;
        let origin = match head.extensions.get::<Client>() {
            Some(client) => format!("{}://{}", client.scheme(), client.authority),
            None => String::new(),
        };
        let id = head.extensions.get::<RequestId>();
        let context = Context::at(self.store.now());
        let mut context = context.of("cdmi", id.map(|id| id.0.as_str()));
        if let Some(client) = head.extensions.get::<Client>() {
            context.source = Some(client.address);
            context.secure = client.secure;
        }
        context.set_headers(|name| head.headers.get(name)?.to_str().ok());
        let call = Call {
            cdmi: self,
            principal,
            authenticated,
            context: Arc::new(context),
            method: head.method,
            version,
            fields,
            accepted: Accepted::of(&head.headers),
            content: MediaType::of_content(&head.headers)?,
            headers: head.headers,
            origin,
            declared_length: http_body::Body::size_hint(&body).exact(),
            notes: Notes::default(),
        };
        let path = head.uri.path();
        if path == ROOT {
            let url = format!("{}{ROOT}/", call.origin);
            return Err(Fault::Elsewhere(StatusCode::MOVED_PERMANENTLY, url));
        }
        if matches!(call.method, Method::GET | Method::HEAD)
            && !http_body::Body::is_end_stream(&body)
        {
            return Err(Fault::bad("this request takes no body"));
        }
        let writes = matches!(call.method, Method::PUT | Method::PATCH | Method::POST);
        let speaks = call.version.is_first() || call.accepted.is_cdmi();
        if writes && speaks && call.content.is_none() && !http_body::Body::is_end_stream(&body) {
            return Err(Fault::bad("the body has no Content-Type"));
        }
        let target = call.aliased(Target::of_request(path)?).await?;
        let asked = call.cross_origin()?;
        if call.method == Method::OPTIONS && !asked.as_ref().is_some_and(|asked| asked.preflight) {
            return Ok(call.options(&target));
        }
        let Some(asked) = asked else {
            return call.watched(target, body).await;
        };
        let admitted = call.admitted(&asked, &target).boxed().await?;
        if asked.preflight {
            return Ok(call.preflight(admitted));
        }
        let anonymous = call.principal.is_anonymous();
        let answered = call.watched(target, body).await;
        let mut response = answered.unwrap_or_else(|fault| fault.answer(anonymous));
        cors::mark(response.headers_mut(), admitted);
        Ok(response)
    }
}

/// What a POST brings.
enum Posted {
    Queue(Submission),
    Object(Submission),
    Bytes(RequestBody),
}

/// 400 for a deletion of fields: what asks for less than all must not have all deleted.
pub(crate) fn part_deleted() -> Fault {
    Fault::bad("of fields, only the values of a queue are deleted")
}

/// 405 with the methods that there are.
pub(crate) fn not_allowed(allowed: &'static str) -> Response<Body> {
    let detail = "the resource does not have this method";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
        .with_header(ALLOW, HeaderValue::from_static(allowed))
        .into_response()
}

impl Call<'_> {
    /// The methods that there are at a target, whether or not something is there.
    fn options(&self, target: &Target) -> Response<Body> {
        let allowed = match target {
            Target::Capabilities(_) => "GET, HEAD, OPTIONS",
            Target::NewId => "POST, OPTIONS",
            _ => "GET, HEAD, PUT, PATCH, POST, DELETE, OPTIONS",
        };
        let mut response = bare(StatusCode::NO_CONTENT);
        let allowed = HeaderValue::from_static(allowed);
        response.headers_mut().insert(ALLOW, allowed);
        response
    }

    /// Answers at a target.
    pub(crate) async fn dispatch(&self, target: Target, body: RequestBody) -> Answered {
        let made = match &target {
            Target::Capabilities(_) | Target::NewId => true,
            Target::Domains(names) => names.names.is_empty(),
            _ => false,
        };
        // No capability allows it, and the standard answers that with 400.
        let creates = self.method == Method::POST && target == Target::NewId;
        if made && !creates {
            self.check_unmade()?;
        }
        match target {
            Target::Capabilities(names) => self.capabilities(&names).boxed().await,
            Target::Domains(names) => self.domains(&names, body).boxed().await,
            Target::NewId => self.create_nameless(body).boxed().await,
            Target::Path(names) if names.last() == Some(snapshots::NAME) => {
                match self.snapshots(&names).boxed().await? {
                    Some(answer) => Ok(answer),
                    None => self.at_object(Target::Path(names), body).await,
                }
            }
            target => self.at_object(target, body).await,
        }
    }

    /// Answers at what is stored.
    async fn at_object(&self, target: Target, body: RequestBody) -> Answered {
        match self.method {
            Method::GET | Method::HEAD => self.read(&target).boxed().await,
            Method::PUT => self.put(&target, body).boxed().await,
            Method::PATCH => self.patch_target(&target, body).boxed().await,
            Method::POST => self.post(&target, body).boxed().await,
            Method::DELETE => self.delete(&target).boxed().await,
            _ => Ok(not_allowed("GET, HEAD, PUT, PATCH, POST, DELETE")),
        }
    }

    /// Refuses to change what the server itself makes: no capability allows it.
    pub(crate) fn check_unmade(&self) -> Answered<()> {
        match self.method {
            Method::PUT | Method::POST | Method::PATCH | Method::DELETE => Err(Fault::bad(
                "what the server itself makes is not made, changed or deleted",
            )),
            _ => Ok(()),
        }
    }

    /// The same target, by name when its id is that of something that the server itself makes.
    pub(crate) async fn aliased(&self, target: Target) -> Answered<Target> {
        let Target::Id(text, below) = &target else {
            return Ok(target);
        };
        let Some(id) = self.cdmi.ids.parse(text)? else {
            return Ok(target);
        };
        if self.principal.account().is_some()
            && let Some(made) = self.made_target(id, below).boxed().await?
        {
            return Ok(made);
        }
        if !below.names.is_empty() {
            return Ok(target);
        }
        if let Some(path) = self.capability_of(id) {
            let names = Names::parse(path)?;
            let slash = below.slash;
            return Ok(Target::Capabilities(Names { slash, ..names }));
        }
        if self.principal.account().is_some()
            && let Some(names) = self.domain_of(id).await?
        {
            let slash = below.slash;
            return Ok(Target::Domains(Names { slash, ..names }));
        }
        Ok(target)
    }

    async fn read(&self, target: &Target) -> Answered {
        match self.need(target).await? {
            Node::Container(container) => self.read_container(&container).await,
            Node::Leaf(leaf) if leaf.reference().is_some() => Err(self.redirect(&leaf).await),
            Node::Leaf(leaf) if leaf.is_queue() => self.read_queue(&leaf).await,
            Node::Leaf(leaf) if self.wants_document_of(&mimetype_of(&leaf.object)) => {
                self.read_data(&leaf).await
            }
            Node::Leaf(leaf) => self.read_plain(&leaf).await,
        }
    }

    /// The path of a target for creating: an id must exist already.
    async fn path_to_create(&self, target: &Target) -> Answered<Names> {
        match target {
            Target::Path(names) => Ok(names.clone()),
            Target::Id(id, below) if !below.names.is_empty() => {
                let slash = Names {
                    names: Vec::new(),
                    slash: true,
                };
                let container = Target::Id(id.clone(), slash);
                match self.need(&container).await? {
                    Node::Container(container) => Ok(container.names.join(below)),
                    Node::Leaf(leaf) => Err(self.redirect(&leaf).await),
                }
            }
            _ => Err(Fault::Status(
                StatusCode::NOT_FOUND,
                "no object has this id".to_owned(),
            )),
        }
    }

    async fn put(&self, target: &Target, body: RequestBody) -> Answered {
        let existing = match target {
            Target::Path(names) => self.occupant(names).await,
            target => self.find(target).await,
        };
        let existing = existing?;
        if let Some(node) = &existing {
            snapshots::check_changeable(node.names())?;
        }
        // What creates an object at a container's path is told where the container is.
        match existing {
            Some(Node::Container(container)) => {
                if !self.brings_document() {
                    return Err(Fault::conflict("the container exists already"));
                }
                self.put_onto_container(&container, body).await
            }
            Some(Node::Leaf(leaf)) if leaf.is_queue() => self.put_onto_queue(&leaf, body).await,
            Some(Node::Leaf(leaf)) if leaf.reference().is_none() => {
                if self.brings_document() {
                    return self.put_onto_data(&leaf, body).await;
                }
                self.update_plain(&leaf, incoming(body)).await
            }
            Some(Node::Leaf(_)) => Err(Fault::conflict("a reference has this name")),
            None => self.create(target, body).boxed().await,
        }
    }

    async fn put_onto_container(&self, container: &Container, body: RequestBody) -> Answered {
        let submission = self.submission(body, &[Kind::Container]).await?;
        let transfers = submission.document.is_transfer();
        let updated = self.update_container(container, submission).await;
        self.of_transfer(transfers, updated)
    }

    async fn put_onto_queue(&self, leaf: &Leaf, body: RequestBody) -> Answered {
        let submission = self.submission(body, &[Kind::Queue]).await?;
        let updated = self.update_queue(leaf, &submission).await;
        self.of_transfer(submission.document.is_transfer(), updated)
    }

    async fn put_onto_data(&self, leaf: &Leaf, body: RequestBody) -> Answered {
        let submission = self.submission(body, &[Kind::Object]).await?;
        let transfers = submission.document.is_transfer();
        let updated = self.update_data(leaf, submission).await;
        self.of_transfer(transfers, updated)
    }

    async fn create(&self, target: &Target, body: RequestBody) -> Answered {
        let names = self.path_to_create(target).await?;
        let kind = self.content_kind();
        match (kind, names.slash) {
            (Some(Kind::Container), false) => {
                return Err(Fault::bad("a container's path ends in a slash"));
            }
            (Some(Kind::Object | Kind::Queue), true) => {
                return Err(Fault::bad("only a container's path ends in a slash"));
            }
            (Some(Kind::Domain | Kind::Capability), _) => {
                return Err(Fault::bad("this kind of object is not made here"));
            }
            _ => {}
        }
        snapshots::check_changeable(Some(&names))?;
        let parent = self.parent_of(&names).await?;
        match (kind, names.slash) {
            (Some(Kind::Container), _) => {
                let mut document = self.submission(body, &[Kind::Container]).await?.document;
                // What a copy holds stays whose the copy is.
                if !matches!(document.source, Some(Source::Copy(_))) {
                    self.in_domain_of(&parent, &mut document);
                }
                let made = self.create_container(&parent, &names, &document).await;
                self.of_transfer(document.is_transfer(), made)
            }
            (Some(Kind::Queue), _) => {
                let mut document = self.submission(body, &[Kind::Queue]).await?.document;
                self.in_domain_of(&parent, &mut document);
                let made = self.create_queue(&parent, &names, &document).await;
                self.of_transfer(document.is_transfer(), made)
            }
            (None, true) if !self.brings_parts() => {
                let bytes = read_whole(incoming(body), DOCUMENT_BYTES_MAX).await?;
                if !bytes.is_empty() {
                    return Err(Fault::bad("a container has no value"));
                }
                let items = self.header_items()?.into_iter();
                let items = items.filter(|(_, text)| !text.is_empty());
                let items: serde_json::Map<_, _> =
                    items.map(|(name, text)| (name, text.into())).collect();
                let mut document = Document {
                    metadata: Some(items).filter(|items| !items.is_empty()),
                    ..Document::default()
                };
                self.in_domain_of(&parent, &mut document);
                self.create_container(&parent, &names, &document).await
            }
            (None, false) if !self.brings_parts() => {
                self.create_plain(&parent, &names, incoming(body)).await
            }
            (_, true) => Err(Fault::bad("only a container's path ends in a slash")),
            (_, false) => {
                let mut submission = self.submission(body, &[Kind::Object]).await?;
                self.in_domain_of(&parent, &mut submission.document);
                let transfers = submission.document.is_transfer();
                let made = self.create_data(&parent, &names, submission).await;
                self.of_transfer(transfers, made)
            }
        }
    }

    async fn patch_target(&self, target: &Target, body: RequestBody) -> Answered {
        let node = self.need(target).await?;
        snapshots::check_changeable(node.names())?;
        match node {
            Node::Container(container) => {
                if !self.brings_document() {
                    return Err(Fault::bad(
                        "a container is updated by a document of its type",
                    ));
                }
                self.put_onto_container(&container, body).await
            }
            Node::Leaf(leaf) if leaf.reference().is_some() => Err(self.redirect(&leaf).await),
            Node::Leaf(leaf) if leaf.is_queue() => {
                if !self.brings_document() {
                    return Err(Fault::bad("a queue is updated by a document of its type"));
                }
                self.put_onto_queue(&leaf, body).await
            }
            Node::Leaf(leaf) if self.brings_document() => self.put_onto_data(&leaf, body).await,
            Node::Leaf(leaf) => self.update_plain(&leaf, incoming(body)).await,
        }
    }

    async fn post(&self, target: &Target, body: RequestBody) -> Answered {
        let node = self.need(target).await?;
        snapshots::check_changeable(node.names())?;
        match node {
            Node::Leaf(leaf) if leaf.reference().is_some() => Err(self.redirect(&leaf).await),
            Node::Leaf(leaf) if leaf.is_queue() => {
                if !self.brings_document() {
                    return Err(Fault::bad("values come in a document or in parts after it"));
                }
                // The examples of the standard send values as either type.
                let kinds = [Kind::Queue, Kind::Object];
                let submission = self.submission(body, &kinds).await?;
                self.enqueue(&leaf, &submission).await
            }
            Node::Leaf(_) => Err(Fault::bad("only containers and queues take a POST")),
            Node::Container(container) => self.post_in(&container, body).await,
        }
    }

    /// A new object of a container under a name that the server gives: its id, or what a form
    /// calls its file.
    async fn post_in(&self, container: &Container, body: RequestBody) -> Answered {
        if self.content.as_ref().is_some_and(MediaType::is_form) {
            return self.post_form(container, body).await;
        }
        let mut body = self.posted_body(body).await?;
        let mut bare_document = Document::default();
        let document = match &mut body {
            Posted::Queue(submission) | Posted::Object(submission) => &mut submission.document,
            Posted::Bytes(_) => &mut bare_document,
        };
        self.in_domain_of(container, document);
        let id = match &body {
            Posted::Object(submission) => self.id_of_moved(submission).await?,
            _ => None,
        };
        let id = id.unwrap_or_else(|| self.cdmi.host.id());
        let names = container.names.child(&self.id_text(id), false);
        let mut destination = self.place_in(container, &names).await?;
        destination.id = Some(ObjectId(id));
        let to = self.heir_of_new(&destination, &bare_document);
        let to = to.boxed().await?;
        let object = self.store_posted(&destination, body).boxed().await?;
        let object = self.give_new(&destination, object, to).await?;
        let leaf = Leaf::made(destination, (Some(names), Some(container.id)), object);
        self.posted(&leaf).await
    }

    /// What a POST brings.
    async fn posted_body(&self, body: RequestBody) -> Answered<Posted> {
        Ok(match self.content_kind() {
            Some(Kind::Queue) => Posted::Queue(self.submission(body, &[Kind::Queue]).await?),
            Some(Kind::Object) => Posted::Object(self.submission(body, &[Kind::Object]).await?),
            Some(_) => {
                return Err(Fault::bad(
                    "only data objects and queues are made by a POST",
                ));
            }
            None if self.brings_parts() => {
                Posted::Object(self.submission(body, &[Kind::Object]).await?)
            }
            None => Posted::Bytes(body),
        })
    }

    /// The id of the object that a document moves.
    async fn id_of_moved(&self, submission: &Submission) -> Answered<Option<Id>> {
        match &submission.document.source {
            Some(Source::Move(uri)) => Ok(Some(self.source_leaf(uri).await?.0.object.id.0)),
            _ => Ok(None),
        }
    }

    /// Stores what a POST brings.
    async fn store_posted(&self, destination: &Destination, body: Posted) -> Answered<Object> {
        match body {
            Posted::Queue(submission) => {
                let stored = self.store_queue(destination, &submission.document).await;
                self.of_transfer(submission.document.is_transfer(), stored)
            }
            Posted::Object(submission) => {
                let transfers = submission.document.is_transfer();
                let stored = self.store_new(destination, submission).await;
                self.of_transfer(transfers, stored)
            }
            Posted::Bytes(body) => self.store_plain(destination, incoming(body)).await,
        }
    }

    /// 201: with the document when one was sent, and with the place alone over plain HTTP.
    async fn posted(&self, leaf: &Leaf) -> Answered {
        let mut response = self.queue_created(leaf).await?;
        if !self.brings_document() {
            *response.body_mut() = Body::empty();
            response.headers_mut().remove(http::header::CONTENT_TYPE);
        }
        Ok(response)
    }

    /// A file of a form (RFC 7578): the first one, under its own name.
    async fn post_form(&self, container: &Container, body: RequestBody) -> Answered {
        let bytes = read_whole(incoming(body), PARTS_BYTES_MAX).await?;
        let boundary = self.content.as_ref().map(multipart::boundary).transpose()?;
        let parts = multipart::parse(&bytes, boundary.unwrap_or_default())?;
        let file = parts
            .iter()
            .find_map(|part| part.file_name().map(|name| (name, part)));
        let (name, part) = file.ok_or_else(|| Fault::bad("the form has no file"))?;
        let (names, destination) = self.place_of_file(container, &name).await?;
        let mut call = self.clone();
        call.content = match part.header("content-type") {
            Some(_) => Some(part.media_type()?),
            None => None,
        };
        call.declared_length = Some(part.body.len() as u64);
        let body = futures::stream::iter([Ok(part.body.clone())]);
        let object = call.store_plain(&destination, body).await?;
        let leaf = Leaf::made(destination, (Some(names), Some(container.id)), object);
        call.posted(&leaf).await
    }

    /// Where a file of a form goes: under its own name, or by its id where something else has that.
    async fn place_of_file(
        &self,
        container: &Container,
        name: &str,
    ) -> Answered<(Names, Destination)> {
        let names = container.names.child(name, false);
        match self.resolve(&names).await {
            Ok(None) => {
                let destination = self.place_in(container, &names).await?;
                Ok((names, destination))
            }
            Ok(Some(_)) | Err(Fault::Elsewhere(..)) => {
                let id = self.cdmi.host.id();
                let names = container.names.child(&self.id_text(id), false);
                let mut destination = self.place_in(container, &names).await?;
                destination.id = Some(ObjectId(id));
                Ok((names, destination))
            }
            Err(fault) => Err(fault),
        }
    }

    async fn delete(&self, target: &Target) -> Answered {
        if let Target::Path(names) = target
            && names
                .last()
                .is_some_and(|name| name.starts_with(crate::path::RESERVED))
        {
            return Err(Fault::bad("this belongs to the server"));
        }
        let node = match target {
            // As the standard's example has it, without the slash.
            Target::Path(names) if snapshots::is_snapshot(names) => {
                let slash = true;
                let whole = Target::Path(Names {
                    slash,
                    ..names.clone()
                });
                self.need(&whole).await?
            }
            target => self.need(target).await?,
        };
        match node {
            Node::Leaf(leaf)
                if leaf.is_queue()
                    && self.names_values()
                    && !leaf.names.as_ref().is_some_and(snapshots::is_within) =>
            {
                self.dequeue(&leaf).await
            }
            // Part of something is not deleted, and the whole was not asked for.
            _ if !self.fields.is_all() => Err(part_deleted()),
            Node::Container(container) if snapshots::is_within(&container.names) => {
                self.delete_snapshot(&container).await
            }
            Node::Leaf(leaf) if leaf.names.as_ref().is_some_and(snapshots::is_within) => {
                Err(Fault::forbidden("a snapshot never changes"))
            }
            Node::Container(container) => self.delete_container(&container).await,
            Node::Leaf(leaf) => match &leaf.version_of {
                Some(main) => {
                    self.delete_version(&leaf, main).await?;
                    Ok(bare(StatusCode::NO_CONTENT))
                }
                None => self.delete_leaf(&leaf).await,
            },
        }
    }

    /// A new object that only its id leads to.
    async fn create_nameless(&self, body: RequestBody) -> Answered {
        if self.method != Method::POST {
            return Ok(not_allowed("POST"));
        }
        let bucket = nameless_bucket(self.account()?)?;
        self.make_hidden(&bucket).await?;
        let key = Key::parse(self.cdmi.host.id().to_string())?;
        let mut destination = Destination::free(bucket, key);
        let body = self.posted_body(body).await?;
        if let Posted::Object(submission) | Posted::Queue(submission) = &body {
            let source = submission.document.source.as_ref();
            self.name_referral(&mut destination, source).boxed().await?;
        }
        let object = self.store_posted(&destination, body).boxed().await?;
        let leaf = Leaf::made(destination, (None, None), object);
        self.posted(&leaf).await
    }

    /// The document of a body, with the parts that follow it.
    pub(crate) async fn submission(
        &self,
        body: RequestBody,
        kinds: &[Kind],
    ) -> Answered<Submission> {
        if !self.brings_parts() {
            self.check_content(kinds)?;
            let bytes = read_whole(incoming(body), DOCUMENT_BYTES_MAX).await?;
            let mut document = Document::parse(&bytes)?;
            self.choose_profile(&mut document, kinds).await?;
            let parts = Vec::new();
            return Ok(Submission { document, parts });
        }
        let bytes = read_whole(incoming(body), PARTS_BYTES_MAX).await?;
        let mut submission = self.cut(&bytes, kinds)?;
        self.choose_profile(&mut submission.document, kinds).await?;
        Ok(submission)
    }

    fn cut(&self, bytes: &Bytes, kinds: &[Kind]) -> Answered<Submission> {
        let boundary = self.content.as_ref().map(multipart::boundary).transpose()?;
        let mut parts = multipart::parse(bytes, boundary.unwrap_or_default())?.into_iter();
        let first = parts
            .next()
            .ok_or_else(|| Fault::bad("the body has no part"))?;
        let kind: Result<_> = first.media_type().map(|media_type| media_type.kind());
        if !kind?.is_some_and(|kind| kinds.contains(&kind)) {
            return Err(Fault::bad(
                "the first part is not a document that fits here",
            ));
        }
        let parts: Vec<_> = parts.collect();
        if parts.is_empty() {
            return Err(Fault::bad("no value follows the document"));
        }
        Ok(Submission {
            document: Document::parse(&first.body)?,
            parts,
        })
    }
}
