//! The dialect: from a request to its answer, through the doors in Swift's own order — the host, the
//! temporary URL, the token, the site, the resource.

use crate::call::{Call, Input, set, text};
use crate::fault::{Fault, Outcome};
use crate::query::Query;
use crate::rates::Paces;
use crate::settings::{Identify, Policy, Settings};
use crate::target::{Prefixes, Target};
use crate::tombstone::Strangers;
use crate::who::Who;
use crate::{
    account, auth, bulk, container, domain, formpost, info, object, receive, staticweb, tempurl,
};
use futures::StreamExt;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Response};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use trestle_core::{AccountId, BucketId, Sequence, Timestamp};
use trestle_host::Host;
use trestle_http::{Body, Client, LoggedUser, RequestBody, RequestId, incoming};
use trestle_store::Store;

/// Longest text that a client may add to a transaction id.
const EXTRA_MAX: usize = 32;

/// The dialect.
pub struct Swift {
    pub(crate) store: Arc<Store>,
    pub(crate) host: Host,
    pub(crate) identify: Arc<dyn Identify>,
    pub(crate) settings: Settings,
    pub(crate) policies: Vec<Policy>,
    pub(crate) prefixes: Prefixes,
    paces: Paces,
    /// How far containers are that are synchronised: the commits up to which all is sent, and all
    /// deletions are remembered.
    pub(crate) reached: Mutex<BTreeMap<BucketId, (Sequence, Sequence)>>,
    /// Deletions of what is not there that containers remember.
    pub(crate) strangers: Strangers,
    /// Those that were given a key or a destination, and are yet to be looked at.
    pub(crate) asked: Mutex<BTreeSet<BucketId>>,
}

impl std::fmt::Debug for Swift {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Swift").field(&self.settings).finish()
    }
}

impl Swift {
    /// The dialect over a store.
    pub fn new(
        store: Arc<Store>,
        host: Host,
        identify: Arc<dyn Identify>,
        settings: Settings,
    ) -> Arc<Self> {
        Arc::new(Swift {
            store,
            host,
            identify,
            policies: settings.policies(),
            prefixes: Prefixes(settings.prefixes.clone()),
            paces: Paces::default(),
            reached: Mutex::default(),
            strangers: Strangers::default(),
            asked: Mutex::default(),
            settings,
        })
    }

    /// Whether a request of this host belongs to the dialect, whatever its path.
    pub fn owns_host(&self, host: &str) -> bool {
        domain::rest_of(&self.settings.domains, host).is_some()
    }

