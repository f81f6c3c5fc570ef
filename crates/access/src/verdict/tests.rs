//! The order of evaluation, case by case.

use super::*;
use crate::acl::tests::entry;
use crate::acl::{AclEntry, EntryKind, Grantee, Permission, Who, bits};
use crate::{AttachedPolicy, Context, Policy, PolicyKind, Principal, PublicAccessBlock, Resource};
use std::sync::Arc;
use trestle_core::{AccountId, BucketName, Key, Owner};

fn account(name: &str) -> AccountId {
    AccountId::parse(name).unwrap()
}

fn owner(of: &str) -> Owner {
    Owner {
        account: account(of),
        user: of.to_owned(),
        domain: None,
    }
}

/// A bucket `b` of the account `home`, and whoever asks for its object `k`.
struct Asks {
    principal: Principal,
    identity: Option<IdentityFacts>,
    bucket: BucketFacts,
    object: Seen<ObjectFacts>,
    account_acl: Acl,
    context: Context,
}

fn asks(principal: Principal) -> Asks {
    let known = principal.account().is_some() && !principal.is_root();
    Asks {
        identity: known.then(|| IdentityFacts {
            enabled: true,
            admin: principal.admin,
            reseller_admin: principal.reseller_admin,
            ..IdentityFacts::default()
        }),
        principal,
        bucket: BucketFacts {
            name: BucketName::parse("b").unwrap(),
            owner: owner("home"),
            policy: None,
            acl: None,
            ownership: Ownership::Unsaid,
            public_access: PublicAccessBlock::default(),
        },
        object: Seen::There(ObjectFacts {
            owner: owner("home"),
            acl: None,
            tags: [("class".to_owned(), "open".to_owned())].into(),
        }),
        account_acl: Acl::default(),
        context: Context::default(),
    }
}

fn user(of: &str) -> Principal {
    Principal::user(account(of), "ann")
}

fn admin(of: &str) -> Principal {
    let mut admin = Principal::user(account(of), "boss");
    admin.admin = true;
    admin
}

fn account_root(of: &str) -> Principal {
    let mut admin = Principal::user(account(of), of);
    admin.admin = true;
    admin
}

fn statement(effect: &str, principal: &str, action: &str) -> String {
    format!(
        r#"{{"Effect":"{effect}",{principal}"Action":"{action}","Resource":["arn:aws:s3:::b","arn:aws:s3:::b/*"]}}"#
    )
}

fn policy(statements: &[String], kind: PolicyKind<'_>) -> Arc<Policy> {
    let text = format!(
        r#"{{"Version":"2012-10-17","Statement":[{}]}}"#,
        statements.join(",")
    );
    Arc::new(Policy::parse(&text, kind).unwrap())
}

impl Asks {
    fn identity(mut self, effect: &str, action: &str) -> Self {
        let policy = policy(&[statement(effect, "", action)], PolicyKind::Identity);
        let name = "mine".to_owned();
        self.identity
            .as_mut()
            .unwrap()
            .policies
            .extend([AttachedPolicy { name, policy }]);
        self
    }

    fn bucket_policy(mut self, statements: &[(&str, &str, &str)]) -> Self {
        let statements: Vec<String> = statements
            .iter()
            .map(|(effect, principal, action)| {
                statement(effect, &format!("\"Principal\":{principal},"), action)
            })
            .collect();
        self.bucket.policy = Some(policy(&statements, PolicyKind::Bucket("b")));
        self
    }

    fn session(mut self, effect: &str, action: &str) -> Self {
        let policy = policy(&[statement(effect, "", action)], PolicyKind::Session);
        self.principal.session_policies.push(policy);
        self
    }

    fn bucket_acl(mut self, grantee: Grantee, permission: Permission) -> Self {
        let acl = self
            .bucket
            .acl
            .take()
            .map(|acl| (*acl).clone())
            .unwrap_or_default();
        self.bucket.acl = Some(Arc::new(acl.grant(grantee, permission)));
        self
    }

    fn object(mut self, change: impl FnOnce(&mut ObjectFacts)) -> Self {
        let Seen::There(object) = &mut self.object else {
            panic!("no object")
        };
        change(object);
        self
    }

