//! The members of a domain (clause 10.4): a container of records of the users and groups of its
//! account, and of delegations.
//!
//! What a record says of a user or group is the account's own, so each way to administer them
//! shows the same. Only what has no place there, the name of a record among others, is kept as
//! the account's state of this dialect.

use crate::call::Call;
use crate::domain_tree::kept_path;
use crate::fault::{Answered, Fault};
use crate::made::{MadeContainer, MadeObject};
use crate::media::Kind;
use crate::member::{Member, MemberKind};
use crate::node::found;
use crate::path::Names;
use crate::render::bare;
use crate::route::{not_allowed, part_deleted};
use crate::time;
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use trestle_access::{Action, Grant, Principal, PrincipalKind, Resource};
use trestle_core::{AccountId, Error, ErrorKind, Metadata, Result, Timestamp};
use trestle_http::RequestBody;
use trestle_store::{Account, AccountProperties, Group, User};

/// The name of a domain's members among its children.
pub(crate) const NAME: &str = "cdmi_domain_members";
/// The account's state of this dialect.
const STATE: &str = "cdmi.members";
/// Most members of one listing.
const MEMBERS_MAX: usize = 100_000;

/// What is kept of a record beside the user or group that it is of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) kind: MemberKind,
    /// The user or group; where a delegation leads, by the domain's kept path.
    pub(crate) of: String,
    /// The name that clients present, of a user or group that is called otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// Of a group or delegation that is switched off.
    #[serde(default)]
    pub(crate) disabled: bool,
    #[serde(default)]
    pub(crate) cross_domain: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) backup_operator: bool,
    /// When the user or group was made: another one of its name is not who this is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<u64>,
    #[serde(default)]
    metadata: Metadata,
}

/// The records of a domain that have a name or a meaning of their own.
pub(crate) type Entries = BTreeMap<String, Entry>;

/// Those of an account.
pub(crate) fn entries(properties: &AccountProperties) -> Result<Entries> {
    match properties.documents.get(STATE) {
        None => Ok(Entries::new()),
        Some(text) => serde_json::from_str(text)
            .map_err(|_| Error::corrupt("the members of a domain cannot be decoded")),
    }
}

/// Keeps them.
pub(crate) fn set_entries(properties: &mut AccountProperties, entries: &Entries) -> Result<()> {
    if entries.is_empty() {
        properties.documents.remove(STATE);
        return Ok(());
    }
    let text = serde_json::to_string(entries).map_err(|error| {
        Error::new(ErrorKind::Internal, "members cannot be written").with_source(error)
    })?;
    properties.documents.insert(STATE.to_owned(), text);
    Ok(())
}

/// The record that a new domain below another has: its parent's members are its own.
pub(crate) fn of_parent(parent: &AccountId) -> (String, Entry) {
    let entry = Entry {
        kind: MemberKind::Delegation,
        of: kept_path(parent),
        name: None,
        disabled: false,
        cross_domain: false,
        backup_operator: false,
        since: None,
        metadata: Metadata::new(),
    };
    ("parent".to_owned(), entry)
}

/// A record with all that is known of it.
pub(crate) struct Found {
    pub(crate) member: Member,
    pub(crate) metadata: Metadata,
    created: Timestamp,
}

/// Whether a record confers its privileges on somebody of its domain.
fn is_conferring(entry: &Entry, principal: &Principal) -> bool {
    !entry.disabled
        && match entry.kind {
            MemberKind::User => entry.of == principal.user,
            MemberKind::Group => principal.groups.contains(&entry.of),
            MemberKind::Delegation => false,
        }
}

impl Entry {
    /// What is kept of a record.
    pub(crate) fn of(member: &Member, metadata: Metadata) -> Self {
        let of = match member.kind {
            MemberKind::Delegation => member.delegation.clone(),
            _ => member.principal.clone(),
        };
        let user = member.kind == MemberKind::User;
        Entry {
            kind: member.kind,
            name: Some(member.name.clone()).filter(|name| !name.is_empty() && *name != of),
            of,
            disabled: !user && !member.enabled,
            cross_domain: member.cross_domain,
            backup_operator: member.backup_operator,
            since: None,
            metadata,
        }
    }

    /// Whether it is of what was made then, and of no former one of that name.
    fn is_of(&self, created: Timestamp) -> bool {
        self.since.is_none_or(|since| since == created.0)
    }

