//! The policies that AWS publishes as examples for S3, and the rules of its evaluation, each by what
//! its documentation says that it does: the cases of `published.txt`.

use super::*;
use crate::{AttachedPolicy, Context, PolicyKind, Principal, PublicAccessBlock};
use trestle_core::{BucketName, Key, Owner, Timestamp};

const CASES: &str = include_str!("published.txt");

/// Who asks, with their own policies.
fn who(by: &str, own: Option<&str>) -> (Principal, Option<Arc<IdentityFacts>>) {
    let account = match by {
        "nobody" => return (Principal::anonymous(), None),
        by if by.starts_with("own") => "home",
        by if by.starts_with("other") => "away",
        by => panic!("{by}"),
    };
    const EVERYTHING: &str = r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#;
    let all = by.ends_with("-allowed").then_some(EVERYTHING);
    let policies = all.into_iter().chain(own).map(|statements| AttachedPolicy {
        name: "own".to_owned(),
        policy: parse(statements, PolicyKind::Identity),
    });
    let facts = IdentityFacts {
        enabled: true,
        policies: policies.collect(),
        ..IdentityFacts::default()
    };
    let principal = Principal::user(AccountId::parse(account).unwrap(), "ann");
    (principal, Some(Arc::new(facts)))
}

fn parse(statements: &str, kind: PolicyKind<'_>) -> Arc<Policy> {
    let text = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
    Arc::new(Policy::parse(&text, kind).unwrap())
}

/// What the circumstances of a request say, and the tags of the object.
fn circumstances<'a>(
    words: impl Iterator<Item = &'a str>,
) -> (Context, std::collections::BTreeMap<String, String>) {
    let (mut context, mut tags) = (Context::default(), std::collections::BTreeMap::new());
    for word in words {
        let (name, value) = word.split_once('=').unwrap();
        match name {
            "ip" => context.source = Some(value.parse().unwrap()),
            "tls" => context.secure = value == "true",
            "time" => context.time = Timestamp(value.parse::<u64>().unwrap() * 1_000_000),
            "tag" => {
                let (tag, value) = value.split_once('=').unwrap();
                tags.insert(tag.to_owned(), value.to_owned());
            }
            name => context.set(name, value.split('|').map(str::to_owned).collect()),
        }
    }
    (context, tags)
}

/// Whether a request may be served: `nobody ReadObject k ip=192.0.2.1`.
fn may(of_bucket: Option<&str>, of_user: Option<&str>, request: &str) -> bool {
    let mut words = request.split(' ');
    let mut next = || words.next().unwrap();
    let (principal, identity) = who(next(), of_user);
    let (action, key) = (Action::named(next()).unwrap(), next());
    let (context, tags) = circumstances(words);
    let owner = Owner {
        account: AccountId::parse("home").unwrap(),
        user: "home".to_owned(),
        domain: None,
    };
    let bucket = BucketName::parse("b").unwrap();
    let facts = Facts {
        identity,
        account_acl: Seen::Absent,
        bucket: Some(Arc::new(BucketFacts {
            name: bucket.clone(),
            owner: owner.clone(),
            policy: of_bucket.map(|text| parse(text, PolicyKind::Bucket("b"))),
            acl: None,
            ownership: Ownership::Unsaid,
            public_access: PublicAccessBlock::default(),
        })),
        object: Seen::There(ObjectFacts {
            owner,
            acl: None,
            tags,
        }),
        ..Facts::default()
    };
    let asked = Asked {
        principal: Arc::new(principal),
        action,
        resource: match key {
            "-" => Resource::Bucket(bucket),
            key => Resource::Object(bucket, Key::parse(key).unwrap()),
        },
        context: Arc::new(context),
    };
    matches!(verdict(&asked, &facts), Verdict::Allowed(_))
}

#[test]
fn published_examples_decide_as_documented() {
    let (mut wrong, mut asked) = (Vec::new(), 0);
    for case in CASES
        .split("\n\n")
        .skip(1)
        .filter(|case| !case.starts_with('#'))
    {
        let (title, lines) = case.split_once('\n').unwrap();
        let statements: Vec<&str> = lines.lines().filter_map(|l| l.strip_prefix("  ")).collect();
        let statements = Some(statements.join(","));
        let of_bucket = statements
            .as_deref()
            .filter(|_| title.starts_with("of a bucket"));
        let of_user = statements
            .as_deref()
            .filter(|_| title.starts_with("of a user"));
        assert_ne!(of_bucket, of_user, "{title}");
        for line in lines.lines().filter(|line| !line.starts_with("  ")) {
            let (request, expected) = line.split_once(" => ").unwrap();
            let expected = match expected {
                "may" => true,
                "denied" => false,
                other => panic!("{other}"),
            };
            asked += 1;
            if may(of_bucket, of_user, request) != expected {
                wrong.push(format!("{title}: {line}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(asked, 123);
}