    fn ownership(mut self, ownership: Ownership) -> Self {
        self.bucket.ownership = ownership;
        self
    }

    fn verdict(&self, action: Action) -> Verdict {
        let name = || self.bucket.name.clone();
        let resource = match action.level() {
            Level::Object => Resource::Object(name(), Key::parse("k").unwrap()),
            Level::Bucket => Resource::Bucket(name()),
            Level::Account => Resource::Account(account("home")),
            Level::Identity => Resource::Identity(account("home"), "user/x".to_owned()),
            Level::Server => Resource::Server,
        };
        let asked = Asked {
            principal: Arc::new(self.principal.clone()),
            action,
            resource,
            context: Arc::new(self.context.clone()),
        };
        let facts = Facts {
            identity: self.identity.clone().map(Arc::new),
            account_acl: Seen::There(Arc::new(self.account_acl.clone())),
            bucket: Some(Arc::new(self.bucket.clone())),
            object: self.object.clone(),
            ..Facts::default()
        };
        verdict(&asked, &facts)
    }

    fn may(&self, action: Action) -> bool {
        match self.verdict(action) {
            Verdict::Allowed(_) => true,
            Verdict::Denied(_) => false,
            Verdict::NeedsMore => panic!("everything was there"),
        }
    }

    fn reads(&self) -> bool {
        self.may(Action::ReadObject)
    }
}

const EVERYONE: &str = r#""*""#;
const ANN: &str = r#"{"AWS":"arn:aws:iam::home:user/ann"}"#;
const ANN_OF_AWAY: &str = r#"{"AWS":"arn:aws:iam::away:user/ann"}"#;
const HOME: &str = r#"{"AWS":"arn:aws:iam::home:root"}"#;
const AWAY: &str = r#"{"AWS":"away"}"#;

#[test]
fn nothing_is_allowed_by_itself() {
    let nobody = asks(Principal::anonymous());
    let (own, other) = (asks(user("home")), asks(user("away")));
    for action in Action::ALL {
        for asks in [&nobody, &own, &other] {
            assert!(
                !asks.may(*action),
                "{action:?} by {:?}",
                asks.principal.kind()
            );
        }
    }
}

#[test]
fn root_and_administrators_have_their_accounts() {
    let root = asks(Principal::root(account("root"), "root"));
    let mut reseller = user("away");
    reseller.reseller_admin = true;
    let reseller = asks(reseller);
    let (own, other) = (asks(admin("home")), asks(admin("away")));
    for action in Action::ALL.iter().copied() {
        // Who may take a role is its trust policy's to say, whoever asks.
        let trusted = action != Action::AssumeRole;
        assert!(root.may(action), "{action:?}");
        assert_eq!(reseller.may(action), trusted, "{action:?}");
        // A new bucket is of the account of whoever makes it.
        assert_eq!(
            other.may(action),
            action == Action::CreateBucket,
            "{action:?}"
        );
        let expected = of_administrators().holds(action) && action.level() != Level::Server;
        assert_eq!(own.may(action), expected && trusted, "{action:?}");
    }
}

#[test]
fn a_mark_that_was_taken_away_does_not_count() {
    let mut asks = asks(admin("home"));
    asks.identity.as_mut().unwrap().admin = false;
    assert!(!asks.reads());
    asks.identity.as_mut().unwrap().admin = true;
    assert!(asks.reads());
    asks.identity.as_mut().unwrap().enabled = false;
    assert_eq!(
        asks.verdict(Action::ReadObject),
        Verdict::Denied(Reason::Disabled)
    );
    asks.identity = None;
    assert_eq!(
        asks.verdict(Action::ReadObject),
        Verdict::Denied(Reason::Unknown)
    );
}

#[test]
fn within_the_account_either_side_allows() {
    assert!(asks(user("home")).identity("Allow", "s3:GetObject").reads());
    assert!(!asks(user("home")).identity("Allow", "s3:PutObject").reads());
    assert!(
        asks(user("home"))
            .bucket_policy(&[("Allow", ANN, "s3:GetObject")])
            .reads()
    );
    // The account's root in a policy hands it to the account, not to each user.
    assert!(
        !asks(user("home"))
            .bucket_policy(&[("Allow", HOME, "s3:GetObject")])
            .reads()
    );
    assert!(
        asks(admin("home"))
            .bucket_policy(&[("Allow", HOME, "s3:GetObject")])
            .reads()
    );
}

