//! CDMI over the real binary: what goes beyond the main operations, and what the annexes and the
//! standalone extensions add.

use crate::Fixture;
use crate::cdmi::{CONTAINER, OBJECT, QUEUE, call, create, get, read, status};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use trestle_tests::Client;

/// Waits until something holds; far longer than it should take.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn found(client: &mut Client, at: &str, scope: Value) -> Value {
    let query = json!({"metadata": {
        "cdmi_queue_type": "cdmi_query_immediate", "cdmi_scope_specification": scope,
        "cdmi_results_specification": {"objectName": ""},
    }});
    let made = call(client, "PUT", at, QUEUE, query);
    status(&made, 201);
    let names = crate::json(&made)["value"].clone();
    let names = names.as_array().unwrap().iter();
    names.map(|one| one["objectName"].clone()).collect()
}

#[test]
fn a_container_takes_over_what_another_says_of_itself() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    create(
        client,
        "/c/from/",
        json!({"metadata": {"a": "b", "cdmi_hold_id": ["h"]}}),
    );
    create(client, "/c/to/", json!({"metadata": {"x": "y"}}));
    create(client, "/c/to/stays", json!({"value": "1"}));
    let copy = json!({"copy": "/c/from/"});
    status(&call(client, "PATCH", "/c/to/", CONTAINER, copy), 204);
    let shown = read(client, "/c/to/", CONTAINER);
    assert_eq!(shown["metadata"]["a"], "b");
    assert!(shown["metadata"].get("x").is_none());
    assert!(shown["metadata"].get("cdmi_hold_id").is_none());
    assert_eq!(shown["children"], json!(["stays"]));
    let missing = json!({"copy": "/c/nothing/"});
    status(&call(client, "PATCH", "/c/to/", CONTAINER, missing), 400);
}

#[test]
fn scopes_name_containers_and_domains_by_id_as_well() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    let inner = create(client, "/c/in/", json!({}));
    let made = create(client, "/c/in/o", json!({"value": "x"}));
    create(client, "/c/p", json!({"value": "x"}));
    let parent = inner["objectID"].as_str().unwrap();
    for uri in ["/c/in/".to_owned(), format!("/cdmi_objectid/{parent}/")] {
        let scope = json!([{"parentURI": format!("== {uri}")}]);
        assert_eq!(found(client, "/c/q", scope), json!(["o"]), "{uri}");
    }
    let domain = read(
        client,
        made["domainURI"].as_str().unwrap(),
        "application/cdmi-domain",
    );
    let domain = domain["objectID"].as_str().unwrap();
    let scope = json!([{
        "domainURI": format!("== /cdmi_objectid/{domain}/"), "objectName": "== p",
    }]);
    assert_eq!(found(client, "/c/q", scope), json!(["p"]));
    let scope = json!([{
        "domainURI": format!("!= /cdmi_objectid/{domain}/"), "objectName": "== p",
    }]);
    assert_eq!(found(client, "/c/q", scope), json!([]));
}

#[test]
fn scripts_of_other_origins_are_admitted_by_metadata() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(
        client,
        "/c/",
        json!({"metadata": {"cdmi_cors_origins": ["http://a.example"]}}),
    );
    create(client, "/c/o", json!({"value": "x"}));
    let mut answer = |origin: &str, target: &str| {
        let headers = [("origin", origin)];
        let answer = client.send("GET", target, &headers, b"").unwrap();
        (answer.status, answer.header("access-control-allow-origin"))
    };
    let own = Some("http://a.example".to_owned());
    assert_eq!(answer("http://a.example", "/cdmi/c/o"), (200, own.clone()));
    assert_eq!(answer("http://a.example", "/cdmi/c/missing"), (404, own));
    assert_eq!(answer("http://b.example", "/cdmi/c/o"), (200, None));
    let preflight = [
        ("origin", "http://a.example"),
        ("access-control-request-method", "PUT"),
    ];
    let nobody = &mut Client::anonymous(fixture.server().address);
    let refused = nobody.send("OPTIONS", "/cdmi/c/o", &preflight, b"");
    status(&refused.unwrap(), 403);
}

#[test]
fn a_domain_admits_the_methods_of_authentication_that_it_names() {
    let fixture = Fixture::new();
    let root = &mut fixture.client();
    let target = "/-/accounts/acme/users/ann";
    let text = br#"{"password":"a long enough password","admin":true}"#;
    status(&root.send("PUT", target, &[], text).unwrap(), 201);
    let address = fixture.server().address;
    let ann = &mut Client::new(address, "acme/ann", "a long enough password");
    create(ann, "/mine/", json!({}));
    let admit = |root: &mut Client, methods: Value| {
        let change = json!({"metadata": {"cdmi_authentication_methods": methods}});
        let domain = "application/cdmi-domain";
        status(
            &call(root, "PATCH", "/cdmi_domains/acme/", domain, change),
            204,
        );
    };
    admit(root, json!(["x509"]));
    status(&get(ann, "/mine/", CONTAINER), 403);
    admit(root, json!(["anonymous", "basic"]));
    status(&get(ann, "/mine/", CONTAINER), 200);
}

#[test]
fn what_is_asked_to_goes_when_its_retention_ends() {
    let fixture = Fixture::new();
    let client = &mut fixture.client();
    create(client, "/c/", json!({}));
    let mut now = String::new();
    // The server's own time, and three seconds on within the same minute.
    until("a minute begins", || {
        let made = call(client, "POST", "/c/", OBJECT, json!({}));
        let made = crate::json(&made);
        now = made["metadata"]["cdmi_ctime"].as_str().unwrap().to_owned();
        now[17..19].parse::<u32>().unwrap() <= 56
    });
    let second: u32 = now[17..19].parse().unwrap();
    let end = format!("{}{:02}{}", &now[..17], second + 3, &now[19..]);
    let document = json!({"metadata": {
        "cdmi_retention_period": format!("{now}/{end}"), "cdmi_retention_autodelete": "true",
    }});
    create(client, "/c/o", document);
    until("it ends", || get(client, "/c/o", OBJECT).status == 404);
}

/// Each row of the table of the standard names a test that exists.
#[test]
fn the_table_of_conformance_names_tests_that_exist() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let table = std::fs::read_to_string(root.join("docs/conformance/cdmi.md")).unwrap();
    let mut tests = String::new();
    for entry in std::fs::read_dir(root.join("tests/it")).unwrap() {
        let path = entry.unwrap().path();
        if path
            .file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with("cdmi")
        {
            tests.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
    let mut rows = 0;
    for line in table.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.split(" | ").collect();
        let Some(last) = cells.last().filter(|_| cells.len() == 5) else {
            continue;
        };
        let mut words = last.split('`');
        while let (Some(_), Some(name)) = (words.next(), words.next()) {
            rows += 1;
            let unit = last.contains(&format!("`{name}` (unit)"));
            let module = root.join(format!("crates/cdmi/src/{name}.rs"));
            let there = tests.contains(&format!("fn {name}()"))
                || unit && module.is_file()
                || name.starts_with("cdmi_");
            assert!(there, "{name} is no test: {line}");
        }
    }
    assert!(rows > 150, "{rows}");
}
