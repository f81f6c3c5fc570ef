//! Rows of identities, as the offline check looks at them: each can be read, and what it leads to is
//! there.

use super::access_key::find_key;
use super::record::{AccessKeyRecord, GroupRecord, Named, PolicyRecord, RoleRecord, UserRecord};
use super::{find, need};
use crate::record::Record;
use crate::row_key;
use trestle_access::{Policy, PolicyKind};
use trestle_core::{AccountId, Error, Result};
use trestle_engine::{MetaRead, Row};

/// Whether the table is one of identities.
pub(crate) fn is_table(table: u8) -> bool {
    (row_key::IDENTITIES..=row_key::EMAIL).contains(&table)
}

/// Checks a row of one of these tables.
pub(crate) async fn row(read: &dyn MetaRead, key: &[u8], row: &Row) -> Result<()> {
    let (table, rest) = key.split_first().ok_or_else(malformed)?;
    match *table {
        row_key::IDENTITIES if rest.is_empty() => Ok(()),
        row_key::IDENTITY => identity(read, rest, row).await,
        row_key::ACCESS_KEY => access_key(read, rest, row).await,
        row_key::USER_KEY => {
            let [account, user, id] = parts(rest)?;
            let key = find_key(read, &id).await?.ok_or_else(dangling)?;
            same(key.account == account && key.user == user)
        }
        row_key::USER_NAME => {
            let [user, account] = parts(rest)?;
            user_of(read, &account, &user).await.map(drop)
        }
        row_key::KEY_USED | row_key::REVOKED => match row.value.len() {
            8 => Ok(()),
            _ => Err(malformed()),
        },
        row_key::CERTIFICATE => {
            let [account, user] = parts(&row.value)?;
            let user = user_of(read, &account, &user).await?;
            same(user.certificates.iter().any(|one| one.as_bytes() == rest))
        }
        row_key::EMAIL => {
            let [email, account, user] = parts(rest)?;
            let user = user_of(read, &account, &user).await?;
            same(user.email.is_some_and(|own| own.to_lowercase() == email))
        }
        _ => Err(malformed()),
    }
}

fn malformed() -> Error {
    Error::corrupt("a row of identities is malformed")
}

fn dangling() -> Error {
    Error::corrupt("a row of identities leads to what does not exist")
}

fn same(agrees: bool) -> Result<()> {
    match agrees {
        true => Ok(()),
        false => Err(Error::corrupt("two rows of identities do not agree")),
    }
}

/// Texts with a NUL between each two.
fn parts<const N: usize>(bytes: &[u8]) -> Result<[String; N]> {
    let parts: Option<Vec<String>> = bytes
        .split(|byte| *byte == 0)
        .map(|part| String::from_utf8(part.to_vec()).ok())
        .collect();
    parts
        .and_then(|parts| parts.try_into().ok())
        .ok_or_else(malformed)
}

async fn user_of(read: &dyn MetaRead, account: &str, user: &str) -> Result<UserRecord> {
    let account = AccountId::parse(account)?;
    find(read, &account, user).await?.ok_or_else(dangling)
}

async fn identity(read: &dyn MetaRead, rest: &[u8], row: &Row) -> Result<()> {
    let [account, named] = parts(rest)?;
    let account = AccountId::parse(account)?;
    let (kind, name) = named.as_bytes().split_first().ok_or_else(malformed)?;
    let name = String::from_utf8_lossy(name);
    super::check_name("identity", &name)?;
    let policies = match *kind {
        UserRecord::KIND => {
            let user = UserRecord::from_value(&row.value)?;
            for group in &user.groups {
                need::<GroupRecord>(read, &account, group).await?;
            }
            let index = row_key::user_name(&name, &account);
            read.get(&index).await?.ok_or_else(dangling)?;
            user.policies
        }
        GroupRecord::KIND => GroupRecord::from_value(&row.value)?.policies,
        RoleRecord::KIND => {
            let role = RoleRecord::from_value(&row.value)?;
            Policy::parse_kept(&role.trust, PolicyKind::Trust)?;
            role.policies
        }
        PolicyRecord::KIND => {
            let policy = PolicyRecord::from_value(&row.value)?;
            Policy::parse_kept(&policy.text, PolicyKind::Identity)?;
            Vec::new()
        }
        _ => return Err(malformed()),
    };
    for policy in &policies {
        need::<PolicyRecord>(read, &account, policy).await?;
    }
    Ok(())
}

async fn access_key(read: &dyn MetaRead, id: &[u8], row: &Row) -> Result<()> {
    let record = AccessKeyRecord::from_value(&row.value)?;
    user_of(read, &record.account, &record.user).await?;
    let id = std::str::from_utf8(id).map_err(|_| malformed())?;
    let account = AccountId::parse(&record.account)?;
    let index = row_key::user_key(&account, &record.user, id);
    read.get(&index).await?.ok_or_else(dangling).map(drop)
}
