//! Changes of a domain's members: records made, changed and removed, with the users and groups that
//! they are of.

use crate::call::Call;
use crate::data::new_metadata;
use crate::document::{Document, Source};
use crate::domain_tree::kept_path;
use crate::fault::{Answered, Fault};
use crate::media::Kind;
use crate::member::{Member, MemberKind, RECORD_BYTES_MAX, is_element};
use crate::members::{Entries, Entry, Found, NAME, entries, set_entries};
use crate::metadata::Update;
use crate::path::RESERVED;
use crate::render::{bare, with_location};
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use trestle_access::{Action, Grant, Resource};
use trestle_core::{AccountId, Result};
use trestle_http::{RequestBody, incoming, read_whole};
use trestle_store::{Account, AccountProperties, NewUser, User};

/// Takes the elements of a record out of a document's metadata.
fn take_elements(document: &mut Document) -> Map<String, Value> {
    let Some(metadata) = &mut document.metadata else {
        return Map::new();
    };
    let all = std::mem::take(metadata).into_iter();
    let (elements, rest) = all.partition(|(name, _)| is_element(name));
    *metadata = rest;
    elements
}

impl Call<'_> {
    /// The document of a body and the bytes of the record in it, if it brings one: as its value, or as
    /// its metadata, which leaves what a record says that is there.
    async fn member_body(
        &self,
        body: RequestBody,
        there: Option<&Member>,
    ) -> Answered<(Document, Option<Bytes>)> {
        if !self.brings_document() {
            let bytes = read_whole(incoming(body), RECORD_BYTES_MAX).await?;
            return Ok((Document::default(), Some(bytes)));
        }
        let mut submission = self.submission(body, &[Kind::Object]).await?;
        let elements = take_elements(&mut submission.document);
        let brings = match &submission.document.source {
            None => !submission.parts.is_empty(),
            Some(Source::Value(_)) => true,
            Some(_) => return Err(Fault::bad("a member is not made out of another object")),
        };
        let value = match brings {
            true if !elements.is_empty() => {
                return Err(Fault::bad("the record of a member is given twice"));
            }
            true => Some(submission.new_value()?.bytes),
            false if elements.is_empty() => None,
            false => {
                let mut record = there.map(Member::items).unwrap_or_default();
                record.extend(elements);
                Some(Bytes::from(Value::Object(record).to_string()))
            }
        };
        Ok((submission.document, value))
    }

    pub(crate) async fn create_member(
        &self,
        account: &Account,
        name: &str,
        body: RequestBody,
    ) -> Answered {
        if name.is_empty() || name.starts_with(RESERVED) {
            return Err(Fault::bad(format!("{name:?} is no name of a member")));
        }
        let (document, value) = self.member_body(body, None).await?;
        let value = value.ok_or_else(|| Fault::bad("the record of a member is missing"))?;
        let mut member = Member::parse(&value)?;
        let metadata = new_metadata(&document)?;
        let id = &account.id;
        self.check_member_entry(account, name, &mut member).await?;
        self.check_privileges(id, &member, None)?;
        match member.kind {
            MemberKind::User => self.make_user(id, &member).await?,
            MemberKind::Group => self.make_group(id, &member.principal).await?,
            MemberKind::Delegation => {}
        }
        let entry = Entry::of(&member, metadata);
        self.keep_entry(id, (name, &member), Some(entry)).await?;
        let account = self.domain_account(id).await?;
        let made = self.find_member(&account, name).await?;
        let made = made.ok_or_else(|| Fault::conflict("the member was removed meanwhile"))?;
        let all = self.with_all_fields();
        let response = all
            .member_document(id, (name, &made), StatusCode::CREATED)
            .await?;
        let url = self.url_of(&format!("{}{NAME}/{name}", self.domain_path(id)));
        Ok(with_location(response, &url))
    }

    /// Refuses a record of what has one already, and one that leads nowhere.
    async fn check_member_entry(
        &self,
        account: &Account,
        name: &str,
        member: &mut Member,
    ) -> Answered<()> {
        if member.kind == MemberKind::Delegation {
            let to = self.source_members(&member.delegation).await?;
            let to = to.filter(|to| *to != account.id);
            let to =
                to.ok_or_else(|| Fault::bad("members are delegated to another domain here"))?;
            self.domain_account(&to)
                .await
                .map_err(|_| Fault::bad("the domain that members are delegated to is not there"))?;
            member.delegation = kept_path(&to);
        }
        let mut entries = entries(&account.properties)?;
        entries.retain(|other, entry| {
            let alias = entry.name.as_deref().unwrap_or(&entry.of);
            other != name
                && entry.kind == member.kind
                && member.kind != MemberKind::Delegation
                && (entry.of == member.principal || alias == member.name)
        });
        self.keep_live(&account.id, &mut entries).await?;
        match entries.is_empty() {
            true => Ok(()),
            false => Err(Fault::conflict("another record has this member")),
        }
    }

    /// The right to change what a record says of a member.
    async fn right_to_change(&self, id: &AccountId, member: &Member) -> Result<Grant> {
        let of = member.principal.as_str();
        match member.kind {
            MemberKind::User => self.on_identity(Action::WriteUsers, id, ("user", of)).await,
            MemberKind::Group => {
                self.on_identity(Action::WriteGroups, id, ("group", of))
                    .await
            }
            MemberKind::Delegation => {
                let resource = Resource::Account(id.clone());
                self.grant(Action::WriteAccount, resource).await
            }
        }
    }

    /// Refuses to confer privileges beyond one's own: over other domains by who administers all of them
    /// alone, over all lists of a domain by its administrators besides.
    fn check_privileges(
        &self,
        id: &AccountId,
        new: &Member,
        former: Option<&Member>,
    ) -> Answered<()> {
        let confers = |has: fn(&Member) -> bool| {
            let had = former.is_some_and(|former| former.enabled && has(former));
            new.enabled && has(new) && !had
        };
        self.check_conferred(
            id,
            confers(|member| member.cross_domain),
            confers(|member| member.backup_operator),
        )
    }

    fn check_conferred(&self, id: &AccountId, crosses: bool, backs_up: bool) -> Answered<()> {
        let principal = &self.principal;
        // Whose token is narrowed confers nothing that its policies do not name.
        let whole = principal.session_policies.is_empty();
        let of_all = whole && (principal.is_root() || principal.reseller_admin);
        let of_domain = whole && principal.admin && principal.account() == Some(id);
        if crosses && !of_all {
            return Err(Fault::forbidden(
                "cross_domain is conferred by who administers all domains",
            ));
        }
        match backs_up && !of_all && !of_domain {
            true => Err(Fault::forbidden(
                "backup_operator is conferred by who administers the domain",
            )),
            false => Ok(()),
        }
    }

    /// Makes the groups of a record that are not there.
    async fn make_groups(&self, id: &AccountId, names: &[String]) -> Answered<()> {
        for name in names {
            if self.group_of(id, name).await?.is_none() {
                self.make_group(id, name).await?;
            }
        }
        Ok(())
    }

    async fn make_group(&self, id: &AccountId, name: &str) -> Answered<()> {
        let grant = self
            .on_identity(Action::WriteGroups, id, ("group", name))
            .await?;
        let store = &self.cdmi.store;
        store.create_group(&grant, id, name, &[]).await?;
        Ok(())
    }

    async fn hashed(&self, member: &Member) -> Answered<Option<String>> {
        match member.credentials.as_deref() {
            None => Ok(None),
            Some("") => Err(Fault::bad("a credential is not empty")),
            Some(credential) => {
                let identities = &self.cdmi.identities;
                Ok(Some(identities.hash_password(credential).await?))
            }
        }
    }

    async fn make_user(&self, id: &AccountId, member: &Member) -> Answered<()> {
        let grant = self
            .on_identity(Action::CreateUsers, id, ("user", &member.principal))
            .await?;
        self.make_groups(id, &member.groups).await?;
        let new = NewUser {
            display_name: Some(member.name.clone()),
            password_hash: self.hashed(member).await?,
            admin: member.administrator,
            groups: member.groups.clone(),
            ..NewUser::default()
        };
        let store = &self.cdmi.store;
        store
            .create_user(&grant, id, &member.principal, &new)
            .await?;
        if !member.enabled {
            let disable = |user: &mut User| {
                user.enabled = false;
                Ok(())
            };
            let of = ("user", member.principal.as_str());
            let grant = self.on_identity(Action::WriteUsers, id, of).await?;
            store
                .update_user(&grant, id, &member.principal, &disable)
                .await?;
        }
        Ok(())
    }

    pub(crate) async fn update_member(
        &self,
        account: &Account,
        (name, found): (&str, Found),
        body: RequestBody,
    ) -> Answered {
        self.right_to_change(&account.id, &found.member).await?;
        let (document, value) = self.member_body(body, Some(&found.member)).await?;
        let mut metadata = found.metadata.clone();
        if document.metadata.is_some() || self.fields.names("metadata") {
            let given = document.metadata.clone().unwrap_or_default();
            metadata = Update::new(given, &self.fields).apply(&metadata)?;
        }
        let named = self.fields.has("value") || self.fields.names("metadata");
        let member = match value.filter(|_| named) {
            Some(value) => {
                let mut member = Member::parse(&value)?;
                let kept =
                    member.kind == found.member.kind && member.principal == found.member.principal;
                if !kept {
                    return Err(Fault::bad("a record stays that of the same member"));
                }
                self.check_member_entry(account, name, &mut member).await?;
                self.check_privileges(&account.id, &member, Some(&found.member))?;
                self.change_user(&account.id, &member).await?;
                member
            }
            None => Member {
                delegation: self.cdmi.domains().kept(&found.member.delegation),
                ..found.member
            },
        };
        let entry = Entry::of(&member, metadata);
        let id = &account.id;
        self.keep_entry(id, (name, &member), Some(entry)).await?;
        Ok(bare(StatusCode::NO_CONTENT))
    }

    async fn change_user(&self, id: &AccountId, member: &Member) -> Answered<()> {
        if member.kind != MemberKind::User {
            return Ok(());
        }
        let of = ("user", member.principal.as_str());
        let grant = self.on_identity(Action::WriteUsers, id, of).await?;
        self.make_groups(id, &member.groups).await?;
        let hash = self.hashed(member).await?;
        let change = |user: &mut User| {
            user.enabled = member.enabled;
            user.admin = member.administrator || user.root;
            user.display_name.clone_from(&member.name);
            user.groups.clone_from(&member.groups);
            if hash.is_some() {
                user.password_hash.clone_from(&hash);
            }
            Ok(())
        };
        let store = &self.cdmi.store;
        store
            .update_user(&grant, id, &member.principal, &change)
            .await?;
        Ok(())
    }

    pub(crate) async fn remove_member(
        &self,
        id: &AccountId,
        (name, member): (&str, &Member),
    ) -> Answered<()> {
        let of = &member.principal;
        let store = &self.cdmi.store;
        match member.kind {
            MemberKind::User => {
                let grant = self
                    .on_identity(Action::DeleteUsers, id, ("user", of))
                    .await?;
                store.delete_user(&grant, id, of).await?;
            }
            MemberKind::Group => {
                let grant = self
                    .on_identity(Action::WriteGroups, id, ("group", of))
                    .await?;
                store.delete_group(&grant, id, of).await?;
            }
            MemberKind::Delegation => {}
        }
        self.keep_entry(id, (name, member), None).await
    }

    /// Keeps what a record has of its own, or forgets it.
    async fn keep_entry(
        &self,
        id: &AccountId,
        (name, member): (&str, &Member),
        entry: Option<Entry>,
    ) -> Answered<()> {
        let resource = Resource::Account(id.clone());
        let of_user = member.kind != MemberKind::Delegation;
        let grant = match of_user {
            // The right to change the user or group was asked for.
            true => self.cdmi.own_grant(Action::WriteAccount, resource).await?,
            false => self.grant(Action::WriteAccount, resource).await?,
        };
        let mut entry = entry;
        if let Some(entry) = &mut entry {
            let made = self.cdmi.made_at(id, entry).await?;
            entry.since = made.map(|made| made.0);
        }
        let change = |properties: &mut AccountProperties| -> Result<()> {
            let mut all = entries(properties)?;
            match entry.clone().filter(|entry| !entry.is_plain(name)) {
                Some(entry) => all.insert(name.to_owned(), entry),
                None => all.remove(name),
            };
            set_entries(properties, &all)
        };
        let store = &self.cdmi.store;
        store.update_account(&grant, id, &change).await?;
        Ok(())
    }

    /// Deletes all members of a domain, which goes with them.
    pub(crate) async fn remove_members(&self, account: &Account) -> Answered<()> {
        let id = &account.id;
        for user in self.all_users(id).await? {
            let of = ("user", user.name.as_str());
            let grant = self.on_identity(Action::DeleteUsers, id, of).await?;
            self.cdmi.store.delete_user(&grant, id, &user.name).await?;
        }
        for group in self.all_groups(id).await? {
            let of = ("group", group.name.as_str());
            let grant = self.on_identity(Action::WriteGroups, id, of).await?;
            self.cdmi
                .store
                .delete_group(&grant, id, &group.name)
                .await?;
        }
        Ok(())
    }

    /// Gives a new domain the members of the one that it is a copy of, with their credentials.
    pub(crate) async fn copy_members(&self, from: &AccountId, to: &AccountId) -> Answered<()> {
        self.take_members((from, to), false).await
    }

    /// Makes the members of a domain those of another one, with their credentials; who is a member of
    /// both keeps all else.
    pub(crate) async fn replace_members(&self, from: &AccountId, to: &AccountId) -> Answered<()> {
        if from == to {
            return Ok(());
        }
        let users = self.all_users(from).await?;
        let users: BTreeSet<_> = users.into_iter().map(|user| user.name).collect();
        let own = self.principal.account() == Some(to);
        if own && !self.principal.is_root() && !users.contains(&self.principal.user) {
            return Err(Fault::bad("who asks would not be a member any more"));
        }
        self.take_members((from, to), true).await?;
        let store = &self.cdmi.store;
        for user in self.all_users(to).await? {
            let name = user.name.as_str();
            if !user.root && !users.contains(name) {
                let of = ("user", name);
                let grant = self.on_identity(Action::DeleteUsers, to, of).await?;
                store.delete_user(&grant, to, name).await?;
            }
        }
        let groups = self.all_groups(from).await?;
        let groups: BTreeSet<_> = groups.into_iter().map(|group| group.name).collect();
        for group in self.all_groups(to).await? {
            if !groups.contains(&group.name) {
                let of = ("group", group.name.as_str());
                let grant = self.on_identity(Action::WriteGroups, to, of).await?;
                store.delete_group(&grant, to, &group.name).await?;
            }
        }
        Ok(())
    }

    async fn take_members(
        &self,
        (from, to): (&AccountId, &AccountId),
        alone: bool,
    ) -> Answered<()> {
        let source = self.domain_account(from).await?;
        let mut kept = entries(&source.properties)?;
        self.keep_live(from, &mut kept).await?;
        let crosses = kept.values().any(|entry| entry.cross_domain);
        let backs_up = kept.values().any(|entry| entry.backup_operator);
        self.check_conferred(from, crosses, backs_up)?;
        for group in self.all_groups(from).await? {
            self.make_groups(to, &[group.name]).await?;
        }
        for user in self.all_users(from).await? {
            if !user.root {
                self.copy_user(to, &user).await?;
            }
        }
        for entry in kept.values_mut() {
            let made = self.cdmi.made_at(to, entry).await?;
            entry.since = made.map(|made| made.0);
        }
        let resource = Resource::Account(to.clone());
        let grant = self.grant(Action::WriteAccount, resource).await?;
        let change = |properties: &mut AccountProperties| -> Result<()> {
            let mut all = match alone {
                true => Entries::new(),
                false => entries(properties)?,
            };
            all.extend(kept.clone());
            set_entries(properties, &all)
        };
        let store = &self.cdmi.store;
        store.update_account(&grant, to, &change).await?;
        Ok(())
    }

    async fn copy_user(&self, to: &AccountId, user: &User) -> Answered<()> {
        let name = user.name.as_str();
        let of = ("user", name);
        let new = NewUser {
            display_name: Some(user.display_name.clone()),
            password_hash: user.password_hash.clone(),
            admin: user.admin,
            service: user.service,
            groups: user.groups.clone(),
            ..NewUser::default()
        };
        let store = &self.cdmi.store;
        if self.user_of(to, name).await?.is_some() {
            let change = |there: &mut User| {
                there.display_name.clone_from(&user.display_name);
                there.password_hash.clone_from(&user.password_hash);
                there.admin = user.admin || there.root;
                there.groups.clone_from(&user.groups);
                there.enabled = user.enabled;
                Ok(())
            };
            let grant = self.on_identity(Action::WriteUsers, to, of).await?;
            store.update_user(&grant, to, name, &change).await?;
            return Ok(());
        }
        let grant = self.on_identity(Action::CreateUsers, to, of).await?;
        store.create_user(&grant, to, name, &new).await?;
        if !user.enabled {
            let disable = |user: &mut User| {
                user.enabled = false;
                Ok(())
            };
            let grant = self.on_identity(Action::WriteUsers, to, of).await?;
            store.update_user(&grant, to, name, &disable).await?;
        }
        Ok(())
    }
}
