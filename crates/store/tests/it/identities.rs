//! Users, keys, policies and tokens, and that what they are changes what is allowed at once.

use crate::fixture::*;
use std::sync::Arc;
use std::time::Duration;
use trestle_access::{Action, Asked, Grant, Principal, Resource, SecretKey, Verdict, hash_secret};
use trestle_core::*;
use trestle_host::SeededRandom;
use trestle_store::*;

const READ_B: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}"#;

fn acct(name: &str) -> AccountId {
    AccountId::parse(name).unwrap()
}

pub(crate) fn identity(action: Action, account: &str, name: &str) -> Grant {
    grant(action, Resource::Identity(acct(account), name.to_owned()))
}

fn password() -> Option<String> {
    Some(hash_secret("pw", &SeededRandom::new(1)).unwrap())
}

impl Fixture {
    pub(crate) async fn user(&self, account: &str, name: &str, new: NewUser) -> Result<User> {
        let grant = identity(Action::CreateUsers, account, &format!("user/{name}"));
        self.store
            .create_user(&grant, &acct(account), name, &new)
            .await
    }

    pub(crate) async fn change_user(
        &self,
        account: &str,
        name: &str,
        change: impl Fn(&mut User) + Send + Sync,
    ) -> Result<User> {
        let grant = identity(Action::WriteUsers, account, &format!("user/{name}"));
        let change = |user: &mut User| {
            change(user);
            Ok(())
        };
        self.store
            .update_user(&grant, &acct(account), name, &change)
            .await
    }

    pub(crate) async fn policy(
        &self,
        account: &str,
        name: &str,
        text: &str,
    ) -> Result<NamedPolicy> {
        let grant = identity(Action::WritePolicies, account, &format!("policy/{name}"));
        self.store
            .put_policy(&grant, &acct(account), name, text)
            .await
            .map(|(policy, _)| policy)
    }

    pub(crate) async fn may(&self, principal: &Arc<Principal>, action: Action) -> Result<Grant> {
        let resource = match action.level() {
            trestle_access::Level::Object => Resource::Object(name("b"), key("k")),
            _ => Resource::Bucket(name("b")),
        };
        let asked = Asked {
            principal: principal.clone(),
            action,
            resource,
            context: Arc::default(),
        };
        self.store.authorize(asked).await
    }
}

pub(crate) fn ann() -> Arc<Principal> {
    Arc::new(Principal::user(account(), "ann"))
}

#[tokio::test]
async fn a_policy_counts_as_soon_as_it_is_attached_and_no_longer() {
    let f = Fixture::new().await;
    let home = account();
    f.put("k", b"x").await.unwrap();
    f.user(home.as_str(), "ann", NewUser::default())
        .await
        .unwrap();
    let read = Action::ReadObject;
    assert_eq!(kind(f.may(&ann(), read).await), ErrorKind::Forbidden);
    f.policy(home.as_str(), "read", READ_B).await.unwrap();
    let attach = |user: &mut User| user.policies = vec!["read".to_owned()];
    f.change_user(home.as_str(), "ann", attach).await.unwrap();
    let grant = f.may(&ann(), read).await.unwrap();
    let head = ReadObject {
        bucket: name("b"),
        key: key("k"),
        version: VersionRef::Current,
    };
    assert!(f.store.open_object(&grant, &head).await.is_ok());
    assert_eq!(
        kind(f.may(&ann(), Action::WriteObject).await),
        ErrorKind::Forbidden
    );
    // In use: it stays.
    let delete = identity(Action::WritePolicies, home.as_str(), "policy/read");
    assert_eq!(
        kind(f.store.delete_policy(&delete, &home, "read").await),
        ErrorKind::NotEmpty
    );
    // The grant was given on what is no longer so.
    f.change_user(home.as_str(), "ann", |user| user.policies.clear())
        .await
        .unwrap();
    assert_eq!(
        kind(f.store.open_object(&grant, &head).await),
        ErrorKind::Forbidden
    );
    f.store.delete_policy(&delete, &home, "read").await.unwrap();
    assert_eq!(
        kind(f.store.delete_policy(&delete, &home, "read").await),
        ErrorKind::NotFound(Noun::Policy)
    );
}

