//! Black-box tests: the real binary, driven from outside.

mod access;
mod cdmi;
mod cdmi_capabilities;
mod cdmi_capabilities_data;
mod cdmi_containers;
mod cdmi_domains;
mod cdmi_elsewhere;
mod cdmi_extensions;
mod cdmi_lists;
mod cdmi_members;
mod cdmi_moved_domains;
mod cdmi_objects;
mod cdmi_queues;
mod cdmi_rights;
mod cdmi_snapshots;
mod cdmi_standard;
mod cdmi_versions;
mod cdmi_watch;
mod certificates;
mod cli;
mod cli_blocks;
mod clients;
mod conditions;
mod dialects;
mod faults;
mod figures;
mod framing;
mod granted;
mod identities;
mod keys;
mod lanes;
mod library;
mod lifecycle;
mod listing;
mod main_job;
mod negative;
mod objects;
mod openapi;
mod overload;
mod promises;
mod proxies;
mod rest;
mod rights;
mod s3;
mod s3_rights;
mod sessions;
mod signed_bytes;
mod snapshots;
mod space;
mod statuses;
mod swift;
mod swift_operator;
mod swift_sync;
mod transactions;
mod volumes;

use tempfile::TempDir;
use trestle_tests::{Client, Launch, Response, Server};

/// A server of its own for one test, with a bucket `b`.
struct Fixture {
    // Dropped in this order: the server ends before its folder goes.
    server: Option<Server>,
    folder: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let server = Launch::new(folder.path().join("data")).start();
        let mut client = server.client();
        assert_eq!(send(&mut client, "PUT", "/rest/b/").status, 201);
        Fixture {
            server: Some(server),
            folder,
        }
    }

    fn launch(&self) -> Launch {
        Launch::new(self.folder.path().join("data"))
    }

    fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    fn client(&self) -> Client {
        self.server().client()
    }

    fn kill(&mut self) {
        self.server.take().unwrap().kill().unwrap();
    }

    fn stop(&mut self) {
        let status = self.server.take().unwrap().stop().unwrap();
        assert!(status.success(), "{status}");
    }

    fn start(&mut self) {
        self.server = Some(self.launch().start());
    }
}

/// A request without headers and body.
fn send(client: &mut Client, method: &str, target: &str) -> Response {
    client.send(method, target, &[], &[]).unwrap()
}

fn put(client: &mut Client, target: &str, body: &[u8]) -> Response {
    client.send("PUT", target, &[], body).unwrap()
}

fn json(response: &Response) -> serde_json::Value {
    serde_json::from_slice(&response.body)
        .unwrap_or_else(|error| panic!("{error}: {}", response.text()))
}

/// An error answer says what is wrong as RFC 9457 has it, and is not to be cached.
fn assert_problem(response: &Response, status: u16) {
    assert_eq!(response.status, status, "{}", response.text());
    assert_eq!(
        response.header("content-type").as_deref(),
        Some("application/problem+json")
    );
    assert_eq!(
        response.header("cache-control").as_deref(),
        Some("no-store")
    );
    let problem = json(response);
    assert_eq!(problem["status"], status);
    assert!(
        problem["title"].is_string() && problem["detail"].is_string(),
        "{problem}"
    );
}
