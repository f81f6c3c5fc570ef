//! No request depends on which server had the one before: two servers over one engine, each with its
//! own caches, and every request sent to either at random.

use crate::config::{self, ConfigArgs};
use crate::credentials::{self, ROOT_ACCOUNT};
use crate::serve::dialects;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use trestle_core::AccountId;
use trestle_engine::Engine;
use trestle_engine_embedded::Settings;
use trestle_host::Host;
use trestle_http::{Metrics, Service};
use trestle_store::{Identities, MasterKey, Store};

/// A server over an engine that others serve, too.
struct Node {
    address: SocketAddr,
    identities: Arc<Identities>,
    _stop: watch::Sender<bool>,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> String {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut found = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
        found
            .next()
            .map_or_else(String::new, |(_, value)| value.to_owned())
    }
}

async fn node(engine: Engine, host: &Host, config: &config::Config) -> Node {
    let account = AccountId::parse(ROOT_ACCOUNT).unwrap();
    let master = MasterKey::from_bytes([7; 32]);
    let store = Store::open(engine, host.clone(), account, Some(master));
    let identities = Identities::new(store.await.unwrap()).unwrap();
    let served = dialects(config, host, &identities, Arc::new(Metrics::default()));
    let handler = served.await.unwrap().handler();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stopping, stop) = watch::channel(false);
    let service = Service::new(host.clone(), 64, handler);
    tokio::spawn(trestle_http::serve(listener, service, stop, Duration::ZERO));
    Node {
        address,
        identities,
        _stop: stopping,
    }
}

/// Two nodes, and which one is asked next.
struct Pair {
    nodes: [Node; 2],
    random: u64,
    asked: [u32; 2],
    basic: String,
    _folder: TempDir,
}

impl Pair {
    async fn new(seed: u64) -> Self {
        let folder = TempDir::new().unwrap();
        let host = Host::real();
        let config = config::load(&ConfigArgs::default()).unwrap();
        let engine = trestle_engine_embedded::open(&host, folder.path(), Settings::default());
        let engine = engine.await.unwrap();
        let nodes = [
            node(engine.clone(), &host, &config).await,
            node(engine, &host, &config).await,
        ];
        let fresh = credentials::root(&host, &nodes[0].identities, folder.path(), &config);
        let fresh = fresh.await.unwrap().unwrap();
        let pair = format!("{}:{}", fresh.user, fresh.password);
        Pair {
            nodes,
            random: seed,
            asked: [0; 2],
            basic: format!("Authorization: Basic {}\r\n", encoded(&pair)),
            _folder: folder,
        }
    }

    /// Either of them.
    fn either(&mut self) -> SocketAddr {
        // xorshift, so that a seed repeats a run.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let chosen = usize::from(self.random & 0x10000 != 0);
        self.asked[chosen] += 1;
        self.nodes[chosen].address
    }

    async fn ask(&mut self, line: &str, headers: &str, body: &str) -> Answer {
        let headers = format!("{}{headers}", self.basic);
        let address = self.either();
        ask(address, line, &headers, body).await
    }

    async fn expect(&mut self, line: &str, headers: &str, body: &str, status: u16) -> Answer {
        let answer = self.ask(line, headers, body).await;
        assert_eq!(answer.status, status, "{line}: {}", answer.body);
        answer
    }
}

