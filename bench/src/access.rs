//! What it costs to know who asks and to decide: the same GET by nobody, by root and by a user whose
//! rights are spread over policies and groups, with each kind of credential.

use crate::Result;
use crate::arguments::Arguments;
use crate::load::Plan;
use crate::machine::{median, scratch};
use serde_json::{Value, json};
use trestle_tests::client::base64;
use trestle_tests::server::{PASSWORD, USER};
use trestle_tests::sigv4::{Signer, Wire};
use trestle_tests::tree::noise;
use trestle_tests::{Client, Launch, Server};

const SIZE: usize = 4 << 10;
const CLIENTS: usize = 16;
/// How many policies the user has in person, and each of its groups.
const IN_PERSON: usize = 4;
const BY_GROUP: usize = 3;
const GROUPS: [&str; 2] = ["staff", "readers"];
const ANN: &str = "ann";
const ACCESS_KEY: &str = "ANNSACCESSKEY0000001";
const SECRET_KEY: &str = "ann-s-long-secret-key-for-benchmarks-01";
/// Linux tells times of processes in hundredths of a second, on every machine.
const MICROSECONDS_A_TICK: f64 = 10_000.0;
/// What is sent first and not counted: passwords are hashed, caches filled.
const WARM_UP: u64 = 500;

/// One kind of request.
struct Kind {
    name: &'static str,
    target: &'static str,
    credential: Credential,
}

enum Credential {
    /// Header lines.
    Fixed(String),
    /// Signed anew for each run, since a signature is good for minutes.
    Signed,
    /// None, but lines of the same number and length as a signature's, which mean nothing.
    AsLong,
}

/// What the pairs of one kind found. A pair is a run of nobody's requests by the same interface and
/// one of the kind's, right behind each other, so that whatever else the machine does meanwhile
/// burdens both.
#[derive(Default)]
struct Pairs {
    /// The server's CPU for a request, in microseconds: of nobody, and of the kind.
    nobody: Vec<f64>,
    kind: Vec<f64>,
}

impl Pairs {
    /// By how much the kind is over nobody, in percent: the quartiles over all pairs.
    fn over(&self) -> [f64; 3] {
        let pairs = self.kind.iter().zip(&self.nobody);
        let mut over: Vec<f64> = pairs
            .map(|(kind, base)| (kind / base - 1.0) * 100.0)
            .collect();
        over.sort_by(f64::total_cmp);
        [1, 2, 3].map(|quarter| {
            let place = (over.len() * quarter / 4).min(over.len().saturating_sub(1));
            over.get(place).copied().unwrap_or(f64::NAN)
        })
    }
}

/// The table.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let policies = usize::try_from(arguments.number("policies", 1000)?)?;
    let count = arguments.number("requests", 15_000)?;
    let pairs = arguments.number("pairs", 20)?;
    let folder = scratch("access")?;
    let server = Launch::new(folder.join("data"))
        .under(&["taskset", "-c", "0"])
        .variable("TRESTLE_LOG", &arguments.text("log", "info")?)
        .start();
    let token = furnish(&server, policies)?;
    let kinds = kinds(&token);
    let mut found: Vec<Pairs> = kinds.iter().map(|_| Pairs::default()).collect();
    for (_, kind) in &kinds {
        measure(&server, kind, WARM_UP)?;
    }
    for pair in 0..pairs {
        for ((nobody, kind), found) in kinds.iter().zip(&mut found) {
            // Who is first takes turns, too.
            let (base, own) = if pair % 2 == 0 {
                let base = measure(&server, nobody, count)?;
                (base, measure(&server, kind, count)?)
            } else {
                let own = measure(&server, kind, count)?;
                (measure(&server, nobody, count)?, own)
            };
            found.nobody.push(base);
            found.kind.push(own);
        }
    }
    println!(
        "{policies} policies in store; the user has {IN_PERSON} in person and {BY_GROUP} by each of \
         {} groups, the last of which allows it. {pairs} pairs of runs of {count} requests.\n",
        GROUPS.len()
    );
    println!(
        "| GET, 4 KiB, {CLIENTS} clients | nobody, CPU, µs a request | this one | over nobody, \
         median of the pairs | half of them lie within |"
    );
    println!("|---|---|---|---|---|");
    for ((_, kind), found) in kinds.iter().zip(&found) {
        let [low, middle, high] = found.over();
        println!(
            "| {} | {:.1} | {:.1} | {middle:+.1} % | {low:+.1} to {high:+.1} % |",
            kind.name,
            median(&found.nobody),
            median(&found.kind),
        );
    }
    println!();
    server.stop()?;
    Ok(std::fs::remove_dir_all(folder)?)
}

/// Each kind behind nobody's request by the same interface. The first is nobody's own: what it is
/// over itself is what chance does.
fn kinds(token: &str) -> Vec<(Kind, Kind)> {
    let basic = |user: &str| {
        let pair = base64(format!("{user}:{PASSWORD}").as_bytes());
        Credential::Fixed(format!("authorization: Basic {pair}\r\n"))
    };
    let bearer = Credential::Fixed(format!("authorization: Bearer {token}\r\n"));
    let kind = |name, target, credential| Kind {
        name,
        target,
        credential,
    };
    let nobody = |target| kind("nobody", target, Credential::Fixed(String::new()));
    let rest = |name, credential| {
        let own = kind(name, "/rest/closed/object", credential);
        (nobody("/rest/open/object"), own)
    };
    vec![
        (nobody("/rest/open/object"), nobody("/rest/open/object")),
        rest("root, Basic", basic(USER)),
        rest("user, Basic", basic(ANN)),
        rest("user, token", bearer),
        (
            nobody("/open/object"),
            kind(
                "nobody, header as long, S3",
                "/open/object",
                Credential::AsLong,
            ),
        ),
        (
            nobody("/open/object"),
            kind("user, signed, S3", "/closed/object", Credential::Signed),
        ),
    ]
}

