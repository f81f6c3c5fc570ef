//! What it costs to know who asks and to decide: the same GET by nobody, by root and by a user whose
//! rights are spread over policies and groups, with each kind of credential.

use crate::Result;
use crate::arguments::Arguments;
use crate::decide;
use crate::load::Plan;
use crate::machine::scratch;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use trestle_tests::client::base64;
use trestle_tests::server::{PASSWORD, USER};
use trestle_tests::sigv4::{Signer, Wire};
use trestle_tests::tree::noise;
use trestle_tests::{Client, Launch, Server};

const SIZE: usize = 4 << 10;
const CLIENTS: usize = 16;
/// How many policies each group has, all of which the user is in: as many as one may have.
const BY_GROUP: usize = 100;
pub(crate) const ANN: &str = "ann";
const NOBODY: &str = "nobody, a public bucket";
const NOBODY_S3: &str = "nobody, a public bucket, S3";
const ACCESS_KEY: &str = "ANNSACCESSKEY0000001";
const SECRET_KEY: &str = "ann-s-long-secret-key-for-benchmarks-01";
/// What is sent first and not counted: passwords are hashed, caches filled.
const WARM_UP: u64 = 500;

/// One kind of request.
struct Kind {
    name: &'static str,
    target: &'static str,
    credential: Credential,
    /// The kind that it is held against: nobody's request by the same interface.
    over: usize,
    /// The same with a head as long, which says nothing.
    as_long: Option<usize>,
}

enum Credential {
    /// Header lines.
    Fixed(String),
    /// Signed anew for each run, since a signature is good for minutes.
    Signed,
    /// None, but lines of the same number and length as those of another kind, which mean nothing.
    AsLong(usize),
}

/// Quartiles of what the rounds found, and how exactly the one in the middle is known.
struct Spread {
    quartiles: [f64; 3],
    /// Of the median, if the rounds are independent: 1.25 σ / √n, σ by the quartiles.
    error: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Spread {
        values.sort_by(f64::total_cmp);
        let quartiles = [1, 2, 3].map(|quarter| {
            let place = (values.len() * quarter / 4).min(values.len().saturating_sub(1));
            values.get(place).copied().unwrap_or(f64::NAN)
        });
        let deviation = (quartiles[2] - quartiles[0]) / 1.349;
        Spread {
            quartiles,
            error: 1.25 * deviation / (values.len() as f64).sqrt(),
        }
    }

    fn median(&self) -> f64 {
        self.quartiles[1]
    }
}

/// The tables.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let policies = usize::try_from(arguments.number("policies", 1000)?)?;
    let count = arguments.number("requests", 4_000)?;
    let rounds = usize::try_from(arguments.number("rounds", 100)?)?;
    let times = u32::try_from(arguments.number("times", 5_000)?)?;
    let folder = scratch("access")?;
    let data = folder.join("data");
    let master_key = folder.join("master.key");
    let server = Launch::new(&data)
        .under(&["taskset", "-c", "0"])
        .variable("TRESTLE_LOG", &arguments.text("log", "info")?)
        .variable("TRESTLE_MASTER_KEY", &master_key.display().to_string())
        .start();
    let token = furnish(&server, policies)?;
    println!(
        "{policies} policies, all of which the user has by groups of {BY_GROUP}, the last of them the \
         one that allows it. {rounds} rounds of runs of {count} requests.\n",
    );
    let kinds = kinds(&token);
    let mut found: Vec<Vec<f64>> = kinds.iter().map(|_| Vec::new()).collect();
    for kind in &kinds {
        measure(&server, (&kinds, kind), WARM_UP)?;
    }
    for round in 0..rounds {
        // Who is first takes turns.
        for place in 0..kinds.len() {
            let place = (place + round) % kinds.len();
            if let (Some(kind), Some(found)) = (kinds.get(place), found.get_mut(place)) {
                found.push(measure(&server, (&kinds, kind), count)?);
            }
        }
    }
    let whole = show(&kinds, &found);
    let address = server.address.to_string();
    server.stop()?;
    let asked = decide::Asked {
        data: &data,
        master_key: &master_key,
        token: &token,
        signed: &format!("host: {address}\r\n{}", signed(&address, "/closed/object")),
        whole,
        times,
    };
    decide::run(&asked)?;
    Ok(std::fs::remove_dir_all(folder)?)
}

/// What each kind took of the server, and by how much that is over nobody's. Returns what a request
/// of nobody takes by each of the two interfaces, in nanoseconds.
fn show(kinds: &[Kind], found: &[Vec<f64>]) -> decide::Whole {
    println!(
        "| GET, 4 KiB, {CLIENTS} clients | server's CPU, ns a request | over nobody, ns | over nobody | \
         half of the rounds lie within | over nobody with a head as long |"
    );
    println!("|---|---|---|---|---|---|");
    let mut whole = decide::Whole::default();
    for (kind, own) in kinds.iter().zip(found) {
        let spent = Spread::of(own.clone());
        // Of one round each, so that whatever else the machine does meanwhile burdens both.
        let over = |base: usize, of: fn(f64, f64) -> f64| {
            let base = found.get(base).map_or(&[][..], Vec::as_slice);
            let pairs = own.iter().zip(base);
            Spread::of(pairs.map(|(own, base)| of(*own, *base)).collect())
        };
        let percent = |own: f64, base: f64| (own / base - 1.0) * 100.0;
        let more = over(kind.over, |own, base| own - base);
        let as_long = kind.as_long.map(|base| over(base, percent));
        let as_long = as_long.map(|over| format!("{:+.1} ± {:.1} %", over.median(), over.error));
        let over = over(kind.over, percent);
        println!(
            "| {} | {:.0} | {:+.0} | {:+.1} ± {:.1} % | {:+.1} to {:+.1} % | {} |",
            kind.name,
            spent.median(),
            more.median(),
            over.median(),
            over.error,
            over.quartiles[0],
            over.quartiles[2],
            as_long.unwrap_or_default(),
        );
        match kind.name {
            NOBODY => whole.rest = spent.median(),
            NOBODY_S3 => whole.s3 = spent.median(),
            _ => {}
        }
    }
    println!();
    whole
}

