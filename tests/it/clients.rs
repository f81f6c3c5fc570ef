//! Real clients of each dialect, each in a home of its own. A script prints `done` at its end.

use crate::Fixture;
use std::path::PathBuf;
use trestle_tests::clients::{program, script, succeed};
use trestle_tests::server::{PASSWORD, USER};

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

/// What the OpenAPI document says, asked in many ways: every operation, and chains of them.
#[test]
fn schemathesis_finds_nothing() {
    let fixture = Fixture::new();
    let folder = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(PathBuf::new, PathBuf::from);
    let mut command = program("st", fixture.folder.path());
    command
        .arg("--config-file")
        .arg(folder.join("clients/schemathesis.toml"))
        .args(["run", "--auth", &format!("{USER}:{PASSWORD}")])
        .args(["--phases", "coverage,fuzzing,stateful"])
        .args([
            "--max-examples",
            "5",
            "--seed",
            "1",
            "--continue-on-failure",
        ])
        .arg(format!(
            "http://{}/-/openapi.json",
            fixture.server().front()
        ));
    let output = succeed(&mut command);
    let said = String::from_utf8_lossy(&output.stdout);
    let tested = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("Tested: "));
    let tested: u32 = tested.and_then(|count| count.parse().ok()).unwrap_or(0);
    assert!(tested >= 40, "{said}");
}

#[test]
fn flask_does_by_itself_what_the_comparison_says() {
    runs("flask_todo.py");
}

#[test]
fn a_browser_lists_uploads_opens_and_deletes() {
    runs("rest_browser.py");
}

#[test]
fn a_browser_sends_forms_and_scripts_to_s3() {
    runs("s3_browser.py");
}

#[test]
fn a_browser_visits_a_site_in_swift_and_sends_forms() {
    runs("swift_browser.py");
}

#[test]
fn boto3_uses_s3() {
    runs("s3_boto3.py");
}

#[test]
fn every_operation_of_s3_is_served_or_refused_as_the_table_says() {
    runs("s3_surface.py");
}

#[test]
fn the_command_line_of_aws_uses_s3() {
    runs("s3_awscli.py");
}

#[test]
fn s3cmd_uses_s3() {
    runs("s3_s3cmd.py");
}

#[test]
fn s5cmd_uses_s3() {
    runs("s3_s5cmd.py");
}

#[test]
fn rclone_uses_s3() {
    runs("s3_rclone.py");
}

#[test]
fn restic_keeps_a_repository_in_s3() {
    runs("s3_restic.py");
}

#[test]
fn another_server_s_objects_move_in() {
    let (fixture, other) = (Fixture::new(), Fixture::new());
    let mut script = script("s3_migrate.py", fixture.server(), fixture.folder.path());
    let address = other.server().front();
    let output = succeed(script.env("TRESTLE_OTHER_URL", format!("http://{address}")));
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("done\n"));
}

#[test]
fn python_swiftclient_uses_swift() {
    runs("swift_client.py");
}

#[test]
fn the_command_swift_uses_swift() {
    runs("swift_command.py");
}

#[test]
fn curl_uses_what_swift_has_for_it() {
    runs("swift_curl.py");
}

#[test]
fn rclone_uses_swift() {
    runs("swift_rclone.py");
}