    /// The record, of which a user or group knows the rest.
    fn member(&self, user: Option<&User>) -> Member {
        let delegation = self.kind == MemberKind::Delegation;
        let name = self.name.clone().unwrap_or_else(|| self.of.clone());
        let text = |there: bool, text: String| if there { text } else { String::new() };
        Member {
            kind: self.kind,
            enabled: user.map_or(!self.disabled, |user| user.enabled),
            name: text(!delegation, name),
            principal: text(!delegation, self.of.clone()),
            credentials: None,
            administrator: user.is_some_and(|user| user.admin),
            cross_domain: self.cross_domain || user.is_some_and(|user| user.root),
            backup_operator: self.backup_operator,
            groups: user.map(|user| user.groups.clone()).unwrap_or_default(),
            delegation: text(delegation, self.of.clone()),
        }
    }

    /// Whether there is nothing in it that the user or group does not say itself.
    pub(crate) fn is_plain(&self, name: &str) -> bool {
        self.kind != MemberKind::Delegation
            && self.of == name
            && self.name.is_none()
            && !self.disabled
            && !self.cross_domain
            && !self.backup_operator
            && self.metadata.is_empty()
    }
}

impl Call<'_> {
    /// Answers at a path below a domain's members.
    pub(crate) async fn domain_members(
        &self,
        id: &AccountId,
        below: &Names,
        body: RequestBody,
    ) -> Answered {
        let account = self.domain_account(id).await?;
        let name = match below.names.as_slice() {
            [] => {
                self.check_unmade()?;
                return match self.method {
                    Method::GET | Method::HEAD => self.member_list(&account).await,
                    _ => Ok(not_allowed("GET, HEAD")),
                };
            }
            [name] if !below.slash => name,
            _ if self.method == Method::PUT => {
                return Err(Fault::bad("the members of a domain are in one container"));
            }
            _ => {
                let message = "the members of a domain are in one container";
                return Err(Fault::Status(StatusCode::NOT_FOUND, message.to_owned()));
            }
        };
        let there = self.find_member(&account, name).await?;
        match (self.method.clone(), there) {
            (Method::GET | Method::HEAD, Some(found)) => {
                self.member_document(id, (name, &found), StatusCode::OK)
                    .await
            }
            (Method::PUT, None) => self.create_member(&account, name, body).await,
            (Method::PUT | Method::PATCH, Some(found)) => {
                self.update_member(&account, (name, found), body).await
            }
            (Method::DELETE, Some(_)) if !self.fields.is_all() => Err(part_deleted()),
            (Method::DELETE, Some(found)) => {
                self.remove_member(id, (name, &found.member)).await?;
                Ok(bare(StatusCode::NO_CONTENT))
            }
            (Method::GET | Method::HEAD | Method::PATCH | Method::DELETE, None) => Err(
                Fault::missing(&format!("{}{NAME}/{name}", self.domain_path(id))),
            ),
            _ => Ok(not_allowed("GET, HEAD, PUT, PATCH, DELETE")),
        }
    }

    pub(crate) async fn on_identity(
        &self,
        action: Action,
        id: &AccountId,
        (word, name): (&str, &str),
    ) -> Result<Grant> {
        let resource = Resource::Identity(id.clone(), format!("{word}/{name}"));
        self.grant(action, resource).await
    }

    /// All users of an account.
    pub(crate) async fn all_users(&self, id: &AccountId) -> Answered<Vec<User>> {
        let grant = self
            .on_identity(Action::ReadUsers, id, ("user", ""))
            .await?;
        let (mut all, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = self.cdmi.store.list_users(&grant, id, after.as_deref());
            let (users, next) = page.await?;
            all.extend(users);
            match next {
                Some(next) if all.len() < MEMBERS_MAX => after = Some(next),
                _ => return Ok(all),
            }
        }
    }

    /// All groups of an account.
    pub(crate) async fn all_groups(&self, id: &AccountId) -> Answered<Vec<Group>> {
        let grant = self
            .on_identity(Action::ReadGroups, id, ("group", ""))
            .await?;
        let (mut all, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = self.cdmi.store.list_groups(&grant, id, after.as_deref());
            let (groups, next) = page.await?;
            all.extend(groups);
            match next {
                Some(next) if all.len() < MEMBERS_MAX => after = Some(next),
                _ => return Ok(all),
            }
        }
    }

    /// The names of all records, in order.
    async fn member_names(&self, account: &Account) -> Answered<Vec<String>> {
        let mut entries = entries(&account.properties)?;
        let users = self.all_users(&account.id).await?.into_iter();
        let users = users.map(|user| ((MemberKind::User, user.name), user.created));
        let groups = self.all_groups(&account.id).await?.into_iter();
        let groups = groups.map(|group| ((MemberKind::Group, group.name), group.created));
        let mut members: BTreeMap<_, _> = users.chain(groups).collect();
        entries.retain(|_, entry| {
            let made = members.get(&(entry.kind, entry.of.clone()));
            entry.kind == MemberKind::Delegation || made.is_some_and(|made| entry.is_of(*made))
        });
        for entry in entries.values() {
            members.remove(&(entry.kind, entry.of.clone()));
        }
        let mut names: Vec<String> = entries.into_keys().collect();
        names.extend(members.into_keys().map(|(_, name)| name));
        names.sort();
        // A user and a group of one name: the user's record is shown.
        names.dedup();
        Ok(names)
    }

    async fn member_list(&self, account: &Account) -> Answered {
        let path = self.domain_path(&account.id);
        self.made_container(&MadeContainer {
            path: format!("{path}{NAME}/"),
            parent: path.clone(),
            domain: path,
            profile: "/cdmi_capabilities/container/members/",
            kind: Kind::Container,
            children: self.member_names(account).await?,
        })
        .await
    }

    pub(crate) async fn user_of(&self, id: &AccountId, name: &str) -> Answered<Option<User>> {
        let grant = self
            .on_identity(Action::ReadUsers, id, ("user", name))
            .await?;
        match self.cdmi.store.user(&grant, id, name).await {
            // What can be no name of a user is none.
            Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(None),
            user => Ok(found(user)?),
        }
    }

    pub(crate) async fn group_of(&self, id: &AccountId, name: &str) -> Answered<Option<Group>> {
        let grant = self
            .on_identity(Action::ReadGroups, id, ("group", name))
            .await?;
        match self.cdmi.store.group(&grant, id, name).await {
            Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(None),
            group => Ok(found(group)?),
        }
    }

    /// The record of a name; none when what it is of is not there any more.
    pub(crate) async fn find_member(
        &self,
        account: &Account,
        name: &str,
    ) -> Answered<Option<Found>> {
        let mut entries = entries(&account.properties)?;
        entries.retain(|other, entry| other == name || entry.of == name);
        self.keep_live(&account.id, &mut entries).await?;
        let plain = |kind: MemberKind| Entry {
            kind,
            of: name.to_owned(),
            name: None,
            disabled: false,
            cross_domain: false,
            backup_operator: false,
            since: None,
            metadata: Metadata::new(),
        };
        // Another record may be the one of the user of this name.
        let taken = |kind: MemberKind| {
            let mut entries = entries.values();
            entries.any(|entry| entry.kind == kind && entry.of == name)
        };
        let kinds: Vec<Entry> = match entries.get(name) {
            Some(entry) => vec![entry.clone()],
            None => [MemberKind::User, MemberKind::Group]
                .into_iter()
                .filter(|kind| !taken(*kind))
                .map(plain)
                .collect(),
        };
        entries.clear();
        for entry in kinds {
            let (member, created) = match entry.kind {
                MemberKind::User => match self.user_of(&account.id, &entry.of).await? {
                    Some(user) => (entry.member(Some(&user)), user.created),
                    None => continue,
                },
                MemberKind::Group => match self.group_of(&account.id, &entry.of).await? {
                    Some(group) => (entry.member(None), group.created),
                    None => continue,
                },
                MemberKind::Delegation => {
                    let mut member = entry.member(None);
                    member.delegation = self.cdmi.domains().shown_path(&member.delegation);
                    (member, account.created)
                }
            };
            let metadata = entry.metadata;
            return Ok(Some(Found {
                member,
                metadata,
                created,
            }));
        }
        Ok(None)
    }

    pub(crate) async fn member_document(
        &self,
        id: &AccountId,
        (name, found): (&str, &Found),
        status: StatusCode,
    ) -> Answered {
        let mut metadata: Map<String, Value> = found.metadata.clone().into_iter().collect();
        let created = Value::from(time::text(found.created));
        metadata.insert("cdmi_ctime".to_owned(), created);
        // The standard's tables call them metadata.
        metadata.extend(found.member.items());
        let made = MadeObject {
            id,
            parent: &format!("{}{NAME}/", self.domain_path(id)),
            name,
            profile: "/cdmi_capabilities/dataobject/member/",
            metadata,
            bytes: found.member.render(),
        };
        self.made_object(made, status).await
    }

    /// Whether a record of their own domain confers a privilege on who asks, in no session that may do
    /// less.
    pub(crate) async fn has_privilege(
        &self,
        confers: impl Fn(&Entry) -> bool + Send,
    ) -> Result<bool> {
        let narrowed = !self.principal.session_policies.is_empty();
        let Some(account) = self.principal.account().filter(|_| !narrowed) else {
            return Ok(false);
        };
        let properties = self.cdmi.own_account(account).await?.properties;
        let mut entries = entries(&properties)?;
        entries.retain(|_, entry| confers(entry) && is_conferring(entry, &self.principal));
        self.keep_live(account, &mut entries).await?;
        Ok(!entries.is_empty())
    }

    /// Leaves out the records of users and groups that are gone, whoever has their names now.
    pub(crate) async fn keep_live(&self, id: &AccountId, entries: &mut Entries) -> Result<()> {
        let mut gone = Vec::new();
        for (name, entry) in entries.iter() {
            if entry.since.is_some() && !self.cdmi.is_live(id, entry).await? {
                gone.push(name.clone());
            }
        }
        entries.retain(|name, _| !gone.contains(name));
        Ok(())
    }

    /// Whether no access control list of their own domain binds who asks.
    pub(crate) async fn is_backup_operator(&self) -> Result<bool> {
        match self.principal.kind() {
            PrincipalKind::User => self.has_privilege(|entry| entry.backup_operator).await,
            _ => Ok(false),
        }
    }

    /// Refuses who is no member of a domain: its groups and delegations say who is not.
    pub(crate) async fn check_member(&self, domain: &Account) -> Answered<()> {
        let Some(own) = self.principal.account() else {
            return Ok(());
        };
        let path = kept_path(own);
        let refuses = |entry: &Entry| {
            entry.disabled
                && match entry.kind {
                    MemberKind::Delegation => entry.of == path,
                    MemberKind::Group => {
                        *own == domain.id && self.principal.groups.contains(&entry.of)
                    }
                    MemberKind::User => false,
                }
        };
        let mut entries = entries(&domain.properties)?;
        entries.retain(|_, entry| refuses(entry));
        self.keep_live(&domain.id, &mut entries).await?;
        match !entries.is_empty() && !self.principal.is_root() {
            true => Err(Fault::forbidden(format!(
                "this membership of the domain {} is not enabled",
                domain.id
            ))),
            false => Ok(()),
        }
    }
}