    /// Answers a request.
    pub async fn answer(self: &Arc<Self>, request: Request<RequestBody>) -> Response<Body> {
        let now = self.host.clock.now();
        let id = self.transaction(request.headers(), now);
        let head = request.method() == http::Method::HEAD;
        let kept = request.version() == http::Version::HTTP_11
            && request
                .headers()
                .get("connection")
                .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"keep-alive"));
        let mut response = match self.door(request, now).await {
            Ok(response) => response,
            Err(fault) => fault.into_response(),
        };
        let headers = response.headers_mut();
        set(headers, "x-trans-id", &id);
        set(headers, "x-openstack-request-id", &id);
        if kept {
            // What goes without saying is said to who says it.
            set(headers, "connection", "keep-alive");
        }
        if head && let Some(length) = full_length(response.body()) {
            // The length is told, the bytes are not sent.
            if !response.headers().contains_key("content-length") {
                set(
                    response.headers_mut(),
                    "content-length",
                    &length.to_string(),
                );
            }
            *response.body_mut() = Body::empty();
        }
        response
    }

    /// The account that a name in a URL stands for; none for one without a known prefix.
    pub fn account(&self, name: &str) -> Option<AccountId> {
        self.prefixes.account(name)
    }

    /// A new transaction id.
    fn transaction(&self, headers: &HeaderMap, now: Timestamp) -> String {
        let id = self.host.id().to_string();
        // The first half of an id is its time.
        let random = id.get(11..).unwrap_or_default();
        let extra = headers
            .get("x-trans-id-extra")
            .and_then(|value| value.to_str().ok())
            .map(|extra| {
                let extra: String = extra.chars().take(EXTRA_MAX).collect();
                format!("-{}", crate::target::quote(&extra))
            });
        let seconds = now.seconds();
        format!("tx{random}-{seconds:010x}{}", extra.unwrap_or_default())
    }

    async fn door(
        self: &Arc<Self>,
        request: Request<RequestBody>,
        now: Timestamp,
    ) -> Outcome<Response<Body>> {
        let (mut parts, body) = request.into_parts();
        let length = http_body::Body::size_hint(&body).exact();
        let client = parts.extensions.remove::<Client>();
        let host = match &client {
            Some(client) if !client.authority.is_empty() => client.authority.clone(),
            _ => parts
                .headers
                .get("host")
                .and_then(|host| host.to_str().ok())
                .unwrap_or_default()
                .to_owned(),
        };
        let raw = parts.uri.path();
        let below = domain::rewrite(&self.settings.domains, &self.prefixes, &host)?;
        let path = format!("{}{raw}", below.as_deref().unwrap_or_default());
        let scheme = client.as_ref().map_or("http", Client::scheme);
        let origin = format!("{scheme}://{host}");
        let method = parts.method.as_str().to_owned();
        let request_id = parts.extensions.remove::<RequestId>();
        let request_id = request_id.map(|id| id.0).unwrap_or_default();
        let remote = client.as_ref().map(|client| client.address.to_canonical());
        match path.split('/').nth(1).unwrap_or_default() {
            "healthcheck" => return Ok(text(200, "text/plain", "OK")),
            "crossdomain.xml" => return Ok(text(200, "application/xml", info::CROSS_DOMAIN)),
            "info" => return info::answer(self, &method, &path, parts.uri.query()),
            "auth" => {
                let asking = auth::Asking {
                    method: &method,
                    path: &path,
                    headers: &parts.headers,
                    origin: &origin,
                    source: remote,
                };
                return auth::answer(self, asking).await;
            }
            "v1" | "v1.0" => {}
            "" => return Err(Fault::new(404)),
            _ => return Err(Fault::text(412, "Bad URL")),
        }
        if let Some(names) = &self.settings.names {
            names.check(&path)?;
        }
        let target = Target::parse(&path)?;
        let query = Query::parse(parts.uri.query())?;
        let account = self.prefixes.account(&target.account);
        let Some(account) = account else {
            return Err(self
                .unknown_account(&parts.headers, remote, &target)
                .await?);
        };
        let who = self.who(&parts.headers, remote).await;
        let call = Call {
            swift: self.clone(),
            method,
            target,
            account,
            query,
            headers: parts.headers,
            who: Who::anonymous(),
            now,
            secure: client.as_ref().is_some_and(|client| client.secure),
            request_id,
            remote,
            origin,
            below: below.unwrap_or_default(),
            temp_url: None,
            received: None,
        };
        let chunked = call.headers.contains_key("transfer-encoding");
        let declared = call.headers.contains_key("content-length");
        let input = Input {
            length: length.filter(|_| declared || !chunked).filter(|_| declared),
            stream: incoming(body).boxed(),
        };
        self.settings.rates.admit(&self.paces, &call).await?;
        let known = who.as_ref().ok().and_then(Option::as_ref);
        let user = known.map(|who| who.principal.user.clone());
        let answered = self.authenticated(call.clone(), who, input).await;
        let mut response = crate::cors::annotate(&call, answered).await;
        if let Some(user) = user.filter(|user| !user.is_empty()) {
            response.extensions_mut().insert(LoggedUser(user));
        }
        Ok(response)
    }

    /// Nobody can be served in an account whose name has no known prefix.
    async fn unknown_account(
        &self,
        headers: &HeaderMap,
        source: Option<IpAddr>,
        target: &Target,
    ) -> Outcome<Fault> {
        Ok(match self.who(headers, source).await? {
            Some(_) => Fault::new(403),
            None => unauthorized(&target.account),
        })
    }

    /// Who presents which tokens; none when no token is presented.
    async fn who(&self, headers: &HeaderMap, source: Option<IpAddr>) -> Outcome<Option<Who>> {
        let token = presented(headers, "x-auth-token")?;
        let token = token.or(presented(headers, "x-storage-token")?);
        let Some(token) = token.filter(|token| !token.is_empty()) else {
            return Ok(None);
        };
        let Some(principal) = self.identify.resolve(token, source).await? else {
            return Err(Fault::new(401));
        };
        let service = match presented(headers, "x-service-token")? {
            Some(token) => self.identify.resolve(token, source).await?,
            None => None,
        };
        // A token that is narrowed lends nothing to another.
        let service = service.filter(|service| service.session_policies.is_empty());
        let who = Who::new(principal, service.as_deref(), &self.prefixes);
        Ok(Some(who))
    }

    async fn authenticated(
        self: &Arc<Self>,
        mut call: Call,
        who: Outcome<Option<Who>>,
        input: Input,
    ) -> Outcome<Response<Body>> {
        if receive::is_signed(&call) && call.target.container.is_some() {
            return receive::answer(call, input).await;
        }
        // What a page may ask is asked before the URL is used, by a method that nobody signs.
        let parameters = tempurl::Parameters::of(&call.query);
        if let Some(parameters) = parameters.filter(|_| call.method != "OPTIONS") {
            let pass = crate::doors::temporary(&call, &parameters).await?;
            call.who.pass = Some(pass);
            call.temp_url = Some(parameters);
            // Nothing but the signed parts of the query counts.
            call.query = Query::default();
            call.headers.remove("x-timestamp");
            call.headers.remove("x-open-expired");
            let answered = self.served(&call, input).await?;
            return Ok(crate::doors::downloaded(&call, answered));
        }
        let is_form = call.method == "POST"
            && formpost::is_form(&call.headers)
            && call.target.container.is_some();
        call.who = match who {
            Ok(Some(who)) => who,
            // What is no credential here is one that somebody presents all the same: never nobody's.
            Ok(None) if !is_form && call.headers.contains_key(AUTHORIZATION) => {
                return Err(unauthorized(&call.target.account));
            }
            Ok(None) => Who::anonymous(),
            Err(fault) if fault.status() == 401 => {
                return Err(unauthorized(&call.target.account));
            }
            Err(fault) => return Err(fault),
        };
        if is_form {
            return formpost::answer(&call, input).await;
        }
        self.served(&call, input).await
    }

    /// Answers with the site of a container, a bulk operation, or the resource.
    async fn served(self: &Arc<Self>, call: &Call, input: Input) -> Outcome<Response<Body>> {
        if let Some(operation) = bulk::asked(call) {
            return bulk::answer(call, operation?, input).await;
        }
        if staticweb::serves(call) {
            return staticweb::answer(call).await;
        }
        self.resource(call, input).await
    }

    /// Answers with the resource itself.
    pub(crate) async fn resource(
        self: &Arc<Self>,
        call: &Call,
        input: Input,
    ) -> Outcome<Response<Body>> {
        let Call { target, .. } = call;
        match (&target.container, &target.object) {
            (None, _) => account::answer(call).await,
            (Some(_), None) => container::answer(call).await,
            (Some(_), Some(_)) => object::answer(call, input).await,
        }
    }
}

