//! The one table of this API: every path, its methods, the documents that they take, and who answers.
//! Routing, `Allow` and the OpenAPI document follow from it.

use crate::answer::{Answer, problem};
use crate::call::Call;
use crate::{buckets, explain, identities, others, tokens, users};
use futures::future::BoxFuture;
use http::Method;
use serde_json::{Value, json};
use std::sync::LazyLock;
use trestle_core::AccountId;
use trestle_http::{Content, Described, OpenApi, Operation, Parameter, Problem, Takes};

/// Where everything begins.
const ROOT: &str = "/-/";

/// Answers a request for a path that the table has.
pub(crate) type Run = for<'a> fn(Call<'a>, Names) -> BoxFuture<'a, Answer>;

/// A path: what is said of it, and who answers.
pub(crate) struct Row {
    described: Described,
    pub(crate) run: Run,
}

/// What stands in the place of a path's parameters, in their order.
pub(crate) struct Names {
    values: Vec<String>,
    path: &'static str,
}

impl Names {
    /// By its place; empty for one that is not there.
    fn get(&self, place: usize) -> &str {
        self.values.get(place).map_or("", String::as_str)
    }

    /// The account, which is always the first.
    fn account(&self) -> Result<AccountId, Problem> {
        AccountId::parse(self.get(0)).map_err(problem)
    }

    /// The last segment of the path, of one that is no parameter.
    fn part(&self) -> &'static str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

static TABLE: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let all = [tokens(), buckets(), accounts(), users(), others()];
    all.into_iter().flatten().collect()
});

/// Whether some path begins with this segment.
pub(crate) fn serves(first: &str) -> bool {
    let mut rows = TABLE.iter();
    rows.any(|row| row.segments().next() == Some(first))
}

/// The row of a path's segments, below the root.
pub(crate) fn find(segments: &[String]) -> Option<(&'static Row, Names)> {
    TABLE.iter().find_map(|row| {
        let path = row.described.path;
        row.names(segments)
            .map(|values| (row, Names { values, path }))
    })
}

impl Row {
    fn segments(&self) -> impl Iterator<Item = &'static str> {
        self.described
            .path
            .strip_prefix(ROOT)
            .unwrap_or_default()
            .split('/')
    }

    fn names(&self, segments: &[String]) -> Option<Vec<String>> {
        if self.segments().count() != segments.len() {
            return None;
        }
        let mut values = Vec::new();
        for (wanted, segment) in self.segments().zip(segments) {
            match wanted.starts_with('{') {
                true => values.push(segment.clone()),
                false if wanted == segment => {}
                false => return None,
            }
        }
        Some(values)
    }

    /// The parameters that a method's operation has.
    pub(crate) fn parameters(&self, method: &Method) -> Vec<&'static str> {
        let method = match *method {
            Method::HEAD => "GET",
            _ => method.as_str(),
        };
        let operations = self.described.operations.iter();
        let of_method = operations.filter(|operation| operation.method == method);
        of_method
            .flat_map(|operation| operation.query)
            .map(|(name, ..)| *name)
            .collect()
    }

    /// The methods, as `Allow` has them. Every resource has OPTIONS.
    pub(crate) fn methods(&self) -> Vec<&'static str> {
        let operations = self.described.operations.iter();
        operations
            .flat_map(|operation| match operation.method {
                "GET" => ["GET", "HEAD"].as_slice(),
                _ => std::slice::from_ref(&operation.method),
            })
            .chain(&["OPTIONS"])
            .copied()
            .collect()
    }
}

const JSON: &[Content] = &[("application/json", None)];
const ACCOUNT: Parameter = (
    "account",
    Takes::Pattern("^[^/:~\\x00-\\x1f\\x7f-\\x9f]{1,256}$"),
    "an account",
);
const NAME: Takes = Takes::Pattern("^[^/:\\x00-\\x1f\\x7f-\\x9f]{1,128}$");
/// A user, a group, a role or a policy.
const IDENTITY: Takes = Takes::Pattern("^[^/:,*?${}\"\\x00-\\x1f\\x7f-\\x9f]{1,128}$");
const AFTER: Parameter = (
    "after",
    Takes::Text,
    "only what comes after this: what next said",
);
const LIST: &[Parameter] = &[AFTER];
const CHANGES: &[u16] = &[404, 409, 413, 507];

const fn read(id: &'static str, summary: &'static str) -> Operation {
    Operation {
        gives: JSON,
        successes: &[200],
        problems: &[404],
        ..Operation::new("GET", id, summary)
    }
}

