//! S3 as its settings make it.

use crate::Fixture;
use trestle_tests::Client;
use trestle_tests::server::{ACCESS_KEY, SECRET_KEY};
use trestle_tests::sigv4::{Signer, Wire};

/// What a server with these flags answers to a request without a body.
fn asked(flags: &[&str], target: &str) -> (u16, String) {
    let mut fixture = Fixture::new();
    fixture.stop();
    let mut launch = fixture.launch();
    launch.flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
    let server = launch.start();
    let mut client = Client::anonymous(server.address);
    let answer = client.send("GET", target, &[], &[]).unwrap();
    let text = answer.text();
    let code = text.split("<Code>").nth(1);
    let code = code.and_then(|rest| rest.split("</Code>").next());
    (answer.status, code.unwrap_or_default().to_owned())
}

#[test]
fn a_bucket_says_the_region_it_was_made_for() {
    let mut fixture = Fixture::new();
    fixture.stop();
    let mut launch = fixture.launch();
    let regions = ["--region", "us-east-1", "--region", "eu-west-1"];
    launch.flags = regions.iter().map(|flag| (*flag).to_owned()).collect();
    let server = launch.start();
    let made = |region: &str| {
        format!(
            "<CreateBucketConfiguration><LocationConstraint>{region}</LocationConstraint>\
             </CreateBucketConfiguration>"
        )
    };
    let ask = |method: &str, target: &str, body: &str| {
        let wire = Wire {
            method: method.to_owned(),
            target: target.to_owned(),
            body: body.as_bytes().to_vec(),
            ..Wire::default()
        };
        let signer = Signer::new(ACCESS_KEY, SECRET_KEY);
        let wire = signer.sign(&server.address.to_string(), wire);
        let headers: Vec<(&str, &str)> = wire
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let mut client = Client::anonymous(server.address);
        let answer = client.send(&wire.method, &wire.target, &headers, &wire.body);
        let answer = answer.unwrap();
        (answer.status, answer.text())
    };
    assert_eq!(ask("PUT", "/far", &made("eu-west-1")).0, 200);
    assert_eq!(ask("PUT", "/near", &made("us-east-1")).0, 200);
    assert_eq!(ask("PUT", "/moon", &made("moon-1")).0, 400);
    assert!(
        ask("GET", "/far?location=", "")
            .1
            .contains(">eu-west-1</LocationConstraint>")
    );
    assert!(
        ask("GET", "/near?location=", "")
            .1
            .contains("></LocationConstraint>")
    );
    let listed = ask("GET", "/?bucket-region=eu-west-1", "").1;
    assert!(listed.contains("<Name>far</Name>") && !listed.contains("<Name>near</Name>"));
    assert_eq!(ask("GET", "/?bucket-region=moon-1", "").0, 400);
}

#[test]
fn old_signatures_can_be_switched_off() {
    let signed = "/b?AWSAccessKeyId=TRESTLEROOTACCESSKEY&Expires=4000000000\
                  &Signature=AAAAAAAAAAAAAAAAAAAAAAAAAAA%3D";
    let refused = (400, "InvalidRequest".to_owned());
    assert_eq!(asked(&["--signature-v2", "off"], signed), refused);
    let wrong = (403, "SignatureDoesNotMatch".to_owned());
    assert_eq!(asked(&[], signed), wrong);
}
