//! The other end: requests of the command line to a server that runs.
//!
//! One request, one connection. Credentials come from the environment, from a file of them, or, on
//! the machine of the server, from its data folder; never from the command line, which others can
//! read.

use crate::config::environment;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use trestle_http::{Body, incoming, read_whole};

/// Largest answer.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Where the credentials of a root user stand, seen from the folder of its data.
const CREDENTIALS: &str = "root-credentials";

/// How to reach the server, and who asks.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct ConnectionArgs {
    /// The server [default: TRESTLE_SERVER, or http://127.0.0.1:9000]
    #[arg(long, global = true, value_name = "URL")]
    server: Option<String>,
    /// A file with TRESTLE_USER=… and TRESTLE_PASSWORD=… (or TRESTLE_ROOT_…) [default: the
    /// environment, or else ./trestle-data/root-credentials]
    #[arg(long, global = true, value_name = "FILE")]
    credentials: Option<PathBuf>,
    /// A file of certificates, one of which the server's leads to [default: TRESTLE_CA]
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// A server, and how to speak to it.
pub(crate) struct Connection {
    tls: Option<Arc<rustls::ClientConfig>>,
    host: String,
    port: u16,
    authorization: String,
}

impl Connection {
    /// Reads what is needed.
    pub(crate) fn new(args: &ConnectionArgs) -> Result<Connection, String> {
        let given = match &args.server {
            Some(server) => server.clone(),
            None => {
                environment("TRESTLE_SERVER")?.unwrap_or_else(|| "http://127.0.0.1:9000".to_owned())
            }
        };
        let url: http::Uri = given
            .parse()
            .map_err(|_| format!("{given:?} is not a URL"))?;
        let host = url
            .host()
            .ok_or_else(|| format!("{given:?} names no host"))?;
        let secure = match url.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(format!("{given:?} is neither http:// nor https://")),
        };
        let port = url.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Ok(Connection {
            tls: secure.then(|| trust(args)).transpose()?,
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            authorization: authorization(args)?,
        })
    }

    /// Sends a request, and gives the status and the document of the answer.
    pub(crate) async fn send(
        &self,
        method: &str,
        target: &str,
        body: Option<String>,
    ) -> Result<(StatusCode, Value), String> {
        let unreachable = |error: std::io::Error| format!("{}:{}: {error}", self.host, self.port);
        let stream = TcpStream::connect((self.host.as_str(), self.port))
            .await
            .map_err(unreachable)?;
        match &self.tls {
            None => self.exchange(stream, method, target, body).await,
            Some(config) => {
                let name = ServerName::try_from(self.host.clone())
                    .map_err(|_| format!("{:?} is no name of a server", self.host))?;
                let connector = tokio_rustls::TlsConnector::from(config.clone());
                let stream = connector.connect(name, stream).await.map_err(unreachable)?;
                self.exchange(stream, method, target, body).await
            }
        }
    }

    async fn exchange(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        method: &str,
        target: &str,
        body: Option<String>,
    ) -> Result<(StatusCode, Value), String> {
        let failed = |error: hyper::Error| format!("{}: {error}", self.host);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(failed)?;
        let driven = tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header(HOST, format!("{}:{}", self.host, self.port))
            .header(AUTHORIZATION, &self.authorization);
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(body.map_or_else(Body::empty, Body::full))
            .map_err(|_| "the request cannot be written".to_owned())?;
        let response = sender.send_request(request).await.map_err(failed)?;
        let status = response.status();
        let bytes = read_whole(incoming(response.into_body()), ANSWER_BYTES_MAX)
            .await
            .map_err(|error| format!("{}: {error}", self.host))?;
        driven.abort();
        let document = match bytes.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&bytes)
                .map_err(|_| format!("{}: the answer ({status}) is not JSON", self.host))?,
        };
        Ok((status, document))
    }
}

/// Whom a server's certificate must come from.
fn trust(args: &ConnectionArgs) -> Result<Arc<rustls::ClientConfig>, String> {
    let path = match &args.ca {
        Some(path) => path.clone(),
        None => environment("TRESTLE_CA")?
            .map(PathBuf::from)
            .ok_or("https needs --ca FILE, or TRESTLE_CA: whom to trust")?,
    };
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(&path).map_err(|e| failed(&e))? {
        let certificate = certificate.map_err(|e| failed(&e))?;
        roots.add(certificate).map_err(|e| failed(&e))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| failed(&e))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// What to present.
fn authorization(args: &ConnectionArgs) -> Result<String, String> {
    if let (None, Some(token)) = (&args.credentials, environment("TRESTLE_TOKEN")?) {
        return Ok(format!("Bearer {token}"));
    }
    let either = |name: &str, other: &str| match environment(name)? {
        None => environment(other),
        found => Ok(found),
    };
    let user = either("TRESTLE_USER", "TRESTLE_ROOT_USER")?;
    let (user, password) = match (&args.credentials, user) {
        (None, Some(user)) => {
            let password = either("TRESTLE_PASSWORD", "TRESTLE_ROOT_PASSWORD")?;
            (user, password.ok_or("TRESTLE_PASSWORD is not set")?)
        }
        (path, _) => {
            let given = path.clone();
            let path = given.unwrap_or_else(|| PathBuf::from("trestle-data").join(CREDENTIALS));
            let text = std::fs::read_to_string(&path).map_err(|error| {
                format!(
                    "who asks? Set TRESTLE_USER and TRESTLE_PASSWORD, or TRESTLE_TOKEN, or give \
                     --credentials FILE ({}: {error})",
                    path.display()
                )
            })?;
            let value = |names: [&str; 2]| {
                let mut lines = text.lines().filter_map(|line| line.split_once('='));
                let found = lines.find(|(name, _)| names.contains(name));
                let missing = || format!("{} has no {}", path.display(), names[0]);
                found.map(|(_, value)| value.to_owned()).ok_or_else(missing)
            };
            (
                value(["TRESTLE_USER", "TRESTLE_ROOT_USER"])?,
                value(["TRESTLE_PASSWORD", "TRESTLE_ROOT_PASSWORD"])?,
            )
        }
    };
    Ok(format!(
        "Basic {}",
        base64(format!("{user}:{password}").as_bytes())
    ))
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
