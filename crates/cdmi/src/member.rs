//! Records of a domain's members (clause 10.4) as JSON: users, groups and delegations.
//!
//! A credential is read and never written.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use trestle_core::{Error, Result};

/// Largest record, in bytes.
pub(crate) const RECORD_BYTES_MAX: usize = 64 << 10;

/// What a record is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum MemberKind {
    /// Somebody who presents credentials.
    User,
    /// Users that are named together.
    Group,
    /// The members of another domain.
    Delegation,
}

/// A record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Member {
    pub(crate) kind: MemberKind,
    pub(crate) enabled: bool,
    /// The name that a client presents.
    pub(crate) name: String,
    /// The name in access control lists.
    pub(crate) principal: String,
    pub(crate) credentials: Option<String>,
    /// Administers the domain.
    pub(crate) administrator: bool,
    /// May give what it makes to other domains.
    pub(crate) cross_domain: bool,
    /// Is bound by no access control list of the domain.
    pub(crate) backup_operator: bool,
    pub(crate) groups: Vec<String>,
    /// Where members are delegated to.
    pub(crate) delegation: String,
}

impl Member {
    /// Reads a record.
    ///
    /// # Errors
    /// `InvalidInput` for what the standard does not know, lacks what it asks for, or means what
    /// this server does not do.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(Error::invalid(format!(
                "the record of a member has at most {RECORD_BYTES_MAX} bytes"
            )));
        }
        let fields: Map<String, Value> = serde_json::from_slice(bytes)
            .map_err(|_| Error::invalid("the record of a member is a JSON object"))?;
        let kind = match text(&fields, "cdmi_member_type")?.as_deref() {
            Some("user") => MemberKind::User,
            Some("group") => MemberKind::Group,
            Some("delegation") => MemberKind::Delegation,
            _ => {
                return Err(Error::invalid(
                    "cdmi_member_type is user, group or delegation",
                ));
            }
        };
        check_names(&fields, kind)?;
        let enabled = match text(&fields, "cdmi_member_enabled")?.as_deref() {
            Some("true") => true,
            Some("false") => false,
            _ => {
                return Err(Error::invalid(
                    "cdmi_member_enabled is \"true\" or \"false\"",
                ));
            }
        };
        let needed = |name: &str| {
            let found = text(&fields, name)?.filter(|text| !text.is_empty());
            found.ok_or_else(|| Error::invalid(format!("the record of a member needs {name}")))
        };
        let mut member = Member {
            kind,
            enabled,
            name: String::new(),
            principal: String::new(),
            credentials: None,
            administrator: false,
            cross_domain: false,
            backup_operator: false,
            groups: Vec::new(),
            delegation: String::new(),
        };
        if kind == MemberKind::Delegation {
            member.delegation = needed("cdmi_delegation_URI")?;
            return Ok(member);
        }
        member.name = needed("cdmi_member_name")?;
        let principal = text(&fields, "cdmi_member_principal")?;
        member.principal = principal.unwrap_or_else(|| member.name.clone());
        member.credentials = text(&fields, "cdmi_member_credentials")?;
        member.groups = texts(&fields, "cdmi_member_groups")?.unwrap_or_default();
        // The table of the standard and its example name it differently.
        let privileges = match texts(&fields, "cdmi_member_privileges")? {
            Some(privileges) => privileges,
            None => texts(&fields, "cdmi_privileges")?.unwrap_or_default(),
        };
        for privilege in privileges {
            match privilege.as_str() {
                "administrator" if kind == MemberKind::User => member.administrator = true,
                "cross_domain" => member.cross_domain = true,
                "backup_operator" => member.backup_operator = true,
                other => {
                    return Err(Error::invalid(format!(
                        "the privilege {other:?} is not conferred here"
                    )));
                }
            }
        }
        Ok(member)
    }

    /// As JSON, without the credential.
    pub(crate) fn render(&self) -> Bytes {
        Bytes::from(Value::Object(self.items()).to_string())
    }

    /// What it says, without the credential.
    pub(crate) fn items(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        let mut add = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        add("cdmi_member_enabled", self.enabled.to_string().into());
        let kind = match self.kind {
            MemberKind::User => "user",
            MemberKind::Group => "group",
            MemberKind::Delegation => "delegation",
        };
        add("cdmi_member_type", kind.into());
        if self.kind == MemberKind::Delegation {
            add("cdmi_delegation_URI", self.delegation.as_str().into());
        } else {
            add("cdmi_member_name", self.name.as_str().into());
            add("cdmi_member_principal", self.principal.as_str().into());
            let privileges = [
                ("administrator", self.administrator),
                ("backup_operator", self.backup_operator),
                ("cross_domain", self.cross_domain),
            ];
            let privileges = privileges.iter().filter(|(_, has)| *has);
            let privileges: Vec<&str> = privileges.map(|(name, _)| *name).collect();
            add("cdmi_member_privileges", privileges.into());
            add("cdmi_member_groups", self.groups.clone().into());
        }
        fields
    }
}

