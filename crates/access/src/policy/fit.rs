//! Whether the parts of a bucket policy's statement fit each other: each action something that the
//! resources are, and each condition key something that one of the actions has. A rule that can never
//! apply protects nothing, so it is refused when it is written.
//!
//! Only what is sure is refused: a key that some of a statement's actions have is taken.

use super::json::Node;
use super::{PolicyKind, Statement, names, texts};
use crate::{Action, ActionSet, Level};

/// What the resources of a statement can be.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Kinds {
    bucket: bool,
    objects: bool,
}

impl Kinds {
    fn of(elements: &[(String, Node)]) -> Result<Kinds, String> {
        let mut kinds = Kinds {
            bucket: false,
            objects: false,
        };
        for (name, node) in elements {
            match name.as_str() {
                "Resource" => {
                    for text in texts(node)? {
                        let rest = text.splitn(6, ':').last().unwrap_or_default();
                        // A wildcard, and what a variable stands for, may hold a slash.
                        kinds.objects |= rest.contains(['/', '*', '?', '$']);
                        kinds.bucket |= !rest.contains('/');
                    }
                }
                "NotResource" => {
                    return Ok(Kinds {
                        bucket: true,
                        objects: true,
                    });
                }
                _ => {}
            }
        }
        Ok(kinds)
    }

    fn takes(self, action: Action) -> bool {
        match action.level() {
            Level::Bucket => self.bucket,
            Level::Object => self.objects,
            _ => true,
        }
    }

    fn takes_any(self, actions: ActionSet) -> bool {
        let mut held = Action::ALL.iter().filter(|action| actions.holds(**action));
        held.any(|action| self.takes(*action))
    }
}

/// Refuses what can never apply, with its place.
pub(super) fn check(
    statement: &Statement,
    node: &Node,
    kind: PolicyKind<'_>,
) -> Result<(), (String, String)> {
    let (PolicyKind::Bucket(_), Node::Map(elements)) = (kind, node) else {
        return Ok(());
    };
    let at = |place: &str, why: String| (format!(".{place}"), why);
    let kinds = Kinds::of(elements).map_err(|why| at("Resource", why))?;
    let named = elements.iter().find(|(name, _)| name == "Action");
    for text in named
        .map_or(Ok(Vec::new()), |(_, node)| texts(node))
        .map_err(|why| at("Action", why))?
    {
        let set = names::actions(&text).unwrap_or_default();
        if !set.is_empty() && !kinds.takes_any(set) {
            let why = format!("does not apply to any resource(s) in the statement: {text:?}");
            return Err(at("Action", why));
        }
    }
    for key in statement.conditions.iter().map(|condition| condition.key()) {
        let set: ActionSet = Action::ALL
            .iter()
            .copied()
            .filter(|action| statement.actions.holds(*action) && kinds.takes(*action))
            .collect();
        let has = |action: &&Action| set.holds(**action) && has_key(**action, key);
        if !set.is_empty() && !Action::ALL.iter().any(|action| has(&action)) {
            let why = format!(
                "does not apply to any combination of actions and resources in the statement: {key:?}"
            );
            return Err(at("Condition", why));
        }
    }
    Ok(())
}

