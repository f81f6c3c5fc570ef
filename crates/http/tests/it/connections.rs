//! Connections of every kind: HTTP/2 with and without TLS, behind proxies, and too many of them.

use crate::client::{Server, start, start_with};
use bytes::Bytes;
use http::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};
use trestle_http::{Body, Client, Handler, Metrics, Proxies, Tls, TlsFiles, incoming, read_whole};

/// Answers with what it knows of the client.
fn facts() -> Arc<Handler> {
    Arc::new(|request| {
        Box::pin(async move {
            let client = request.extensions().get::<Client>().unwrap();
            let certificate = client.certificate.as_ref().map(|found| found.fingerprint());
            let text = format!(
                "{:?} {} {} {} {}",
                request.version(),
                client.address,
                client.scheme(),
                client.authority,
                certificate.unwrap_or_default()
            );
            Response::new(Body::full(text))
        })
    })
}

/// One request over HTTP/2; the status and the body.
async fn second<S>(stream: S, request: Request<Body>) -> (u16, String)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(stream);
    let shaken = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await;
    let (mut sender, connection) = shaken.unwrap();
    tokio::spawn(connection);
    let response = sender.send_request(request).await.unwrap();
    let status = response.status().as_u16();
    let body = read_whole(incoming(response.into_body()), 1 << 20)
        .await
        .unwrap();
    (status, String::from_utf8(body.into()).unwrap())
}

