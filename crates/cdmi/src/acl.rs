//! Access control lists in the forms of the standard (clause 17): numbers and names, inheritance,
//! and their evaluation in list order.
//!
//! One deviation: `CONTAINER_INHERIT` stays on the entries that a subcontainer inherits. Cleared,
//! as the table of flags says, nothing below the second level could inherit anything.

use crate::time;
use serde_json::{Map, Value, json};
use trestle_core::{Error, Result, Timestamp};

/// Most entries of a list.
const ENTRIES_MAX: usize = 512;
/// The names that stand for somebody by what they are.
const SPECIAL: [&str; 7] = [
    "OWNER@",
    "GROUP@",
    "EVERYONE@",
    "ANONYMOUS@",
    "AUTHENTICATED@",
    "ADMINISTRATOR@",
    "ADMINUSERS@",
];
/// Longest identifier, in bytes.
const IDENTIFIER_BYTES_MAX: usize = 512;

/// What an entry does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryType {
    /// Grants.
    Allow,
    /// Denies.
    Deny,
    /// Notes; it decides nothing.
    Audit,
}

/// Flags.
pub(crate) mod flag {
    pub(crate) const OBJECT_INHERIT: u32 = 0x1;
    pub(crate) const CONTAINER_INHERIT: u32 = 0x2;
    pub(crate) const NO_PROPAGATE: u32 = 0x4;
    pub(crate) const INHERIT_ONLY: u32 = 0x8;
    pub(crate) const IDENTIFIER_GROUP: u32 = 0x40;
    pub(crate) const INHERITED: u32 = 0x80;
}

/// Mask bits that are asked for here; all others are evaluated with every right.
pub(crate) mod mask {
    pub(crate) const LIST_CONTAINER: u32 = 0x1;
    pub(crate) const ADD_OBJECT: u32 = 0x2;
    pub(crate) const ADD_SUBCONTAINER: u32 = 0x4;
    /// The standard names it, in the list of the root container, and says no more of it: all that a
    /// document shows but the list.
    pub(crate) const READ: u32 = 0x89;
    pub(crate) const ALL_PERMS: u32 = 0x1F_07FF;
}

const TYPES: [(&str, EntryType); 9] = [
    ("ALLOW", EntryType::Allow),
    ("DENY", EntryType::Deny),
    ("AUDIT", EntryType::Audit),
    ("CDMI_ACE_ACCESS_ALLOW", EntryType::Allow),
    ("CDMI_ACE_ACCESS_DENY", EntryType::Deny),
    ("CDMI_ACE_SYSTEM_AUDIT", EntryType::Audit),
    ("CDMI_ACE_ACCESS_ALLOWED_TYPE", EntryType::Allow),
    ("CDMI_ACE_ACCESS_DENIED_TYPE", EntryType::Deny),
    ("CDMI_ACE_SYSTEM_AUDIT_TYPE", EntryType::Audit),
];

const FLAGS: [(&str, u32); 7] = [
    ("INHERITED", flag::INHERITED),
    ("IDENTIFIER_GROUP", flag::IDENTIFIER_GROUP),
    ("INHERIT_ONLY", flag::INHERIT_ONLY),
    ("NO_PROPAGATE", flag::NO_PROPAGATE),
    ("CONTAINER_INHERIT", flag::CONTAINER_INHERIT),
    ("OBJECT_INHERIT", flag::OBJECT_INHERIT),
    ("NO_FLAGS", 0),
];

