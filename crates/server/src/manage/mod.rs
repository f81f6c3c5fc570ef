//! `trestle account|user|group|role|key|policy`: each command is a request to the server's resources
//! below `/-/`, and nothing is decided here.

mod arguments;
mod render;

pub(crate) use arguments::ManageCommand;

use crate::client::ConnectionArgs;
use arguments::{
    AccountCommand, GroupCommand, KeyCommand, Named, PolicyCommand, Question, RoleCommand, Target,
    UserCommand, UserFlags,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use trestle_client::Client;

/// Runs a command against a server.
pub(crate) async fn run(command: ManageCommand) -> Result<ExitCode, String> {
    let (args, request) = match command {
        ManageCommand::Account {
            command,
            connection,
        } => (connection, Work::Account(command)),
        ManageCommand::User {
            command,
            connection,
        } => (connection, Work::User(command)),
        ManageCommand::Group {
            command,
            connection,
        } => (connection, Work::Group(command)),
        ManageCommand::Role {
            command,
            connection,
        } => (connection, Work::Role(command)),
        ManageCommand::Key {
            command,
            connection,
        } => (connection, Work::Key(command)),
        ManageCommand::Policy {
            command,
            connection,
        } => (connection, Work::Policy(command)),
    };
    let manager = Manager {
        client: args.known_client()?,
        args,
    };
    match request {
        Work::Account(command) => manager.account(command).await,
        Work::User(command) => manager.user(command).await,
        Work::Group(command) => manager.group(command).await,
        Work::Role(command) => manager.role(command).await,
        Work::Key(command) => manager.key(command).await,
        Work::Policy(command) => manager.policy(command).await,
    }
}

enum Work {
    Account(AccountCommand),
    User(UserCommand),
    Group(GroupCommand),
    Role(RoleCommand),
    Key(KeyCommand),
    Policy(PolicyCommand),
}

struct Manager {
    client: Client,
    args: ConnectionArgs,
}

/// A name as a segment of a path.
fn segment(name: &str) -> String {
    percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn document(path: &Path) -> Result<Value, String> {
    serde_json::from_str(&read(path)?).map_err(|error| format!("{}: {error}", path.display()))
}

impl Manager {
    async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Result<Value, String> {
        let body = body.map(|body| body.to_string());
        self.send_text(method, path, body).await
    }

    async fn send_text(
        &self,
        method: &str,
        path: &str,
        body: Option<String>,
    ) -> Result<Value, String> {
        let method = http::Method::from_bytes(method.as_bytes()).map_err(|e| e.to_string())?;
        self.client.submit_text(&method, path, body).await
    }

    /// Sends, and prints what comes back.
    async fn show(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Result<ExitCode, String> {
        let document = self.send(method, path, body).await?;
        self.print(&document);
        Ok(ExitCode::SUCCESS)
    }

    fn print(&self, document: &Value) {
        match self.args.json {
            true => println!("{document}"),
            false => print!("{}", render::text(document)),
        }
        if let Some(warnings) = document.get("warnings").and_then(Value::as_array) {
            for warning in warnings.iter().filter_map(Value::as_str) {
                eprintln!("trestle: warning: {warning}");
            }
        }
    }

    /// All pages of a list, as one document.
    async fn list(&self, path: &str, word: &str) -> Result<ExitCode, String> {
        let mut items = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = match &after {
                None => path.to_owned(),
                Some(after) => format!("{path}?after={}", segment(after)),
            };
            let mut document = self.send("GET", &page, None).await?;
            if let Some(Value::Array(more)) = document.get_mut(word).map(Value::take) {
                items.extend(more);
            }
            match document.get("next").and_then(Value::as_str) {
                Some(next) => after = Some(next.to_owned()),
                None => break,
            }
        }
        self.print(&json!({ word: items }));
        Ok(ExitCode::SUCCESS)
    }

    /// The path of an account: the one that is named, else the caller's.
    async fn base(&self, account: Option<&String>) -> Result<String, String> {
        let account = match account {
            Some(account) => account.clone(),
            None => {
                let me = self.send("GET", "/-/me", None).await?;
                let own = me.get("account").and_then(Value::as_str);
                own.ok_or("the caller has no account; give --account")?
                    .to_owned()
            }
        };
        Ok(format!("/-/accounts/{}", segment(&account)))
    }

    async fn path(&self, kind: &str, named: &Named) -> Result<String, String> {
        let base = self.base(named.account.as_ref()).await?;
        Ok(format!("{base}/{kind}/{}", segment(&named.name)))
    }

    async fn account(&self, command: AccountCommand) -> Result<ExitCode, String> {
        let path = |account: &str| format!("/-/accounts/{}", segment(account));
        match command {
            AccountCommand::List => self.list("/-/accounts", "accounts").await,
            AccountCommand::Show { account } => self.show("GET", &path(&account), None).await,
            AccountCommand::Create { account } => self.show("PUT", &path(&account), None).await,
            AccountCommand::Delete { account } => self.show("DELETE", &path(&account), None).await,
        }
    }

    async fn user(&self, command: UserCommand) -> Result<ExitCode, String> {
        match command {
            UserCommand::List { account } => {
                let base = self.base(account.as_ref()).await?;
                self.list(&format!("{base}/users"), "users").await
            }
            UserCommand::Show(named) => {
                self.show("GET", &self.path("users", &named).await?, None)
                    .await
            }
            UserCommand::Create {
                named,
                flags,
                access_key,
                secret_key,
            } => {
                let mut body = fields(&flags);
                let mut set = |name: &str, value: Option<String>| {
                    if let Some(value) = value {
                        body.insert(name.to_owned(), Value::String(value));
                    }
                };
                set("access_key", access_key);
                set("secret_key", secret_key);
                let path = self.path("users", &named).await?;
                self.show("PUT", &path, Some(Value::Object(body))).await
            }
            UserCommand::Update { named, flags } => {
                let body = Value::Object(fields(&flags));
                self.show("PATCH", &self.path("users", &named).await?, Some(body))
                    .await
            }
            UserCommand::Enable(named) => self.enable_user(&named, true).await,
            UserCommand::Disable(named) => self.enable_user(&named, false).await,
            UserCommand::Delete(named) => {
                self.show("DELETE", &self.path("users", &named).await?, None)
                    .await
            }
        }
    }

    async fn enable_user(&self, named: &Named, enabled: bool) -> Result<ExitCode, String> {
        let body = json!({ "enabled": enabled });
        self.show("PATCH", &self.path("users", named).await?, Some(body))
            .await
    }

    async fn group(&self, command: GroupCommand) -> Result<ExitCode, String> {
        match command {
            GroupCommand::List { account } => {
                let base = self.base(account.as_ref()).await?;
                self.list(&format!("{base}/groups"), "groups").await
            }
            GroupCommand::Show(named) => {
                self.show("GET", &self.path("groups", &named).await?, None)
                    .await
            }
            GroupCommand::Create { named, policies } => {
                let body = json!({ "policies": policies });
                self.show("PUT", &self.path("groups", &named).await?, Some(body))
                    .await
            }
            GroupCommand::Delete(named) => {
                self.show("DELETE", &self.path("groups", &named).await?, None)
                    .await
            }
            GroupCommand::Add { named, user } => self.member(&named, &user, true).await,
            GroupCommand::Remove { named, user } => self.member(&named, &user, false).await,
        }
    }

    async fn member(&self, group: &Named, user: &str, in_it: bool) -> Result<ExitCode, String> {
        let base = self.base(group.account.as_ref()).await?;
        let path = format!("{base}/users/{}", segment(user));
        self.change_list(&path, "groups", &group.name, in_it).await
    }

    /// Adds a name to a list of a document, or takes it out.
    async fn change_list(
        &self,
        path: &str,
        field: &str,
        name: &str,
        in_it: bool,
    ) -> Result<ExitCode, String> {
        let document = self.send("GET", path, None).await?;
        let names = document.get(field).and_then(Value::as_array);
        let names = names.into_iter().flatten().filter_map(Value::as_str);
        let mut names: Vec<String> = names.map(str::to_owned).filter(|n| n != name).collect();
        if in_it {
            names.push(name.to_owned());
        }
        // A group is replaced, a user changed.
        let method = if path.contains("/groups/") {
            "PUT"
        } else {
            "PATCH"
        };
        self.show(method, path, Some(json!({ field: names }))).await
    }

    async fn role(&self, command: RoleCommand) -> Result<ExitCode, String> {
        match command {
            RoleCommand::List { account } => {
                let base = self.base(account.as_ref()).await?;
                self.list(&format!("{base}/roles"), "roles").await
            }
            RoleCommand::Show(named) => {
                self.show("GET", &self.path("roles", &named).await?, None)
                    .await
            }
            RoleCommand::Assume {
                named,
                session,
                lifetime,
                policies,
                external_id,
            } => {
                let policies = policies.iter().map(|path| document(path));
                let policies: Vec<Value> = policies.collect::<Result<_, _>>()?;
                let body = json!({
                    "session": session,
                    "lifetime_seconds": lifetime,
                    "policies": policies,
                    "external_id": external_id,
                });
                let path = format!("{}/sessions", self.path("roles", &named).await?);
                self.show("POST", &path, Some(body)).await
            }
            RoleCommand::Put {
                named,
                trust,
                policies,
            } => {
                let body = json!({ "policies": policies, "trust": document(&trust)? });
                self.show("PUT", &self.path("roles", &named).await?, Some(body))
                    .await
            }
            RoleCommand::Delete(named) => {
                self.show("DELETE", &self.path("roles", &named).await?, None)
                    .await
            }
        }
    }

    async fn key(&self, command: KeyCommand) -> Result<ExitCode, String> {
        let keys = async |owner: &arguments::Owner| -> Result<String, String> {
            let base = self.base(owner.account.as_ref()).await?;
            Ok(format!("{base}/users/{}/keys", segment(&owner.user)))
        };
        match command {
            // Done without a server, by whoever called.
            KeyCommand::Rotate(_) => Err("keys are rotated while no server runs".to_owned()),
            KeyCommand::List(owner) => self.show("GET", &keys(&owner).await?, None).await,
            KeyCommand::Create {
                owner,
                access_key,
                secret_key,
                expires,
            } => {
                let body = json!({
                    "access_key": access_key,
                    "secret_key": secret_key,
                    "expires": expires,
                });
                self.show("POST", &keys(&owner).await?, Some(body)).await
            }
            KeyCommand::Enable { key, owner } => {
                let path = format!("{}/{}", keys(&owner).await?, segment(&key));
                self.show("PATCH", &path, Some(json!({ "enabled": true })))
                    .await
            }
            KeyCommand::Disable { key, owner } => {
                let path = format!("{}/{}", keys(&owner).await?, segment(&key));
                self.show("PATCH", &path, Some(json!({ "enabled": false })))
                    .await
            }
            KeyCommand::Delete { key, owner } => {
                let path = format!("{}/{}", keys(&owner).await?, segment(&key));
                self.show("DELETE", &path, None).await
            }
        }
    }

    async fn policy(&self, command: PolicyCommand) -> Result<ExitCode, String> {
        match command {
            PolicyCommand::List { account } => {
                let base = self.base(account.as_ref()).await?;
                self.list(&format!("{base}/policies"), "policies").await
            }
            PolicyCommand::Show(named) => {
                self.show("GET", &self.path("policies", &named).await?, None)
                    .await
            }
            PolicyCommand::Put { named, file } => {
                let text = read(&file)?;
                let path = self.path("policies", &named).await?;
                let document = self.send_text("PUT", &path, Some(text)).await?;
                self.print(&document);
                Ok(ExitCode::SUCCESS)
            }
            PolicyCommand::Delete(named) => {
                self.show("DELETE", &self.path("policies", &named).await?, None)
                    .await
            }
            PolicyCommand::Attach { named, target } => self.attach(&named, &target, true).await,
            PolicyCommand::Detach { named, target } => self.attach(&named, &target, false).await,
            PolicyCommand::Explain(question) => self.explain(question).await,
        }
    }

    async fn explain(&self, question: Question) -> Result<ExitCode, String> {
        let mut context: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for one in &question.context {
            let (key, value) = one
                .split_once('=')
                .ok_or_else(|| format!("--context {one}: give KEY=VALUE"))?;
            context.entry(key).or_default().push(value);
        }
        let body = json!({
            "user": Some(&question.user).filter(|user| user.as_str() != "-"),
            "account": question.account,
            "action": question.action,
            "resource": question.resource,
            "source_ip": question.source_ip,
            "secure": question.tls,
            "context": context,
        });
        let document = self.send("POST", "/-/explain", Some(body)).await?;
        match self.args.json {
            true => println!("{document}"),
            false => print!("{}", render::explanation(&document)),
        }
        let allowed = document.get("allowed").and_then(Value::as_bool);
        Ok(ExitCode::from(u8::from(allowed != Some(true))))
    }

    async fn attach(&self, policy: &Named, to: &Target, on: bool) -> Result<ExitCode, String> {
        let base = self.base(policy.account.as_ref()).await?;
        let path = match (&to.user, &to.group) {
            (Some(user), None) => format!("{base}/users/{}", segment(user)),
            (None, Some(group)) => format!("{base}/groups/{}", segment(group)),
            _ => return Err("give --user or --group".to_owned()),
        };
        self.change_list(&path, "policies", &policy.name, on).await
    }
}

/// What flags say of a user.
fn fields(flags: &UserFlags) -> Map<String, Value> {
    let mut fields = Map::new();
    for (name, value) in [
        ("id", &flags.id),
        ("password", &flags.password),
        ("display_name", &flags.display_name),
        ("email", &flags.email),
    ] {
        if let Some(value) = value {
            fields.insert(name.to_owned(), Value::String(value.clone()));
        }
    }
    for (name, on) in [
        ("admin", flags.admin),
        ("service", flags.service),
        ("reseller_admin", flags.reseller_admin),
    ] {
        if on {
            fields.insert(name.to_owned(), Value::Bool(true));
        }
    }
    for (name, list) in [
        ("groups", &flags.groups),
        ("policies", &flags.policies),
        ("certificates", &flags.certificates),
    ] {
        if !list.is_empty() {
            fields.insert(name.to_owned(), json!(list));
        }
    }
    fields
}
