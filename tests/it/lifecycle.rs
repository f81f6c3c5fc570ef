//! Starting, stopping, starting again; who the root user is; what is in force.

use crate::{Fixture, put, send};
use std::os::unix::fs::PermissionsExt as _;
use tempfile::TempDir;
use trestle_tests::server::{PASSWORD, USER};
use trestle_tests::{Client, Launch, tree};

fn errors(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_first_start_makes_the_root_user_and_says_so_once() {
    let folder = TempDir::new().unwrap();
    let unset = Launch::new(folder.path().join("data"))
        .variable("TRESTLE_ROOT_USER", "")
        .variable("TRESTLE_ROOT_PASSWORD", "")
        .variable("TRESTLE_ROOT_ACCESS_KEY", "")
        .variable("TRESTLE_ROOT_SECRET_KEY", "");
    let server = unset.start();
    let path = folder.path().join("data/root-credentials");
    let mode = path.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{mode:o}");
    let kept = std::fs::read_to_string(&path).unwrap();
    let value = |name: &str| {
        let line = kept
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}=")));
        line.unwrap_or_else(|| panic!("{name} is not kept: {kept}"))
            .to_owned()
    };
    let (user, password) = (value("TRESTLE_ROOT_USER"), value("TRESTLE_ROOT_PASSWORD"));
    for name in ["TRESTLE_ROOT_ACCESS_KEY", "TRESTLE_ROOT_SECRET_KEY"] {
        assert!(
            server.greeting.contains(&value(name)),
            "{name} is not shown"
        );
    }
    assert!(
        server.greeting.contains(&password),
        "the password is not shown"
    );

    // The examples are ready to paste.
    let examples: Vec<&str> = server
        .greeting
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("curl "))
        .collect();
    assert!(examples.len() > 2, "{}", server.greeting);
    std::fs::write(folder.path().join("README.md"), "a file to upload").unwrap();
    for example in examples {
        let run = std::process::Command::new("sh")
            .args(["-c", &example.replacen("curl ", "curl -fsS ", 1)])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(run.status.success(), "{example}: {}", errors(&run));
    }
    assert!(
        !server.log().contains(&password),
        "the log has the password"
    );
    assert!(server.stop().unwrap().success());

    let again = unset.start();
    assert!(
        !again.greeting.contains(&password),
        "shown again: {}",
        again.greeting
    );
    let mut client = Client::new(again.address, &user, &password);
    assert_eq!(send(&mut client, "GET", "/rest/").status, 200);
}

#[test]
fn root_credentials_may_be_given_again_but_not_changed_in_passing() {
    let mut fixture = Fixture::new();
    fixture.stop();
    fixture.start();
    assert_eq!(send(&mut fixture.client(), "GET", "/rest/b/").status, 200);
    fixture.stop();
    for (name, value) in [
        ("TRESTLE_ROOT_USER", "admin"),
        ("TRESTLE_ROOT_PASSWORD", "another password"),
        ("TRESTLE_ROOT_ACCESS_KEY", "ANOTHERKEY"),
        ("TRESTLE_ROOT_SECRET_KEY", "another secret"),
    ] {
        let refused = fixture.launch().variable(name, value).refused();
        let text = errors(&refused);
        let setting = name.trim_start_matches("TRESTLE_").to_lowercase();
        assert!(text.contains(&setting), "does not name {setting}: {text}");
        assert!(
            !text.contains(value) || name.ends_with("USER"),
            "shows a secret: {text}"
        );
    }
    fixture.start();
    let address = fixture.server().address;
    assert_eq!(
        send(&mut Client::new(address, USER, PASSWORD), "GET", "/rest/").status,
        200
    );
}

#[test]
fn secrets_that_are_configured_are_not_printed() {
    let folder = TempDir::new().unwrap();
    let password = "one that the operator chose";
    let launch = Launch::new(folder.path().join("data"))
        .variable("TRESTLE_ROOT_PASSWORD", password)
        .variable("TRESTLE_ROOT_SECRET_KEY", "");
    let server = launch.start();
    let kept = std::fs::read_to_string(folder.path().join("data/root-credentials")).unwrap();
    let made = kept
        .lines()
        .find_map(|line| line.strip_prefix("TRESTLE_ROOT_SECRET_KEY="));
    assert!(
        server.greeting.contains(made.unwrap()),
        "{}",
        server.greeting
    );
    assert!(!server.greeting.contains(password), "{}", server.greeting);
    server.stop().unwrap();
}