/// Names of masks, from the largest down: of objects, and of containers where they differ.
const MASKS: [(u32, &str, &str); 23] = [
    (0x1F_07FF, "ALL_PERMS", "ALL_PERMS"),
    (0x10_0000, "SYNCHRONIZE", "SYNCHRONIZE"),
    (0x8_0000, "WRITE_OWNER", "WRITE_OWNER"),
    (0x6_01DF, "RW_ALL", "RW_ALL"),
    (0x4_0156, "WRITE_ALL", "WRITE_ALL"),
    (0x4_0000, "WRITE_ACL", "WRITE_ACL"),
    (0x2_0089, "READ_ALL", "READ_ALL"),
    (0x2_0000, "READ_ACL", "READ_ACL"),
    (0x1_0000, "DELETE", "DELETE"),
    (0x400, "WRITE_RETENTION_HOLD", "WRITE_RETENTION_HOLD"),
    (0x200, "WRITE_RETENTION", "WRITE_RETENTION"),
    (0x100, "WRITE_ATTRIBUTES", "WRITE_ATTRIBUTES"),
    (mask::READ, "READ", "READ"),
    (0x80, "READ_ATTRIBUTES", "READ_ATTRIBUTES"),
    (0x40, "DELETE_OBJECT", "DELETE_SUBCONTAINER"),
    (0x20, "EXECUTE", "TRAVERSE_CONTAINER"),
    (0x1F, "RW", "RW"),
    (0x16, "WRITE", "WRITE"),
    (0x10, "WRITE_METADATA", "WRITE_METADATA"),
    (0x8, "READ_METADATA", "READ_METADATA"),
    (0x4, "APPEND_DATA", "ADD_SUBCONTAINER"),
    (0x2, "WRITE_OBJECT", "ADD_OBJECT"),
    (0x1, "READ_OBJECT", "LIST_CONTAINER"),
];

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// What it does.
    pub(crate) kind: EntryType,
    /// Whom it is about.
    pub(crate) identifier: String,
    /// Flags.
    pub(crate) flags: u32,
    /// Mask.
    pub(crate) mask: u32,
    /// When it ends.
    pub(crate) expires: Option<Timestamp>,
}

/// A list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Acl(pub(crate) Vec<Entry>);

impl Acl {
    /// Of what nobody set a list for.
    pub(crate) fn of_owner() -> Self {
        Acl(vec![Entry {
            kind: EntryType::Allow,
            identifier: "OWNER@".to_owned(),
            flags: flag::OBJECT_INHERIT | flag::CONTAINER_INHERIT,
            mask: mask::ALL_PERMS,
            expires: None,
        }])
    }

    /// Of the root container.
    pub(crate) fn of_root() -> Self {
        let mut acl = Acl::of_owner();
        acl.0.push(Entry {
            kind: EntryType::Allow,
            identifier: "AUTHENTICATED@".to_owned(),
            flags: flag::OBJECT_INHERIT | flag::CONTAINER_INHERIT,
            mask: mask::READ,
            expires: None,
        });
        acl
    }

    /// Reads the metadata item.
    ///
    /// # Errors
    /// `InvalidInput`.
    pub(crate) fn parse(value: &Value) -> Result<Self> {
        let Value::Array(entries) = value else {
            return Err(Error::invalid("cdmi_acl is not an array"));
        };
        if entries.len() > ENTRIES_MAX {
            return Err(Error::invalid(format!(
                "cdmi_acl has more than {ENTRIES_MAX} entries"
            )));
        }
        entries.iter().map(entry).collect::<Result<_>>().map(Acl)
    }

    /// Writes the metadata item, with names.
    pub(crate) fn to_value(&self, container: bool) -> Value {
        let entries = self.0.iter().map(|entry| {
            let mut shown = json!({
                "acetype": match entry.kind {
                    EntryType::Allow => "ALLOW",
                    EntryType::Deny => "DENY",
                    EntryType::Audit => "AUDIT",
                },
                "identifier": entry.identifier,
                "aceflags": flag_names(entry.flags),
                "acemask": mask_names(entry.mask, container),
            });
            if let (Some(ends), Some(shown)) = (entry.expires, shown.as_object_mut()) {
                shown.insert("expiration".to_owned(), time::text(ends).into());
            }
            shown
        });
        Value::Array(entries.collect())
    }