#[tokio::test]
async fn groups_hand_their_policies_on_and_a_disabled_user_has_none() {
    let f = Fixture::new().await;
    let home = account();
    f.policy(home.as_str(), "read", READ_B).await.unwrap();
    let group = identity(Action::WriteGroups, home.as_str(), "group/readers");
    f.store
        .create_group(&group, &home, "readers", &["read".to_owned()])
        .await
        .unwrap();
    let new = NewUser {
        groups: vec!["readers".to_owned()],
        ..NewUser::default()
    };
    f.user(home.as_str(), "ann", new).await.unwrap();
    assert!(f.may(&ann(), Action::ReadObject).await.is_ok());
    assert_eq!(
        kind(f.store.delete_group(&group, &home, "readers").await),
        ErrorKind::NotEmpty
    );
    f.change_user(home.as_str(), "ann", |user| user.enabled = false)
        .await
        .unwrap();
    assert_eq!(
        kind(f.may(&ann(), Action::ReadObject).await),
        ErrorKind::Forbidden
    );
    let missing = NewUser {
        groups: vec!["x".to_owned()],
        ..NewUser::default()
    };
    assert_eq!(
        kind(f.user(home.as_str(), "bob", missing).await),
        ErrorKind::NotFound(Noun::Group)
    );
}

#[tokio::test]
async fn a_bucket_s_policy_and_acl_let_others_in() {
    let f = Fixture::new().await;
    let nobody = Arc::new(Principal::anonymous());
    let write = on_bucket(Action::WriteBucketPolicy, "b");
    let put = |text: &'static str| {
        let change = move |p: &mut BucketProperties| {
            p.policy = Some(text.to_owned());
            Ok(())
        };
        let (store, write) = (f.store.clone(), write.clone());
        async move { store.update_bucket(&[write], &name("b"), &change).await }
    };
    const PUBLIC: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}"#;
    assert_eq!(kind(put(READ_B).await), ErrorKind::InvalidInput);
    put(PUBLIC).await.unwrap();
    assert!(f.may(&nobody, Action::ReadObject).await.is_ok());
    assert_eq!(
        kind(f.may(&nobody, Action::WriteObject).await),
        ErrorKind::Forbidden
    );
    let block = |p: &mut BucketProperties| {
        p.public_access.restrict_buckets = true;
        p.public_access.block_policy = true;
        Ok(())
    };
    let grant = on_bucket(Action::WriteBucketPublicAccess, "b");
    f.store
        .update_bucket(&[grant], &name("b"), &block)
        .await
        .unwrap();
    assert_eq!(
        kind(f.may(&nobody, Action::ReadObject).await),
        ErrorKind::Forbidden
    );
    let changed = put(
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*"}}"#,
    );
    assert_eq!(kind(changed.await), ErrorKind::Forbidden);
    assert_eq!(
        kind(
            f.store
                .authorize(Asked {
                    principal: nobody.clone(),
                    action: Action::ReadBucket,
                    resource: Resource::Bucket(name("missing")),
                    context: Arc::default(),
                })
                .await
        ),
        ErrorKind::NotFound(Noun::Bucket)
    );
}

#[tokio::test]
async fn a_write_that_was_allowed_is_refused_when_the_right_goes_meanwhile() {
    let f = Fixture::new().await;
    let home = account();
    let write = READ_B.replace("GetObject", "PutObject");
    f.policy(home.as_str(), "write", &write).await.unwrap();
    let new = NewUser {
        policies: vec!["write".to_owned()],
        ..NewUser::default()
    };
    f.user(home.as_str(), "ann", new).await.unwrap();
    let grant = f.may(&ann(), Action::WriteObject).await.unwrap();
    // The body arrives; before its end the right is gone.
    let (send, receive) = futures::channel::mpsc::unbounded();
    let store = f.store.clone();
    let put = tokio::spawn(async move { store.put(&grant, a_put("b", "k"), receive).await });
    send.unbounded_send(Ok(bytes::Bytes::from_static(b"half")))
        .unwrap();
    tokio::task::yield_now().await;
    f.change_user(home.as_str(), "ann", |user| user.policies.clear())
        .await
        .unwrap();
    drop(send);
    assert_eq!(kind(put.await.unwrap()), ErrorKind::Forbidden);
    assert_eq!(kind(f.head("k").await), ErrorKind::NotFound(Noun::Object));
}