#[test]
fn root_credentials_are_made_anew_when_no_server_runs() {
    let mut fixture = Fixture::new();
    put(&mut fixture.client(), "/rest/b/k", b"v");
    let data = fixture.folder.path().join("data");
    let text = data.display().to_string();
    let in_use = fixture.launch().run(&["root", "reset", "--data", &text]);
    assert!(errors(&in_use).contains("use"), "{}", errors(&in_use));
    fixture.stop();
    let nowhere = fixture.folder.path().join("nowhere");
    let nowhere = nowhere.display().to_string();
    let refused = fixture.launch().run(&["root", "reset", "--data", &nowhere]);
    assert!(errors(&refused).contains("not a Trestle data folder"));
    assert!(!std::path::Path::new(&nowhere).exists());

    let reset = |fixture: &Fixture| {
        let mut launch = fixture.launch().variable("TRESTLE_ROOT_USER", "admin");
        for part in ["PASSWORD", "ACCESS_KEY", "SECRET_KEY"] {
            launch = launch.variable(&format!("TRESTLE_ROOT_{part}"), "");
        }
        launch.run(&["root", "reset", "--data", &text])
    };
    let done = reset(&fixture);
    assert!(done.status.success(), "{}", errors(&done));
    let shown = String::from_utf8(done.stdout).unwrap();
    let file = std::fs::read_to_string(data.join("root-credentials")).unwrap();
    let value = |name: &str| {
        let line = file.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{name} is missing"))
    };
    let password = value("TRESTLE_ROOT_PASSWORD=");
    assert!(value("TRESTLE_ROOT_USER=") == "admin" && password != PASSWORD);
    assert!(shown.contains(password), "the password was not shown");

    let mismatch = errors(&fixture.launch().refused());
    assert!(mismatch.contains("trestle root reset"), "{mismatch}");
    let server = Launch::new(data.clone())
        .variable("TRESTLE_ROOT_USER", "admin")
        .variable("TRESTLE_ROOT_PASSWORD", password)
        .variable("TRESTLE_ROOT_ACCESS_KEY", value("TRESTLE_ROOT_ACCESS_KEY="))
        .variable("TRESTLE_ROOT_SECRET_KEY", value("TRESTLE_ROOT_SECRET_KEY="))
        .start();
    let get = |user: &str, password: &str| {
        let mut client = Client::new(server.address, user, password);
        send(&mut client, "GET", "/rest/b/k").status
    };
    assert_eq!(get("admin", password), 200);
    assert_eq!(get(USER, PASSWORD), 401);
    assert_eq!(get("admin", PASSWORD), 401);
}

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    let fixture = Fixture::new();
    put(&mut fixture.client(), "/rest/b/k", b"v");
    let text = errors(&fixture.launch().refused());
    assert!(
        text.contains("data") && (text.contains("use") || text.contains("lock")),
        "{text}"
    );
    let data = fixture.folder.path().join("data").display().to_string();
    let check = fixture.launch().run(&["check", "--data", &data]);
    assert!(
        !check.status.success(),
        "check, too, works on a folder that nobody uses"
    );
    assert_eq!(send(&mut fixture.client(), "GET", "/rest/b/k").text(), "v");
}

#[test]
fn a_restart_keeps_everything() {
    let mut fixture = Fixture::new();
    let sizes = [0, 1, 70_000, 200_000, 6 << 20];
    let mut tags = Vec::new();
    for size in sizes {
        let client = &mut fixture.client();
        let headers = [("content-type", "text/x-test")];
        let body = tree::noise(size as u64, size);
        let put = client
            .send("PUT", &format!("/rest/b/{size}"), &headers, &body)
            .unwrap();
        tags.push(put.header("etag"));
    }
    for round in ["stop", "kill", "stop"] {
        if round == "stop" {
            fixture.stop();
        } else {
            fixture.kill();
        }
        fixture.start();
        let client = &mut fixture.client();
        for (size, tag) in sizes.into_iter().zip(&tags) {
            let read = send(client, "GET", &format!("/rest/b/{size}"));
            assert!(
                read.body == tree::noise(size as u64, size),
                "{size} after a {round}"
            );
            assert_eq!(&read.header("etag"), tag);
            assert_eq!(read.header("content-type").as_deref(), Some("text/x-test"));
        }
        let page = crate::json(&send(client, "GET", "/rest/b/"));
        assert_eq!(
            (&page["objects"], &page["bytes"]),
            (&5.into(), &sizes.iter().sum::<usize>().into())
        );
    }
    fixture.stop();
    fixture.launch().check().unwrap();
}

