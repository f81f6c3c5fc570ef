//! Passwords: argon2id to keep, a keyed MAC to remember that one was just verified.

use crate::keyed::Keyed;
use argon2::password_hash::{Output, PasswordHash, PasswordHasher, SaltString};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use trestle_core::{Error, ErrorKind, Result};
use trestle_host::{Host, Random};

/// How long a verified password is remembered after its last use.
const REMEMBERED: Duration = Duration::from_secs(300);
/// How many are remembered at once.
const REMEMBERED_MAX: usize = 1024;
/// Most runs of argon2 at once, on any number of cores: each keeps 19 MiB.
const RUNS_MAX: usize = 4;

/// Hashes a secret with argon2id into a PHC string, under a fresh salt.
///
/// # Errors
/// `Internal` when the secret is longer than argon2 takes.
pub fn hash_secret(secret: &str, random: &dyn Random) -> Result<String> {
    let mut salt = [0; 16];
    random.fill(&mut salt);
    let failed = |_| Error::new(ErrorKind::Internal, "a secret could not be hashed");
    let salt = SaltString::encode_b64(&salt).map_err(failed)?;
    Ok(Argon2::default()
        .hash_password(secret.as_bytes(), &salt)
        .map_err(failed)?
        .to_string())
}

/// Whether `secret` is the one that `hash` was made of. Slow on purpose.
///
/// # Errors
/// `Corrupt` when `hash` is no PHC string of argon2.
pub fn verify_secret(secret: &str, hash: &str) -> Result<bool> {
    verify_in(secret, hash, &mut Vec::new())
}

/// Verifies within `memory`, which grows to what the hash asks for.
fn verify_in(secret: &str, hash: &str, memory: &mut Vec<Block>) -> Result<bool> {
    let undecodable = || Error::corrupt("a stored password hash cannot be decoded");
    let hash = PasswordHash::new(hash).map_err(|_| undecodable())?;
    let algorithm = Algorithm::try_from(hash.algorithm).map_err(|_| undecodable())?;
    let version = hash.version.map(Version::try_from).transpose();
    let version = version.map_err(|_| undecodable())?.unwrap_or_default();
    let params = Params::try_from(&hash).map_err(|_| undecodable())?;
    let (salt, expected) = hash.salt.zip(hash.hash).ok_or_else(undecodable)?;
    let mut room = [0; 64];
    let salt = salt.decode_b64(&mut room).map_err(|_| undecodable())?;
    memory.resize(params.block_count(), Block::default());
    // A secret that argon2 cannot take was never hashed.
    let found = Output::init_with(expected.len(), |out| {
        Argon2::new(algorithm, version, params)
            .hash_password_into_with_memory(secret.as_bytes(), salt, out, &mut *memory)
            .map_err(Into::into)
    });
    // Outputs compare in constant time.
    Ok(found.is_ok_and(|found| found == expected))
}

/// Until when a verified password is remembered. All copies share it, so one that is used anywhere
/// stays remembered everywhere.
#[derive(Clone, Debug)]
pub struct Remembered(Arc<AtomicU64>);

impl Remembered {
    fn since(now: Duration) -> Self {
        let until = Remembered(Arc::default());
        until.prolong(now);
        until
    }

    fn prolong(&self, now: Duration) {
        self.0.store(micros(now + REMEMBERED), Ordering::Relaxed);
    }

    fn holds(&self, now: Duration) -> bool {
        micros(now) < self.0.load(Ordering::Relaxed)
    }

    /// Whether it still is remembered; then it is for as long again.
    pub fn renew(&self, now: Duration) -> bool {
        let holds = self.holds(now);
        if holds {
            self.prolong(now);
        }
        holds
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Remembers verified passwords for a while, as MACs under a key that only this process has, so
/// that argon2 does not run on each request.
pub struct PasswordCache {
    key: Keyed,
    verified: Mutex<HashMap<[u8; 32], Remembered>>,
    /// Anybody may ask for a run of argon2: one for each core at once.
    runs: Arc<Semaphore>,
    /// The memory of runs that ended, for the next ones: allocators keep what is freed for each
    /// thread that had it, which adds up.
    memories: Arc<Mutex<Vec<Vec<Block>>>>,
}

impl std::fmt::Debug for PasswordCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordCache")
    }
}