#[tokio::test]
async fn passwords_keys_and_tokens_lead_to_their_user() {
    let f = Fixture::new().await;
    let ids = Identities::new(f.store.clone()).unwrap();
    let new = || NewUser {
        password_hash: password(),
        ..NewUser::default()
    };
    f.user("one", "ann", new()).await.unwrap();
    let ann = ids.password("ann", "pw", None).await.unwrap().unwrap();
    assert_eq!(
        (ann.account().unwrap().as_str(), ann.user.as_str()),
        ("one", "ann")
    );
    for wrong in [
        ("ann", "px"),
        ("bob", "pw"),
        ("two/ann", "pw"),
        ("one/ann/x", "pw"),
        ("", ""),
    ] {
        assert_eq!(
            ids.password(wrong.0, wrong.1, None).await.unwrap(),
            None,
            "{wrong:?}"
        );
    }
    // With a second one of that name, the account has to be said.
    f.user("two", "ann", new()).await.unwrap();
    assert_eq!(ids.password("ann", "pw", None).await.unwrap(), None);
    assert!(ids.password("two/ann", "pw", None).await.unwrap().is_some());

    let issue = Issue {
        lifetime: Duration::from_secs(60),
        policies: vec![READ_B.to_owned()],
    };
    let issued = ids.issue(&ann, &issue).await.unwrap();
    assert_eq!(issued.expires.0, START.0 + 60_000_000);
    let token = issued.token;
    let bearer = ids.bearer(&token, None).await.unwrap().unwrap();
    assert_eq!(
        (bearer.user.as_str(), bearer.session_policies.len()),
        ("ann", 1)
    );
    // Another server over the same engine knows it, too.
    let other = Store::open(f.engine.clone(), f.store_host(), account(), Some(master()))
        .await
        .unwrap();
    let others = Identities::new(other).unwrap();
    assert!(others.bearer(&token, None).await.unwrap().is_some());
    ids.revoke(&token).await.unwrap();
    assert!(ids.bearer(&token, None).await.unwrap().is_none());
    assert!(others.bearer(&token, None).await.unwrap().is_none());
    let plain = Issue {
        policies: vec![],
        ..issue.clone()
    };
    let token = ids.issue(&ann, &plain).await.unwrap().token;
    f.clock.advance(Duration::from_secs(61));
    assert_eq!(kind(ids.bearer(&token, None).await), ErrorKind::Expired);
    let token = ids.issue(&ann, &issue).await.unwrap().token;
    f.change_user("one", "ann", |user| user.password_hash = None)
        .await
        .unwrap();
    assert!(ids.bearer(&token, None).await.unwrap().is_none());
    assert!(ids.password("one/ann", "pw", None).await.unwrap().is_none());
}

/// Who guesses waits, and locks out nobody: neither the right password, nor another address.
#[tokio::test]
async fn wrong_passwords_wait_and_lock_nobody_out() {
    let f = Fixture::new().await;
    let ids = Identities::new(f.store.clone()).unwrap();
    let new = NewUser {
        password_hash: password(),
        ..NewUser::default()
    };
    f.user("one", "ann", new).await.unwrap();
    let [here, elsewhere] = [1, 2].map(|last| Some(std::net::IpAddr::from([192, 0, 2, last])));
    for _ in 0..6 {
        assert_eq!(ids.password("ann", "px", here).await.unwrap(), None);
    }
    // As many further ones as may wait at once, and one that was not looked at.
    let guess = || Box::pin(ids.password("ann", "px", here));
    let mut waiting: Vec<_> = (0..64).map(|_| guess()).collect();
    for one in &mut waiting {
        assert!(futures::poll!(one.as_mut()).is_pending());
    }
    let unseen = ids.password("ann", "pw", here).await;
    assert_eq!(kind(unseen), ErrorKind::Conflict);
    // From another address the same password is looked at, without a wait.
    assert!(
        ids.password("ann", "pw", elsewhere)
            .await
            .unwrap()
            .is_some()
    );
    // What was verified is served from everywhere, whoever else waits.
    assert!(ids.password("ann", "pw", here).await.unwrap().is_some());
    // It ends the wait of its address.
    drop(waiting);
    assert_eq!(ids.password("ann", "px", here).await.unwrap(), None);
}