#[test]
fn across_accounts_both_sides_must_allow() {
    let named =
        |principal| asks(user("away")).bucket_policy(&[("Allow", principal, "s3:GetObject")]);
    assert!(!named(ANN_OF_AWAY).reads() && !named(AWAY).reads());
    assert!(named(ANN_OF_AWAY).identity("Allow", "s3:GetObject").reads());
    assert!(named(AWAY).identity("Allow", "s3:*").reads());
    assert!(!asks(user("away")).identity("Allow", "s3:*").reads());
    assert!(
        asks(admin("away"))
            .bucket_policy(&[("Allow", AWAY, "s3:GetObject")])
            .reads()
    );
    assert!(
        !asks(admin("third"))
            .bucket_policy(&[("Allow", AWAY, "s3:GetObject")])
            .reads()
    );
}

#[test]
fn what_everybody_may_each_may() {
    for principal in [Principal::anonymous(), user("home"), user("away")] {
        let asks = asks(principal).bucket_policy(&[("Allow", EVERYONE, "s3:GetObject")]);
        assert!(asks.reads() && !asks.may(Action::WriteObject));
    }
}

#[test]
fn a_deny_wins_wherever_it_stands() {
    let allowed = || {
        asks(user("home"))
            .identity("Allow", "s3:*")
            .bucket_policy(&[("Allow", EVERYONE, "s3:*")])
    };
    assert!(allowed().reads());
    assert!(!allowed().identity("Deny", "s3:GetObject").reads());
    assert!(!allowed().session("Deny", "s3:GetObject").reads());
    let denied = [("Allow", EVERYONE, "s3:*"), ("Deny", ANN, "s3:Get*")];
    let by_bucket = asks(user("home"))
        .identity("Allow", "s3:*")
        .bucket_policy(&denied);
    assert!(!by_bucket.reads() && by_bucket.may(Action::WriteObject));
    assert_eq!(
        by_bucket.verdict(Action::ReadObject),
        Verdict::Denied(Reason::Statement {
            policy: PolicyPlace::Bucket,
            index: 1,
            sid: None
        })
    );
    // Administrators and root are no exception, but for mending the policy itself.
    for principal in [
        account_root("home"),
        Principal::root(account("root"), "root"),
    ] {
        let locked = asks(principal).bucket_policy(&[("Deny", EVERYONE, "s3:*")]);
        assert!(!locked.reads());
        assert_eq!(
            locked.verdict(Action::WriteBucketPolicy),
            Verdict::Allowed(Reason::Mending)
        );
        assert!(locked.may(Action::DeleteBucketPolicy) && !locked.may(Action::DeleteBucket));
    }
    assert!(
        !asks(admin("home"))
            .bucket_policy(&[("Deny", EVERYONE, "s3:*")])
            .may(Action::WriteBucketPolicy)
    );
    assert!(
        !asks(account_root("away"))
            .bucket_policy(&[("Deny", EVERYONE, "s3:*")])
            .may(Action::WriteBucketPolicy)
    );
}

#[test]
fn not_principal_is_everybody_else() {
    let text = statement(
        "Deny",
        r#""NotPrincipal":{"AWS":"arn:aws:iam::home:user/ann"},"#,
        "s3:*",
    );
    let with = |principal| {
        let mut asks = asks(principal).identity("Allow", "s3:*");
        asks.bucket.policy = Some(policy(std::slice::from_ref(&text), PolicyKind::Bucket("b")));
        asks
    };
    assert!(with(user("home")).reads());
    let bob = Principal::user(account("home"), "bob");
    assert!(!with(bob).reads());
}

