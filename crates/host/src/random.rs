//! Randomness, real and replayable.

use parking_lot::Mutex;

/// Where unpredictable bytes come from.
pub trait Random: Send + Sync {
    /// Fills `buffer`.
    fn fill(&self, buffer: &mut [u8]);
}

/// The operating system's generator, asked for many bytes at once: ids are made for each request.
#[derive(Default)]
pub struct SystemRandom {
    ahead: Mutex<Ahead>,
}

impl std::fmt::Debug for SystemRandom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SystemRandom")
    }
}

/// Bytes that were fetched and not yet given out.
struct Ahead {
    bytes: [u8; 1024],
    used: usize,
}

impl Default for Ahead {
    fn default() -> Self {
        Ahead {
            bytes: [0; 1024],
            used: 1024,
        }
    }
}

impl Random for SystemRandom {
    fn fill(&self, buffer: &mut [u8]) {
        if buffer.len() > 64 {
            return fetch(buffer);
        }
        let mut ahead = self.ahead.lock();
        if ahead.bytes.len() - ahead.used < buffer.len() {
            fetch(&mut ahead.bytes);
            ahead.used = 0;
        }
        let start = ahead.used;
        ahead.used += buffer.len();
        if let Some(given) = ahead.bytes.get_mut(start..start + buffer.len()) {
            buffer.copy_from_slice(given);
            // What was given out must not be found here later.
            given.fill(0);
        }
    }
}

fn fetch(buffer: &mut [u8]) {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            // Ids and secrets must never be predictable: without randomness nothing is safe.
            Err(_) => std::process::abort(),
        }
    }
}

/// A generator that a seed determines (SplitMix64): for simulation only, never for secrets.
#[derive(Debug)]
pub struct SeededRandom {
    state: Mutex<u64>,
}

impl SeededRandom {
    /// The sequence of `seed`.
    pub fn new(seed: u64) -> Self {
        SeededRandom {
            state: Mutex::new(seed),
        }
    }

    /// The next 64 bits.
    pub fn next_u64(&self) -> u64 {
        let mut state = self.state.lock();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Random for SeededRandom {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            for (to, from) in chunk.iter_mut().zip(self.next_u64().to_le_bytes()) {
                *to = from;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_byte_is_given_twice() {
        let random = SystemRandom::default();
        let mut seen = std::collections::HashSet::new();
        for length in [16, 24, 40, 64, 65, 200].into_iter().cycle().take(600) {
            let mut bytes = vec![0; length];
            random.fill(&mut bytes);
            assert!(
                seen.insert(bytes.split_off(length - 16)),
                "random bytes came twice"
            );
        }
        assert!(seen.iter().all(|bytes| bytes.iter().any(|byte| *byte != 0)));
    }
}