    /// What a new child gets.
    pub(crate) fn inherited(&self, container: bool) -> Acl {
        let entries = self.0.iter().filter_map(|entry| {
            let flags = entry.flags;
            if flags & flag::NO_PROPAGATE != 0 {
                return None;
            }
            let object = flags & flag::OBJECT_INHERIT != 0;
            let subcontainer = flags & flag::CONTAINER_INHERIT != 0;
            let kept = flags & flag::IDENTIFIER_GROUP | flag::INHERITED;
            let flags = match (container, object, subcontainer) {
                (false, true, _) => kept,
                (true, _, true) => kept | flag::CONTAINER_INHERIT | flags & flag::OBJECT_INHERIT,
                (true, true, false) => kept | flag::OBJECT_INHERIT | flag::INHERIT_ONLY,
                _ => return None,
            };
            Some(Entry {
                flags,
                ..entry.clone()
            })
        });
        Acl(entries.collect())
    }

    /// Whether all bits of `wanted` are granted now to whom `is` knows: entries in order, the first
    /// denial of any wanted bit ends, grants add up, the end of the list denies.
    pub(crate) fn grants(
        &self,
        wanted: u32,
        now: Timestamp,
        is: impl Fn(&str, bool) -> bool,
    ) -> bool {
        let mut missing = wanted;
        for entry in &self.0 {
            let group = entry.flags & flag::IDENTIFIER_GROUP != 0;
            let ended = entry.expires.is_some_and(|ends| ends < now);
            if ended || entry.flags & flag::INHERIT_ONLY != 0 || !is(&entry.identifier, group) {
                continue;
            }
            match entry.kind {
                EntryType::Deny if entry.mask & missing != 0 => return false,
                EntryType::Allow => missing &= !entry.mask,
                _ => {}
            }
            if missing == 0 {
                return true;
            }
        }
        missing == 0
    }
}

fn entry(value: &Value) -> Result<Entry> {
    let Value::Object(entry) = value else {
        return Err(Error::invalid("an entry of cdmi_acl is not an object"));
    };
    let known = ["acetype", "identifier", "aceflags", "acemask", "expiration"];
    if let Some(unknown) = entry.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(Error::invalid(format!(
            "an entry of cdmi_acl has no {unknown:?} here"
        )));
    }
    let identifier = field(entry, "identifier")?.to_owned();
    if identifier.is_empty() || identifier.len() > IDENTIFIER_BYTES_MAX {
        return Err(Error::invalid("an identifier of cdmi_acl is not valid"));
    }
    // Taken for a user's name, an entry that denies would deny nobody.
    if identifier.ends_with('@') && !SPECIAL.contains(&identifier.as_str()) {
        let message = format!("{identifier:?} of cdmi_acl is nobody who is known here");
        return Err(Error::invalid(message));
    }
    let kind = field(entry, "acetype")?;
    let kind = match number(kind)? {
        Some(0) => EntryType::Allow,
        Some(1) => EntryType::Deny,
        Some(2) => EntryType::Audit,
        Some(_) => return Err(unknown("acetype", kind)),
        None => {
            let named = TYPES.iter().find(|(name, _)| *name == kind.trim());
            named.ok_or_else(|| unknown("acetype", kind))?.1
        }
    };
    let flags = match entry.contains_key("aceflags") {
        true => bits(field(entry, "aceflags")?, "aceflags", flag_bit)?,
        false => 0,
    };
    let known = FLAGS.iter().fold(0, |all, (_, bit)| all | bit);
    let mask = bits(field(entry, "acemask")?, "acemask", mask_bit)?;
    if flags & !known != 0 || mask & !mask::ALL_PERMS != 0 {
        return Err(Error::invalid("an entry of cdmi_acl has unknown bits"));
    }
    let expires = match entry.contains_key("expiration") {
        true => Some(time::parse(field(entry, "expiration")?)?),
        false => None,
    };
    Ok(Entry {
        kind,
        identifier,
        flags,
        mask,
        expires,
    })
}

fn unknown(field: &str, text: &str) -> Error {
    Error::invalid(format!("{text:?} is not an {field}"))
}

fn field<'a>(entry: &'a Map<String, Value>, name: &str) -> Result<&'a str> {
    let value = entry.get(name).and_then(Value::as_str);
    value.ok_or_else(|| Error::invalid(format!("an entry of cdmi_acl lacks {name}")))
}