/// Each kind. Nobody's own is there twice for each interface: what the one is over the other is what
/// chance does.
fn kinds(token: &str) -> Vec<Kind> {
    let basic = |user: &str| {
        let pair = base64(format!("{user}:{PASSWORD}").as_bytes());
        Credential::Fixed(format!("authorization: Basic {pair}\r\n"))
    };
    let bearer = Credential::Fixed(format!("authorization: Bearer {token}\r\n"));
    let nothing = || Credential::Fixed(String::new());
    let (open, closed) = ("/rest/open/object", "/rest/closed/object");
    let (open_s3, closed_s3) = ("/open/object", "/closed/object");
    let kind = |(over, as_long), name, target, credential| Kind {
        name,
        target,
        credential,
        over,
        as_long,
    };
    let as_long = Credential::AsLong;
    vec![
        kind((0, None), NOBODY, open, nothing()),
        kind((0, None), "nobody, again", open, nothing()),
        kind((0, None), "nobody, a head like Basic's", open, as_long(4)),
        kind((0, Some(2)), "root, Basic", closed, basic(USER)),
        kind((0, Some(2)), "user, Basic", closed, basic(ANN)),
        kind((0, None), "nobody, a head like a token's", open, as_long(6)),
        kind((0, Some(5)), "user, token", closed, bearer),
        kind((7, None), NOBODY_S3, open_s3, nothing()),
        kind((7, None), "nobody, again, S3", open_s3, nothing()),
        kind(
            (7, None),
            "nobody, a head like a signed one",
            open_s3,
            as_long(10),
        ),
        kind(
            (7, Some(9)),
            "user, signed, S3",
            closed_s3,
            Credential::Signed,
        ),
    ]
}

/// Runs one kind and says for how long the server had a CPU for each request, in nanoseconds.
fn measure(server: &Server, (kinds, kind): (&[Kind], &Kind), count: u64) -> Result<f64> {
    let headers = match &kind.credential {
        Credential::AsLong(of) => match kinds.get(*of) {
            Some(of) => as_long(&lines(server, of)),
            None => return Err("there is no such kind".into()),
        },
        _ => lines(server, kind),
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
    let before = on_cpu(server)?;
    let found = plan.run_with(&["--target", kind.target, "--headers", &headers])?;
    let spent: u64 = on_cpu(server)?
        .iter()
        .map(|(thread, now)| now.saturating_sub(before.get(thread).copied().unwrap_or(0)))
        .sum();
    Ok(spent as f64 / found.requests)
}

/// What a kind has in its head, apart from what means nothing.
fn lines(server: &Server, kind: &Kind) -> String {
    match &kind.credential {
        Credential::Fixed(headers) => headers.clone(),
        Credential::Signed => signed(&server.address.to_string(), kind.target),
        Credential::AsLong(_) => String::new(),
    }
}

fn signed(address: &str, target: &str) -> String {
    let wire = Wire {
        method: "GET".into(),
        target: target.into(),
        ..Wire::default()
    };
    let wire = Signer::new(ACCESS_KEY, SECRET_KEY).sign(address, wire);
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

/// For how long each thread of the server has had a CPU, in the kernel and outside of it, in
/// nanoseconds. `stat` would say it in hundredths of a second.
fn on_cpu(server: &Server) -> Result<BTreeMap<String, u64>> {
    let mut threads = BTreeMap::new();
    for thread in std::fs::read_dir(format!("/proc/{}/task", server.id()))? {
        let thread = thread?;
        // One that has just ended has nothing to say.
        let Ok(text) = std::fs::read_to_string(thread.path().join("schedstat")) else {
            continue;
        };
        let spent = text.split_whitespace().next().ok_or("no schedstat")?;
        let name = thread.file_name().to_string_lossy().into_owned();
        threads.insert(name, spent.parse()?);
    }
    Ok(threads)
}

/// Two buckets with an object each, the policies, the groups and the user, whose token it returns.
fn furnish(server: &Server, policies: usize) -> Result<String> {
    if policies == 0 {
        return Err("--policies 0: one of them has to allow it".into());
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
        let bucket = if number + 1 == policies {
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
    let all: Vec<String> = (0..policies).map(name).collect();
    let groups: Vec<String> = (0..policies.div_ceil(BY_GROUP))
        .map(|group| format!("group-{group}"))
        .collect();
    for (group, names) in groups.iter().zip(all.chunks(BY_GROUP)) {
        let target = format!("/-/accounts/root/groups/{group}");
        document(root, "PUT", &target, &json!({"policies": names}))?;
    }
    let user = json!({
        "password": PASSWORD, "groups": groups, "access_key": ACCESS_KEY, "secret_key": SECRET_KEY,
    });
    let target = format!("/-/accounts/root/users/{ANN}");
    document(root, "PUT", &target, &user)?;
    // What is measured is what the table says: nobody is kept out, and the last policy lets ann in.
    let refused = Client::anonymous(server.address).send("GET", "/rest/closed/object", &[], b"")?;
    let ask = json!({"user": ANN, "action": "ReadObject", "resource": "closed/object"});
    let reason = document(root, "POST", "/-/explain", &ask)?;
    if refused.status != 401 || !reason.contains(&name(policies - 1)) {
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