/// The token of a header; none when there is no such header.
///
/// # Errors
/// 401 for what can be no token: it is never taken for none.
fn presented<'h>(headers: &'h HeaderMap, name: &str) -> Outcome<Option<&'h str>> {
    let value = headers.get(name).map(|value| value.to_str());
    value.transpose().map_err(|_| Fault::new(401))
}

fn full_length(body: &Body) -> Option<usize> {
    match body {
        Body::Full(bytes) => Some(bytes.len()),
        _ => None,
    }
}

/// 401 that names the account.
pub(crate) fn unauthorized(account: &str) -> Fault {
    let realm = crate::target::quote(account);
    Fault::new(401).with("www-authenticate", format!("Swift realm=\"{realm}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_no_token_is_not_taken_for_none() {
        let mut headers = HeaderMap::new();
        let token = |headers: &HeaderMap| {
            let found = presented(headers, "x-auth-token");
            found
                .map(|token| token.map(str::to_owned))
                .map_err(|fault| fault.status())
        };
        assert_eq!(token(&headers), Ok(None));
        headers.insert("x-auth-token", "t".parse().unwrap());
        assert_eq!(token(&headers), Ok(Some("t".to_owned())));
        let bytes = http::HeaderValue::from_bytes(b"t\xff").unwrap();
        headers.insert("x-auth-token", bytes);
        assert_eq!(token(&headers), Err(401));
    }
}