/// Whether a request for an action can have a condition key, which is in lower case.
fn has_key(action: Action, key: &str) -> bool {
    use Action as A;
    let Some(name) = key.strip_prefix("s3:") else {
        return true;
    };
    let writes = matches!(action, A::WriteObject | A::AppendObject);
    let of_object = action.level() == Level::Object;
    match name {
        "prefix" | "delimiter" | "max-keys" => matches!(
            action,
            A::ListObjects | A::ListVersions | A::ListUploads | A::ReadBucket
        ),
        "locationconstraint" => action == A::CreateBucket,
        "objectcreationoperation"
        | "x-amz-copy-source"
        | "x-amz-metadata-directive"
        | "x-amz-storage-class"
        | "x-amz-website-redirect-location" => writes,
        name if name.starts_with("x-amz-server-side-encryption") => writes,
        name if name == "x-amz-acl" || name.starts_with("x-amz-grant-") => {
            writes
                || matches!(
                    action,
                    A::CreateBucket
                        | A::WriteBucketAcl
                        | A::WriteObjectAcl
                        | A::WriteObjectVersionAcl
                )
        }
        "x-amz-object-ownership" => {
            matches!(action, A::CreateBucket | A::WriteBucketOwnership)
        }
        "versionid" | "if-match" | "if-none-match" => of_object,
        name if name.starts_with("existingobjecttag/") => of_object,
        name if name.starts_with("requestobjecttag") => {
            writes || matches!(action, A::WriteObjectTags | A::WriteObjectVersionTags)
        }
        name if name.starts_with("object-lock-") => {
            writes
                || matches!(
                    action,
                    A::WriteObjectRetention
                        | A::WriteLegalHold
                        | A::BypassRetention
                        | A::WriteBucketLock
                )
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use crate::{Policy, PolicyKind};

    fn taken(action: &str, resource: &str, condition: &str) -> Result<(), String> {
        let text = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":"*",
                "Action":{action},"Resource":{resource}{condition}}}}}"#
        );
        let kind = PolicyKind::Bucket("b");
        Policy::parse_kept(&text, kind).unwrap();
        let parsed = Policy::parse(&text, kind).map(drop);
        parsed.map_err(|error| error.message().to_owned())
    }

    const BUCKET: &str = r#""arn:aws:s3:::b""#;
    const OBJECTS: &str = r#""arn:aws:s3:::b/*""#;
    const BOTH: &str = r#"["arn:aws:s3:::b","arn:aws:s3:::b/*"]"#;

    #[test]
    fn an_action_is_of_one_of_the_resources() {
        for (action, resource) in [
            (r#""s3:GetObject""#, OBJECTS),
            (r#""s3:GetObject""#, r#""arn:aws:s3:::b*""#),
            (r#""s3:ListBucket""#, BUCKET),
            (r#"["s3:ListBucket","s3:GetObject"]"#, BOTH),
            (r#""s3:*""#, OBJECTS),
            (r#""s3:List*""#, OBJECTS),
            (r#""s3:RestoreObject""#, BUCKET),
            (r#""*""#, BUCKET),
            (r#""s3:ListBucket""#, r#""*""#),
        ] {
            assert_eq!(taken(action, resource, ""), Ok(()), "{action} {resource}");
        }
        for (action, resource) in [
            (r#""s3:GetObject""#, BUCKET),
            (r#""s3:ListBucket""#, OBJECTS),
            (r#""trestle:ReadObject""#, BUCKET),
            (r#"["s3:GetObject","s3:ListBucket"]"#, OBJECTS),
            (r#""s3:GetBucket*""#, OBJECTS),
        ] {
            let refused = taken(action, resource, "").unwrap_err();
            let why = "Statement[0].Action does not apply to any resource(s)";
            assert!(refused.contains(why), "{action} {resource}: {refused}");
        }
    }

    #[test]
    fn a_condition_key_is_of_one_of_the_actions() {
        let with = |key: &str| format!(r#","Condition":{{"StringLike":{{"{key}":"x"}}}}"#);
        for (action, resource, key) in [
            (r#""s3:ListBucket""#, BUCKET, "s3:prefix"),
            (r#""s3:*""#, BOTH, "s3:prefix"),
            (r#"["s3:ListBucket","s3:GetObject"]"#, BOTH, "s3:Delimiter"),
            (r#""s3:PutObject""#, OBJECTS, "s3:x-amz-acl"),
            (
                r#""s3:PutObject""#,
                OBJECTS,
                "s3:x-amz-server-side-encryption",
            ),
            (r#""s3:PutObjectTagging""#, OBJECTS, "s3:RequestObjectTag/a"),
            (r#""s3:GetObject""#, OBJECTS, "s3:ExistingObjectTag/a"),
            (r#""s3:GetObject""#, OBJECTS, "aws:Referer"),
            (r#""s3:ListBucket""#, BUCKET, "s3:signatureversion"),
            (r#""s3:PutObjectRetention""#, OBJECTS, "s3:object-lock-mode"),
        ] {
            let taken = taken(action, resource, &with(key));
            assert_eq!(taken, Ok(()), "{action} {resource} {key}");
        }
        for (action, resource, key) in [
            (r#""s3:GetObject""#, OBJECTS, "s3:prefix"),
            // What has the key is no object.
            (r#""s3:*""#, OBJECTS, "s3:prefix"),
            (r#""s3:ListBucket""#, BUCKET, "s3:x-amz-acl"),
            (r#""s3:GetObject""#, OBJECTS, "s3:x-amz-storage-class"),
            (r#""s3:GetObject""#, OBJECTS, "s3:RequestObjectTagKeys"),
            (r#""s3:ListBucket""#, BUCKET, "s3:ExistingObjectTag/a"),
            (r#""s3:GetObject""#, OBJECTS, "s3:object-lock-mode"),
        ] {
            let refused = taken(action, resource, &with(key)).unwrap_err();
            assert!(
                refused.contains("Statement[0].Condition does not apply"),
                "{action} {resource} {key}: {refused}"
            );
        }
    }
}
