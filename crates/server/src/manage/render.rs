//! Documents as text for people: a line for each item of a list, a line for each field of one thing.

use serde_json::Value;
use std::fmt::Write;

/// The text of an answer.
pub(super) fn text(document: &Value) -> String {
    let Value::Object(fields) = document else {
        return String::new();
    };
    let mut text = String::new();
    if let (1, Some((_, Value::Array(items)))) = (fields.len(), fields.iter().next()) {
        for item in items {
            line(&mut text, item);
        }
        return text;
    }
    for (name, value) in fields {
        // Who is disabled is told so: that the word is missing says too little.
        let said = name == "enabled" && value.is_boolean();
        if name == "warnings" || is_empty(value) && !said {
            continue;
        }
        let shown = match value {
            Value::Object(inner) if name == "access_key" => {
                for (name, value) in inner.iter().filter(|(_, value)| !is_empty(value)) {
                    // Writing to a String cannot fail.
                    let _written = writeln!(text, "{name}: {}", plain(value));
                }
                continue;
            }
            Value::Object(_) => serde_json::to_string_pretty(value).unwrap_or_default(),
            value => plain(value),
        };
        let _written = writeln!(text, "{name}: {shown}");
    }
    text
}

/// The text of an explanation: what was decided and why; and each decision, when there are several.
pub(super) fn explanation(document: &Value) -> String {
    let decision = |value: &Value| {
        let allowed = value.get("allowed").and_then(Value::as_bool) == Some(true);
        let word = if allowed { "allowed" } else { "denied" };
        let reason = value.get("reason").map(plain).unwrap_or_default();
        format!("{word}: {reason}\n")
    };
    let mut text = decision(document);
    let each = document.get("decisions").and_then(Value::as_array);
    for one in each.filter(|each| each.len() > 1).into_iter().flatten() {
        let action = one.get("action").map(plain).unwrap_or_default();
        let _written = write!(text, "  {action} {}", decision(one));
    }
    text
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            let items: Vec<String> = list.iter().map(plain).collect();
            items.join(", ")
        }
        value => value.to_string(),
    }
}

/// An item's name first, then its marks and lists.
fn line(text: &mut String, item: &Value) {
    let Value::Object(fields) = item else { return };
    let name = ["name", "id", "access_key"]
        .iter()
        .find_map(|key| fields.get(*key));
    text.push_str(&name.map(plain).unwrap_or_default());
    for (key, value) in fields {
        match value {
            Value::Bool(true) if key != "enabled" => {
                let _written = write!(text, "\t{key}");
            }
            Value::Bool(false) if key == "enabled" => text.push_str("\tdisabled"),
            Value::Array(list) if !list.is_empty() => {
                let _written = write!(text, "\t{key}={}", plain(value).replace(", ", ","));
            }
            Value::String(value) if ["expires", "used"].contains(&key.as_str()) => {
                let _written = write!(text, "\t{key}={value}");
            }
            _ => {}
        }
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_explanation_says_each_decision_of_several() {
        let of = |allowed, reason: &str, action: &str| json!({"allowed": allowed, "reason": reason, "action": action});
        let mut one = of(true, "the root user", "ReadObject");
        one["decisions"] = json!([of(true, "the root user", "ReadObject")]);
        assert_eq!(explanation(&one), "allowed: the root user\n");
        let mut two = of(false, "nothing allows it", "s3:GetObject");
        let first = of(true, "x", "ReadObject");
        let second = of(false, "nothing allows it", "ReadObjectMetadata");
        two["decisions"] = json!([first, second]);
        let text = "denied: nothing allows it\n  ReadObject allowed: x\n  ReadObjectMetadata \
                    denied: nothing allows it\n";
        assert_eq!(explanation(&two), text);
    }

    #[test]
    fn lists_are_lines_and_things_are_fields() {
        let users = json!({"users": [
            {"name": "ann", "enabled": true, "admin": true, "groups": ["a", "b"], "email": null},
            {"name": "bob", "enabled": false, "admin": false, "groups": []},
        ]});
        assert_eq!(text(&users), "ann\tadmin\tgroups=a,b\nbob\tdisabled\n");
        let user = json!({"name": "ann", "email": null, "admin": false, "warnings": ["w"],
            "access_key": {"access_key": "AK", "secret_key": "s", "expires": null}});
        assert_eq!(text(&user), "access_key: AK\nsecret_key: s\nname: ann\n");
        let disabled = json!({"name": "ann", "enabled": false, "admin": false});
        assert_eq!(text(&disabled), "enabled: false\nname: ann\n");
        assert_eq!(text(&Value::Null), "");
    }
}