/// Whether an item of metadata is an element of a record.
pub(crate) fn is_element(name: &str) -> bool {
    name.starts_with("cdmi_member_") || ["cdmi_privileges", "cdmi_delegation_URI"].contains(&name)
}

/// Refuses elements that a record of this kind does not have.
fn check_names(fields: &Map<String, Value>, kind: MemberKind) -> Result<()> {
    let known: &[&str] = match kind {
        MemberKind::User => &[
            "cdmi_member_name",
            "cdmi_member_credentials",
            "cdmi_member_principal",
            "cdmi_member_privileges",
            "cdmi_privileges",
            "cdmi_member_groups",
        ],
        MemberKind::Group => &[
            "cdmi_member_name",
            "cdmi_member_principal",
            "cdmi_member_privileges",
            "cdmi_privileges",
        ],
        MemberKind::Delegation => &["cdmi_delegation_URI"],
    };
    let always = ["cdmi_member_enabled", "cdmi_member_type"];
    for (name, value) in fields {
        let name = name.as_str();
        // A group in no group says no more than one that does not speak of it.
        let empty = value.as_array().is_some_and(Vec::is_empty);
        let fits = always.contains(&name)
            || known.contains(&name)
            || name == "cdmi_member_groups" && empty;
        if !fits {
            return Err(Error::invalid(format!(
                "the record of such a member has no {name:?}"
            )));
        }
    }
    Ok(())
}

fn text(fields: &Map<String, Value>, name: &str) -> Result<Option<String>> {
    match fields.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Error::invalid(format!("{name} is a string"))),
    }
}

fn texts(fields: &Map<String, Value>, name: &str) -> Result<Option<Vec<String>>> {
    let wrong = || Error::invalid(format!("{name} is an array of strings"));
    let Some(value) = fields.get(name) else {
        return Ok(None);
    };
    let items = value.as_array().ok_or_else(wrong)?.iter();
    let items = items.map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong));
    items.collect::<Result<Vec<String>>>().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(value: Value) -> Result<Member> {
        Member::parse(value.to_string().as_bytes())
    }

    #[test]
    fn the_examples_of_the_standard_are_understood() {
        let user = parse(json!({
            "cdmi_member_enabled": "true", "cdmi_member_type": "user",
            "cdmi_member_name": "John Doe", "cdmi_member_credentials": "p+5/oX1cmExfOIrUxhX1lw==",
            "cdmi_member_groups": ["users"], "cdmi_member_principal": "jdoe",
            "cdmi_privileges": ["administrator", "cross_domain"],
        }))
        .unwrap();
        assert_eq!(
            (user.kind, user.principal.as_str()),
            (MemberKind::User, "jdoe")
        );
        assert!(user.administrator && user.cross_domain);
        let shown: Value = serde_json::from_slice(&user.render()).unwrap();
        assert!(shown.get("cdmi_member_credentials").is_none());
        assert_eq!(
            shown["cdmi_member_privileges"],
            json!(["administrator", "cross_domain"])
        );
        let delegation = parse(json!({
            "cdmi_member_enabled": "true", "cdmi_member_type": "delegation",
            "cdmi_delegation_URI": "/cdmi_domains/MyDomain/",
        }));
        assert_eq!(delegation.unwrap().delegation, "/cdmi_domains/MyDomain/");
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let user = json!({
            "cdmi_member_enabled": "true", "cdmi_member_type": "user", "cdmi_member_name": "a",
        });
        assert_eq!(parse(user.clone()).unwrap().principal, "a");
        for (name, value) in [
            ("cdmi_member_enabled", json!(true)),
            ("cdmi_member_type", json!("robot")),
            ("cdmi_member_name", json!("")),
            ("cdmi_member_groups", json!("users")),
            ("cdmi_member_privileges", json!(["owner"])),
            ("cdmi_member_other", json!("x")),
            ("cdmi_delegation_URI", json!("/cdmi_domains/x/")),
        ] {
            let mut bad = user.clone();
            bad[name] = value;
            assert!(parse(bad).is_err(), "{name}");
        }
        let group = json!({
            "cdmi_member_enabled": "true", "cdmi_member_type": "group", "cdmi_member_name": "g",
            "cdmi_member_privileges": ["administrator"],
        });
        assert!(parse(group).is_err());
        assert!(Member::parse(b"[]").is_err());
        assert!(Member::parse(&vec![b' '; RECORD_BYTES_MAX + 1]).is_err());
    }
}
