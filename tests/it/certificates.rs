//! Client certificates, by curl and with the very commands of docs/serving.md.

use crate::access::document;
use crate::{Fixture, put, send};
use std::path::Path;
use std::process::{Command, Output};
use trestle_tests::client::base64;
use trestle_tests::server::{PASSWORD, USER, binary};
use trestle_tests::{Client, Launch, Server};

const SERVING: &str = include_str!("../../docs/serving.md");

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Commands of a shell in a folder; `trestle` is the binary under test, which asks `server`.
fn shell(folder: &Path, server: Option<&Server>, script: &str) -> Output {
    let place = binary();
    let mut paths = place.parent().unwrap().as_os_str().to_owned();
    paths.push(":");
    paths.push(std::env::var_os("PATH").unwrap());
    let mut command = Command::new("bash");
    command
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(folder)
        .env("PATH", paths)
        .env("TRESTLE_USER", USER)
        .env("TRESTLE_PASSWORD", PASSWORD);
    if let Some(server) = server {
        command.env("TRESTLE_SERVER", format!("http://{}", server.address));
    }
    command.output().unwrap()
}

fn done(output: &Output) {
    let (out, error) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}{error}");
}

/// The commands of the section on client certificates that begin with one of these words.
fn documented(words: &[&str]) -> String {
    let (_, section) = SERVING.split_once("## Client certificates").unwrap();
    let (_, block) = section.split_once("```sh\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let lines = block.lines();
    let kept: Vec<&str> = lines
        .filter(|line| words.iter().any(|word| line.starts_with(word)))
        .collect();
    assert!(kept.len() >= words.len(), "{words:?}: {kept:?}");
    kept.join("\n")
}

/// A certificate and its key, vouched for by the authority of the documentation or by itself.
fn certificate(folder: &Path, name: &str, vouched: bool) {
    let script = match vouched {
        true => documented(&["openssl req -newkey", "echo basicConstraints"]).replace("ann", name),
        false => documented(&["openssl req -x509"]).replace("authority", name),
    };
    done(&shell(folder, None, &script));
}

/// What curl was answered, status and body; without a status when there was no answer.
fn curl(folder: &Path, url: &str, flags: &[&str]) -> (String, String) {
    let output = Command::new("curl")
        .args(["-sS", "--max-time", "60", "-w", "\n%{http_code}"])
        .args(["--cacert", "data/trial-certificate.pem"])
        .args(flags)
        .arg(url)
        .current_dir(folder)
        .output()
        .unwrap();
    let said = text(&output.stdout);
    let (body, status) = said.rsplit_once('\n').unwrap();
    (status.to_owned(), body.to_owned())
}

struct Secure {
    fixture: Fixture,
    url: String,
}

impl Secure {
    /// A server that asks for certificates of the documentation's authority, and takes ann's.
    fn new() -> Self {
        let mut fixture = Fixture::new();
        fixture.stop();
        let folder = fixture.folder.path().to_owned();
        done(&shell(&folder, None, &documented(&["openssl req -x509"])));
        certificate(&folder, "ann", true);
        let mut launch: Launch = fixture.launch();
        let authority = folder.join("authority.pem").display().to_string();
        let flags = ["--listen-tls", "127.0.0.1:0", "--tls-clients", &authority];
        launch.flags = flags.map(str::to_owned).to_vec();
        // The address for TLS is the second that it says it listens on.
        let server = launch.start();
        let place = server.greeting.split_once("listening on https://");
        let url = place.map(|(_, rest)| rest.lines().next().unwrap_or_default());
        let url = format!("https://{}", url.expect(&server.greeting).trim());
        let made = documented(&["fingerprint=", "trestle user create"]);
        done(&shell(&folder, Some(&server), &made));
        fixture.server = Some(server);
        Secure { fixture, url }
    }

    fn curl(&self, path: &str, flags: &[&str]) -> (String, String) {
        let url = format!("{}{path}", self.url);
        curl(self.fixture.folder.path(), &url, flags)
    }

    fn status(&self, path: &str, name: &str) -> String {
        let (certificate, key) = (format!("{name}.pem"), format!("{name}-key.pem"));
        self.curl(path, &["--cert", &certificate, "--key", &key]).0
    }
}

#[test]
fn a_certificate_stands_for_its_user_and_for_nobody_else() {
    let secure = Secure::new();
    let folder = secure.fixture.folder.path().to_owned();
    let root = &mut secure.fixture.client();
    // As the documentation asks who one is.
    let command = documented(&["curl "]);
    let command = command
        .replace("https://127.0.0.1:9443", &secure.url)
        .replace("trestle-data/", "data/")
        .replacen("curl ", "curl -fsS ", 1);
    let answer = shell(&folder, None, &command);
    done(&answer);
    let me: serde_json::Value = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!(
        (&me["name"], &me["account"]),
        (&"ann".into(), &"acme".into()),
        "{me}"
    );

    // What the user may do, its certificate may, and no more.
    let policy = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::acme:user/ann"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}"#;
    let own =
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;
    assert_eq!(put(root, "/rest/b/object", b"for ann").status, 201);
    assert_eq!(secure.status("/rest/b/object", "ann"), "403");
    document(root, "PUT", "/-/buckets/b/policy", policy);
    document(root, "PUT", "/-/accounts/acme/policies/own", own);
    document(
        root,
        "PATCH",
        "/-/accounts/acme/users/ann",
        r#"{"policies":["own"]}"#,
    );
    assert_eq!(secure.status("/rest/b/object", "ann"), "200");
    assert_eq!(secure.status("/-/accounts/acme/users", "ann"), "403");

    // Without one the same is refused, and other credentials go before it.
    assert_eq!(secure.curl("/rest/b/object", &[]).0, "401");
    let basic = format!(
        "authorization: Basic {}",
        base64(format!("{USER}:{PASSWORD}").as_bytes())
    );
    let both = ["--cert", "ann.pem", "--key", "ann-key.pem", "-H", &basic];
    let (status, body) = secure.curl("/-/me", &both);
    assert!(
        status == "200" && body.contains(r#""root""#),
        "{status} {body}"
    );
    let wrong = [
        "--cert",
        "ann.pem",
        "--key",
        "ann-key.pem",
        "-H",
        "authorization: Basic eDp5",
    ];
    assert_eq!(secure.curl("/rest/b/object", &wrong).0, "401");

    // Who is disabled is let in by none.
    document(
        root,
        "PATCH",
        "/-/accounts/acme/users/ann",
        r#"{"enabled":false}"#,
    );
    assert_eq!(secure.status("/rest/b/object", "ann"), "401");
    document(
        root,
        "PATCH",
        "/-/accounts/acme/users/ann",
        r#"{"enabled":true}"#,
    );
    assert_eq!(secure.status("/rest/b/object", "ann"), "200");
    document(
        root,
        "PATCH",
        "/-/accounts/acme/users/ann",
        r#"{"certificates":[]}"#,
    );
    assert_eq!(secure.status("/rest/b/object", "ann"), "401");
}

#[test]
fn a_certificate_that_nobody_has_is_never_anonymous() {
    let secure = Secure::new();
    let folder = secure.fixture.folder.path().to_owned();
    certificate(&folder, "bob", true);
    certificate(&folder, "eve", false);
    let root = &mut secure.fixture.client();
    let public = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}"#;
    assert_eq!(put(root, "/rest/b/object", b"for all").status, 201);
    document(root, "PUT", "/-/buckets/b/policy", public);
    let nobody = &mut Client::anonymous(secure.fixture.server().address);
    assert_eq!(send(nobody, "GET", "/rest/b/object").status, 200);
    assert_eq!(secure.curl("/rest/b/object", &[]).0, "200");
    // One that the authority vouches for, but that is no user's.
    assert_eq!(secure.status("/rest/b/object", "bob"), "401");
    // One that is its own authority does not even become a connection.
    assert_eq!(secure.status("/rest/b/object", "eve"), "000");
    // Somebody else's certificate without its key is none.
    let stolen = ["--cert", "ann.pem", "--key", "bob-key.pem"];
    assert_eq!(secure.curl("/rest/b/object", &stolen).0, "000");
}

/// A certificate of the server that an authority made, as its operator would get one.
fn of_server(folder: &Path, name: &str) {
    let script = format!(
        "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} \
         -keyout server-key.new -out server.csr\n\
         printf 'basicConstraints=CA:FALSE\\nsubjectAltName=IP:127.0.0.1' | openssl x509 -req \
         -in server.csr -CA authority.pem -CAkey authority-key.pem -days 365 -extfile /dev/stdin \
         -out server.new\n\
         mv server-key.new server-key.pem\nmv server.new server.pem"
    );
    done(&shell(folder, None, &script));
}

#[test]
fn a_token_is_borne_by_curl_to_a_server_with_a_certificate_of_its_own() {
    let mut fixture = Fixture::new();
    fixture.stop();
    let folder = fixture.folder.path().to_owned();
    done(&shell(&folder, None, &documented(&["openssl req -x509"])));
    of_server(&folder, "first");
    let mut launch: Launch = fixture.launch();
    let place = |name: &str| folder.join(name).display().to_string();
    let (certificate, key) = (place("server.pem"), place("server-key.pem"));
    let flags = ["--listen-tls", "127.0.0.1:0", "--tls-certificate"];
    launch.flags = flags.map(str::to_owned).to_vec();
    launch.flags.extend([certificate, "--tls-key".into(), key]);
    let server = launch.start();
    let url = server.greeting.split_once("listening on ").unwrap().1;
    let url = url
        .lines()
        .find_map(|line| Some(line.get(line.find("https://")?..)?.trim()));
    let url = url.expect(&server.greeting).to_owned();
    let curl = |authority: &str, path: &str, flags: &[&str]| {
        let output = Command::new("curl")
            .args(["-sS", "-v", "--max-time", "60", "--cacert", authority])
            .args(flags)
            .arg(format!("{url}{path}"))
            .current_dir(&folder)
            .output()
            .unwrap();
        (text(&output.stdout), text(&output.stderr))
    };
    let root = format!("{USER}:{PASSWORD}");
    let body = r#"{"lifetime_seconds":600}"#;
    let (issued, told) = curl("authority.pem", "/-/tokens", &["-u", &root, "-d", body]);
    assert!(told.contains("CN=first"), "{told}");
    let issued: serde_json::Value = serde_json::from_str(&issued).expect(&issued);
    let token = issued["token"].as_str().unwrap();
    let me = |token: &str| {
        let bearer = format!("authorization: Bearer {token}");
        curl("authority.pem", "/-/me", &["-H", &bearer])
    };
    let (answer, _) = me(token);
    assert!(answer.contains(r#""root""#), "{answer}");
    for wrong in [
        format!("{token}x"),
        token.replace("tr1.", "tr1.A"),
        String::new(),
    ] {
        let (answer, told) = me(&wrong);
        assert!(
            told.contains("HTTP/2 401") || told.contains("HTTP/1.1 401"),
            "{told}{answer}"
        );
    }
    // Who vouches for another server does not for this one.
    let other = documented(&["openssl req -x509"]).replace("authority", "other");
    done(&shell(&folder, None, &other));
    let (answer, told) = curl("other.pem", "/healthz", &[]);
    assert!(answer.is_empty() && told.contains("certificate"), "{told}");
    // New files count from the signal on.
    of_server(&folder, "second");
    assert!(
        curl("authority.pem", "/healthz", &[])
            .1
            .contains("CN=first")
    );
    let hup = format!("kill -HUP {}", server.id());
    done(&shell(&folder, None, &hup));
    let began = std::time::Instant::now();
    while !curl("authority.pem", "/healthz", &[])
        .1
        .contains("CN=second")
    {
        assert!(
            began.elapsed().as_secs() < 60,
            "the files are not read again"
        );
    }
    // What is none does not count, and the log says so.
    done(&shell(
        &folder,
        None,
        &format!("echo x > server.pem; {hup}"),
    ));
    while !server.log().contains("certificate") {
        assert!(began.elapsed().as_secs() < 120, "{}", server.log());
    }
    assert!(
        curl("authority.pem", "/healthz", &[])
            .1
            .contains("CN=second")
    );
    fixture.server = Some(server);
}