impl PasswordCache {
    /// An empty cache under a fresh key.
    pub fn new(random: &dyn Random) -> Self {
        let mut key = [0; 32];
        random.fill(&mut key);
        PasswordCache {
            key: Keyed::new(&key),
            verified: Mutex::new(HashMap::new()),
            runs: Arc::new(Semaphore::new(
                std::thread::available_parallelism().map_or(1, |cores| cores.get().min(RUNS_MAX)),
            )),
            memories: Arc::default(),
        }
    }

    /// Whether it is; then it is remembered from now on. Whoever keeps working never waits behind a
    /// flood of wrong passwords.
    fn remembered(&self, mac: &[u8; 32], now: Duration) -> Option<Remembered> {
        let verified = self.verified.lock();
        verified.get(mac).filter(|one| one.renew(now)).cloned()
    }

    /// Hashes a password with argon2id, within the same bounds.
    ///
    /// # Errors
    /// As [`hash_secret`].
    pub async fn hash(&self, host: &Host, password: &str) -> Result<String> {
        let stopped = |_| Error::new(ErrorKind::Internal, "a password was not hashed");
        let run = self.runs.clone().acquire_owned().await.map_err(stopped)?;
        let (send, receive) = std::sync::mpsc::sync_channel(1);
        let (password, random) = (password.to_owned(), host.random.clone());
        host.spawn
            .blocking(Box::new(move || {
                // Nobody receives when the caller was dropped.
                let _unread = send.send(hash_secret(&password, &*random));
                drop(run);
            }))
            .await;
        let stopped = |_| Error::new(ErrorKind::Internal, "a password was not hashed");
        receive.try_recv().map_err(stopped)?
    }

    /// Until when it is remembered that this was verified, if it is: checking it again costs nothing.
    pub fn remembers(
        &self,
        host: &Host,
        user: &str,
        password: &str,
        hash: &str,
    ) -> Option<Remembered> {
        let mac = self.mac(user, password, hash);
        self.remembered(&mac, host.clock.monotonic())
    }

    /// A MAC of a name and a password as they are presented, by which to remember whose they are.
    pub fn pair(&self, name: &str, password: &str) -> [u8; 32] {
        // No name is as long as the first part says, so it never is the MAC of anything else.
        let length = (name.len() as u64).to_be_bytes();
        let parts = [&[0xff; 8], &length, name.as_bytes(), password.as_bytes()];
        self.key.mac(&parts)
    }

    /// Of the hash, too: what was verified against another one is forgotten.
    fn mac(&self, user: &str, password: &str, hash: &str) -> [u8; 32] {
        let length = |part: &str| (part.len() as u64).to_be_bytes();
        self.key.mac(&[
            &length(user),
            user.as_bytes(),
            &length(hash),
            hash.as_bytes(),
            password.as_bytes(),
        ])
    }

    /// Whether `password` is that of `user`, whose hash is `hash`; argon2 runs away from the
    /// asynchronous threads, and only when the answer is not remembered.
    ///
    /// # Errors
    /// `Corrupt` for an undecodable hash; `Internal` when the check could not run.
    pub async fn verify(
        &self,
        host: &Host,
        user: &str,
        password: &str,
        hash: &str,
    ) -> Result<bool> {
        let looked_at = self.verify_when(host, (user, hash), password, &|| true);
        Ok(looked_at.await?.unwrap_or_default())
    }