/// A hexadecimal number with its `0x`; none for a name.
fn number(text: &str) -> Result<Option<u32>> {
    let text = text.trim();
    let Some(digits) = text.strip_prefix("0x").or(text.strip_prefix("0X")) else {
        return Ok(None);
    };
    let wrong = || Error::invalid(format!("{text:?} is not a hexadecimal number"));
    match digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        true => u32::from_str_radix(digits, 16)
            .map(Some)
            .map_err(|_| wrong()),
        false => Err(wrong()),
    }
}

fn bits(text: &str, field: &str, named: fn(&str) -> Option<u32>) -> Result<u32> {
    let mut all = 0;
    for part in text.split([',', '|']) {
        let part = part.trim();
        all |= match number(part)? {
            Some(number) => number,
            None => named(part).ok_or_else(|| unknown(field, part))?,
        };
    }
    Ok(all)
}

fn flag_bit(name: &str) -> Option<u32> {
    let name = name.strip_prefix("CDMI_ACE_FLAGS_").unwrap_or(name);
    let name = name.strip_prefix("CDMI_ACE_").unwrap_or(name);
    let name = name.strip_suffix("_ACE").unwrap_or(name);
    match name {
        "NONE" => Some(0),
        "NO_PROPAGATE_INHERIT" => Some(flag::NO_PROPAGATE),
        _ => FLAGS.iter().find(|(other, _)| *other == name).map(|f| f.1),
    }
}

fn mask_bit(name: &str) -> Option<u32> {
    let name = name.strip_prefix("CDMI_ACE_").unwrap_or(name);
    MASKS
        .iter()
        .find(|(_, object, container)| *object == name || *container == name)
        .map(|(bits, _, _)| *bits)
}

fn flag_names(mut flags: u32) -> String {
    let mut names = Vec::new();
    for (name, bit) in FLAGS {
        if bit != 0 && flags & bit != 0 {
            names.insert(0, name);
            flags &= !bit;
        }
    }
    if names.is_empty() {
        names.push("NO_FLAGS");
    }
    names.join(", ")
}