fn get(uri: &str) -> Request<Body> {
    Request::get(uri).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn http2_is_spoken_to_who_begins_with_it() {
    let server = start(facts()).await;
    let connect = || async { TcpStream::connect(server.address).await.unwrap() };
    let (status, body) = second(connect().await, get("http://a/")).await;
    assert_eq!((status, body.as_str()), (200, "HTTP/2.0 127.0.0.1 http a "));
    let head = Request::head("http://a/").body(Body::empty()).unwrap();
    assert_eq!(second(connect().await, head).await, (200, String::new()));
    let two = Request::get("http://a/")
        .header("host", "b")
        .body(Body::empty())
        .unwrap();
    assert_eq!(second(connect().await, two).await.0, 400);
    // What only looks like it for a while is HTTP/1, and refused as such.
    assert_eq!(
        server
            .raw("PRI * HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .status(),
        400
    );
    assert_eq!(
        server.ask("GET /", "", "").await.body,
        "HTTP/1.1 127.0.0.1 http a "
    );
}

struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    /// Writes a certificate for `localhost`; it may vouch for itself.
    fn write(&self, name: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let (certificate, key) = trestle_http::self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(self.path(name, "crt"), &certificate).unwrap();
        std::fs::write(self.path(name, "key"), &key).unwrap();
        (
            CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap(),
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
    }

    fn path(&self, name: &str, kind: &str) -> std::path::PathBuf {
        self.folder.path().join(format!("{name}.{kind}"))
    }
}

async fn tls(
    server: &Server,
    root: &CertificateDer<'static>,
    own: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
    protocol: &[u8],
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match own {
        Some((certificate, key)) => builder
            .with_client_auth_cert(vec![certificate], key)
            .unwrap(),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(server.address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

#[tokio::test]
async fn tls_is_ended_here_and_its_files_are_read_again() {
    let files = Files {
        folder: tempfile::TempDir::new().unwrap(),
    };
    let (first, _) = files.write("server");
    let (own, own_key) = files.write("client");
    let loaded = Tls::load(TlsFiles {
        certificate: files.path("server", "crt"),
        key: files.path("server", "key"),
        clients: Some(files.path("client", "crt")),
    });
    let loaded = Arc::new(loaded.unwrap());
    let server = start_with(facts(), |service| service.tls(loaded.clone())).await;
    let stream = tls(&server, &first, None, b"h2").await.unwrap();
    let (_, body) = second(stream, get("https://localhost/")).await;
    assert_eq!(body, "HTTP/2.0 127.0.0.1 https localhost ");
    let mut stream = tls(&server, &first, None, b"http/1.1").await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("HTTP/1.1 127.0.0.1 https a "), "{answer}");
    // What was agreed on is spoken: no HTTP/2 where it is HTTP/1.1.
    let mut stream = tls(&server, &first, None, b"http/1.1").await.unwrap();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    stream.write_all(preface).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 505 ") || answer.starts_with("HTTP/1.1 400 "),
        "{answer}"
    );
    let stream = tls(&server, &first, Some((own, own_key)), b"h2")
        .await
        .unwrap();
    let (_, body) = second(stream, get("https://localhost/")).await;
    assert_eq!(
        body.len(),
        "HTTP/2.0 127.0.0.1 https localhost ".len() + 64,
        "{body}"
    );
    let (renewed, _) = files.write("server");
    assert!(tls(&server, &renewed, None, b"h2").await.is_err());
    loaded.reload().unwrap();
    assert!(tls(&server, &renewed, None, b"h2").await.is_ok());
    // What cannot be read leaves the former ones in use.
    std::fs::write(files.path("server", "key"), "nonsense").unwrap();
    assert!(loaded.reload().is_err());
    assert!(tls(&server, &renewed, None, b"h2").await.is_ok());
}

fn trusted(protocol: bool) -> Proxies {
    Proxies {
        networks: vec!["127.0.0.0/8".parse().unwrap()],
        protocol,
        ..Proxies::default()
    }
}

#[tokio::test]
async fn trusted_proxies_are_believed() {
    let server = start_with(facts(), |service| service.proxies(trusted(false))).await;
    let headers = "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: b\r\n";
    assert_eq!(
        server.ask("GET /", headers, "").await.body,
        "HTTP/1.1 1.2.3.4 https b "
    );
    let stranger = start(facts()).await;
    assert_eq!(
        stranger.ask("GET /", headers, "").await.body,
        "HTTP/1.1 127.0.0.1 http a "
    );
}

#[tokio::test]
async fn the_proxy_protocol_is_read_where_it_is_expected() {
    let server = start_with(facts(), |service| service.proxies(trusted(true))).await;
    let get = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let told = server
        .raw(&format!("PROXY TCP4 1.2.3.4 1.1.1.1 5 80\r\n{get}"))
        .await;
    assert_eq!(told.body, "HTTP/1.1 1.2.3.4 http a ");
    // Of a client that it does not name, headers say nothing: they may be the client's own.
    let spoofed =
        "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nConnection: close\r\n\r\n";
    let told = server.raw(&format!("PROXY UNKNOWN\r\n{spoofed}")).await;
    assert_eq!(told.body, "HTTP/1.1 127.0.0.1 http a ");
    let named = "PROXY TCP4 127.0.0.9 1.1.1.1 5 80";
    let told = server.raw(&format!("{named}\r\n{spoofed}")).await;
    assert_eq!(told.body, "HTTP/1.1 6.6.6.6 http a ");
    let stranger = start(facts()).await;
    let told = stranger
        .raw(&format!("PROXY TCP4 1.2.3.4 1.1.1.1 5 80\r\n{get}"))
        .await;
    assert_eq!(told.status(), 400);
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(get.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _reset = stream.read_to_string(&mut answer).await;
    assert_eq!(answer, "");
}

#[tokio::test]
async fn too_many_are_told_to_come_back() {
    let handler: Arc<Handler> = Arc::new(|request| {
        Box::pin(async move {
            if request.uri().path() == "/slow" {
                tokio::time::sleep(Duration::from_secs(30)).await;
            }
            Response::new(Body::full(Bytes::from_static(b"ok")))
        })
    });
    let metrics = Arc::new(Metrics::default());
    let counted = metrics.clone();
    let server = start_with(handler, |service| {
        service.requests(1).vital(&["/healthz"]).metrics(counted)
    })
    .await;
    let ask = |address: SocketAddr| async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        stream
    };
    let _slow = ask(server.address).await;
    while metrics
        .render(&[])
        .contains("trestle_http_requests_in_flight 0\n")
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let refused = server.ask("GET /", "", "").await;
    assert_eq!(
        (refused.status(), refused.header("retry-after")),
        (503, Some("1"))
    );
    assert_eq!(server.ask("GET /healthz", "", "").await.status(), 200);
    // Of 16 connections two are kept for this.
    let mut held = Vec::new();
    for _ in 0..13 {
        held.push(TcpStream::connect(server.address).await.unwrap());
    }
    let turned = server.ask("GET /healthz", "", "").await;
    assert_eq!(
        (turned.status(), turned.header("retry-after")),
        (503, Some("1"))
    );
    drop(held);
    assert!(
        metrics
            .render(&[])
            .contains("trestle_http_overloaded_total 2\n")
    );
}
