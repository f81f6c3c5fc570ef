//! What is refused since it would say nothing, or something else than it seems to.

use super::*;

#[test]
fn no_wildcard_of_an_arn_reaches_into_the_next_part() {
    let like = |pattern: &str| {
        let condition = format!(r#"{{"ArnLike":{{"aws:PrincipalArn":"{pattern}"}}}}"#);
        holds(&condition, Context::default())
    };
    for good in [
        "arn:aws:iam::acct:user/ann",
        "arn:aws:iam::*:user/a?n",
        "arn:*:iam::acct:*",
        "*",
        "${aws:PrincipalArn}",
    ] {
        assert!(like(good), "{good}");
    }
    for wrong in [
        "arn:aws:*::user/ann:*",
        "arn:aws:iam:*:user/ann:*",
        "*:*:*:*:*:ann",
    ] {
        assert!(!like(wrong), "{wrong}");
    }
    // A pattern without all parts is none of an ARN; one that was taken before is read as it was.
    let text = r#"{"Statement":{"Effect":"Deny","Action":"s3:GetObject","Resource":"*",
        "Condition":{"ArnLike":{"aws:PrincipalArn":"arn:*:user/ann"}}}}"#;
    let refused = Policy::parse(text, PolicyKind::Identity).unwrap_err();
    let place = "Statement[0].Condition.ArnLike";
    assert!(refused.message().contains(place), "{}", refused.message());
    let kept = Policy::parse_kept(text, PolicyKind::Identity).unwrap();
    assert!(says(&kept, Effect::Deny, "b", "k", Context::default()));
}

#[test]
fn what_names_nothing_is_refused_and_read_when_it_is_kept() {
    let rest = r#""Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#;
    for (statement, place) in [
        (r#""Principal":{"AWS":[]}"#, "Statement[0].Principal"),
        (r#""NotPrincipal":{"AWS":[]}"#, "Statement[0].NotPrincipal"),
        (
            r#""Principal":"*","Condition":{"StringEquals":{}}"#,
            "Statement[0].Condition.StringEquals",
        ),
    ] {
        let refused = bucket_policy(&format!("{{{rest},{statement}}}")).unwrap_err();
        assert!(refused.message().contains(place), "{}", refused.message());
        let text = format!(r#"{{"Statement":{{{rest},{statement}}}}}"#);
        assert!(Policy::parse_kept(&text, PolicyKind::Bucket("b")).is_ok());
    }
}

#[test]
fn a_network_of_mapped_addresses_is_one_of_ipv4() {
    let from = |network: &str, source: &str| {
        let condition = format!(r#"{{"IpAddress":{{"aws:SourceIp":"{network}"}}}}"#);
        let mut context = Context::at(Timestamp(0));
        context.source = source.parse().ok();
        holds(&condition, context)
    };
    assert!(from("::ffff:10.0.0.0/104", "10.1.2.3"));
    assert!(from("::ffff:10.1.2.3", "::ffff:10.1.2.3"));
    assert!(!from("::ffff:10.0.0.0/104", "11.1.2.3"));
    assert!(!from("::/0", "10.1.2.3"));
}