fn mask_names(mut bits: u32, container: bool) -> String {
    if bits == 0 {
        return "0x00000000".to_owned();
    }
    let mut names = Vec::new();
    for (mask, object, of_container) in MASKS {
        if bits & mask == mask {
            names.push(if container { of_container } else { object });
            bits &= !mask;
        }
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(entries: &[(&str, &str, &str, &str)]) -> Acl {
        let entries: Vec<Value> = entries
            .iter()
            .map(|(kind, who, flags, mask)| {
                json!({"acetype": kind, "identifier": who, "aceflags": flags, "acemask": mask})
            })
            .collect();
        Acl::parse(&json!(entries)).unwrap()
    }

    #[test]
    fn numbers_and_names_mean_the_same() {
        let names = acl(&[(
            "ALLOW",
            "jdoe",
            "OBJECT_INHERIT, IDENTIFIER_GROUP",
            "READ, DELETE",
        )]);
        assert_eq!(names, acl(&[("0x00", "jdoe", "0x41", "0x00010089")]));
        assert_eq!(names, acl(&[("0x0", "jdoe", "0x41", "READ | 0x10000")]));
        let shown = names.to_value(false);
        assert_eq!(shown[0]["acemask"], "DELETE, READ");
        assert_eq!(shown[0]["aceflags"], "OBJECT_INHERIT, IDENTIFIER_GROUP");
        assert_eq!(Acl::parse(&shown).unwrap(), names);
        for (mask, name) in [
            ("0x20089", "READ_ALL"),
            ("0x40156", "WRITE_ALL"),
            ("0x601df", "RW_ALL"),
            ("0x30089", "READ_ALL, DELETE"),
        ] {
            let shown = acl(&[("ALLOW", "a", "0x0", mask)]).to_value(false);
            assert_eq!(shown[0]["acemask"], name, "{mask}");
        }
        let all = acl(&[("DENY", "EVERYONE@", "NO_FLAGS", "0x001F07FF")]);
        assert_eq!(all.to_value(true)[0]["acemask"], "ALL_PERMS");
        let add = acl(&[("ALLOW", "a", "0x0", "0x6")]);
        assert_eq!(
            add.to_value(true)[0]["acemask"],
            "ADD_SUBCONTAINER, ADD_OBJECT"
        );
        assert_eq!(
            add.to_value(false)[0]["acemask"],
            "APPEND_DATA, WRITE_OBJECT"
        );
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for bad in [
            json!("x"),
            json!(["x"]),
            json!([{"acetype": "ALLOW", "acemask": "READ"}]),
            json!([{"acetype": "MAYBE", "identifier": "a", "acemask": "READ"}]),
            json!([{"acetype": "0x3", "identifier": "a", "acemask": "READ"}]),
            json!([{"acetype": "ALLOW", "identifier": "a", "acemask": "FLY"}]),
            json!([{"acetype": "DENY", "identifier": "DIALUP@", "acemask": "READ"}]),
            json!([{"acetype": "ALLOW", "identifier": "a", "acemask": "0xzz"}]),
            json!([{"acetype": "ALLOW", "identifier": "a", "acemask": "0xF0000000"}]),
            json!([{"acetype": "ALLOW", "identifier": "a", "acemask": "READ", "aceflags": "0x100"}]),
            json!([{"acetype": "ALLOW", "identifier": "a", "acemask": "READ", "expiration": "x"}]),
        ] {
            assert!(Acl::parse(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn children_inherit_by_the_flags_at_every_level() {
        let parent = acl(&[
            ("ALLOW", "both", "OBJECT_INHERIT, CONTAINER_INHERIT", "READ"),
            ("ALLOW", "objects", "OBJECT_INHERIT", "READ"),
            (
                "ALLOW",
                "containers",
                "CONTAINER_INHERIT, INHERIT_ONLY",
                "READ",
            ),
            ("ALLOW", "nobody", "OBJECT_INHERIT, NO_PROPAGATE", "READ"),
            ("ALLOW", "here", "NO_FLAGS", "READ"),
        ]);
        let names = |acl: &Acl| -> Vec<(String, u32)> {
            acl.0
                .iter()
                .map(|e| (e.identifier.clone(), e.flags))
                .collect()
        };
        let object = parent.inherited(false);
        assert_eq!(
            names(&object),
            [("both".into(), 0x80), ("objects".into(), 0x80)]
        );
        let container = parent.inherited(true);
        let expected: [(String, u32); 3] = [
            ("both".into(), 0x83),
            ("objects".into(), 0x89),
            ("containers".into(), 0x82),
        ];
        assert_eq!(names(&container), expected);
        assert_eq!(names(&container.inherited(true)), expected);
    }

    #[test]
    fn entries_count_in_order_and_grants_add_up() {
        let list = acl(&[
            ("ALLOW", "a", "NO_FLAGS", "READ_OBJECT"),
            ("DENY", "a", "NO_FLAGS", "READ_OBJECT, DELETE"),
            ("ALLOW", "EVERYONE@", "NO_FLAGS", "READ_METADATA"),
            ("AUDIT", "EVERYONE@", "NO_FLAGS", "ALL_PERMS"),
            ("ALLOW", "a", "INHERIT_ONLY, OBJECT_INHERIT", "ALL_PERMS"),
        ]);
        let is_a = |who: &str, group: bool| !group && (who == "a" || who == "EVERYONE@");
        assert!(list.grants(0x1 | 0x8, Timestamp(1), is_a));
        assert!(!list.grants(0x1_0000, Timestamp(1), is_a));
        assert!(!list.grants(0x2, Timestamp(1), is_a));
        assert!(!list.grants(0x1, Timestamp(1), |who, _| who == "EVERYONE@"));
        assert!(Acl::of_owner().grants(mask::ALL_PERMS, Timestamp(1), |who, _| who == "OWNER@"));
        assert!(!Acl::default().grants(0x1, Timestamp(1), |_, _| true));
    }
}
