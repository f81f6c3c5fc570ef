//! S3 as its settings make it.

use crate::Fixture;
use trestle_tests::Client;

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
fn old_signatures_can_be_switched_off() {
    let signed = "/b?AWSAccessKeyId=TRESTLEROOTACCESSKEY&Expires=4000000000\
                  &Signature=AAAAAAAAAAAAAAAAAAAAAAAAAAA%3D";
    let refused = (400, "InvalidRequest".to_owned());
    assert_eq!(asked(&["--signature-v2", "off"], signed), refused);
    let wrong = (403, "SignatureDoesNotMatch".to_owned());
    assert_eq!(asked(&[], signed), wrong);
}
