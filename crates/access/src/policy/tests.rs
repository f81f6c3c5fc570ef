//! The language: what is refused, what patterns and conditions match.

mod strict;

use super::*;
use crate::{Action, Context, Principal, Resource};
use std::sync::Arc;
use trestle_core::{AccountId, BucketName, Key, Timestamp};

fn account(name: &str) -> AccountId {
    AccountId::parse(name).unwrap()
}

fn bucket_policy(statement: &str) -> Result<Policy> {
    let text = format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#);
    Policy::parse(&text, PolicyKind::Bucket("b"))
}

/// Whether an identity policy with this condition on everything speaks in this context.
fn holds(condition: &str, context: Context) -> bool {
    let text = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"s3:GetObject",
            "Resource":"*","Condition":{condition}}}}}"#
    );
    let policy = Policy::parse(&text, PolicyKind::Identity).unwrap();
    speaks(&policy, "b", "k", context)
}

fn speaks(policy: &Policy, bucket: &str, key: &str, context: Context) -> bool {
    says(policy, Effect::Allow, bucket, key, context)
}

fn says(policy: &Policy, effect: Effect, bucket: &str, key: &str, context: Context) -> bool {
    let asked = Asked {
        principal: Arc::new(Principal::user(account("acct"), "ann")),
        action: Action::ReadObject,
        resource: Resource::Object(
            BucketName::parse_qualified(bucket).unwrap(),
            Key::parse(key).unwrap(),
        ),
        context: Arc::new(context),
    };
    let facts = Facts::default();
    let asking = Asking::new(&asked, &facts);
    policy.spoken(effect, &asking).next().is_some()
}