#[test]
fn not_action_and_not_resource_are_all_others() {
    let with = |statement: &str| {
        let mut asks = asks(user("home"));
        let policy = policy(&[statement.to_owned()], PolicyKind::Identity);
        let name = "n".to_owned();
        asks.identity
            .as_mut()
            .unwrap()
            .policies
            .extend([AttachedPolicy { name, policy }]);
        asks
    };
    let not_action = with(r#"{"Effect":"Allow","NotAction":"s3:Delete*","Resource":"*"}"#);
    assert!(not_action.reads() && !not_action.may(Action::DeleteObject));
    let elsewhere = with(r#"{"Effect":"Allow","Action":"s3:*","NotResource":"arn:aws:s3:::b/*"}"#);
    assert!(!elsewhere.reads() && elsewhere.may(Action::ListObjects));
}

#[test]
fn what_only_resellers_may_no_policy_gives() {
    let mut asks = asks(user("home"));
    let everything = r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#.to_owned();
    asks.identity.as_mut().unwrap().policies = [AttachedPolicy {
        name: "everything".to_owned(),
        policy: policy(&[everything], PolicyKind::Identity),
    }]
    .into_iter()
    .collect();
    assert!(asks.may(Action::ListBuckets) && asks.may(Action::WriteUsers));
    for action in OF_RESELLERS {
        assert!(!asks.may(action), "{action:?}");
    }
}

#[test]
fn a_session_has_at_most_what_its_policies_allow() {
    let allowed = || asks(user("home")).identity("Allow", "s3:*");
    assert!(allowed().session("Allow", "s3:GetObject").reads());
    assert_eq!(
        allowed()
            .session("Allow", "s3:PutObject")
            .verdict(Action::ReadObject),
        Verdict::Denied(Reason::Session)
    );
    assert!(!asks(user("home")).session("Allow", "s3:*").reads());
    assert!(!asks(admin("home")).session("Allow", "s3:PutObject").reads());
    // Root's sessions, too, are as narrow as they were made.
    let root = asks(Principal::root(account("root"), "root")).session("Allow", "s3:GetObject");
    assert!(root.reads() && !root.may(Action::DeleteObject));
}

#[test]
fn acls_add_and_never_take_away() {
    let public = asks(Principal::anonymous()).bucket_acl(Grantee::Everyone, Permission::Read);
    assert!(public.may(Action::ListObjects) && !public.reads());
    let known = |p| asks(p).bucket_acl(Grantee::Authenticated, Permission::Write);
    assert!(known(user("away")).may(Action::WriteObject));
    assert!(!known(Principal::anonymous()).may(Action::WriteObject));
    // A grant to an account is its own to hand on; one to its members is not.
    let away =
        |p: Principal| asks(p).bucket_acl(Grantee::Account("away".into()), Permission::Write);
    assert!(!away(user("away")).may(Action::WriteObject));
    assert!(
        away(user("away"))
            .identity("Allow", "s3:PutObject")
            .may(Action::WriteObject)
    );
    assert!(away(admin("away")).may(Action::WriteObject));
    let members =
        asks(user("away")).bucket_acl(Grantee::Members("away".into()), Permission::WriteContents);
    assert!(members.may(Action::WriteObject) && members.may(Action::DeleteObject));
    let readers = asks(user("away")).bucket_acl(
        Grantee::User("away".into(), "ann".into()),
        Permission::ReadContents,
    );
    assert!(readers.reads() && !readers.may(Action::ListObjects));
    let object = asks(Principal::anonymous()).object(|object| {
        object.acl = Some(Arc::new(
            Acl::default().grant(Grantee::Everyone, Permission::Read),
        ));
    });
    assert!(
        object.reads() && !object.may(Action::ReadObjectAcl) && !object.may(Action::ListObjects)
    );
    let denied = asks(user("away"))
        .bucket_acl(Grantee::Everyone, Permission::Read)
        .bucket_policy(&[("Deny", EVERYONE, "s3:ListBucket")]);
    assert!(!denied.may(Action::ListObjects));
}

#[test]
fn an_account_s_acl_opens_all_that_it_owns() {
    let mut reader = asks(user("away"));
    reader.account_acl = Acl::default().grant(
        Grantee::User("away".into(), "ann".into()),
        Permission::ReadAll,
    );
    assert!(reader.reads() && reader.may(Action::ListBuckets) && !reader.may(Action::WriteObject));
    let mut other = asks(user("third"));
    other.account_acl = reader.account_acl.clone();
    assert!(!other.reads());
}

#[test]
fn the_public_access_block_keeps_out_the_public_alone() {
    let block = |asks: Asks, block: PublicAccessBlock| Asks {
        bucket: BucketFacts {
            public_access: block,
            ..asks.bucket
        },
        ..asks
    };
    let ignore = PublicAccessBlock {
        ignore_public_acls: true,
        ..PublicAccessBlock::default()
    };
    let restrict = PublicAccessBlock {
        restrict_public_buckets: true,
        ..PublicAccessBlock::default()
    };
    let by_acl = |p| {
        asks(p)
            .bucket_acl(Grantee::Everyone, Permission::Read)
            .bucket_acl(Grantee::User("away".into(), "ann".into()), Permission::List)
    };
    assert!(!block(by_acl(Principal::anonymous()), ignore).may(Action::ListObjects));
    assert!(!block(by_acl(user("third")), ignore).may(Action::ListObjects));
    assert!(block(by_acl(user("away")), ignore).may(Action::ListObjects));
    let by_policy = |p| asks(p).bucket_policy(&[("Allow", EVERYONE, "s3:GetObject")]);
    assert!(by_policy(user("away")).reads());
    assert!(!block(by_policy(user("away")), restrict).reads());
    assert!(!block(by_policy(Principal::anonymous()), restrict).reads());
    assert!(block(by_policy(user("home")), restrict).reads());
    let named = asks(user("away"))
        .identity("Allow", "s3:*")
        .bucket_policy(&[("Allow", ANN_OF_AWAY, "s3:GetObject")]);
    assert!(block(named, restrict).reads());
}

#[test]
fn writers_own_their_objects_where_the_bucket_says_so() {
    let foreign = |p, ownership| {
        asks(p)
            .ownership(ownership)
            .object(|object| object.owner = owner("away"))
    };
    let writers = Ownership::ObjectWriter;
    assert!(!foreign(admin("home"), writers).reads());
    assert!(foreign(admin("home"), writers).may(Action::DeleteObject));
    assert!(foreign(admin("away"), writers).reads());
    assert!(!foreign(admin("away"), writers).may(Action::DeleteObject));
    for shared in [Ownership::Unsaid, Ownership::BucketOwnerEnforced] {
        assert!(foreign(admin("home"), shared).reads());
        assert!(!foreign(admin("away"), shared).reads());
    }
    // The bucket's policy says nothing of such an object, but for what it denies.
    let public = foreign(user("third"), writers).bucket_policy(&[("Allow", EVERYONE, "s3:*")]);
    assert!(!public.reads());
    let denied = foreign(admin("away"), writers).bucket_policy(&[("Deny", EVERYONE, "s3:*")]);
    assert!(!denied.reads());
    // Enforced: grants of S3's kind are off.
    let off = asks(Principal::anonymous())
        .bucket_acl(Grantee::Everyone, Permission::Read)
        .ownership(Ownership::BucketOwnerEnforced);
    assert!(!off.may(Action::ListObjects));
}

#[test]
fn tags_of_the_object_count() {
    let with = |principal, tag: &str| {
        let text = format!(
            r#"{{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*",
                "Condition":{{"StringEquals":{{"s3:ExistingObjectTag/class":"{tag}"}}}}}}"#
        );
        let mut asks = asks(principal);
        asks.bucket.policy = Some(policy(&[text], PolicyKind::Bucket("b")));
        asks
    };
    assert!(with(Principal::anonymous(), "open").reads());
    assert!(!with(Principal::anonymous(), "secret").reads());
    let mut unread = with(admin("home"), "open");
    unread.object = Seen::Unread;
    assert_eq!(unread.verdict(Action::ReadObject), Verdict::NeedsMore);
    unread.object = Seen::Absent;
    assert!(unread.reads());
}