#[tokio::test]
async fn access_keys_can_be_several_end_and_be_disabled() {
    let f = Fixture::new().await;
    let ids = Identities::new(f.store.clone()).unwrap();
    f.user("one", "ann", NewUser::default()).await.unwrap();
    let one = acct("one");
    let on_ann = |action| identity(action, "one", "user/ann");
    let grant = on_ann(Action::CreateKeys);
    let new = |id: &str, expires| NewAccessKey {
        id: id.to_owned(),
        secret: SecretKey::new(format!("secret of {id}")),
        expires,
    };
    f.store
        .create_access_key(&grant, &one, "ann", &new("AK1", None))
        .await
        .unwrap();
    let soon = Some(Timestamp(START.0 + 10_000_000));
    f.store
        .create_access_key(&grant, &one, "ann", &new("AK2", soon))
        .await
        .unwrap();
    let again = f
        .store
        .create_access_key(&grant, &one, "ann", &new("AK1", None))
        .await;
    assert_eq!(kind(again), ErrorKind::AlreadyExists(Noun::AccessKey));
    for id in ["AK1", "AK2"] {
        let (secret, principal) = ids.access_key(id, None).await.unwrap().unwrap();
        assert_eq!(secret.expose(), format!("secret of {id}"));
        assert_eq!(principal.access_key.as_deref(), Some(id));
        f.store.note_key_use((id, &secret), f.store.now()).await;
    }
    let list = identity(Action::ReadKeys, "one", "user/ann");
    let keys = f.store.list_access_keys(&list, &one, "ann").await.unwrap();
    assert_eq!(
        keys.iter()
            .map(|key| key.used.is_some())
            .collect::<Vec<_>>(),
        [true, true]
    );
    f.clock.advance(Duration::from_secs(11));
    assert!(ids.access_key("AK2", None).await.unwrap().is_none());
    let grant = on_ann(Action::WriteKeys);
    f.store
        .enable_access_key(&grant, (&one, "ann"), "AK1", false)
        .await
        .unwrap();
    assert!(ids.access_key("AK1", None).await.unwrap().is_none());
    f.store
        .enable_access_key(&grant, (&one, "ann"), "AK1", true)
        .await
        .unwrap();
    assert!(ids.access_key("AK1", None).await.unwrap().is_some());
    let grant = on_ann(Action::DeleteKeys);
    f.store
        .delete_access_key(&grant, (&one, "ann"), "AK1")
        .await
        .unwrap();
    assert!(ids.access_key("AK1", None).await.unwrap().is_none());
    let delete = identity(Action::DeleteUsers, "one", "user/ann");
    f.store.delete_user(&delete, &one, "ann").await.unwrap();
    f.user("one", "ann", NewUser::default()).await.unwrap();
    assert!(
        f.store
            .list_access_keys(&list, &one, "ann")
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn nobody_hands_out_more_than_they_have() {
    let f = Fixture::new().await;
    let everything = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:*","Resource":"*"}}"#;
    f.policy("one", "iam", everything).await.unwrap();
    let new = NewUser {
        policies: vec!["iam".to_owned()],
        ..NewUser::default()
    };
    f.user("one", "ann", new).await.unwrap();
    let boss = NewUser {
        admin: true,
        ..NewUser::default()
    };
    f.user("one", "boss", boss).await.unwrap();
    let asks = |user: &str, of: &str, whom: &str| Asked {
        principal: Arc::new(Principal::user(acct("one"), user)),
        action: Action::WriteUsers,
        resource: Resource::Identity(acct(of), format!("user/{whom}")),
        context: Arc::default(),
    };
    let create = async |by: &str, whom: &str, admin, reseller_admin| {
        let asked = Asked {
            action: Action::CreateUsers,
            ..asks(by, "one", whom)
        };
        let grant = f.store.authorize(asked).await.unwrap();
        let new = NewUser {
            admin,
            reseller_admin,
            ..NewUser::default()
        };
        f.store.create_user(&grant, &acct("one"), whom, &new).await
    };
    assert!(create("ann", "u1", false, false).await.is_ok());
    assert_eq!(
        kind(create("ann", "u2", true, false).await),
        ErrorKind::Forbidden
    );
    assert!(create("boss", "u3", true, false).await.is_ok());
    assert_eq!(
        kind(create("boss", "u4", false, true).await),
        ErrorKind::Forbidden
    );
    // Nor does anybody change who has more, or reach into another account.
    let grant = f.store.authorize(asks("ann", "one", "boss")).await.unwrap();
    let disable = |user: &mut User| {
        user.enabled = false;
        Ok(())
    };
    let changed = f
        .store
        .update_user(&grant, &acct("one"), "boss", &disable)
        .await;
    assert_eq!(kind(changed), ErrorKind::Forbidden);
    let asked = Asked {
        action: Action::DeleteUsers,
        ..asks("ann", "one", "boss")
    };
    let grant = f.store.authorize(asked).await.unwrap();
    assert_eq!(
        kind(f.store.delete_user(&grant, &acct("one"), "boss").await),
        ErrorKind::Forbidden
    );
    for by in ["ann", "boss"] {
        assert_eq!(
            kind(f.store.authorize(asks(by, "two", "x")).await),
            ErrorKind::Forbidden
        );
    }
}

#[tokio::test]
async fn the_root_user_keeps_its_name_and_is_made_anew() {
    let f = Fixture::new().await;
    let ids = Identities::new(f.store.clone()).unwrap();
    let hash = password().unwrap();
    let home = account();
    f.store
        .set_root(&home, "root", &hash, ("ROOTKEY", "s1"))
        .await
        .unwrap();
    let new = NewUser {
        password_hash: password(),
        ..NewUser::default()
    };
    f.user("other", "root", new).await.unwrap();
    let root = ids.password("root", "pw", None).await.unwrap().unwrap();
    assert!(root.is_root());
    let (secret, by_key) = ids.access_key("ROOTKEY", None).await.unwrap().unwrap();
    assert!(by_key.is_root() && secret.expose() == "s1");
    let delete = identity(Action::DeleteUsers, home.as_str(), "user/root");
    assert_eq!(
        kind(f.store.delete_user(&delete, &home, "root").await),
        ErrorKind::Forbidden
    );
    let token = {
        f.clock.advance(Duration::from_secs(1));
        let issue = Issue {
            lifetime: Duration::from_secs(60),
            policies: vec![],
        };
        ids.issue(&root, &issue).await.unwrap().token
    };
    assert!(ids.bearer(&token, None).await.unwrap().unwrap().is_root());
    f.store
        .set_root(&home, "root", &hash, ("ROOTKEY", "s1"))
        .await
        .unwrap();
    // What was bound to it stays so, though its tokens end.
    let again = ids.password("root", "pw", None).await.unwrap().unwrap();
    assert!(root.made.is_some() && again.made == root.made);
    assert!(ids.bearer(&token, None).await.unwrap().is_none());
    f.store
        .set_root(&home, "admin", &hash, ("NEWKEY", "s2"))
        .await
        .unwrap();
    assert!(ids.access_key("ROOTKEY", None).await.unwrap().is_none());
    assert!(
        ids.access_key("NEWKEY", None)
            .await
            .unwrap()
            .unwrap()
            .1
            .is_root()
    );
    assert!(
        ids.password(&format!("{home}/root"), "pw", None)
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(
        f.store.find_root(&home).await.unwrap().unwrap().name,
        "admin"
    );
}

#[tokio::test]
async fn a_decision_can_be_explained() {
    let f = Fixture::new().await;
    let home = account();
    f.policy(home.as_str(), "read", READ_B).await.unwrap();
    let new = NewUser {
        policies: vec!["read".to_owned()],
        ..NewUser::default()
    };
    f.user(home.as_str(), "ann", new).await.unwrap();
    let grant = identity(Action::ExplainDecisions, home.as_str(), "");
    let ask = |action| Asked {
        principal: ann(),
        action,
        resource: Resource::Object(name("b"), key("k")),
        context: Arc::default(),
    };
    let explained = f
        .store
        .explain(&grant, &ask(Action::ReadObject))
        .await
        .unwrap();
    let Verdict::Allowed(reason) = explained else {
        panic!("{explained:?}")
    };
    assert_eq!(reason.to_string(), "identity policy \"read\", statement 0");
    let explained = f
        .store
        .explain(&grant, &ask(Action::WriteObject))
        .await
        .unwrap();
    let Verdict::Denied(reason) = explained else {
        panic!("{explained:?}")
    };
    assert_eq!(reason.to_string(), "nothing allows it");
    let elsewhere = identity(Action::ExplainDecisions, "other", "");
    assert_eq!(
        kind(f.store.explain(&elsewhere, &ask(Action::ReadObject)).await),
        ErrorKind::Forbidden
    );
}

#[tokio::test]
async fn a_role_is_taken_by_whom_it_trusts_and_is_void_with_either() {
    let f = Fixture::new().await;
    let ids = Identities::new(f.store.clone()).unwrap();
    let home = account();
    f.put("k", b"x").await.unwrap();
    for who in ["ann", "bob", "reader"] {
        f.user(home.as_str(), who, NewUser::default())
            .await
            .unwrap();
    }
    f.policy(home.as_str(), "read", READ_B).await.unwrap();
    let write = identity(Action::WriteRoles, home.as_str(), "role/reader");
    let put = async |trust: &str| {
        let trust = format!(r#"{{"Statement":[{trust}]}}"#);
        let new = NewRole {
            policies: vec!["read".to_owned()],
            trust,
        };
        f.store.put_role(&write, &home, "reader", &new).await
    };
    let ann_only = format!(
        r#"{{"Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::{home}:user/ann"}},"Action":"sts:AssumeRole",
            "Condition":{{"StringEquals":{{"sts:ExternalId":"42"}}}}}}"#
    );
    put(&ann_only).await.unwrap();
    let take = async |who: &str, external: &str| {
        let context = trestle_access::Context::at(f.store.now()).with("sts:ExternalId", external);
        let asked = Asked {
            principal: ids.user(&home, who).await.unwrap().unwrap(),
            action: Action::AssumeRole,
            resource: Resource::Identity(home.clone(), "role/reader".to_owned()),
            context: Arc::new(context),
        };
        let grant = f.store.authorize(asked).await?;
        let assume = AssumeRole {
            account: home.clone(),
            role: "reader".to_owned(),
            session: "s1".to_owned(),
            issue: Issue {
                lifetime: Duration::from_secs(600),
                policies: vec![],
            },
        };
        ids.assume_role(&grant, &assume).await
    };
    let refused = ErrorKind::Forbidden;
    assert_eq!(kind(take("ann", "41").await), refused);
    assert_eq!(kind(take("bob", "42").await), refused);
    let session = take("ann", "42").await.unwrap();
    let role = ids.bearer(&session.token, None).await.unwrap().unwrap();
    assert_eq!(
        (role.user.as_str(), role.id.as_str()),
        ("role/reader", "reader:s1")
    );
    assert!(f.may(&role, Action::ReadObject).await.is_ok());
    assert_eq!(kind(f.may(&role, Action::WriteObject).await), refused);
    // Its keys go together, and with no others.
    let (secret, by_key) = ids
        .session_key(&session.access_key, &session.token, None)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(secret.expose(), session.secret_key.expose());
    assert_eq!(by_key.user, role.user);
    let other = ids
        .session_key("TST00", &session.token, None)
        .await
        .unwrap();
    assert!(other.is_none());
    assert!(
        ids.access_key(&session.access_key, None)
            .await
            .unwrap()
            .is_none()
    );
    // A role gets no token, neither its own nor that of a user who is named like it.
    let issue = Issue {
        lifetime: Duration::from_secs(60),
        policies: vec![],
    };
    assert_eq!(kind(ids.issue(&role, &issue).await), refused);
    // Whom it names by the account alone needs leave of the account, too.
    let of_account =
        format!(r#"{{"Effect":"Allow","Principal":{{"AWS":"{home}"}},"Action":"sts:AssumeRole"}}"#);
    put(&of_account).await.unwrap();
    assert_eq!(kind(take("bob", "42").await), refused);
    let assume = r#"{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}}"#;
    f.policy(home.as_str(), "assume", assume).await.unwrap();
    let attach = |user: &mut User| user.policies = vec!["assume".to_owned()];
    f.change_user(home.as_str(), "bob", attach).await.unwrap();
    let of_bob = take("bob", "42").await.unwrap();
    let denied = format!("{of_account},{}", of_account.replace("Allow", "Deny"));
    put(&denied).await.unwrap();
    assert_eq!(kind(take("bob", "42").await), refused);
    // Void with who took it, and with the role.
    let is_void = async |token: &str| ids.bearer(token, None).await.unwrap().is_none();
    assert!(!is_void(&of_bob.token).await);
    f.change_user(home.as_str(), "bob", |user| user.enabled = false)
        .await
        .unwrap();
    assert!(is_void(&of_bob.token).await && !is_void(&session.token).await);
    f.store.delete_role(&write, &home, "reader").await.unwrap();
    assert!(is_void(&session.token).await);
    f.clock.advance(Duration::from_secs(1));
    put(&ann_only).await.unwrap();
    assert!(is_void(&session.token).await, "another role of that name");
}

#[tokio::test]
async fn what_was_taken_by_a_token_ends_with_it() {
    let f = Fixture::new().await;
    let ids = Identities::new(f.store.clone()).unwrap();
    let home = account();
    f.user(home.as_str(), "ann", NewUser::default())
        .await
        .unwrap();
    let trust = format!(
        r#"{{"Statement":{{"Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::{home}:user/ann"}},"Action":"sts:AssumeRole"}}}}"#
    );
    let new = NewRole {
        policies: vec![],
        trust,
    };
    let write = identity(Action::WriteRoles, home.as_str(), "role/reader");
    f.store
        .put_role(&write, &home, "reader", &new)
        .await
        .unwrap();
    let for_a = |seconds| Issue {
        lifetime: Duration::from_secs(seconds),
        policies: vec![],
    };
    let take = async |by: Arc<Principal>| {
        let asked = Asked {
            principal: by,
            action: Action::AssumeRole,
            resource: Resource::Identity(home.clone(), "role/reader".to_owned()),
            context: Arc::default(),
        };
        let grant = f.store.authorize(asked).await?;
        let assume = AssumeRole {
            account: home.clone(),
            role: "reader".to_owned(),
            session: "s".to_owned(),
            issue: for_a(3600),
        };
        ids.assume_role(&grant, &assume).await
    };
    let person = ids.user(&home, "ann").await.unwrap().unwrap();
    let by_person = take(person.clone()).await.unwrap();
    let parent = ids.issue(&person, &for_a(600)).await.unwrap();
    let borne = ids.bearer(&parent.token, None).await.unwrap().unwrap();
    assert_eq!(
        kind(ids.issue(&borne, &for_a(60)).await),
        ErrorKind::Forbidden
    );
    let by_token = take(borne).await.unwrap();
    // It ends when the token does, at the latest.
    assert_eq!(by_token.expires, parent.expires);
    assert!(by_person.expires > parent.expires);
    let lives = async |session: &Session| {
        let known = ids.bearer(&session.token, None).await.unwrap().is_some();
        let key = ids.session_key(&session.access_key, &session.token, None);
        assert_eq!(key.await.unwrap().is_some(), known);
        known
    };
    assert!(lives(&by_token).await && lives(&by_person).await);
    ids.revoke(&parent.token).await.unwrap();
    assert!(!lives(&parent).await && !lives(&by_token).await && lives(&by_person).await);
}
