//! What knowing who asks and deciding take alone: the functions that a dialect calls for it, over the
//! store that a server left, one after the other in one thread.
//!
//! Everything they need lies in the caches of the processor by then, so a server takes longer for
//! them; and nothing else is in it, so it is not hidden by what else differs between two requests.

use crate::Result;
use crate::access::ANN;
use crate::machine::median;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use trestle_access::{Action, Context, Principal, RawRequest, Resource, Scope};
use trestle_core::{AccountId, BucketName, Key, Timestamp};
use trestle_engine_embedded::Settings;
use trestle_host::Host;
use trestle_http::{Credentials, Presented};
use trestle_store::{Identities, KEY_BYTES, MasterKey, Store};
use trestle_tests::client::base64;
use trestle_tests::server::{PASSWORD, USER};

/// Runs of each.
const RUNS: usize = 41;

/// What a whole GET of nobody takes of the server by each interface, in nanoseconds.
#[derive(Default)]
pub(crate) struct Whole {
    pub(crate) rest: f64,
    pub(crate) s3: f64,
}

/// What is to be measured, and in which store.
pub(crate) struct Asked<'a> {
    pub(crate) data: &'a Path,
    pub(crate) master_key: &'a Path,
    pub(crate) token: &'a str,
    /// The lines of a signed request for `/closed/object`.
    pub(crate) signed: &'a str,
    pub(crate) whole: Whole,
    /// How often each run does it.
    pub(crate) times: u32,
}

/// One way to ask: what is presented, for which bucket, and what a whole GET takes.
struct Way<'a> {
    name: &'static str,
    bucket: &'static str,
    headers: HeaderMap,
    is_s3: bool,
    whole: f64,
    bench: &'a Bench,
}

struct Bench {
    store: Arc<Store>,
    identities: Arc<Identities>,
    regions: Vec<String>,
    times: u32,
}

/// The table.
pub(crate) fn run(asked: &Asked<'_>) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let bench = Bench::open(asked).await?;
        println!(
            "| alone, one after the other | who it is, ns | whether it may, ns | both, of nobody's \
             whole GET |"
        );
        println!("|---|---|---|---|");
        for way in ways(asked, &bench)? {
            let (principal, known) = way.known().await?;
            let decided = way.decided(&principal).await?;
            println!(
                "| {} | {known:.0} | {decided:.0} | {:.1} % |",
                way.name,
                (known + decided) / way.whole * 100.0
            );
        }
        println!();
        Ok(bench.store.close().await?)
    })
}

fn ways<'a>(asked: &Asked<'_>, bench: &'a Bench) -> Result<Vec<Way<'a>>> {
    let basic = |user: &str| {
        let pair = base64(format!("{user}:{PASSWORD}").as_bytes());
        format!("authorization: Basic {pair}\r\n")
    };
    let token = format!("authorization: Bearer {}\r\n", asked.token);
    let Whole { rest, s3 } = asked.whole;
    let way = |name, bucket, lines: &str, whole| -> Result<Way<'a>> {
        let mut headers = HeaderMap::new();
        for line in lines.lines() {
            let (name, value) = line.split_once(": ").ok_or("not a header line")?;
            let name = HeaderName::from_bytes(name.as_bytes())?;
            headers.insert(name, HeaderValue::from_str(value)?);
        }
        Ok(Way {
            name,
            bucket,
            is_s3: headers.contains_key("x-amz-date"),
            headers,
            whole,
            bench,
        })
    };
    Ok(vec![
        way("nobody, a public bucket", "open", "", rest)?,
        way("root, Basic", "closed", &basic(USER), rest)?,
        way("user, Basic", "closed", &basic(ANN), rest)?,
        way("user, token", "closed", &token, rest)?,
        way("user, signed, S3", "closed", asked.signed, s3)?,
    ])
}

