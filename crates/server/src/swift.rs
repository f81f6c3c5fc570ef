//! What the Swift dialect is set up with, and who its users are: the store's identities.

use crate::config::Config;
use futures::future::BoxFuture;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method, Request};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use trestle_access::Principal;
use trestle_client::Wire;
use trestle_http::{Body, incoming, read_whole};
use trestle_store::{Identities, Issue};
use trestle_swift::{Identify, Issued, Names, Outgoing, Rates, Realms, Settings, Swift, Transport};

/// For how many seconds a token is valid.
const TOKEN_SECONDS: u64 = 24 * 60 * 60;

/// How long until changes of containers are looked for again.
const SYNC_PAUSE: Duration = Duration::from_secs(2);
/// How long the rest of an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);
/// Most bytes of an answer of another cluster that are read.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// The settings of the dialect.
pub(crate) fn settings(config: &Config) -> Result<Settings, String> {
    let mut realms = match config.get("swift_sync_realms") {
        None => Realms::default(),
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
            Realms::parse(&text).map_err(|error| format!("{path}: {error}"))?
        }
    };
    realms.allow_hosts(config.list("swift_sync_host"))?;
    let names = config.get("swift_name_check");
    let length = config.get("swift_name_length");
    if names.is_none() && length.is_some() {
        return Err("swift_name_length needs swift_name_check".to_owned());
    }
    Ok(Settings {
        policies: config.list("swift_policy").to_vec(),
        domains: config.list("swift_domain").to_vec(),
        realms,
        names: names
            .map(|forbidden| Names::parse(forbidden, length))
            .transpose()?,
        rates: Rates::parse(
            config.get("swift_account_rate"),
            config.list("swift_container_rate"),
            config.list("swift_listing_rate"),
        )?
        .with_accounts(
            config.list("swift_exempt_account"),
            config.list("swift_blocked_account"),
        )?,
        ..Settings::default()
    })
}

/// Synchronises containers for as long as the server serves.
pub(crate) async fn synchronise(swift: Arc<Swift>) {
    let wires = Wires::default();
    let pause = || -> BoxFuture<'static, ()> { Box::pin(tokio::time::sleep(SYNC_PAUSE)) };
    swift.synchronise(&wires, &pause).await;
}

/// Connections to other clusters.
#[derive(Default)]
struct Wires(Mutex<BTreeMap<String, Arc<Wire>>>);

impl Wires {
    fn to(&self, server: &str) -> Result<Arc<Wire>, String> {
        let mut wires = self.0.lock();
        if let Some(wire) = wires.get(server) {
            return Ok(wire.clone());
        }
        let wire = Arc::new(Wire::to(server)?);
        wires.insert(server.to_owned(), wire.clone());
        Ok(wire)
    }
}

impl Transport for Wires {
    fn send(&self, outgoing: Outgoing) -> BoxFuture<'_, Result<(u16, HeaderMap), String>> {
        Box::pin(async move {
            let mut headers = outgoing.headers;
            let body = match outgoing.body {
                Some((length, body)) => {
                    // Said of an empty body, too, which would be taken for none.
                    headers.insert(CONTENT_LENGTH, length.into());
                    Body::stream(length, body)
                }
                None => Body::empty(),
            };
            let mut request = Request::new(body);
            *request.method_mut() = Method::from_bytes(outgoing.method.as_bytes())
                .map_err(|error| error.to_string())?;
            *request.uri_mut() = outgoing
                .target
                .parse()
                .map_err(|_| format!("{}: no path", outgoing.target))?;
            *request.headers_mut() = headers;
            let reply = self.to(&outgoing.server)?.send(request).await?;
            let (parts, body) = reply.into_parts();
            // The connection is free again when all has been read.
            let rest = read_whole(incoming(body), ANSWER_BYTES_MAX);
            let rest = tokio::time::timeout(ANSWER_TIMEOUT, rest).await;
            rest.map_err(|_| "an answer does not end".to_owned())?
                .map_err(|error| error.to_string())?;
            Ok((parts.status.as_u16(), parts.headers))
        })
    }
}

/// Who the users are.
pub(crate) struct Users(pub(crate) Arc<Identities>);

impl Identify for Users {
    fn login(
        &self,
        (account, user): (&str, &str),
        password: &str,
        source: Option<IpAddr>,
    ) -> BoxFuture<'static, trestle_core::Result<Option<Arc<Principal>>>> {
        let identities = self.0.clone();
        let (name, password) = (format!("{account}/{user}"), password.to_owned());
        Box::pin(async move { identities.password(&name, &password, source).await })
    }

    fn issue(&self, principal: Arc<Principal>) -> BoxFuture<'static, trestle_core::Result<Issued>> {
        let identities = self.0.clone();
        Box::pin(async move {
            let issue = Issue {
                lifetime: Duration::from_secs(TOKEN_SECONDS),
                policies: Vec::new(),
            };
            let session = identities.issue(&principal, &issue).await?;
            Ok(Issued {
                token: session.token,
                seconds: TOKEN_SECONDS,
            })
        })
    }

    fn resolve(
        &self,
        token: &str,
        source: Option<IpAddr>,
    ) -> BoxFuture<'static, trestle_core::Result<Option<Arc<Principal>>>> {
        let identities = self.0.clone();
        let token = token.to_owned();
        Box::pin(async move { identities.bearer(&token, source).await })
    }
}
