use super::*;

fn user(account: &str, name: &str) -> Principal {
    Principal::user(AccountId::parse(account).unwrap(), name)
}

/// An entry for what is in the place itself, without an end.
pub(crate) fn entry(kind: EntryKind, who: Who, mask: u32) -> AclEntry {
    AclEntry {
        kind,
        who,
        flags: 0,
        mask,
        expires: None,
    }
}

fn asked<'a>(principal: &'a Principal, owner: &'a Owner) -> OrderedAsked<'a> {
    OrderedAsked {
        principal,
        groups: &[],
        owner,
        time: Timestamp(10),
    }
}

fn admits(acl: &Acl, action: Action, who: &Principal, referrer: Option<&str>) -> bool {
    let asked = AclAsked {
        place: Place::Bucket,
        action,
        principal: who,
        groups: &[],
        referrer,
        public: true,
        grants: true,
    };
    let unblocked = acl.admits(&asked);
    let blocked = acl.admits(&AclAsked {
        public: false,
        ..asked
    });
    assert!(!matches!(blocked, Some(Admission::Public(_))));
    unblocked.is_some()
}

#[test]
fn grants_admit_whom_they_name() {
    let acl = Acl::default()
        .grant(
            Grantee::User("a".into(), "ann".into()),
            Permission::ReadContents,
        )
        .grant(Grantee::Members("b".into()), Permission::WriteContents)
        .grant(Grantee::Authenticated, Permission::List);
    let nobody = Principal::anonymous();
    assert!(admits(&acl, Action::ReadObject, &user("a", "ann"), None));
    assert!(!admits(&acl, Action::ReadObject, &user("b", "ann"), None));
    assert!(!admits(&acl, Action::WriteObject, &user("a", "ann"), None));
    assert!(admits(&acl, Action::WriteObject, &user("b", "x"), None));
    assert!(admits(&acl, Action::ListObjects, &user("c", "x"), None));
    assert!(!admits(&acl, Action::ListObjects, &nobody, None));
    assert!(acl.is_public());
    assert_eq!(Acl::parse(&acl.to_text().unwrap()).unwrap(), acl);
}

#[test]
fn a_list_is_public_that_admits_whoever_comes() {
    let entry = |kind, who, flags, mask| AclEntry {
        kind,
        who,
        flags,
        mask,
        expires: None,
    };
    let allow = |who, mask| entry(EntryKind::Allow, who, 0, mask);
    let deny = |who, mask| entry(EntryKind::Deny, who, 0, mask);
    let list = |entries: &[AclEntry]| Acl {
        entries: Some(entries.to_vec()),
        ..Acl::default()
    };
    let ann = || Who::User("a".into(), "ann".into());
    for (entries, public) in [
        (vec![allow(Who::Everyone, bits::READ)], true),
        (vec![allow(Who::Anonymous, bits::READ)], true),
        (vec![allow(Who::Authenticated, bits::WRITE)], true),
        (vec![allow(Who::Owner, !0), allow(ann(), !0)], false),
        (
            vec![allow(Who::Group, !0), allow(Who::AdminUsers, !0)],
            false,
        ),
        // Nothing is left of it, or nothing was given.
        (vec![deny(Who::Everyone, 3), allow(Who::Everyone, 3)], false),
        (vec![deny(Who::Everyone, 1), allow(Who::Everyone, 3)], true),
        (vec![deny(Who::Anonymous, 3), allow(Who::Everyone, 3)], true),
        (vec![deny(ann(), 3), allow(Who::Everyone, 3)], true),
        (vec![deny(Who::Everyone, 3)], false),
        (vec![allow(Who::Everyone, bits::EXECUTE)], false),
        (vec![allow(Who::Everyone, 0)], false),
        // What is for those within alone makes those public.
        (
            vec![entry(
                EntryKind::Allow,
                Who::Everyone,
                bits::INHERIT_ONLY,
                1,
            )],
            true,
        ),
    ] {
        assert_eq!(list(&entries).is_public(), public, "{entries:?}");
    }
    let site = |site: &str| Acl::default().grant(Grantee::Referrer(site.into()), Permission::List);
    assert!(site("*").is_public() && site(".x.org").is_public());
    let person = Acl::default().grant(Grantee::Members("a".into()), Permission::List);
    assert!(!person.is_public());

    // What was there already is nobody's doing, and neither is what comes from a container.
    let former = list(&[allow(Who::Everyone, 1)]).grant(Grantee::Everyone, Permission::Read);
    let same = former
        .clone()
        .grant(Grantee::Members("a".into()), Permission::List);
    assert!(same.is_public() && !same.is_public_beside(&former));
    let more = same.clone().grant(Grantee::Authenticated, Permission::Read);
    assert!(more.is_public_beside(&former));
    let other = Acl {
        entries: Some(vec![allow(Who::Everyone, 2)]),
        ..same
    };
    assert!(other.is_public_beside(&former));
    let passed_on = list(&[entry(EntryKind::Allow, Who::Everyone, bits::INHERITED, 1)]);
    assert!(passed_on.is_public() && !passed_on.without_inherited().is_public());
}

