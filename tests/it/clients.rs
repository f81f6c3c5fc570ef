//! Real clients of each dialect, each in a home of its own.

use crate::Fixture;
use trestle_tests::clients::{script, succeed};

#[test]
fn python_requests_uses_the_rest_api() {
    let fixture = Fixture::new();
    let output = succeed(&mut script(
        "rest_requests.py",
        fixture.server(),
        fixture.folder.path(),
    ));
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("done\n"));
}