    /// The same, unless `due` says, when there is room to run argon2, that it must wait longer: then
    /// there is no answer.
    ///
    /// # Errors
    /// As [`PasswordCache::verify`].
    pub async fn verify_when(
        &self,
        host: &Host,
        (user, hash): (&str, &str),
        password: &str,
        due: &(dyn Fn() -> bool + Sync),
    ) -> Result<Option<bool>> {
        // A lookup by MAC leaks at most the timing of a value that cannot be guessed without the key.
        let mac = self.mac(user, password, hash);
        if self.remembered(&mac, host.clock.monotonic()).is_some() {
            return Ok(Some(true));
        }
        let stopped = |_| Error::new(ErrorKind::Internal, "a password check did not run");
        let run = self.runs.clone().acquire_owned().await.map_err(stopped)?;
        // Those who waited for a run of the same password need none of their own.
        let now = host.clock.monotonic();
        if self.remembered(&mac, now).is_some() {
            return Ok(Some(true));
        }
        if !due() {
            return Ok(None);
        }
        let (send, receive) = std::sync::mpsc::sync_channel(1);
        let (password, hash) = (password.to_owned(), hash.to_owned());
        let memories = self.memories.clone();
        host.spawn
            .blocking(Box::new(move || {
                let mut memory = memories.lock().pop().unwrap_or_default();
                let verified = verify_in(&password, &hash, &mut memory);
                memories.lock().push(memory);
                // Nobody receives when the caller was dropped.
                let _unread = send.send(verified);
                // Held by the call itself, which goes on when its caller is dropped.
                drop(run);
            }))
            .await;
        let verified = receive
            .try_recv()
            .map_err(|_| Error::new(ErrorKind::Internal, "a password check did not run"))??;
        if verified {
            let mut remembered = self.verified.lock();
            if remembered.len() >= REMEMBERED_MAX {
                remembered.retain(|_, one| one.holds(now));
            }
            if remembered.len() < REMEMBERED_MAX {
                remembered.insert(mac, Remembered::since(now));
            }
        }
        Ok(Some(verified))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use argon2::password_hash::PasswordVerifier;
    use futures::FutureExt;
    use futures::future::BoxFuture;
    use trestle_host::SeededRandom;

    #[test]
    fn a_hash_verifies_its_secret_only_and_never_contains_it() {
        let hash = hash_secret("correct horse", &SeededRandom::new(1)).unwrap();
        assert!(hash.starts_with("$argon2id$") && !hash.contains("horse"));
        assert!(verify_secret("correct horse", &hash).unwrap());
        assert!(!verify_secret("correct horsf", &hash).unwrap());
        let mut memory = Vec::new();
        for _ in 0..2 {
            assert!(!verify_in("wrong", &hash, &mut memory).unwrap());
            assert!(verify_in("correct horse", &hash, &mut memory).unwrap());
        }
        // The reference implementation agrees with what is assembled here.
        let parsed = PasswordHash::new(&hash).unwrap();
        let reference = |secret: &[u8]| Argon2::default().verify_password(secret, &parsed);
        assert!(reference(b"correct horse").is_ok() && reference(b"wrong").is_err());
        let without_salt = "$argon2id$v=19$m=19456,t=2,p=1";
        for bad in ["not a hash", "", "$scrypt$ln=1$c2FsdHNhbHQ", without_salt] {
            assert!(verify_secret("x", bad).is_err(), "{bad:?}");
        }
    }

    /// A pool that holds its calls until a test takes them.
    #[derive(Default)]
    struct Held(Arc<Mutex<Vec<trestle_host::BlockingCall>>>);

    impl trestle_host::Spawn for Held {
        fn worker(&self, _: &str, _: BoxFuture<'static, ()>) -> std::io::Result<()> {
            Err(std::io::ErrorKind::Unsupported.into())
        }

        fn blocking(&self, call: trestle_host::BlockingCall) -> BoxFuture<'static, ()> {
            self.0.lock().push(call);
            Box::pin(futures::future::pending())
        }
    }