const fn list(id: &'static str, summary: &'static str) -> Operation {
    Operation {
        query: LIST,
        ..read(id, summary)
    }
}

const fn delete(id: &'static str, summary: &'static str) -> Operation {
    Operation {
        successes: &[204],
        problems: &[404, 409],
        ..Operation::new("DELETE", id, summary)
    }
}

const fn change(
    method: &'static str,
    (id, summary): (&'static str, &'static str),
    takes: &'static [Content],
    leads_to: &'static [&'static str],
) -> Operation {
    Operation {
        takes,
        gives: JSON,
        successes: &[200, 201],
        problems: CHANGES,
        leads_to,
        ..Operation::new(method, id, summary)
    }
}

/// A change that an empty body asks for, too.
const fn optional(operation: Operation) -> Operation {
    Operation {
        optional: true,
        ..operation
    }
}

fn path(
    path: &'static str,
    parameters: &'static [Parameter],
    operations: Vec<Operation>,
    run: Run,
) -> Row {
    Row {
        described: Described {
            path,
            parameters,
            operations,
        },
        run,
    }
}

fn tokens() -> Vec<Row> {
    vec![
        path(
            "/-/me",
            &[],
            vec![read("whoAmI", "Who the credentials stand for")],
            |call, _| Box::pin(async move { tokens::me(call) }),
        ),
        path(
            "/-/tokens",
            &[],
            vec![
                optional(Operation {
                    successes: &[201],
                    ..change(
                        "POST",
                        ("issueToken", "Issues a token to who asks"),
                        &[("application/json", Some("Issue"))],
                        &["whoAmI"],
                    )
                }),
                Operation {
                    takes: &[("application/json", Some("Revoke"))],
                    ..delete("revokeToken", "Voids a token")
                },
            ],
            |call, _| Box::pin(tokens::answer(call)),
        ),
        path(
            "/-/explain",
            &[],
            vec![Operation {
                successes: &[200],
                ..change(
                    "POST",
                    ("explainDecision", "Why a user may do something, or may not"),
                    &[("application/json", Some("Explain"))],
                    &[],
                )
            }],
            |call, _| Box::pin(explain::answer(call)),
        ),
    ]
}

/// Parts of a bucket's rights: their path, what their operations are called, what they take.
const PARTS: [(&str, [&str; 3], &[Content]); 4] = [
    (
        "/-/buckets/{bucket}/policy",
        [
            "readBucketPolicy",
            "writeBucketPolicy",
            "deleteBucketPolicy",
        ],
        &[("application/json", Some("PolicyDocument"))],
    ),
    (
        "/-/buckets/{bucket}/acl",
        ["readBucketAcl", "writeBucketAcl", "deleteBucketAcl"],
        &[("application/json", Some("AccessList"))],
    ),
    (
        "/-/buckets/{bucket}/ownership",
        [
            "readBucketOwnership",
            "writeBucketOwnership",
            "deleteBucketOwnership",
        ],
        &[("application/json", Some("Ownership"))],
    ),
    (
        "/-/buckets/{bucket}/public-access",
        [
            "readPublicAccess",
            "writePublicAccess",
            "deletePublicAccess",
        ],
        &[("application/json", Some("PublicAccess"))],
    ),
];

fn buckets() -> Vec<Row> {
    const BUCKET: &[Parameter] = &[(
        "bucket",
        NAME,
        "a bucket; account:name for one of an account",
    )];
    let parts = PARTS.into_iter().map(|(at, [get, put, remove], takes)| {
        let put = Operation {
            successes: &[200],
            ..change("PUT", (put, "Sets a part of a bucket's rights"), takes, &[])
        };
        let operations = vec![
            read(get, "A part of a bucket's rights"),
            put,
            delete(remove, "Removes a part of a bucket's rights"),
        ];
        path(at, BUCKET, operations, |call, names| {
            Box::pin(async move { buckets::answer(call, names.get(0), names.part()).await })
        })
    });
    parts.collect()
}