impl Bench {
    async fn open(asked: &Asked<'_>) -> Result<Bench> {
        let host = Host::real();
        let digits = std::fs::read_to_string(asked.master_key)?;
        let mut key = [0; KEY_BYTES];
        for (place, byte) in key.iter_mut().enumerate() {
            let pair = digits.get(2 * place..2 * place + 2);
            *byte = u8::from_str_radix(pair.ok_or("the master key is cut")?, 16)?;
        }
        let engine = trestle_engine_embedded::open(&host, asked.data, Settings::default()).await?;
        let (root, master) = (AccountId::parse("root")?, MasterKey::from_bytes(key));
        let store = Store::open(engine, host, root, Some(master)).await?;
        Ok(Bench {
            identities: Identities::new(store.clone())?,
            store,
            regions: vec!["us-east-1".to_owned()],
            times: asked.times,
        })
    }
}

impl Way<'_> {
    /// Who asks, and how long it takes to know that.
    async fn known(&self) -> Result<(Arc<Principal>, f64)> {
        let principal = self.principal().await?;
        let taken = timed(self.bench.times, async || self.principal().await.map(drop)).await?;
        Ok((principal, taken))
    }

    async fn principal(&self) -> Result<Arc<Principal>> {
        let identities = &self.bench.identities;
        if self.is_s3 {
            return self.signer().await;
        }
        let presented = Presented::of(&self.headers, &Extensions::new())?;
        let known = match presented.credentials {
            None => return Ok(Arc::new(Principal::anonymous())),
            Some(Credentials::Basic(basic)) => {
                let source = presented.source;
                let (user, password) = (&basic.user, &basic.password);
                identities.password(user, password, source).await?
            }
            Some(Credentials::Bearer(token)) => identities.bearer(&token, None).await?,
        };
        Ok(known.ok_or("the credential is wrong")?)
    }

    async fn signer(&self) -> Result<Arc<Principal>> {
        let list: Vec<(&str, &[u8])> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        let raw = RawRequest {
            method: "GET",
            path: "/closed/object",
            query: None,
            headers: &list,
            host_bucket: None,
        };
        let scope = Scope {
            regions: &self.bench.regions,
            service: "s3",
            now: self.bench.store.now(),
        };
        let trestle_access::Presented::V4(signed) = trestle_access::Presented::of(&raw, &scope)?
        else {
            return Err("the request is not signed".into());
        };
        let (identities, key) = (&self.bench.identities, signed.access_key());
        let known = match identities.access_key_now(key) {
            Some(known) => Some(known),
            None => identities.access_key(key, None).await?,
        };
        let (secret, principal) = known.ok_or("the access key is not known")?;
        signed.verify(&secret)?;
        let used = (key, &secret);
        self.bench.store.note_key_use(used, scope.now).await;
        Ok(principal)
    }

    /// How long it takes to decide that they may.
    async fn decided(&self, principal: &Arc<Principal>) -> Result<f64> {
        let (bucket, key) = (BucketName::parse(self.bucket)?, Key::parse("object")?);
        let context = Arc::new(Context::at(Timestamp(1)).of("rest", Some("a request")));
        timed(self.bench.times, async || {
            let asked = trestle_access::Asked {
                principal: principal.clone(),
                action: Action::ReadObject,
                resource: Resource::Object(bucket.clone(), key.clone()),
                context: context.clone(),
            };
            black_box(self.bench.store.authorize(asked).await?);
            Ok(())
        })
        .await
    }
}

/// For how long this thread has had a CPU, in nanoseconds.
fn on_cpu() -> Result<f64> {
    // It is brought up to date when a thread gives way.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let spent = text.split_whitespace().next().ok_or("no schedstat")?;
    Ok(spent.parse()?)
}

/// Nanoseconds that it takes, by the run in the middle.
async fn timed(times: u32, mut work: impl AsyncFnMut() -> Result<()>) -> Result<f64> {
    let mut runs = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let began = on_cpu()?;
        for _ in 0..times {
            work().await?;
        }
        runs.push((on_cpu()? - began) / f64::from(times));
    }
    Ok(median(&runs))
}