#[test]
fn what_is_not_understood_is_refused_with_its_place() {
    let good =
        r#""Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#;
    assert!(bucket_policy(&format!("{{{good}}}")).is_ok());
    let with = |from: &str, to: &str| bucket_policy(&format!("{{{}}}", good.replace(from, to)));
    for (from, to, place) in [
        (
            r#""Effect":"Allow""#,
            r#""Effect":"allow""#,
            "Statement[0].Effect",
        ),
        (r#""Effect":"Allow","#, "", "Statement[0].Effect"),
        (r#""Principal":"*","#, "", "Statement[0].Principal"),
        (r#""Action":"s3:GetObject","#, "", "Statement[0].Action"),
        (
            r#","Resource":"arn:aws:s3:::b/*""#,
            "",
            "Statement[0].Resource",
        ),
        ("s3:GetObject", "s3:Nonsense", "s3:Nonsense"),
        ("s3:GetObject", "ec2:RunInstances", "ec2:RunInstances"),
        (r#""s3:GetObject""#, "[]", "Statement[0].Action"),
        (r#""s3:GetObject""#, "[1,{}]", "Statement[0].Action"),
        ("s3:::b/*", "s3:::other/*", "Statement[0].Resource"),
        ("s3:::b/*", "s3:::bb/*", "Statement[0].Resource"),
        ("arn:aws:s3:::b/*", "b/*", "Statement[0].Resource"),
        ("arn:aws:s3", "arn:aws:sqs", "Statement[0].Resource"),
        ("b/*", "b/${aws:nonsense}", "aws:nonsense"),
        ("b/*", "b/${aws:username", "Statement[0].Resource"),
        (
            r#""*","Action""#,
            r#"{"AWS":"arn:aws:iam::a:user/*"},"Action""#,
            "Statement[0].Principal",
        ),
        (
            r#""*","Action""#,
            r#"{"AWS":"arn:aws:s3:::x"},"Action""#,
            "Statement[0].Principal",
        ),
        (
            r#""*","Action""#,
            r#"{"Federated":"x"},"Action""#,
            "Federated",
        ),
        (
            r#""*","Action""#,
            r#"{},"Action""#,
            "Statement[0].Principal",
        ),
        (
            r#""*","Action""#,
            r#""acct","Action""#,
            "Statement[0].Principal",
        ),
        (r#""Effect""#, r#""Extra":1,"Effect""#, "Statement[0].Extra"),
        (
            r#""Effect""#,
            r#""NotAction":"s3:*","Effect""#,
            "Statement[0]",
        ),
        (r#""Effect""#, r#""Effect":"Deny","Effect""#, "stands twice"),
        (
            r#""Effect""#,
            r#""Condition":{"Nonsense":{"aws:SourceIp":"1"}},"Effect""#,
            "Condition.Nonsense",
        ),
        (
            r#""Effect""#,
            r#""Condition":{"StringEquals":{"aws:SourceVpc":"x"}},"Effect""#,
            "aws:SourceVpc",
        ),
        (
            r#""Effect""#,
            r#""Condition":{"IpAddress":{"aws:SourceIp":"300.1.1.1"}},"Effect""#,
            "300.1.1.1",
        ),
        (
            r#""Effect""#,
            r#""Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/33"}},"Effect""#,
            "/33",
        ),
        (
            r#""Effect""#,
            r#""Condition":{"NumericEquals":{"s3:max-keys":"ten"}},"Effect""#,
            r#"Condition.NumericEquals "s3:max-keys": "ten""#,
        ),
        (
            r#""Effect""#,
            r#""Condition":{"Bool":{"aws:SecureTransport":"maybe"}},"Effect""#,
            "maybe",
        ),
        (
            r#""Effect""#,
            r#""Condition":{"DateEquals":{"aws:CurrentTime":"soon"}},"Effect""#,
            "soon",
        ),
        (
            r#""Effect""#,
            r#""Condition":{"NullIfExists":{"s3:prefix":"true"}},"Effect""#,
            "NullIfExists",
        ),
        (
            r#""Effect""#,
            r#""Condition":{"StringEquals":{"s3:prefix":[]}},"Effect""#,
            "s3:prefix",
        ),
        (
            r#""Effect""#,
            r#""Condition":{"ForSome:StringEquals":{"s3:prefix":"a"}},"Effect""#,
            "ForSome",
        ),
    ] {
        let error = with(from, to).expect_err(&format!("{from} → {to}"));
        assert!(
            error.message().contains(place),
            "{} lacks {place}",
            error.message()
        );
    }
    for (text, place) in [
        ("", "line 1"),
        ("[]", "a map"),
        ("{}", "Statement"),
        (r#"{"Statement":[]}"#, "Statement"),
        (r#"{"Statement":[1]}"#, "Statement[0]"),
        (r#"{"Version":"2020-01-01","Statement":[]}"#, "Version"),
        (r#"{"Nonsense":1}"#, "Nonsense"),
    ] {
        let error = Policy::parse(text, PolicyKind::Identity).unwrap_err();
        assert!(error.message().contains(place), "{}", error.message());
    }
    let long = format!("{{\"Id\":\"{}\"}}", "x".repeat(POLICY_BYTES_MAX));
    assert!(Policy::parse(&long, PolicyKind::Identity).is_err());
    let deep = "[".repeat(10_000);
    assert!(Policy::parse(&deep, PolicyKind::Identity).is_err());
    // An identity's policy names nobody.
    let text = format!(r#"{{"Statement":{{{good}}}}}"#);
    assert!(Policy::parse(&text, PolicyKind::Identity).is_err());
}

#[test]
fn resources_match_by_wildcards_and_variables() {
    let on = |resource: &str, bucket: &str, key: &str| {
        let text = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"s3:*","Resource":"{resource}"}}}}"#
        );
        let policy = Policy::parse(&text, PolicyKind::Identity).unwrap();
        speaks(&policy, bucket, key, Context::default())
    };
    for (resource, bucket, key, expected) in [
        ("arn:aws:s3:::b/*", "b", "a/b/c", true),
        ("arn:aws:s3:::b/*", "bb", "k", false),
        ("arn:aws:s3:::b", "b", "k", false),
        ("arn:aws:s3:::b*", "bb", "k", true),
        ("arn:aws:s3:::b/?", "b", "é", true),
        ("arn:aws:s3:::b/?", "b", "ab", false),
        ("arn:aws:s3:::b/a*c*e", "b", "abcde", true),
        ("arn:aws:s3:::b/a*c*e", "b", "abcdef", false),
        ("arn:aws:s3:::b/A", "b", "a", false),
        ("arn:aws:s3:::*", "b", "k", true),
        ("*", "b", "k", true),
        ("arn:aws:s3:::b/${aws:username}/*", "b", "ann/x", true),
        ("arn:aws:s3:::b/${aws:username}/*", "b", "bob/x", false),
        ("arn:aws:s3:::b/${AWS:Username}/*", "b", "ann/x", true),
        ("arn:aws:s3:::b/${aws:PrincipalAccount}", "b", "acct", true),
        ("arn:aws:s3:::b/${s3:prefix}", "b", "x", false),
        ("arn:aws:s3:::b/${s3:prefix, 'x'}", "b", "x", true),
        ("arn:aws:s3:::b/${*}", "b", "*", true),
        ("arn:aws:s3:::b/${*}", "b", "x", false),
        ("arn:aws:s3:::b/${$}{x}", "b", "${x}", true),
        ("arn:aws:s3::other:b/*", "other:b", "k", true),
        ("arn:aws:s3:::b/*", "other:b", "k", false),
        ("arn:aws:s3::*:b/*", "other:b", "k", true),
        ("arn:aws:iam::acct:user/ann", "b", "k", false),
    ] {
        assert_eq!(
            on(resource, bucket, key),
            expected,
            "{resource} on {bucket}/{key}"
        );
    }
}

#[test]
fn an_old_version_has_no_variables() {
    let text = r#"{"Version":"2008-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/${aws:username}"}}"#;
    let policy = Policy::parse(text, PolicyKind::Identity).unwrap();
    assert!(!speaks(&policy, "b", "ann", Context::default()));
    assert!(speaks(&policy, "b", "${aws:username}", Context::default()));
}

#[test]
fn a_variable_is_never_a_wildcard() {
    let text = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/${aws:Referer}"}}"#;
    let policy = Policy::parse(text, PolicyKind::Identity).unwrap();
    let context = || Context::default().with("aws:Referer", "*");
    assert!(!speaks(&policy, "b", "anything", context()));
    assert!(speaks(&policy, "b", "*", context()));
}

#[test]
fn conditions_hold_as_documented() {
    let none = Context::default;
    let prefix = |value: &str| Context::default().with("s3:prefix", value);
    let tags = |values: &[&str]| {
        let mut context = Context::default();
        context.set(
            "s3:RequestObjectTagKeys",
            values.iter().map(|v| (*v).to_owned()).collect(),
        );
        context
    };
    let from = |address: &str| {
        let mut context = none();
        context.source = Some(address.parse().unwrap());
        context
    };
    let secure = |secure| {
        let mut context = none();
        context.secure = secure;
        context
    };
    // 2026-01-31T12:00:00Z
    let now = || Context::at(Timestamp(1_769_860_800_000_000));
    let cases: Vec<(&str, Context, bool)> = vec![
        (r#"{"StringEquals":{"s3:prefix":"a"}}"#, prefix("a"), true),
        (
            r#"{"StringEquals":{"S3:Prefix":["x","a"]}}"#,
            prefix("a"),
            true,
        ),
        (r#"{"StringEquals":{"s3:prefix":"a"}}"#, prefix("A"), false),
        (
            r#"{"StringEquals":{"s3:prefix":"a*"}}"#,
            prefix("ab"),
            false,
        ),
        (r#"{"StringEquals":{"s3:prefix":"a"}}"#, none(), false),
        (r#"{"StringEquals":{"s3:prefix":""}}"#, prefix(""), true),
        (
            r#"{"StringEqualsIfExists":{"s3:prefix":"a"}}"#,
            none(),
            true,
        ),
        (
            r#"{"StringEqualsIfExists":{"s3:prefix":"a"}}"#,
            prefix("b"),
            false,
        ),
        (r#"{"StringNotEquals":{"s3:prefix":"a"}}"#, none(), true),
        (
            r#"{"StringNotEquals":{"s3:prefix":["a","b"]}}"#,
            prefix("b"),
            false,
        ),
        (
            r#"{"StringNotEquals":{"s3:prefix":["a","b"]}}"#,
            prefix("c"),
            true,
        ),
        (
            r#"{"StringEqualsIgnoreCase":{"s3:prefix":"ÄB"}}"#,
            prefix("äb"),
            true,
        ),
        (
            r#"{"StringNotEqualsIgnoreCase":{"s3:prefix":"a"}}"#,
            prefix("A"),
            false,
        ),
        (
            r#"{"StringLike":{"s3:prefix":["home/*",""]}}"#,
            prefix("home/x"),
            true,
        ),
        (
            r#"{"StringLike":{"s3:prefix":"home/${aws:username}/*"}}"#,
            prefix("home/ann/"),
            true,
        ),
        (
            r#"{"StringLike":{"s3:prefix":"home/${aws:username}/*"}}"#,
            prefix("home/bob/"),
            false,
        ),
        (
            r#"{"StringNotLike":{"s3:prefix":"a*"}}"#,
            prefix("abc"),
            false,
        ),
        (
            r#"{"StringEquals":{"s3:prefix":"a"},"Bool":{"aws:SecureTransport":true}}"#,
            prefix("a"),
            false,
        ),
        (
            r#"{"NumericLessThanEquals":{"s3:max-keys":10}}"#,
            none().with("s3:max-keys", "10"),
            true,
        ),
        (
            r#"{"NumericLessThan":{"s3:max-keys":"10"}}"#,
            none().with("s3:max-keys", "10"),
            false,
        ),
        (
            r#"{"NumericGreaterThan":{"s3:max-keys":"9"}}"#,
            none().with("s3:max-keys", "10"),
            true,
        ),
        (
            r#"{"NumericGreaterThanEquals":{"s3:max-keys":"11"}}"#,
            none().with("s3:max-keys", "10"),
            false,
        ),
        (
            r#"{"NumericEquals":{"s3:max-keys":"1e1"}}"#,
            none().with("s3:max-keys", "10"),
            true,
        ),
        (
            r#"{"NumericEquals":{"s3:max-keys":"10"}}"#,
            none().with("s3:max-keys", "x"),
            false,
        ),
        (
            r#"{"NumericNotEquals":{"s3:max-keys":"10"}}"#,
            none().with("s3:max-keys", "10"),
            false,
        ),
        (r#"{"NumericNotEquals":{"s3:max-keys":"10"}}"#, none(), true),
        (
            r#"{"DateLessThan":{"aws:CurrentTime":"2026-02-01T00:00:00Z"}}"#,
            now(),
            true,
        ),
        (
            r#"{"DateGreaterThan":{"aws:CurrentTime":"2026-01-31T12:00:00Z"}}"#,
            now(),
            false,
        ),
        (
            r#"{"DateGreaterThanEquals":{"aws:CurrentTime":"2026-01-31"}}"#,
            now(),
            true,
        ),
        (
            r#"{"DateLessThanEquals":{"aws:EpochTime":"1769860800"}}"#,
            now(),
            true,
        ),
        (
            r#"{"DateEquals":{"aws:CurrentTime":"2026-01-31T12:00:00Z"}}"#,
            now(),
            true,
        ),
        (
            r#"{"DateNotEquals":{"aws:CurrentTime":"2026-01-31T12:00:00Z"}}"#,
            now(),
            false,
        ),
        (
            r#"{"Bool":{"aws:SecureTransport":"true"}}"#,
            secure(true),
            true,
        ),
        (
            r#"{"Bool":{"aws:SecureTransport":"false"}}"#,
            secure(true),
            false,
        ),
        (
            r#"{"Bool":{"aws:SecureTransport":false}}"#,
            secure(false),
            true,
        ),
        (
            r#"{"BoolIfExists":{"aws:MultiFactorAuthPresent":"true"}}"#,
            none(),
            true,
        ),
        (
            r#"{"Bool":{"aws:MultiFactorAuthPresent":"true"}}"#,
            none(),
            false,
        ),
        (
            r#"{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}"#,
            from("192.0.2.255"),
            true,
        ),
        (
            r#"{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}"#,
            from("192.0.3.0"),
            false,
        ),
        (
            r#"{"IpAddress":{"aws:SourceIp":"192.0.2.7"}}"#,
            from("192.0.2.7"),
            true,
        ),
        (
            r#"{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}"#,
            from("::ffff:192.0.2.1"),
            true,
        ),
        (
            r#"{"IpAddress":{"aws:SourceIp":"2001:db8::/32"}}"#,
            from("2001:db8:1::1"),
            true,
        ),
        (
            r#"{"IpAddress":{"aws:SourceIp":"::/0"}}"#,
            from("192.0.2.1"),
            false,
        ),
        (
            r#"{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}"#,
            from("192.0.2.1"),
            true,
        ),
        (
            r#"{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}"#,
            none(),
            false,
        ),
        (
            r#"{"NotIpAddress":{"aws:SourceIp":["192.0.2.0/24","198.51.100.1"]}}"#,
            from("198.51.100.1"),
            false,
        ),
        (
            r#"{"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}}"#,
            from("203.0.113.1"),
            true,
        ),
        (
            r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::acct:user/*"}}"#,
            none(),
            true,
        ),
        (
            r#"{"ArnNotLike":{"aws:PrincipalArn":"arn:aws:iam::acct:user/ann"}}"#,
            none(),
            false,
        ),
        (
            r#"{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::other:user/ann"}}"#,
            none(),
            false,
        ),
        (r#"{"Null":{"s3:prefix":"true"}}"#, none(), true),
        (r#"{"Null":{"s3:prefix":"true"}}"#, prefix(""), false),
        (r#"{"Null":{"s3:prefix":false}}"#, prefix("a"), true),
        (
            r#"{"StringEquals":{"aws:username":"ann","aws:PrincipalAccount":"acct","aws:PrincipalType":"User"}}"#,
            none(),
            true,
        ),
        (
            r#"{"BinaryEquals":{"s3:x-amz-meta":"QQ=="}}"#,
            none().with("s3:x-amz-meta", "QQ=="),
            true,
        ),
        (
            r#"{"ForAllValues:StringEquals":{"s3:RequestObjectTagKeys":["a","b"]}}"#,
            tags(&["a", "b"]),
            true,
        ),
        (
            r#"{"ForAllValues:StringEquals":{"s3:RequestObjectTagKeys":["a","b"]}}"#,
            tags(&["a", "c"]),
            false,
        ),
        (
            r#"{"ForAllValues:StringEquals":{"s3:RequestObjectTagKeys":["a"]}}"#,
            none(),
            true,
        ),
        (
            r#"{"ForAllValues:StringEquals":{"s3:RequestObjectTagKeys":["a"]}}"#,
            tags(&[]),
            true,
        ),
        (
            r#"{"ForAnyValue:StringEquals":{"s3:RequestObjectTagKeys":["a"]}}"#,
            tags(&["a", "c"]),
            true,
        ),
        (
            r#"{"ForAnyValue:StringEquals":{"s3:RequestObjectTagKeys":["x"]}}"#,
            tags(&["a", "c"]),
            false,
        ),
        (
            r#"{"ForAnyValue:StringEquals":{"s3:RequestObjectTagKeys":["x"]}}"#,
            none(),
            false,
        ),
        (
            r#"{"ForAllValues:StringNotEquals":{"s3:RequestObjectTagKeys":["x"]}}"#,
            tags(&["a", "x"]),
            false,
        ),
        (
            r#"{"ForAllValues:StringNotEquals":{"s3:RequestObjectTagKeys":["x"]}}"#,
            tags(&["a", "b"]),
            true,
        ),
        (
            r#"{"ForAnyValue:StringNotEquals":{"s3:RequestObjectTagKeys":["x"]}}"#,
            tags(&["a", "x"]),
            true,
        ),
        (
            r#"{"ForAnyValue:StringNotEquals":{"s3:RequestObjectTagKeys":["x"]}}"#,
            tags(&["x"]),
            false,
        ),
        (
            r#"{"ForAllValues:StringLike":{"s3:RequestObjectTagKeys":["a*"]}}"#,
            tags(&["ab", "ac"]),
            true,
        ),
    ];
    for (condition, context, expected) in cases {
        assert_eq!(
            holds(condition, context.clone()),
            expected,
            "{condition} in {context:?}"
        );
    }
}

#[test]
fn public_is_what_lets_in_somebody_unknown() {
    let public = |extra: &str, principal: &str, effect: &str| {
        bucket_policy(&format!(
            r#"{{"Effect":"{effect}","Principal":{principal},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"{extra}}}"#
        ))
        .unwrap()
        .is_public()
    };
    for (extra, principal, effect, expected) in [
        ("", r#""*""#, "Allow", true),
        ("", r#"{"AWS":"*"}"#, "Allow", true),
        ("", r#"{"AWS":["acct","*"]}"#, "Allow", true),
        ("", r#"{"AWS":"acct"}"#, "Allow", false),
        (
            "",
            r#"{"Service":"logging.s3.amazonaws.com"}"#,
            "Allow",
            false,
        ),
        ("", r#""*""#, "Deny", false),
        (
            r#","Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}"#,
            r#""*""#,
            "Allow",
            false,
        ),
        (
            r#","Condition":{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}"#,
            r#""*""#,
            "Allow",
            true,
        ),
        (
            r#","Condition":{"IpAddress":{"aws:SourceIp":["192.0.2.0/24","0.0.0.0/1"]}}"#,
            r#""*""#,
            "Allow",
            true,
        ),
        (
            r#","Condition":{"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}}"#,
            r#""*""#,
            "Allow",
            true,
        ),
        (
            r#","Condition":{"IpAddressIfExists":{"aws:SourceIp":"192.0.2.0/24"}}"#,
            r#""*""#,
            "Allow",
            true,
        ),
        (
            r#","Condition":{"StringLike":{"aws:Referer":"http://x.org/*"}}"#,
            r#""*""#,
            "Allow",
            true,
        ),
        (
            r#","Condition":{"StringEquals":{"aws:PrincipalAccount":"acct"}}"#,
            r#""*""#,
            "Allow",
            false,
        ),
        (
            r#","Condition":{"StringLike":{"aws:PrincipalAccount":"*"}}"#,
            r#""*""#,
            "Allow",
            true,
        ),
    ] {
        assert_eq!(
            public(extra, principal, effect),
            expected,
            "{principal} {extra}"
        );
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_answered(text in ".{0,200}") {
        let _ = Policy::parse(&text, PolicyKind::Identity);
        let statement = format!(r#"{{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":{text}}}"#);
        let _ = bucket_policy(&statement);
    }

    #[test]
    fn wildcards_match_what_a_plain_search_matches(
        pattern in "[ab*?]{0,8}", text in "[ab]{0,10}"
    ) {
        fn naive(pattern: &[char], text: &[char]) -> bool {
            match (pattern.split_first(), text.split_first()) {
                (None, None) => true,
                (Some(('*', rest)), _) => {
                    (0..=text.len()).any(|skip| naive(rest, &text[skip..]))
                }
                (Some(('?', rest)), Some((_, after))) => naive(rest, after),
                (Some((wanted, rest)), Some((c, after))) => wanted == c && naive(rest, after),
                _ => false,
            }
        }
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        let condition = format!(r#"{{"StringLike":{{"s3:prefix":"{pattern}"}}}}"#);
        let found = holds(&condition, Context::default().with("s3:prefix", text.as_str()));
        proptest::prop_assert_eq!(found, naive(&chars(&pattern), &chars(&text)));
    }
}

#[test]
fn of_what_is_kept_a_key_that_is_refused_by_now_forbids_and_never_grants() {
    let kept = |effect: &str, more: &str| {
        let text = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"{effect}","Principal":"*",
                "Action":"s3:GetObject",{more}}}}}"#
        );
        assert!(
            Policy::parse(&text, PolicyKind::Bucket("b")).is_err(),
            "{more}"
        );
        Policy::parse_kept(&text, PolicyKind::Bucket("b")).unwrap()
    };
    let all = r#""Resource":"arn:aws:s3:::b/*""#;
    let one = "{\"StringEquals\":{\"aws:SourceVpc\":\"v\"}}";
    let variable = "{\"StringEquals\":{\"aws:UserAgent\":\"${aws:SourceVpc}\"}}";
    let negated = "{\"StringNotEquals\":{\"aws:UserAgent\":\"${aws:SourceVpc}\"}}";
    let place = "arn:aws:s3:::b/${aws:SourceVpc}/*";
    for more in [
        format!(r#"{all},"Condition":{one}"#),
        format!(r#"{all},"Condition":{variable}"#),
        format!(r#"{all},"Condition":{negated}"#),
        format!(r#""Resource":"{place}""#),
        format!(r#""NotResource":"{place}""#),
    ] {
        for effect in [Effect::Allow, Effect::Deny] {
            let policy = kept(&format!("{effect:?}"), &more);
            assert!(!policy.is_public(), "{more}");
            let denies = effect == Effect::Deny;
            let spoken = says(&policy, effect, "b", "k", Context::default());
            assert_eq!(spoken, denies, "{effect:?} {more}");
        }
    }
    // What is known beside it still counts.
    let agent = "{\"StringEquals\":{\"aws:SourceVpc\":\"v\",\"aws:UserAgent\":\"x\"}}";
    let policy = kept("Deny", &format!(r#"{all},"Condition":{agent}"#));
    for (agent, denies) in [("x", true), ("y", false)] {
        let context = Context::default().with("aws:UserAgent", agent);
        assert_eq!(says(&policy, Effect::Deny, "b", "k", context), denies);
    }
    // Nothing else is passed over.
    for wrong in [
        r#""Resource":"*","Condition":{"StringSounds":{"aws:SourceVpc":"v"}}"#,
        r#""Resource":"*","Condition":{"StringEquals":{"aws:SourceVpc":[]}}"#,
        r#""Resource":"arn:aws:s3:::other/*""#,
    ] {
        let text = format!(
            r#"{{"Statement":{{"Effect":"Deny","Principal":"*","Action":"s3:GetObject",{wrong}}}}}"#
        );
        let kept = Policy::parse_kept(&text, PolicyKind::Bucket("b"));
        assert!(kept.is_err(), "{wrong}");
    }
}

/// A write makes an object unless the request says that it does not yet, whatever is spoken.
#[test]
fn what_makes_an_object_is_known_by_the_action() {
    let text = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*",
        "Resource":"*","Condition":{"Bool":{"s3:ObjectCreationOperation":"true"}}}}"#;
    let policy = Policy::parse(text, PolicyKind::Identity).unwrap();
    let part = || Context::default().with("s3:ObjectCreationOperation", "false");
    for (action, context, expected) in [
        (Action::WriteObject, Context::default(), true),
        (Action::WriteObject, part(), false),
        (Action::ReadObject, Context::default(), false),
    ] {
        let asked = Asked {
            principal: Arc::new(Principal::user(account("acct"), "ann")),
            action,
            resource: Resource::Object(BucketName::parse("b").unwrap(), Key::parse("k").unwrap()),
            context: Arc::new(context),
        };
        let facts = Facts::default();
        let asking = Asking::new(&asked, &facts);
        let spoken = policy.spoken(Effect::Allow, &asking).next().is_some();
        assert_eq!(spoken, expected, "{action:?}");
    }
}