fn accounts() -> Vec<Row> {
    const OF: &[Parameter] = &[ACCOUNT];
    let mut put = change("PUT", ("createAccount", "Creates an account"), &[], &[]);
    put.leads_to = &[
        "readAccount",
        "listUsers",
        "createUser",
        "writeGroup",
        "writeRole",
        "writePolicy",
        "deleteAccount",
    ];
    vec![
        path(
            "/-/accounts",
            &[],
            vec![list("listAccounts", "All accounts")],
            |call, _| Box::pin(identities::accounts(call)),
        ),
        path(
            "/-/accounts/{account}",
            OF,
            vec![
                read("readAccount", "An account and what it holds"),
                put,
                delete("deleteAccount", "Deletes an account that holds nothing"),
            ],
            |call, names| {
                Box::pin(async move { identities::account(call, &names.account()?).await })
            },
        ),
        path(
            "/-/accounts/{account}/public-access",
            OF,
            vec![
                read(
                    "readAccountPublicAccess",
                    "The block of public access of all its buckets",
                ),
                optional(Operation {
                    successes: &[200],
                    ..change(
                        "PUT",
                        ("writeAccountPublicAccess", "Sets it"),
                        &[("application/json", Some("PublicAccess"))],
                        &[],
                    )
                }),
                delete("deleteAccountPublicAccess", "Removes it"),
            ],
            |call, names| {
                Box::pin(async move { buckets::of_account(call, &names.account()?).await })
            },
        ),
        path(
            "/-/accounts/{account}/users",
            OF,
            vec![list("listUsers", "An account's users")],
            |call, names| Box::pin(async move { users::list(call, &names.account()?).await }),
        ),
        path(
            "/-/accounts/{account}/groups",
            OF,
            vec![list("listGroups", "An account's groups")],
            |call, names| {
                Box::pin(async move { others::list(call, &names.account()?, names.part()).await })
            },
        ),
        path(
            "/-/accounts/{account}/roles",
            OF,
            vec![list("listRoles", "An account's roles")],
            |call, names| {
                Box::pin(async move { others::list(call, &names.account()?, names.part()).await })
            },
        ),
        path(
            "/-/accounts/{account}/policies",
            OF,
            vec![list("listPolicies", "An account's policies")],
            |call, names| {
                Box::pin(async move { others::list(call, &names.account()?, names.part()).await })
            },
        ),
    ]
}

fn users() -> Vec<Row> {
    const USER: &[Parameter] = &[ACCOUNT, ("user", IDENTITY, "a user of the account")];
    const KEY: &[Parameter] = &[
        ACCOUNT,
        ("user", IDENTITY, "a user of the account"),
        ("key", NAME, "an access key"),
    ];
    const DOCUMENT: &[Content] = &[("application/json", Some("User"))];
    const NEXT: &[&str] = &[
        "readUser",
        "changeUser",
        "listKeys",
        "createKey",
        "deleteUser",
    ];
    vec![
        path(
            "/-/accounts/{account}/users/{user}",
            USER,
            vec![
                read("readUser", "A user"),
                optional(change(
                    "PUT",
                    ("createUser", "Creates a user"),
                    DOCUMENT,
                    NEXT,
                )),
                optional(change(
                    "PATCH",
                    ("changeUser", "Changes a user"),
                    DOCUMENT,
                    NEXT,
                )),
                delete("deleteUser", "Deletes a user"),
            ],
            |call, names| {
                Box::pin(async move { users::answer(call, &names.account()?, names.get(1)).await })
            },
        ),
        path(
            "/-/accounts/{account}/users/{user}/keys",
            USER,
            vec![
                read("listKeys", "A user's access keys"),
                optional(change(
                    "POST",
                    ("createKey", "Makes an access key"),
                    &[("application/json", Some("NewKey"))],
                    &["listKeys"],
                )),
            ],
            |call, names| {
                Box::pin(async move { users::keys(call, &names.account()?, names.get(1)).await })
            },
        ),
        path(
            "/-/accounts/{account}/users/{user}/keys/{key}",
            KEY,
            vec![
                Operation {
                    gives: &[],
                    successes: &[204],
                    ..change(
                        "PATCH",
                        ("changeKey", "Switches an access key off or on"),
                        &[("application/json", Some("KeyState"))],
                        &[],
                    )
                },
                delete("deleteKey", "Deletes an access key"),
            ],
            |call, names| {
                Box::pin(async move {
                    users::key(call, (&names.account()?, names.get(1)), names.get(2)).await
                })
            },
        ),
    ]
}