#[test]
fn the_last_matching_referrer_counts() {
    let acl = Acl::default()
        .grant(Grantee::Referrer("*".into()), Permission::ReadContents)
        .grant(
            Grantee::NotReferrer(".bad.example".into()),
            Permission::ReadContents,
        )
        .grant(
            Grantee::Referrer("good.bad.example".into()),
            Permission::ReadContents,
        );
    let nobody = Principal::anonymous();
    for (referrer, admitted) in [
        (None, true),
        (Some("http://x.example/p"), true),
        (Some("https://a.bad.example:80/"), false),
        (Some("https://good.bad.example"), true),
        (Some("https://GOOD.bad.example/x"), true),
        (Some("https://good.bad.example@evil.bad.example/"), false),
    ] {
        assert_eq!(
            admits(&acl, Action::ReadObject, &nobody, referrer),
            admitted,
            "{referrer:?}"
        );
    }
    let one = Acl::default().grant(Grantee::Referrer("x.org".into()), Permission::ReadContents);
    assert!(!admits(&one, Action::ReadObject, &nobody, None));
    assert!(!admits(&one, Action::ReadObject, &nobody, Some("x.org")));
    assert!(!admits(
        &one,
        Action::ListObjects,
        &nobody,
        Some("http://x.org/")
    ));
}

#[test]
fn an_ordered_list_decides_in_its_order_and_denies_in_silence() {
    let owner = user("a", "ann").owner().unwrap();
    let decide = |entries: Vec<AclEntry>, who: &Principal, action| {
        let acl = Acl {
            entries: Some(entries),
            ..Acl::default()
        };
        acl.ordered(Place::Object, action, &asked(who, &owner))
    };
    use EntryKind::{Allow, Deny};
    let allow_all = || entry(Allow, Who::Everyone, u32::MAX);
    let deny_bob = || entry(Deny, Who::User(String::new(), "bob".into()), bits::READ);
    let (ann, bob) = (user("a", "ann"), user("a", "bob"));
    let read = Action::ReadObject;
    assert_eq!(
        decide(vec![deny_bob(), allow_all()], &bob, read),
        Some(Ordered::Denied(0))
    );
    assert_eq!(
        decide(vec![allow_all(), deny_bob()], &bob, read),
        Some(Ordered::Allowed(0))
    );
    assert_eq!(
        decide(vec![deny_bob(), allow_all()], &ann, read),
        Some(Ordered::Allowed(1))
    );
    assert_eq!(decide(vec![], &ann, read), Some(Ordered::Silent));
    let inherit_only = AclEntry {
        flags: bits::INHERIT_ONLY,
        ..allow_all()
    };
    assert_eq!(
        decide(vec![inherit_only], &ann, read),
        Some(Ordered::Silent)
    );
    let owners = vec![entry(Allow, Who::Owner, bits::READ)];
    assert_eq!(
        decide(owners.clone(), &ann, read),
        Some(Ordered::Allowed(0))
    );
    assert_eq!(
        decide(owners.clone(), &user("b", "ann"), read),
        Some(Ordered::Silent)
    );
    let adds = |mask| {
        let acl = Acl {
            entries: Some(vec![entry(Allow, Who::Everyone, mask)]),
            ..Acl::default()
        };
        acl.subcontainer(&asked(&ann, &owner))
    };
    assert_eq!(adds(bits::APPEND), Some(Ordered::Allowed(0)));
    assert_eq!(adds(bits::WRITE), Some(Ordered::Silent));
    let root = Principal::root(AccountId::parse("root").unwrap(), "root");
    assert_eq!(decide(owners, &root, read), Some(Ordered::Silent));
    assert_eq!(decide(vec![], &ann, Action::WriteBucketCors), None);
    assert_eq!(
        Acl::default().ordered(Place::Object, read, &asked(&ann, &owner)),
        None
    );
}