fn encoded(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

async fn ask(address: SocketAddr, line: &str, headers: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Answer {
        status: head.get(9..12).unwrap().parse().unwrap(),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

const TUS: &str = "Tus-Resumable: 1.0.0\r\n";
const MERGE: &str = "Content-Type: application/merge-patch+json\r\n";

/// Objects, conditions, pages, versions, created names.
async fn objects(pair: &mut Pair, bucket: &str) {
    let at = |rest: &str| format!("/rest/{bucket}/{rest}");
    pair.expect(&format!("PUT {}", at("")), "", "", 201).await;
    let put = format!("PUT {}", at("k"));
    let mut tag = pair.expect(&put, "", "0", 201).await.header("etag");
    for round in 1..20 {
        let condition = format!("If-Match: {tag}\r\n");
        let body = round.to_string();
        let changed = pair.expect(&put, &condition, &body, 204).await;
        let read = pair.expect(&format!("GET {}", at("k")), "", "", 200).await;
        assert_eq!(read.body, body);
        assert_eq!(read.header("etag"), changed.header("etag"));
        pair.expect(&put, &condition, "lost", 412).await;
        tag = changed.header("etag");
    }
    let key = "Idempotency-Key: once\r\n";
    let first = pair
        .expect(&format!("POST {}", at("")), key, "x", 201)
        .await;
    let again = pair
        .expect(&format!("POST {}", at("")), key, "x", 201)
        .await;
    assert_eq!(first.header("location"), again.header("location"));
    for number in 0..7 {
        let target = format!("PUT {}", at(&format!("page/{number}")));
        pair.expect(&target, "", "x", 201).await;
    }
    let (mut next, mut seen) = (Some(at("?prefix=page%2F&limit=2")), 0);
    while let Some(target) = next {
        let page = pair.expect(&format!("GET {target}"), "", "", 200).await;
        let page: serde_json::Value = serde_json::from_str(&page.body).unwrap();
        seen += page["items"].as_array().unwrap().len();
        next = page["next"].as_str().map(str::to_owned);
    }
    assert_eq!(seen, 7);
    let patch = format!("PATCH {}", at(""));
    pair.expect(&patch, MERGE, "{\"versioning\": \"enabled\"}", 204)
        .await;
    let kept = pair
        .expect(&put, "", "kept", 204)
        .await
        .header("trestle-version");
    pair.expect(&put, "", "newer", 204).await;
    let old = format!("GET {}", at(&format!("k?version={kept}")));
    assert_eq!(pair.expect(&old, "", "", 200).await.body, "kept");
}

/// An upload whose every transfer goes to either server.
async fn upload(pair: &mut Pair, bucket: &str) {
    let headers = format!("{TUS}Upload-Length: 26\r\n");
    let created = format!("POST /rest/{bucket}/up");
    let created = pair.expect(&created, &headers, "", 201).await;
    let target = created.header("location");
    let letters = "abcdefghijklmnopqrstuvwxyz";
    for (offset, letter) in letters.char_indices() {
        let told = pair.expect(&format!("HEAD {target}"), TUS, "", 200).await;
        assert_eq!(told.header("upload-offset"), offset.to_string());
        let headers = format!(
            "{TUS}Upload-Offset: {offset}\r\nContent-Type: application/offset+octet-stream\r\n"
        );
        let append = format!("PATCH {target}");
        pair.expect(&append, &headers, &letter.to_string(), 204)
            .await;
        pair.expect(&append, &headers, &letter.to_string(), 409)
            .await;
    }
    let read = format!("GET /rest/{bucket}/up");
    assert_eq!(pair.expect(&read, "", "", 200).await.body, letters);
}

/// Users, tokens and rights: what one server was told binds the other at once.
async fn rights(pair: &mut Pair, bucket: &str) {
    let json = "Content-Type: application/json\r\n";
    let user = format!("PUT /-/accounts/{ROOT_ACCOUNT}/users/ann-{bucket}");
    let password = "{\"password\": \"correct horse battery\"}";
    pair.expect(&user, json, password, 201).await;
    let name = format!("ann-{bucket}:correct horse battery");
    let ann = format!("Authorization: Basic {}\r\n", encoded(&name));
    let read = format!("GET /rest/{bucket}/k");
    let policy = format!("PUT /-/buckets/{bucket}/policy");
    for round in 0..8 {
        let effect = if round % 2 == 0 { "Allow" } else { "Deny" };
        let text = format!(
            "{{\"Version\": \"2012-10-17\", \"Statement\": [{{\"Effect\": \"{effect}\", \
             \"Principal\": \"*\", \"Action\": \"s3:GetObject\", \
             \"Resource\": \"arn:aws:s3:::{bucket}/*\"}}]}}"
        );
        pair.expect(&policy, json, &text, 200).await;
        let allowed = round % 2 == 0;
        for (headers, refused) in [(ann.as_str(), 403), ("", 401)] {
            let address = pair.either();
            let answer = ask(address, &read, headers, "").await;
            let status = if allowed { 200 } else { refused };
            assert_eq!(answer.status, status, "{round}: {}", answer.body);
        }
    }
    pair.expect(&format!("DELETE /-/buckets/{bucket}/policy"), "", "", 204)
        .await;
    let issued = pair.expect("POST /-/tokens", json, "{}", 201).await;
    let issued: serde_json::Value = serde_json::from_str(&issued.body).unwrap();
    let token = issued["token"].as_str().unwrap().to_owned();
    let bearer = format!("Authorization: Bearer {token}\r\n");
    for _ in 0..4 {
        let address = pair.either();
        assert_eq!(ask(address, &read, &bearer, "").await.status, 200);
    }
    let void = format!("{{\"token\": \"{token}\"}}");
    pair.expect("DELETE /-/tokens", json, &void, 204).await;
    for node in 0..2 {
        let address = pair.nodes[node].address;
        assert_eq!(ask(address, &read, &bearer, "").await.status, 401);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_server_answers_any_request() {
    for seed in [1, 2, 3] {
        let pair = &mut Pair::new(0x9e37_79b9_7f4a_7c15 + seed).await;
        objects(pair, "b").await;
        upload(pair, "b").await;
        rights(pair, "b").await;
        assert!(
            pair.asked.iter().all(|asked| *asked > 30),
            "{:?}",
            pair.asked
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_create_at_once_at_both_one_does() {
    let pair = &mut Pair::new(7).await;
    pair.expect("PUT /rest/b/", "", "", 201).await;
    let headers = format!("{}If-None-Match: *\r\n", pair.basic);
    let asked = (0..32).map(|number| {
        let address = pair.nodes[number % 2].address;
        let headers = headers.clone();
        async move {
            ask(address, "PUT /rest/b/k", &headers, &number.to_string())
                .await
                .status
        }
    });
    let statuses = futures::future::join_all(asked).await;
    let created = statuses.iter().filter(|status| **status == 201).count();
    assert_eq!(created, 1, "{statuses:?}");
    assert!(
        statuses.iter().all(|s| [201, 409, 412].contains(s)),
        "{statuses:?}"
    );
}