#[test]
fn a_stop_lets_requests_in_progress_end() {
    use std::io::{Read as _, Write as _};
    let mut fixture = Fixture::new();
    let credentials = trestle_tests::client::base64(format!("{USER}:{PASSWORD}").as_bytes());
    let head = format!(
        "PUT /rest/b/slow HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {credentials}\r\n\
         Content-Length: 10\r\nExpect: 100-continue\r\n\r\n"
    );
    let mut stream = std::net::TcpStream::connect(fixture.server().address).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    stream.write_all(b"first").unwrap();
    let answer = std::thread::scope(|scope| {
        let stopping = scope.spawn(|| fixture.stop());
        std::thread::sleep(std::time::Duration::from_millis(300));
        stream.write_all(b"again").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        stopping.join().unwrap();
        answer
    });
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    fixture.start();
    assert_eq!(
        send(&mut fixture.client(), "GET", "/rest/b/slow").text(),
        "firstagain"
    );
}

#[test]
fn the_strongest_source_of_a_setting_wins() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("trestle.toml");
    std::fs::write(
        &file,
        "data = '/file'\nlisten = '127.0.0.1:1'\nroot_password = 'hush'\n",
    )
    .unwrap();
    let file = file.display().to_string();
    let launch = Launch::new(folder.path().join("data"))
        .variable("TRESTLE_ROOT_PASSWORD", "")
        .variable("TRESTLE_LISTEN", "127.0.0.1:2");
    let shown = launch.run(&["config", "show", "--config", &file, "--data", "/flag"]);
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.status.success(), "{}", errors(&shown));
    let line = |name: &str| {
        text.lines()
            .find(|line| line.starts_with(name))
            .unwrap()
            .to_owned()
    };
    assert!(
        line("data").contains("/flag") && line("data").contains("flag"),
        "{text}"
    );
    assert!(line("listen").contains("127.0.0.1:2"), "{text}");
    assert!(line("listen").contains("TRESTLE_LISTEN"), "{text}");
    assert!(
        line("root_password").contains(&file) && !text.contains("hush"),
        "{text}"
    );
    assert!(line("root_user").contains("TRESTLE_ROOT_USER"), "{text}");

    assert!(
        launch
            .run(&["config", "check", "--config", &file])
            .status
            .success()
    );
    std::fs::write(&file, "dta = 'x'\n").unwrap();
    let wrong = launch.run(&["config", "check", "--config", &file]);
    assert!(
        !wrong.status.success() && errors(&wrong).contains("dta"),
        "{}",
        errors(&wrong)
    );
    // A value of the wrong type is not repeated: it may be a secret.
    std::fs::write(&file, "listen = 'x'\nroot_password = 20250131\n").unwrap();
    let wrong = errors(&launch.run(&["config", "check", "--config", &file]));
    assert!(
        wrong.contains("line 2") && !wrong.contains("20250131"),
        "{wrong}"
    );
    let missing = launch.run(&["config", "check", "--config", "/nowhere.toml"]);
    assert!(!missing.status.success());
}

#[test]
fn a_log_filter_that_means_nothing_is_refused() {
    let folder = TempDir::new().unwrap();
    for wrong in ["trestle=loud", "info,=,"] {
        let launch = Launch::new(folder.path().join("data")).variable("TRESTLE_LOG", wrong);
        let refused = launch.refused();
        assert!(
            errors(&refused).contains("TRESTLE_LOG"),
            "{}",
            errors(&refused)
        );
    }
}

#[test]
fn what_cannot_be_served_is_refused_at_the_start() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("data"), "a file, no folder").unwrap();
    assert!(errors(&Launch::new(folder.path().join("data")).refused()).contains("data"));

    let mut fixture = Fixture::new();
    fixture.stop();
    // A data folder of a newer format: its version is at offset 8, its checksum behind it.
    let store = fixture.folder.path().join("data/STORE");
    let mut bytes = std::fs::read(&store).unwrap();
    bytes[11] += 1;
    std::fs::write(&store, &bytes).unwrap();
    assert!(!errors(&fixture.launch().refused()).is_empty());
}

#[test]
fn an_answer_that_broke_off_is_seen_in_the_log() {
    use std::io::{Read as _, Write as _};
    let mut fixture = Fixture::new();
    put(&mut fixture.client(), "/rest/b/large", &[7; 24 << 20]);
    let credentials = trestle_tests::client::base64(format!("{USER}:{PASSWORD}").as_bytes());
    let head = format!(
        "GET /rest/b/large HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {credentials}\r\n\r\n"
    );
    let mut stream = std::net::TcpStream::connect(fixture.server().address).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    stream.read_exact(&mut [0; 1 << 20]).unwrap();
    drop(stream);
    assert_eq!(
        send(&mut fixture.client(), "GET", "/rest/b/large").status,
        200
    );
    assert_eq!(send(&mut fixture.client(), "HEAD", "/rest/b/").status, 200);
    let file = fixture.server().log_file();
    fixture.stop();
    let log = std::fs::read_to_string(file).unwrap();
    let reads = |words: &str| log.lines().filter(|line| line.contains(words)).count();
    assert_eq!(reads("broke off"), 1, "{log}");
    assert_eq!(reads(&format!("bytes={}", 24 << 20)), 1, "{log}");
    assert_eq!(reads("method=GET path=\"/rest/b/large\""), 2, "{log}");
}

