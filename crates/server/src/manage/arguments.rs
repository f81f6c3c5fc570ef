//! What the commands take.

use crate::client::ConnectionArgs;
use crate::config::ConfigArgs;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Commands on a server's identities.
#[derive(Subcommand)]
pub(crate) enum ManageCommand {
    /// Accounts, which own buckets and users.
    Account {
        #[command(subcommand)]
        command: AccountCommand,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Users of an account.
    User {
        #[command(subcommand)]
        command: UserCommand,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Groups of users.
    Group {
        #[command(subcommand)]
        command: GroupCommand,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Roles, which a user may take for a while.
    Role {
        #[command(subcommand)]
        command: RoleCommand,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Access keys of a user, and what the store encrypts with.
    Key {
        #[command(subcommand)]
        command: KeyCommand,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Policies, and why a decision is as it is.
    Policy {
        #[command(subcommand)]
        command: PolicyCommand,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
}

/// Something of an account.
#[derive(Args)]
pub(crate) struct Named {
    /// Its name
    pub(crate) name: String,
    /// Its account [default: the caller's]
    #[arg(long)]
    pub(crate) account: Option<String>,
}

/// Whose access keys.
#[derive(Args)]
pub(crate) struct Owner {
    /// The user
    #[arg(long)]
    pub(crate) user: String,
    /// The user's account [default: the caller's]
    #[arg(long)]
    pub(crate) account: Option<String>,
}

/// What a policy is attached to.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Target {
    /// A user
    #[arg(long)]
    pub(crate) user: Option<String>,
    /// A group
    #[arg(long)]
    pub(crate) group: Option<String>,
}

/// What a user is.
#[derive(Args)]
pub(crate) struct UserFlags {
    /// The password; a short one is taken, with a warning
    #[arg(long)]
    pub(crate) password: Option<String>,
    /// The id, where a system brings its own
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// The name to show to people
    #[arg(long)]
    pub(crate) display_name: Option<String>,
    /// The e-mail address
    #[arg(long)]
    pub(crate) email: Option<String>,
    /// Administers its account
    #[arg(long)]
    pub(crate) admin: bool,
    /// A program works as it
    #[arg(long)]
    pub(crate) service: bool,
    /// Administers all accounts
    #[arg(long)]
    pub(crate) reseller_admin: bool,
    /// A group that it is in; may be repeated
    #[arg(long = "group", value_name = "GROUP")]
    pub(crate) groups: Vec<String>,
    /// A policy that it has; may be repeated
    #[arg(long = "policy", value_name = "POLICY")]
    pub(crate) policies: Vec<String>,
    /// The SHA-256 of a client certificate, in hexadecimal; may be repeated
    #[arg(long = "certificate", value_name = "SHA256")]
    pub(crate) certificates: Vec<String>,
}

#[derive(Subcommand)]
pub(crate) enum AccountCommand {
    /// All accounts.
    List,
    /// One account, with what it holds.
    Show { account: String },
    /// Make an account.
    Create { account: String },
    /// Delete an account that owns nothing.
    Delete { account: String },
}

#[derive(Subcommand)]
pub(crate) enum UserCommand {
    /// The users of an account.
    List {
        /// The account [default: the caller's]
        #[arg(long)]
        account: Option<String>,
    },
    /// One user.
    Show(Named),
    /// Make a user, and its account when nobody has named it before.
    Create {
        #[command(flatten)]
        named: Named,
        #[command(flatten)]
        flags: UserFlags,
        /// Its first access key
        #[arg(long)]
        access_key: Option<String>,
        /// The secret of that [default: a new one, which is shown once]
        #[arg(long, requires = "access_key")]
        secret_key: Option<String>,
    },
    /// Change a user; lists that are given replace the former ones.
    Update {
        #[command(flatten)]
        named: Named,
        #[command(flatten)]
        flags: UserFlags,
    },
    /// Let a user in again.
    Enable(Named),
    /// Let a user do nothing; its tokens become void.
    Disable(Named),
    /// Delete a user with its access keys.
    Delete(Named),
}

#[derive(Subcommand)]
pub(crate) enum GroupCommand {
    /// The groups of an account.
    List {
        /// The account [default: the caller's]
        #[arg(long)]
        account: Option<String>,
    },
    /// One group.
    Show(Named),
    /// Make a group, or replace its policies.
    Create {
        #[command(flatten)]
        named: Named,
        /// A policy that its members have; may be repeated
        #[arg(long = "policy", value_name = "POLICY")]
        policies: Vec<String>,
    },
    /// Delete a group that nobody is in.
    Delete(Named),
    /// Put a user into a group.
    Add {
        #[command(flatten)]
        named: Named,
        /// The user
        #[arg(long)]
        user: String,
    },
    /// Take a user out of a group.
    Remove {
        #[command(flatten)]
        named: Named,
        /// The user
        #[arg(long)]
        user: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum RoleCommand {
    /// The roles of an account.
    List {
        /// The account [default: the caller's]
        #[arg(long)]
        account: Option<String>,
    },
    /// One role.
    Show(Named),
    /// Make a role, or replace it.
    Put {
        #[command(flatten)]
        named: Named,
        /// The policy that says who may take it
        #[arg(long, value_name = "FILE")]
        trust: PathBuf,
        /// A policy that it has; may be repeated
        #[arg(long = "policy", value_name = "POLICY")]
        policies: Vec<String>,
    },
    /// Delete a role; its sessions are void.
    Delete(Named),
    /// Take a role for a while: a token, and keys that go with it.
    Assume {
        #[command(flatten)]
        named: Named,
        /// What the session is called [default: the caller's name]
        #[arg(long)]
        session: Option<String>,
        /// For how long, up to 12 hours [default: 3600]
        #[arg(long, value_name = "SECONDS")]
        lifetime: Option<u64>,
        /// A policy that narrows the session; may be repeated
        #[arg(long = "policy", value_name = "FILE")]
        policies: Vec<PathBuf>,
        /// What the trust policy may ask for
        #[arg(long)]
        external_id: Option<String>,
    },
}

#[derive(Subcommand)]
pub(crate) enum KeyCommand {
    /// The access keys of a user; never their secrets.
    List(Owner),
    /// Make an access key; the secret is shown once.
    Create {
        #[command(flatten)]
        owner: Owner,
        /// The key [default: a new one]
        #[arg(long)]
        access_key: Option<String>,
        /// Its secret [default: a new one]
        #[arg(long, requires = "access_key")]
        secret_key: Option<String>,
        /// When it ends by itself, such as 2030-01-01T00:00:00Z
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
    },
    /// Let a key be used again.
    Enable {
        /// The access key
        key: String,
        #[command(flatten)]
        owner: Owner,
    },
    /// Let a key be good for nothing.
    Disable {
        /// The access key
        key: String,
        #[command(flatten)]
        owner: Owner,
    },
    /// Delete a key.
    Delete {
        /// The access key
        key: String,
        #[command(flatten)]
        owner: Owner,
    },
    /// Give a data folder that is not in use another master key, and every key in it another version.
    /// What was encrypted before stays as it is, and can still be read.
    Rotate(ConfigArgs),
}

impl ManageCommand {
    /// The configuration of a store whose own keys are to be rotated, which needs no server.
    pub(crate) fn rotation(&self) -> Option<&ConfigArgs> {
        match self {
            ManageCommand::Key {
                command: KeyCommand::Rotate(args),
                ..
            } => Some(args),
            _ => None,
        }
    }
}

#[derive(Subcommand)]
pub(crate) enum PolicyCommand {
    /// The policies of an account.
    List {
        /// The account [default: the caller's]
        #[arg(long)]
        account: Option<String>,
    },
    /// One policy.
    Show(Named),
    /// Make a policy of a document, or replace it wherever it is attached.
    Put {
        #[command(flatten)]
        named: Named,
        /// The document
        file: PathBuf,
    },
    /// Delete a policy that nobody has.
    Delete(Named),
    /// Give a policy to a user or a group.
    Attach {
        #[command(flatten)]
        named: Named,
        #[command(flatten)]
        target: Target,
    },
    /// Take a policy from a user or a group.
    Detach {
        #[command(flatten)]
        named: Named,
        #[command(flatten)]
        target: Target,
    },
    /// Say whether a user may do something, and which policy and statement decides it. The exit
    /// code is 0 when it may, else 1.
    Explain(Question),
}

/// What is to be explained.
#[derive(Args)]
pub(crate) struct Question {
    /// The user, role/NAME, or - for nobody in particular
    pub(crate) user: String,
    /// The action as policies name it, such as s3:GetObject, or a neutral one, such as ReadObject
    pub(crate) action: String,
    /// BUCKET, BUCKET/KEY, or an identity such as user/ann; or its ARN
    pub(crate) resource: String,
    /// The user's account [default: the caller's]
    #[arg(long)]
    pub(crate) account: Option<String>,
    /// The address that the request comes from
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) source_ip: Option<String>,
    /// The request comes over TLS
    #[arg(long)]
    pub(crate) tls: bool,
    /// A condition key and its value, such as s3:prefix=photos/; may be repeated
    #[arg(long = "context", value_name = "KEY=VALUE")]
    pub(crate) context: Vec<String>,
}