#[test]
fn a_list_that_goes_to_another_owner_names_the_same_people() {
    let of = |account: &str| Acl {
        entries: Some(vec![entry(
            EntryKind::Allow,
            Who::User(account.into(), "ann".into()),
            bits::READ,
        )]),
        ..Acl::default()
    };
    let former = AccountId::parse("a").unwrap();
    let (new, other) = (
        AccountId::parse("b").unwrap(),
        AccountId::parse("c").unwrap(),
    );
    assert_eq!(of("").leaving(&former, &new), of("a"));
    assert_eq!(of("b").leaving(&former, &other), of("b"));
    assert_eq!(of("b").leaving(&former, &new), of(""));
}

#[test]
fn what_is_not_an_acl_is_refused() {
    for bad in [
        "",
        "{",
        "[]",
        "{\"x\":1}",
        "{\"grants\":[{\"grantee\":\"nobody\",\"permission\":\"read\"}]}",
    ] {
        assert!(Acl::parse(bad).is_err(), "{bad}");
    }
    assert!(Acl::parse("{}").is_ok());
}

#[test]
fn entries_end_and_the_group_may_be_one_of_the_account() {
    let owner = user("a", "ann").owner().unwrap();
    let entry = |who, expires| AclEntry {
        kind: EntryKind::Allow,
        who,
        flags: 0,
        mask: bits::READ,
        expires,
    };
    let reads = |acl: &Acl, who: &Principal, groups: &[String]| {
        let asked = OrderedAsked {
            groups,
            ..asked(who, &owner)
        };
        let decided = acl.ordered(Place::Object, Action::ReadObject, &asked);
        matches!(decided, Some(Ordered::Allowed(_)))
    };
    let of = |entries| Acl {
        entries: Some(entries),
        ..Acl::default()
    };
    let ann = user("a", "ann");
    for (ends, counts) in [(None, true), (Some(10), true), (Some(9), false)] {
        let acl = of(vec![entry(Who::Everyone, ends)]);
        assert_eq!(reads(&acl, &ann, &[]), counts, "{ends:?}");
        assert_eq!(Acl::parse(&acl.to_text().unwrap()).unwrap(), acl);
    }
    let mut acl = of(vec![entry(Who::Group, None)]);
    assert!(reads(&acl, &ann, &[]) && !reads(&acl, &user("b", "ann"), &[]));
    acl.group = Some("staff".to_owned());
    let staff = ["staff".to_owned()];
    assert!(!reads(&acl, &ann, &[]) && reads(&acl, &ann, &staff));
    assert!(!reads(&acl, &user("b", "ann"), &staff));
}

#[test]
fn attributes_are_under_a_bit_of_their_own() {
    let owner = user("a", "ann").owner().unwrap();
    let gives = |mask, place, action| {
        let acl = Acl {
            entries: Some(vec![entry(EntryKind::Allow, Who::Everyone, mask)]),
            ..Acl::default()
        };
        let bob = user("a", "bob");
        let decided = acl.ordered(place, action, &asked(&bob, &owner));
        matches!(decided, Some(Ordered::Allowed(_)))
    };
    for (place, attributes, metadata) in [
        (
            Place::Object,
            Action::WriteObjectAttributes,
            Action::WriteObjectMetadata,
        ),
        (
            Place::Bucket,
            Action::WriteBucketAttributes,
            Action::WriteBucketMetadata,
        ),
    ] {
        assert!(gives(bits::WRITE_ATTRIBUTES, place, attributes));
        assert!(!gives(!bits::WRITE_ATTRIBUTES, place, attributes));
        assert!(gives(!bits::WRITE_ATTRIBUTES, place, metadata));
        assert!(!gives(bits::WRITE_ATTRIBUTES, place, metadata));
    }
    // A grant knows no such difference.
    for permission in [Permission::Write, Permission::WriteContents] {
        let actions = permission.actions(Place::Bucket);
        assert!(actions.holds(Action::WriteObjectAttributes));
    }
    let all = Permission::WriteAll.actions(Place::Account);
    assert!(all.holds(Action::WriteObjectAttributes));
}