#[test]
fn an_ordered_list_binds_everybody() {
    let list = |entries: Vec<AclEntry>| {
        Some(Arc::new(Acl {
            entries: Some(entries),
            ..Acl::default()
        }))
    };
    let of_ann = || {
        vec![entry(
            EntryKind::Allow,
            Who::User("away".into(), "ann".into()),
            bits::READ,
        )]
    };
    let with = |p| asks(p).object(|object| object.acl = list(of_ann()));
    assert!(with(user("away")).reads());
    for principal in [
        user("home"),
        admin("home"),
        Principal::root(account("root"), "r"),
        Principal::anonymous(),
    ] {
        assert!(!with(principal).reads());
    }
    // A policy's Deny still wins, and root may mend the list.
    assert!(
        !with(user("away"))
            .bucket_policy(&[("Deny", EVERYONE, "s3:GetObject")])
            .reads()
    );
    assert!(with(Principal::root(account("root"), "r")).may(Action::WriteObjectAcl));
    assert!(!with(admin("home")).may(Action::WriteObjectAcl));
    // Who administers its owner's account takes it over, and nobody else.
    assert!(with(admin("home")).may(Action::WriteObjectOwner));
    assert!(with(Principal::root(account("root"), "r")).may(Action::WriteObjectOwner));
    assert!(!with(user("home")).may(Action::WriteObjectOwner));
    assert!(!with(admin("away")).may(Action::WriteObjectOwner));
    let mut former = with(admin("home"));
    former.identity.as_mut().unwrap().admin = false;
    assert!(!former.may(Action::WriteObjectOwner));
    // What the list has no say about is decided as ever.
    assert!(with(admin("home")).may(Action::BypassRetention));
    let mut on_bucket = asks(user("away"));
    on_bucket.bucket.acl = list(vec![entry(EntryKind::Allow, Who::Everyone, bits::READ)]);
    assert!(on_bucket.reads() && !on_bucket.may(Action::WriteObject));
}

