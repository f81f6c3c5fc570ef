//! Nobody gives out more than they have, whatever they may change; and nothing of a user that is gone
//! stands for a later one of its name.

use crate::fixture::*;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use std::sync::Arc;
use std::time::Duration;
use trestle_access::{Action, Asked, Grant, Principal, Resource, SecretKey, hash_secret};
use trestle_core::*;
use trestle_host::SeededRandom;
use trestle_store::*;

fn home() -> AccountId {
    AccountId::parse("home").unwrap()
}

fn allow(action: &str, resource: &str) -> String {
    format!(r#"{{"Effect":"Allow","Action":{action},"Resource":"{resource}"}}"#)
}

fn with_policies(names: &[&str]) -> NewUser {
    NewUser {
        policies: names.iter().map(|&name| name.to_owned()).collect(),
        ..NewUser::default()
    }
}

impl Fixture {
    async fn allowing(&self, name: &str, statements: &str) {
        let text = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
        self.policy("home", name, &text).await.unwrap();
    }

    async fn granted(&self, user: &str, action: Action, on: &str) -> Result<Grant> {
        let asked = Asked {
            principal: Arc::new(Principal::user(home(), user)),
            action,
            resource: Resource::Identity(home(), on.to_owned()),
            context: Arc::default(),
        };
        self.store.authorize(asked).await
    }

    /// Ann, who has just these rights, changes a user.
    async fn ann_changes(
        &self,
        user: &str,
        change: impl Fn(&mut User) + Send + Sync,
    ) -> Result<User> {
        let on = format!("user/{user}");
        let grant = self.granted("ann", Action::WriteUsers, &on).await?;
        let change = |user: &mut User| {
            change(user);
            Ok(())
        };
        self.store.update_user(&grant, &home(), user, &change).await
    }
}

#[tokio::test]
async fn to_change_users_is_not_to_say_which_policies_and_groups_they_have() {
    let f = Fixture::new().await;
    f.allowing("all", &allow(r#""*""#, "*")).await;
    f.allowing(
        "users",
        &allow(r#"["iam:CreateUser","iam:UpdateUser","s3:*"]"#, "*"),
    )
    .await;
    let groups = crate::identities::identity(Action::WriteGroups, "home", "group/staff");
    let all = ["all".to_owned()];
    let made = f.store.create_group(&groups, &home(), "staff", &all).await;
    made.unwrap();
    f.user("home", "ann", with_policies(&["users"]))
        .await
        .unwrap();
    f.user("home", "bob", with_policies(&["all"]))
        .await
        .unwrap();
    let refused = async |user: &str, change: fn(&mut User)| {
        assert_eq!(
            kind(f.ann_changes(user, change).await),
            ErrorKind::Forbidden
        );
    };
    refused("ann", |ann| ann.policies.push("all".into())).await;
    refused("ann", |ann| ann.policies.clear()).await;
    refused("ann", |ann| ann.groups.push("staff".into())).await;
    refused("bob", |bob| bob.policies.clear()).await;
    refused("ann", |ann| ann.id = "another's".into()).await;
    f.ann_changes("bob", |bob| bob.display_name = "Bob".into())
        .await
        .unwrap();
    let grant = f.granted("ann", Action::CreateUsers, "user/eve").await;
    let grant = grant.unwrap();
    let in_group = NewUser {
        groups: vec!["staff".into()],
        ..NewUser::default()
    };
    for new in [with_policies(&["all"]), in_group] {
        let made = f.store.create_user(&grant, &home(), "eve", &new).await;
        assert_eq!(kind(made), ErrorKind::Forbidden);
    }
    let plain = NewUser::default();
    let made = f.store.create_user(&grant, &home(), "eve", &plain).await;
    made.unwrap();

    // Each right is asked for where it belongs: of the user, of the group.
    let more = [
        allow(r#""iam:UpdateUser""#, "*"),
        allow(r#""iam:AttachUserPolicy""#, "arn:aws:iam::home:user/bob"),
        allow(r#""iam:AddUserToGroup""#, "arn:aws:iam::home:group/staff"),
    ];
    f.allowing("users", &more.join(",")).await;
    let attached = f.ann_changes("bob", |bob| bob.policies = vec!["users".into()]);
    attached.await.unwrap();
    refused("eve", |eve| eve.policies.push("users".into())).await;
    let joined = f.ann_changes("eve", |eve| eve.groups.push("staff".into()));
    joined.await.unwrap();
    let left = f.ann_changes("eve", |eve| eve.groups.clear());
    left.await.unwrap();
}

#[tokio::test]
async fn to_change_groups_and_roles_is_not_to_say_which_policies_they_have() {
    let f = Fixture::new().await;
    let none: Vec<String> = Vec::new();
    let all = ["all".to_owned()];
    f.allowing("all", &allow(r#""*""#, "*")).await;
    let own = r#"["iam:CreateGroup","iam:CreateRole"]"#;
    f.allowing("own", &allow(own, "*")).await;
    f.user("home", "ann", with_policies(&["own"]))
        .await
        .unwrap();
    let (store, home) = (&f.store, home());
    let of_group = async || {
        let grant = f.granted("ann", Action::WriteGroups, "group/g").await;
        grant.unwrap()
    };
    let grant = of_group().await;
    let made = store.create_group(&grant, &home, "g", &all).await;
    assert_eq!(kind(made), ErrorKind::Forbidden);
    store.create_group(&grant, &home, "g", &none).await.unwrap();
    let grant = of_group().await;
    let changed = store.update_group(&grant, &home, "g", &all).await;
    assert_eq!(kind(changed), ErrorKind::Forbidden);
    store.update_group(&grant, &home, "g", &none).await.unwrap();

    let mut new = NewRole {
        policies: all.to_vec(),
        trust: r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow",
            "Principal":{"AWS":"home"},"Action":"sts:AssumeRole"}}"#
            .to_owned(),
    };
    let grant = f.granted("ann", Action::WriteRoles, "role/r").await;
    let grant = grant.unwrap();
    let put = store.put_role(&grant, &home, "r", &new).await;
    assert_eq!(kind(put), ErrorKind::Forbidden);
    new.policies.clear();
    store.put_role(&grant, &home, "r", &new).await.unwrap();
}

#[tokio::test]
async fn root_is_changed_by_itself_alone() {
    let f = Fixture::new().await;
    let all = NewUser {
        reseller_admin: true,
        ..NewUser::default()
    };
    f.user("home", "ann", all).await.unwrap();
    let key = ("AK", "secret");
    let set = f.store.set_root(&home(), "chief", "hash", key).await;
    set.unwrap();
    let taken = f.ann_changes("chief", |chief| chief.password_hash = Some("mine".into()));
    assert_eq!(kind(taken.await), ErrorKind::Forbidden);
    let changed = f.change_user("home", "chief", |chief| {
        chief.display_name = "Chief".into();
    });
    changed.await.unwrap();
}

/// Who administers another account administers none of this one, whatever its list lets them do.
#[tokio::test]
async fn keys_of_administrators_are_no_foreign_administrator_s() {
    let f = Fixture::new().await;
    let admin = || NewUser {
        admin: true,
        ..NewUser::default()
    };
    f.user("home", "boss", admin()).await.unwrap();
    f.user("home", "bob", NewUser::default()).await.unwrap();
    f.user("away", "eve", admin()).await.unwrap();
    let list = r#"{"grants":[{"grantee":{"user":["away","eve"]},"permission":"administer"}]}"#;
    let on = grant(Action::WriteAccount, Resource::Account(home()));
    let change = |account: &mut AccountProperties| {
        account.acl = Some(list.to_owned());
        Ok(())
    };
    let set = f.store.update_account(&on, &home(), &change).await;
    set.unwrap();
    let make = async |user: &str| {
        let asked = Asked {
            principal: Arc::new(Principal::user(AccountId::parse("away").unwrap(), "eve")),
            action: Action::CreateKeys,
            resource: Resource::Identity(home(), format!("user/{user}")),
            context: Arc::default(),
        };
        let grant = f.store.authorize(asked).await.unwrap();
        let new = NewAccessKey {
            id: format!("KEYOF{user}"),
            secret: SecretKey::new("secret".to_owned()),
            expires: None,
        };
        let made = f.store.create_access_key(&grant, &home(), user, &new).await;
        made.map(drop)
    };
    make("bob").await.unwrap();
    assert_eq!(kind(make("boss").await), ErrorKind::Forbidden);
}

#[tokio::test]
async fn no_token_of_a_former_user_stands_for_one_of_its_name() {
    let f = Fixture::new().await;
    let ids = Identities::new(f.store.clone()).unwrap();
    let issue = Issue {
        lifetime: Duration::from_secs(60),
        policies: Vec::new(),
    };
    f.user("home", "ann", NewUser::default()).await.unwrap();
    let ann = ids.user(&home(), "ann").await.unwrap().unwrap();
    let token = ids.issue(&ann, &issue).await.unwrap().token;
    assert!(ids.bearer(&token, None).await.unwrap().is_some());
    let delete = crate::identities::identity(Action::DeleteUsers, "home", "user/ann");
    let deleted = f.store.delete_user(&delete, &home(), "ann").await;
    deleted.unwrap();
    assert!(ids.bearer(&token, None).await.unwrap().is_none());
    f.clock.advance(Duration::from_secs(1));
    f.user("home", "ann", NewUser::default()).await.unwrap();
    assert!(ids.bearer(&token, None).await.unwrap().is_none());
}

/// Wrong passwords that come all at once wait for those among them that were looked at first.
#[tokio::test]
async fn wrong_passwords_at_once_wait_as_those_one_by_one() {
    let f = Fixture::new().await;
    let ids = Identities::new(f.store.clone()).unwrap();
    let new = NewUser {
        password_hash: Some(hash_secret("pw", &SeededRandom::new(1)).unwrap()),
        ..NewUser::default()
    };
    f.user("home", "ann", new).await.unwrap();
    let here = Some(std::net::IpAddr::from([192, 0, 2, 1]));
    // More than are looked at without a wait and may wait together.
    let guesses = (0..90).map(|_| ids.password("ann", "px", here));
    let mut guesses: FuturesUnordered<_> = guesses.collect();
    let mut wrong = 0;
    let refused = loop {
        match guesses.next().await {
            Some(Ok(none)) => {
                assert!(none.is_none());
                wrong += 1;
            }
            Some(Err(error)) => break error.kind(),
            None => panic!("each of {wrong} was looked at at once"),
        }
    };
    assert_eq!(refused, ErrorKind::Conflict);
    assert!(wrong < 26, "{wrong}");
}

/// A token that is narrowed gives nobody what was taken from it, least of all whose it is.
#[tokio::test]
async fn a_narrowed_token_makes_no_credentials_for_more_than_it_may() {
    let f = Fixture::new().await;
    let ids = Identities::new(f.store.clone()).unwrap();
    let admin = || NewUser {
        admin: true,
        ..NewUser::default()
    };
    for name in ["boss", "other"] {
        f.user("home", name, admin()).await.unwrap();
    }
    f.user("home", "bob", NewUser::default()).await.unwrap();
    let issue = Issue {
        lifetime: Duration::from_secs(60),
        policies: vec![
            r#"{"Statement":{"Effect":"Allow","Action":"iam:*","Resource":"*"}}"#.into(),
        ],
    };
    let boss = ids.user(&home(), "boss").await.unwrap().unwrap();
    let token = ids.issue(&boss, &issue).await.unwrap().token;
    let narrowed = ids.bearer(&token, None).await.unwrap().unwrap();
    let may = async |action: Action, user: &str| {
        let asked = Asked {
            principal: narrowed.clone(),
            action,
            resource: Resource::Identity(home(), format!("user/{user}")),
            context: Arc::default(),
        };
        f.store.authorize(asked).await.unwrap()
    };
    let rename = |user: &mut User| {
        user.display_name = "changed".into();
        Ok(())
    };
    for (user, allowed) in [("boss", false), ("other", false), ("bob", true)] {
        let grant = may(Action::WriteUsers, user).await;
        let changed = f.store.update_user(&grant, &home(), user, &rename).await;
        assert_eq!(changed.is_ok(), allowed, "{user}");
        let grant = may(Action::CreateKeys, user).await;
        let new = NewAccessKey {
            id: format!("KEYOF{user}"),
            secret: SecretKey::new("secret".to_owned()),
            expires: None,
        };
        let made = f.store.create_access_key(&grant, &home(), user, &new).await;
        assert_eq!(made.is_ok(), allowed, "{user}");
    }
    let grant = may(Action::CreateUsers, "eve").await;
    let made = f.store.create_user(&grant, &home(), "eve", &admin()).await;
    assert_eq!(kind(made), ErrorKind::Forbidden);
}