/// Runs one kind and says what the server's CPU did for each request, in microseconds.
fn measure(server: &Server, kind: &Kind, count: u64) -> Result<f64> {
    let headers = match &kind.credential {
        Credential::Fixed(headers) => headers.clone(),
        Credential::Signed => signed(server, kind.target),
        Credential::AsLong => as_long(&signed(server, kind.target)),
    };
    let plan = Plan {
        address: server.address,
        verb: "get",
        size: SIZE,
        clients: CLIENTS,
        milliseconds: 0,
        tag: "access".into(),
        count,
    };
    let before = ticks(server)?;
    let found = plan.run_with(&["--target", kind.target, "--headers", &headers])?;
    let spent = ticks(server)?.saturating_sub(before);
    Ok(spent as f64 * MICROSECONDS_A_TICK / found.requests)
}

fn signed(server: &Server, target: &str) -> String {
    let wire = Wire {
        method: "GET".into(),
        target: target.into(),
        ..Wire::default()
    };
    let wire = Signer::new(ACCESS_KEY, SECRET_KEY).sign(&server.address.to_string(), wire);
    let lines = wire.headers.iter();
    lines
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect()
}

/// The same lines under names and with values that nobody asks for.
fn as_long(lines: &str) -> String {
    let lines = lines.lines().enumerate();
    lines
        .filter_map(|(place, line)| {
            let (name, value) = line.split_once(": ")?;
            let value = "x".repeat(value.len());
            Some(format!(
                "y{place}{}: {value}\r\n",
                "-".repeat(name.len().saturating_sub(2))
            ))
        })
        .collect()
}

/// The time that all threads of the server have had so far, in the kernel and outside of it.
fn ticks(server: &Server) -> Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.id()))?;
    // The second field is a name in parentheses, which may hold anything.
    let (_, rest) = stat.rsplit_once(')').ok_or("the server's times are gone")?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut next = || -> Result<u64> {
        let field = fields.next().ok_or("the server's times are cut")?;
        Ok(field.parse()?)
    };
    Ok(next()? + next()?)
}

/// Two buckets with an object each, the policies, the groups and the user, whose token it returns.
fn furnish(server: &Server, policies: usize) -> Result<String> {
    let used = IN_PERSON + BY_GROUP * GROUPS.len();
    if policies < used {
        return Err(format!("--policies {policies}: fewer than the {used} that are used").into());
    }
    let root = &mut server.client();
    let body = noise(0, SIZE);
    for bucket in ["open", "closed"] {
        call(root, "PUT", &format!("/rest/{bucket}/"), b"")?;
        call(root, "PUT", &format!("/rest/{bucket}/object"), &body)?;
    }
    let public = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::open/*",
    }]});
    document(root, "PUT", "/-/buckets/open/policy", &public)?;
    let name = |number: usize| format!("policy-{number}");
    for number in 0..policies {
        let bucket = if number + 1 == used {
            "closed".to_owned()
        } else {
            format!("bucket-{number}")
        };
        let (whole, keys) = (
            format!("arn:aws:s3:::{bucket}"),
            format!("arn:aws:s3:::{bucket}/*"),
        );
        let policy = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": [whole, keys]},
            {"Effect": "Deny", "Action": "s3:DeleteObject", "Resource": keys,
                "Condition": {"NotIpAddress": {"aws:SourceIp": ["10.0.0.0/8", "127.0.0.0/8"]}}},
        ]});
        let target = format!("/-/accounts/root/policies/{}", name(number));
        document(root, "PUT", &target, &policy)?;
    }
    for (group, first) in GROUPS.iter().zip((IN_PERSON..).step_by(BY_GROUP)) {
        let names: Vec<String> = (first..first + BY_GROUP).map(name).collect();
        let target = format!("/-/accounts/root/groups/{group}");
        document(root, "PUT", &target, &json!({"policies": names}))?;
    }
    let user = json!({
        "password": PASSWORD, "groups": GROUPS, "access_key": ACCESS_KEY, "secret_key": SECRET_KEY,
        "policies": (0..IN_PERSON).map(name).collect::<Vec<_>>(),
    });
    let target = format!("/-/accounts/root/users/{ANN}");
    document(root, "PUT", &target, &user)?;
    // What is measured is what the table says: nobody is kept out, and the last policy lets ann in.
    let refused = Client::anonymous(server.address).send("GET", "/rest/closed/object", &[], b"")?;
    let ask = json!({"user": ANN, "action": "ReadObject", "resource": "closed/object"});
    let reason = document(root, "POST", "/-/explain", &ask)?;
    if refused.status != 401 || !reason.contains(&name(used - 1)) {
        return Err(format!("nobody: {}; {ANN}: {reason}", refused.status).into());
    }
    let ann = &mut Client::new(server.address, ANN, PASSWORD);
    let lasting = json!({"lifetime_seconds": 86_400});
    let answer = document(ann, "POST", "/-/tokens", &lasting)?;
    let answer: Value = serde_json::from_str(&answer)?;
    let token = answer.get("token").and_then(Value::as_str);
    Ok(token.ok_or("no token was issued")?.to_owned())
}

fn document(client: &mut Client, method: &str, target: &str, value: &Value) -> Result<String> {
    call(client, method, target, value.to_string().as_bytes())
}

fn call(client: &mut Client, method: &str, target: &str, body: &[u8]) -> Result<String> {
    let answer = client.send(method, target, &[], body)?;
    if answer.status >= 300 {
        return Err(format!("{method} {target}: {} {}", answer.status, answer.text()).into());
    }
    Ok(answer.text())
}