    #[test]
    fn a_flood_of_wrong_passwords_runs_argon2_a_few_at_a_time() {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let mut host = Host::real();
        host.spawn = Arc::new(Held(calls.clone()));
        let hash = hash_secret("secret", &*host.random).unwrap();
        let cache = PasswordCache {
            runs: Arc::new(Semaphore::new(2)),
            ..PasswordCache::new(&*host.random)
        };
        let flood = || {
            let asked = (0..16).map(|_| cache.verify(&host, "ann", "wrong", &hash));
            assert!(futures::future::join_all(asked).now_or_never().is_none());
        };
        flood();
        assert_eq!(calls.lock().len(), 2);
        // The callers are gone, their calls are not: no room for others yet.
        flood();
        assert_eq!(calls.lock().len(), 2);
        let ended = calls.lock().pop().unwrap();
        ended();
        flood();
        assert_eq!(calls.lock().len(), 2);
    }

    #[tokio::test]
    async fn a_remembered_password_is_that_user_s_alone() {
        let host = Host::real();
        let hash = hash_secret("secret", &*host.random).unwrap();
        let cache = PasswordCache::new(&*host.random);
        for _ in 0..2 {
            assert!(cache.verify(&host, "ann", "secret", &hash).await.unwrap());
            assert!(!cache.verify(&host, "ann", "secreT", &hash).await.unwrap());
        }
        assert_eq!(cache.verified.lock().len(), 1);
        assert!(
            !cache
                .verified
                .lock()
                .contains_key(&cache.mac("anns", "ecret", &hash))
        );
    }

    #[tokio::test]
    async fn a_password_in_use_stays_remembered() {
        let clock = Arc::new(trestle_host::ManualClock::at(Default::default()));
        let mut host = Host::real();
        host.clock = clock.clone();
        let hash = hash_secret("secret", &*host.random).unwrap();
        let cache = PasswordCache::new(&*host.random);
        assert!(cache.verify(&host, "ann", "secret", &hash).await.unwrap());
        // From here on argon2 would not end.
        host.spawn = Arc::new(Held::default());
        let again = |hash: &str| {
            let asked = cache.verify(&host, "ann", "secret", hash).now_or_never();
            asked.is_some_and(|known| known.unwrap())
        };
        for _ in 0..3 {
            clock.advance(REMEMBERED - Duration::from_secs(1));
            assert!(again(&hash));
        }
        assert!(!again("another hash"));
        clock.advance(REMEMBERED);
        assert!(!again(&hash));
    }

    #[tokio::test]
    async fn what_is_remembered_ends_for_all_at_once() {
        let clock = Arc::new(trestle_host::ManualClock::at(Default::default()));
        let mut host = Host::real();
        host.clock = clock.clone();
        let hash = hash_secret("secret", &*host.random).unwrap();
        let cache = PasswordCache::new(&*host.random);
        assert!(cache.remembers(&host, "ann", "secret", &hash).is_none());
        assert!(cache.verify(&host, "ann", "secret", &hash).await.unwrap());
        let remembered = || cache.remembers(&host, "ann", "secret", &hash);
        let copy = remembered().unwrap();
        for _ in 0..3 {
            clock.advance(REMEMBERED - Duration::from_secs(1));
            assert!(copy.renew(host.clock.monotonic()));
        }
        clock.advance(REMEMBERED - Duration::from_secs(1));
        assert!(remembered().is_some());
        clock.advance(REMEMBERED);
        assert!(!copy.renew(host.clock.monotonic()) && remembered().is_none());
    }

    #[test]
    fn a_pair_is_told_from_every_other_and_from_what_is_verified() {
        let cache = PasswordCache::new(&SeededRandom::new(1));
        let other = PasswordCache::new(&SeededRandom::new(2));
        let pair = cache.pair("ann", "secret");
        assert_eq!(pair, cache.pair("ann", "secret"));
        for different in [
            cache.pair("anns", "ecret"),
            cache.pair("ann", "secreT"),
            cache.pair("", "annsecret"),
            cache.mac("ann", "secret", ""),
            other.pair("ann", "secret"),
        ] {
            assert_ne!(pair, different);
        }
    }
}
