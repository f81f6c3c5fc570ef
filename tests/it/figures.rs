//! `/metrics`: root's, and true.

use crate::{Fixture, assert_problem, send};
use trestle_tests::{Client, Launch};

#[test]
fn figures_are_for_root_unless_they_are_made_public() {
    let fixture = Fixture::new();
    let mut stranger = Client::anonymous(fixture.server().address);
    assert_problem(&send(&mut stranger, "GET", "/metrics"), 401);
    assert_problem(&send(&mut fixture.client(), "PUT", "/metrics"), 405);
    let figures = send(&mut fixture.client(), "GET", "/metrics").text();
    let created = "trestle_http_requests_total{part=\"rest\",method=\"PUT\",status=\"201\"} 1";
    assert!(figures.lines().any(|line| line == created), "{figures}");
    assert!(figures.contains("trestle_store_writable 1\n"), "{figures}");
    let public = Launch::new(fixture.folder.path().join("public"))
        .variable("TRESTLE_METRICS", "public")
        .start();
    let mut stranger = Client::anonymous(public.address);
    assert_eq!(send(&mut stranger, "GET", "/metrics").status, 200);
    assert_problem(&send(&mut stranger, "GET", "/metrics/"), 404);
}