#[test]
fn every_request_leaves_one_line_with_its_id() {
    let mut fixture = Fixture::new();
    let response = put(&mut fixture.client(), "/rest/b/logged", b"v");
    let id = response.header("x-request-id").unwrap();
    let file = fixture.server().log_file();
    fixture.stop();
    let log = std::fs::read_to_string(file).unwrap();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(&id)).collect();
    assert_eq!(lines.len(), 1, "{log}");
    for part in ["PUT", "/rest/b/logged", "201"] {
        assert!(lines[0].contains(part), "{}", lines[0]);
    }
}

#[test]
fn a_store_needs_the_master_key_that_it_was_made_with() {
    let folder = TempDir::new().unwrap();
    let key = |name: &str| folder.path().join(name).display().to_string();
    let with = |name: &str| {
        Launch::new(folder.path().join("data")).variable("TRESTLE_MASTER_KEY", &key(name))
    };
    with("first.key").start().stop().unwrap();
    let text = std::fs::read_to_string(key("first.key")).unwrap();
    assert_eq!(text.trim().len(), 64);
    with("first.key").start().stop().unwrap();
    let refused = errors(&with("second.key").refused());
    assert!(refused.contains("needs master key"), "{refused}");
    assert!(!refused.contains(text.trim()));
    // Nothing is put where the right one belongs.
    assert!(!std::path::Path::new(&key("second.key")).exists());
    std::fs::write(key("third.key"), "nonsense").unwrap();
    let refused = errors(&with("third.key").refused());
    assert!(refused.contains("does not hold a master key"), "{refused}");

    let inside = folder.path().join("other");
    let path = inside.join("master.key").display().to_string();
    let launch = Launch::new(&inside).variable("TRESTLE_MASTER_KEY", &path);
    let server = launch.start();
    let log = server.log_file();
    server.stop().unwrap();
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("inside the data folder"), "{log}");
}

#[test]
fn keys_are_rotated_and_a_rotation_that_was_cut_short_is_finished() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let file = |name: &str| folder.path().join("keys").join(name);
    let key = file("master.key").display().to_string();
    let launch = Launch::new(&data).variable("TRESTLE_MASTER_KEY", &key);
    launch.start().stop().unwrap();
    let beside = Launch::new(folder.path().join("other")).variable("TRESTLE_MASTER_KEY", &key);
    beside.start().stop().unwrap();
    let former = std::fs::read_to_string(&key).unwrap();
    let rotate = ["key", "rotate", "--data", &data.display().to_string()];
    let rotated = launch.run(&rotate);
    assert!(rotated.status.success(), "{}", errors(&rotated));
    let new = std::fs::read_to_string(&key).unwrap();
    assert_ne!(new, former);
    assert!(!file("master.next").exists());
    launch.start().stop().unwrap();

    // Another folder under the former key is lost to nobody.
    let kept = file("master.key.1").display().to_string();
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), former);
    let refused = errors(&beside.refused());
    assert!(refused.contains("needs master key"), "{refused}");
    let beside = beside.variable("TRESTLE_MASTER_KEY", &kept);
    beside.start().stop().unwrap();

    // As a crash leaves it between the store's commit and the change of files.
    std::fs::rename(&key, file("master.next")).unwrap();
    std::fs::write(&key, &former).unwrap();
    launch.start().stop().unwrap();
    assert_eq!(std::fs::read_to_string(&key).unwrap(), new);

    std::fs::write(&key, &former).unwrap();
    let refused = errors(&launch.refused());
    assert!(refused.contains("needs master key"), "{refused}");

    std::fs::write(&key, &new).unwrap();
    let server = launch.start();
    let in_use = launch.run(&rotate);
    assert!(!in_use.status.success());
    server.stop().unwrap();
}

#[test]
fn settings_that_would_do_nothing_or_mean_nothing_are_refused() {
    let mut fixture = Fixture::new();
    fixture.stop();
    for (name, value, said) in [
        ("TRESTLE_TLS_CERTIFICATE", "c.pem", "set listen_tls"),
        ("TRESTLE_TLS_KEY", "k.pem", "set listen_tls"),
        ("TRESTLE_TLS_CLIENTS", "a.pem", "set listen_tls"),
        ("TRESTLE_BODY_RATE_MIN", "fast", "body_rate_min"),
        ("TRESTLE_BODY_GRACE", "0", "body_grace"),
    ] {
        let refused = fixture.launch().variable(name, value).refused();
        let text = errors(&refused);
        assert!(text.contains(said), "{name}: {text}");
    }
}