fn others() -> Vec<Row> {
    const NAMED: &[Parameter] = &[ACCOUNT, ("name", IDENTITY, "its name")];
    vec![
        path(
            "/-/accounts/{account}/groups/{name}",
            NAMED,
            vec![
                read("readGroup", "A group"),
                optional(change(
                    "PUT",
                    ("writeGroup", "Creates or changes a group"),
                    &[("application/json", Some("Group"))],
                    &["readGroup", "deleteGroup"],
                )),
                delete("deleteGroup", "Deletes a group"),
            ],
            |call, names| {
                Box::pin(
                    async move { others::of_group(call, &names.account()?, names.get(1)).await },
                )
            },
        ),
        path(
            "/-/accounts/{account}/roles/{name}",
            NAMED,
            vec![
                read("readRole", "A role"),
                change(
                    "PUT",
                    ("writeRole", "Creates or changes a role"),
                    &[("application/json", Some("Role"))],
                    &["readRole", "deleteRole"],
                ),
                delete("deleteRole", "Deletes a role"),
            ],
            |call, names| {
                Box::pin(
                    async move { others::of_role(call, &names.account()?, names.get(1)).await },
                )
            },
        ),
        path(
            "/-/accounts/{account}/roles/{name}/sessions",
            NAMED,
            vec![optional(Operation {
                successes: &[201],
                ..change(
                    "POST",
                    ("assumeRole", "Takes a role for a while"),
                    &[("application/json", Some("Assume"))],
                    &[],
                )
            })],
            |call, names| {
                Box::pin(async move { tokens::assume(call, &names.account()?, names.get(1)).await })
            },
        ),
        path(
            "/-/accounts/{account}/policies/{name}",
            NAMED,
            vec![
                read("readPolicy", "A policy"),
                change(
                    "PUT",
                    ("writePolicy", "Creates or changes a policy"),
                    &[("application/json", Some("PolicyDocument"))],
                    &["readPolicy", "deletePolicy"],
                ),
                delete("deletePolicy", "Deletes a policy"),
            ],
            |call, names| {
                Box::pin(
                    async move { others::of_policy(call, &names.account()?, names.get(1)).await },
                )
            },
        ),
    ]
}

fn closed(required: &[&str], properties: Value) -> Value {
    json!({"type": "object", "additionalProperties": false, "required": required,
        "properties": properties})
}

fn schemas() -> Vec<(&'static str, Value)> {
    let text = json!({"type": ["string", "null"]});
    let flag = json!({"type": ["boolean", "null"]});
    let texts = json!({"type": ["array", "null"], "items": {"type": "string"}});
    let names = json!({"type": "array", "items": {"type": "string"}});
    let documents = json!({"type": "array", "items": {"type": "object"}});
    let policy = json!({"type": "object", "required": ["Statement"]});
    let time = json!({"type": ["string", "null"], "format": "date-time"});
    let user = json!({
        "id": text, "password": text, "display_name": text, "email": text, "enabled": flag,
        "admin": flag, "reseller_admin": flag, "service": flag, "groups": texts,
        "policies": texts, "certificates": texts, "access_key": text, "secret_key": text});
    let explain = json!({
        "user": text, "account": text, "action": {"type": "string"},
        "resource": {"type": "string"}, "source_ip": text, "secure": {"type": "boolean"},
        "context": {"type": "object", "additionalProperties": names}});
    let ownership =
        json!({"enum": ["BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"]});
    let block = json!({"type": "boolean"});
    vec![
        ("User", closed(&[], user)),
        ("Group", closed(&[], json!({ "policies": names }))),
        (
            "Role",
            closed(&["trust"], json!({"policies": names, "trust": policy})),
        ),
        ("PolicyDocument", policy),
        (
            "NewKey",
            closed(
                &[],
                json!({"access_key": text, "secret_key": text, "expires": time}),
            ),
        ),
        (
            "KeyState",
            closed(&["enabled"], json!({"enabled": {"type": "boolean"}})),
        ),
        (
            "Issue",
            closed(
                &[],
                json!({"lifetime_seconds": {"type": ["integer", "null"], "minimum": 1},
                    "policies": documents}),
            ),
        ),
        (
            "Assume",
            closed(
                &[],
                json!({"session": text, "external_id": text, "policies": documents,
                    "lifetime_seconds": {"type": ["integer", "null"], "minimum": 1}}),
            ),
        ),
        (
            "Revoke",
            closed(&["token"], json!({"token": {"type": "string"}})),
        ),
        ("Explain", closed(&["action", "resource"], explain)),
        ("AccessList", json!({"type": "object"})),
        (
            "Ownership",
            closed(&["ownership"], json!({ "ownership": ownership })),
        ),
        (
            "PublicAccess",
            closed(
                &[],
                json!({"block_acls": block, "ignore_acls": block, "block_policy": block,
                    "restrict_buckets": block}),
            ),
        ),
    ]
}

/// Adds this API to the document.
pub fn describe(document: OpenApi) -> OpenApi {
    document.with(TABLE.iter().map(|row| row.described.clone()), schemas())
}
