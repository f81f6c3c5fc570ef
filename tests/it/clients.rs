//! Real clients of each dialect, each in a home of its own. A script prints `done` at its end.

use crate::Fixture;
use trestle_tests::clients::{script, succeed};

fn runs(name: &str) {
    let fixture = Fixture::new();
    let output = succeed(&mut script(name, fixture.server(), fixture.folder.path()));
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("done\n"));
}

#[test]
fn python_requests_uses_the_rest_api() {
    runs("rest_requests.py");
}

#[test]
fn a_flask_application_keeps_its_uploads() {
    runs("flask_uploads.py");
}

#[test]
fn a_browser_lists_uploads_opens_and_deletes() {
    runs("rest_browser.py");
}

#[test]
fn boto3_uses_s3() {
    runs("s3_boto3.py");
}

#[test]
fn python_swiftclient_uses_swift() {
    runs("swift_client.py");
}