impl crate::dialect::Cdmi {
    /// An account, for what the dialect itself has to know.
    pub(crate) async fn own_account(&self, id: &AccountId) -> Result<Account> {
        let resource = Resource::Account(id.clone());
        let grant = self.own_grant(Action::ReadAccount, resource).await?;
        Ok(self.store.account(&grant, id).await?.0)
    }

    /// When the user or group that a record is of was made; none of what is not there.
    pub(crate) async fn made_at(&self, id: &AccountId, entry: &Entry) -> Result<Option<Timestamp>> {
        let identity = |word: &str| Resource::Identity(id.clone(), format!("{word}/{}", entry.of));
        let created = match entry.kind {
            MemberKind::Delegation => return Ok(None),
            MemberKind::User => {
                let grant = self.own_grant(Action::ReadUsers, identity("user")).await?;
                let user = self.store.user(&grant, id, &entry.of).await;
                user.map(|user| user.created)
            }
            MemberKind::Group => {
                let grant = self
                    .own_grant(Action::ReadGroups, identity("group"))
                    .await?;
                let group = self.store.group(&grant, id, &entry.of).await;
                group.map(|group| group.created)
            }
        };
        found(created)
    }

    /// Whether what a record is of is there still.
    async fn is_live(&self, id: &AccountId, entry: &Entry) -> Result<bool> {
        let made = self.made_at(id, entry).await?;
        Ok(made.is_some_and(|made| entry.is_of(made)))
    }

    /// The user that clients name otherwise: `account/name`, as a record of the account has it.
    pub(crate) async fn user_behind(&self, login: &str) -> Result<Option<String>> {
        let Some((account, name)) = login.split_once('/') else {
            return Ok(None);
        };
        let Ok(account) = AccountId::parse(account) else {
            return Ok(None);
        };
        if self.identities.user(&account, name).await?.is_some() {
            return Ok(None);
        }
        let Some(found) = found(self.own_account(&account).await)? else {
            return Ok(None);
        };
        let entries = entries(&found.properties)?;
        let mut users = entries.values();
        let user = users
            .find(|entry| entry.kind == MemberKind::User && entry.name.as_deref() == Some(name));
        match user {
            Some(entry) if self.is_live(&account, entry).await? => {
                Ok(Some(format!("{account}/{}", entry.of)))
            }
            _ => Ok(None),
        }
    }
}