#[test]
fn an_object_that_is_unread_is_asked_for_before_a_refusal() {
    let mut asks = asks(user("away"));
    asks.object = Seen::Unread;
    assert_eq!(asks.verdict(Action::ReadObject), Verdict::NeedsMore);
    asks.object = Seen::Absent;
    assert_eq!(
        asks.verdict(Action::ReadObject),
        Verdict::Denied(Reason::Nothing)
    );
}

/// The bucket's list refuses nothing that an object's own may allow.
#[test]
fn an_object_s_list_is_looked_for_before_the_bucket_s_refuses() {
    let list = |mask| {
        Some(Arc::new(Acl {
            entries: Some(vec![entry(EntryKind::Allow, Who::Everyone, mask)]),
            ..Acl::default()
        }))
    };
    let mut asks = asks(user("away")).object(|object| object.acl = list(bits::WRITE));
    asks.bucket.acl = list(bits::READ);
    assert!(asks.may(Action::WriteObject) && !asks.reads());
    asks.object = Seen::Unread;
    assert_eq!(asks.verdict(Action::WriteObject), Verdict::NeedsMore);
    asks.object = Seen::Absent;
    assert!(!asks.may(Action::WriteObject) && asks.reads());
}

/// Each list is its owner's: what belongs to another account is no matter of who backs this one up.
#[test]
fn who_backs_an_account_up_is_bound_by_the_lists_of_others() {
    let shut = || {
        Some(Arc::new(Acl {
            entries: Some(Vec::new()),
            ..Acl::default()
        }))
    };
    let saver = |of: &str, mine: bool| {
        let mut saver = user("home");
        saver.backup_operator = true;
        asks(saver).object(|object| {
            object.owner = owner(of);
            object.acl = shut().filter(|_| mine);
        })
    };
    assert!(saver("home", true).reads() && saver("home", true).may(Action::WriteObject));
    for ownership in [Ownership::Unsaid, Ownership::ObjectWriter] {
        let theirs = saver("away", true).ownership(ownership);
        assert!(!theirs.reads() && !theirs.may(Action::WriteObjectMetadata));
        assert!(!theirs.may(Action::DeleteObject));
    }
    // In a bucket of another account: what is theirs is read, and comes and goes by the bucket.
    let elsewhere = |mut asks: Asks| {
        asks.bucket.owner = owner("away");
        asks.bucket.acl = shut();
        asks
    };
    let own = elsewhere(saver("home", true));
    assert!(own.reads());
    assert!(!own.may(Action::DeleteObject) && !own.may(Action::ListObjects));
    assert!(!elsewhere(saver("away", true)).reads());
    let mut closed = elsewhere(saver("home", true));
    closed.bucket.acl = Some(Arc::new(Acl {
        entries: Some(vec![entry(EntryKind::Deny, Who::Everyone, bits::EXECUTE)]),
        ..Acl::default()
    }));
    assert!(!closed.reads());
}
