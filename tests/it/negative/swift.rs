//! Swift's rows. Temporary URLs and forms are signed here, because their rows need right
//! signatures to misuse.

use super::Who::{Boss, Nobody};
use super::rows::rows;
use super::{Ask, Proof, World, ask};
use trestle_tests::sigv4::{hex, mac};

/// The key of temporary URLs.
const KEY: &str = "the key of the account";
/// When what is not over ends.
const LATE: &str = "32503680000";

fn with_token(ask: Ask) -> Ask {
    let proof = Proof::Token;
    Ask { proof, ..ask }
}

fn sign(text: &str) -> String {
    hex(&mac(KEY.as_bytes(), text.as_bytes()))
}

/// The query of a temporary URL.
fn url(method: &str, expires: &str, path: &str) -> String {
    let sig = sign(&format!("{method}\n{expires}\n/v1/AUTH_root/{path}"));
    format!("temp_url_sig={sig}&temp_url_expires={expires}")
}

/// The signature of a form with one small file.
fn form(path: &str, redirect: &str, expires: &str) -> String {
    sign(&format!(
        "/v1/AUTH_root/{path}\n{redirect}\n4\n1\n{expires}"
    ))
}

fn world() -> World {
    let mut world = World::new();
    let mut made = |method: &str, target: &str, header: (&str, &str), body: &str| {
        let ask = ask(method, target).with(header.0, header.1).body(body);
        world.made(with_token(ask));
    };
    let none = ("x-trans-id-extra", "x");
    let account = "/v1/AUTH_root";
    let key = ("x-account-meta-temp-url-key", KEY);
    made("POST", account, key, "");
    for (container, header) in [
        ("c", none),
        ("d", none),
        (
            "sites",
            ("x-container-read", ".r:.example.org,.r:-bad.example.org"),
        ),
        ("full", ("x-container-meta-quota-bytes", "4")),
        ("few", ("x-container-meta-quota-count", "1")),
        ("old", ("x-versions-location", "d")),
        ("versions", ("x-versions-enabled", "true")),
    ] {
        made("PUT", &format!("{account}/{container}"), header, "");
    }
    for object in [
        "c/o",
        "c/s1",
        "c/s2",
        "sites/o",
        "full/o",
        "few/o",
        "versions/o",
    ] {
        made("PUT", &format!("{account}/{object}"), none, "data");
    }
    let manifest = r#"[{"path":"/c/s1"},{"path":"/c/s2"}]"#;
    made(
        "PUT",
        &format!("{account}/c/slo?multipart-manifest=put"),
        none,
        manifest,
    );
    made(
        "PUT",
        &format!("{account}/c/dlo"),
        ("x-object-manifest", "c/s"),
        "",
    );
    for (link, target) in [
        ("l1", "c/l2"),
        ("l2", "c/l1"),
        ("gone", "c/none"),
        ("ok", "c/o"),
    ] {
        let header = ("x-symlink-target", target);
        made("PUT", &format!("{account}/c/{link}"), header, "");
    }
    let acme = |target: &str| with_token(ask("PUT", &format!("/v1/AUTH_acme/{target}")).by(Boss));
    world.made(acme("boss"));
    world.made(acme("boss/o").body("theirs"));
    let link = acme("boss/link").with("x-symlink-target", "c/o");
    world.made(link.with("x-symlink-target-account", "AUTH_root"));
    for (name, value) in [
        ("get-o", url("GET", LATE, "c/o")),
        ("put-o", url("PUT", LATE, "c/o")),
        ("put-new", url("PUT", LATE, "c/new")),
        ("delete-o", url("DELETE", LATE, "c/o")),
        ("late", url("GET", "1000000000", "c/o")),
        ("before", url("GET", "-5", "c/o")),
        ("container", url("GET", LATE, "c")),
        ("form", form("c/in", "", LATE)),
        ("form-late", form("c/in", "", "1000000000")),
        ("form-away", form("c/in", "http://good.example.org/", LATE)),
    ] {
        world.names.insert(name, value);
    }
    let prefix = sign(&format!("GET\n{LATE}\nprefix:/v1/AUTH_root/c/s"));
    let prefix = format!("temp_url_sig={prefix}&temp_url_expires={LATE}&temp_url_prefix=s");
    world.names.insert("prefix", prefix);
    let elsewhere = sign(&format!("ip=10.0.0.0/8\nGET\n{LATE}\n/v1/AUTH_root/c/o"));
    let elsewhere = format!("temp_url_sig={elsewhere}&temp_url_expires={LATE}");
    world.names.insert("elsewhere", elsewhere);
    world.names.insert("LATE", LATE.to_owned());
    world
}

#[test]
fn swift_refuses_each_of_its_named_cases_and_changes_nothing() {
    let mut world = world();
    // What the wrong ones are made of is served.
    for query in ["<get-o>", "<prefix>"] {
        let target = match query {
            "<prefix>" => "/v1/AUTH_root/c/s1?<prefix>",
            _ => "/v1/AUTH_root/c/o?<get-o>",
        };
        assert_eq!(world.made(ask("GET", target).by(Nobody)).text(), "data");
    }
    let refused = world.refuses(rows(include_str!("swift.txt"), with_token));
    assert!(refused >= 193, "{refused}");
}
