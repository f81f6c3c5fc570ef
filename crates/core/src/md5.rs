//! MD5 (RFC 1321) of one stream of bytes, or of several at once.
//!
//! A stream's blocks depend on each other, so one stream cannot be hashed faster than its chain of
//! steps. Streams do not depend on each other: four of them, one in each lane of a vector, take
//! little longer than one.

#![expect(
    clippy::indexing_slicing,
    reason = "every index is of a block, a lane or a step, and bounded where it is made"
)]

/// Streams that are hashed beside each other.
pub(crate) const LANES: usize = 4;

const BLOCK: usize = 64;
const START: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
/// RFC 1321 §3.4: by round and by step modulo 4.
const TURNS: [[u32; 4]; 4] = [
    [7, 12, 17, 22],
    [5, 9, 14, 20],
    [4, 11, 16, 23],
    [6, 10, 15, 21],
];
/// RFC 1321 §3.4: `floor(2^32 * abs(sin(i + 1)))`.
#[rustfmt::skip]
const SINES: [u32; 64] = [
    0xd76a_a478, 0xe8c7_b756, 0x2420_70db, 0xc1bd_ceee, 0xf57c_0faf, 0x4787_c62a, 0xa830_4613, 0xfd46_9501,
    0x6980_98d8, 0x8b44_f7af, 0xffff_5bb1, 0x895c_d7be, 0x6b90_1122, 0xfd98_7193, 0xa679_438e, 0x49b4_0821,
    0xf61e_2562, 0xc040_b340, 0x265e_5a51, 0xe9b6_c7aa, 0xd62f_105d, 0x0244_1453, 0xd8a1_e681, 0xe7d3_fbc8,
    0x21e1_cde6, 0xc337_07d6, 0xf4d5_0d87, 0x455a_14ed, 0xa9e3_e905, 0xfcef_a3f8, 0x676f_02d9, 0x8d2a_4c8a,
    0xfffa_3942, 0x8771_f681, 0x6d9d_6122, 0xfde5_380c, 0xa4be_ea44, 0x4bde_cfa9, 0xf6bb_4b60, 0xbebf_bc70,
    0x289b_7ec6, 0xeaa1_27fa, 0xd4ef_3085, 0x0488_1d05, 0xd9d4_d039, 0xe6db_99e5, 0x1fa2_7cf8, 0xc4ac_5665,
    0xf429_2244, 0x432a_ff97, 0xab94_23a7, 0xfc93_a039, 0x655b_59c3, 0x8f0c_cc92, 0xffef_f47d, 0x8584_5dd1,
    0x6fa8_7e4f, 0xfe2c_e6e0, 0xa301_4314, 0x4e08_11a1, 0xf753_7e82, 0xbd3a_f235, 0x2ad7_d2bb, 0xeb86_d391,
];

/// The MD5 of the bytes that it was given so far.
#[derive(Clone)]
pub struct Md5 {
    state: [u32; 4],
    length: u64,
    /// The bytes of a block that is not whole yet.
    begun: [u8; BLOCK],
}

impl Default for Md5 {
    fn default() -> Self {
        Md5 {
            state: START,
            length: 0,
            begun: [0; BLOCK],
        }
    }
}

impl std::fmt::Debug for Md5 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Md5")
    }
}

impl Md5 {
    /// Takes in the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let (blocks, _rest) = self.complete(bytes).as_chunks();
        compress(&mut self.state, blocks);
    }

    /// Takes in the next bytes of several streams, each in its pieces.
    pub fn update_all<P: AsRef<[u8]>>(streams: &mut [(&mut Md5, &[P])]) {
        let mut left: Vec<Filling<'_, P>> = streams
            .iter_mut()
            .map(|(stream, pieces)| Filling {
                stream,
                blocks: &[],
                pieces: pieces.iter(),
            })
            .collect();
        left.retain_mut(Filling::fill);
        while left.len() > 1 {
            let together = left.len().min(LANES);
            let lanes = &mut left[..together];
            let count = lanes.iter().map(|lane| lane.blocks.len()).min();
            compress_lanes(lanes, count.unwrap_or(0));
            left.retain_mut(Filling::fill);
        }
        for lane in &mut left {
            while lane.fill() {
                compress(&mut lane.stream.state, lane.blocks);
                lane.blocks = &[];
            }
        }
    }

    /// The digest of all bytes.
    pub fn finish(mut self) -> [u8; 16] {
        let bits = self.length.wrapping_mul(8).to_le_bytes();
        // A one, then zeros, so that the length ends a block (RFC 1321 §3.1).
        let mut padding = [0u8; 2 * BLOCK];
        padding[0] = 0x80;
        let zeros = (2 * BLOCK - 9 - self.at()) % BLOCK;
        self.update(&padding[..=zeros]);
        self.update(&bits);
        let mut digest = [0; 16];
        for (bytes, word) in digest.chunks_exact_mut(4).zip(self.state) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        digest
    }

    /// Bytes of the block that is not whole yet.
    fn at(&self) -> usize {
        (self.length % BLOCK as u64) as usize
    }

    /// Counts `bytes`, completes the block that was begun, and keeps what does not fill the last
    /// one. What is given back begins at a block, and still has to be compressed up to its last
    /// whole one.
    fn complete<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let at = self.at();
        self.length = self.length.wrapping_add(bytes.len() as u64);
        let mut whole = bytes;
        if at > 0 {
            let (head, tail) = bytes.split_at(bytes.len().min(BLOCK - at));
            self.begun[at..at + head.len()].copy_from_slice(head);
            if at + head.len() < BLOCK {
                return &[];
            }
            compress(&mut self.state, &[self.begun]);
            whole = tail;
        }
        let rest = whole.as_chunks::<BLOCK>().1;
        self.begun[..rest.len()].copy_from_slice(rest);
        whole
    }
}

/// One stream: the library's assembly where there is one.
#[cfg(target_arch = "x86_64")]
fn compress(state: &mut [u32; 4], blocks: &[[u8; BLOCK]]) {
    md5_asm::compress(state, blocks);
}

#[cfg(not(target_arch = "x86_64"))]
fn compress(state: &mut [u32; 4], blocks: &[[u8; BLOCK]]) {
    let mut lanes = state.map(|word| Lanes([word; LANES]));
    for block in blocks {
        let mut message = [Lanes::default(); 16];
        for (word, bytes) in message.iter_mut().zip(block.as_chunks::<4>().0) {
            *word = Lanes([u32::from_le_bytes(*bytes); LANES]);
        }
        round(&mut lanes, &message);
    }
    *state = lanes.map(|word| word.0[0]);
}

/// A stream with bytes that are still to be taken in.
struct Filling<'a, P> {
    stream: &'a mut Md5,
    blocks: &'a [[u8; BLOCK]],
    pieces: std::slice::Iter<'a, P>,
}

impl<P: AsRef<[u8]>> Filling<'_, P> {
    /// Whether there is a whole block.
    fn fill(&mut self) -> bool {
        while self.blocks.is_empty() {
            let Some(piece) = self.pieces.next() else {
                return false;
            };
            self.blocks = self.stream.complete(piece.as_ref()).as_chunks().0;
        }
        true
    }
}

/// Compresses the next `count` blocks of up to [`LANES`] streams.
fn compress_lanes<P>(streams: &mut [Filling<'_, P>], count: usize) {
    let mut state = [Lanes::default(); 4];
    for (lane, Filling { stream, .. }) in streams.iter().enumerate() {
        for (word, value) in state.iter_mut().zip(stream.state) {
            word.0[lane] = value;
        }
    }
    for index in 0..count {
        let mut message = [Lanes::default(); 16];
        for (lane, Filling { blocks, .. }) in streams.iter().enumerate() {
            let words = blocks[index].as_chunks::<4>().0;
            for (word, bytes) in message.iter_mut().zip(words) {
                word.0[lane] = u32::from_le_bytes(*bytes);
            }
        }
        round(&mut state, &message);
    }
    for (lane, filling) in streams.iter_mut().enumerate() {
        for (value, word) in filling.stream.state.iter_mut().zip(state) {
            *value = word.0[lane];
        }
        filling.blocks = &filling.blocks[count..];
    }
}

/// The same word of several streams. Plain arrays, which the compiler makes vectors of.
#[derive(Clone, Copy, Default)]
struct Lanes([u32; LANES]);

impl Lanes {
    #[inline(always)]
    fn each(self, other: Self, of: impl Fn(u32, u32) -> u32) -> Self {
        let mut result = self;
        for lane in 0..LANES {
            result.0[lane] = of(self.0[lane], other.0[lane]);
        }
        result
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self.each(other, u32::wrapping_add)
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        self.each(other, |a, b| a & b)
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        self.each(other, |a, b| a | b)
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        self.each(other, |a, b| a ^ b)
    }

    #[inline(always)]
    fn not(self) -> Self {
        self.each(self, |a, _| !a)
    }

    #[inline(always)]
    fn turned(self, bits: u32) -> Self {
        self.each(self, |a, _| a.rotate_left(bits))
    }
}

/// Step `STEP` of a block's 64 (RFC 1321 §3.4).
#[inline(always)]
fn step<const STEP: usize>([a, b, c, d]: [Lanes; 4], message: &[Lanes; 16]) -> [Lanes; 4] {
    let (mixed, word) = match STEP / 16 {
        0 => (d.xor(b.and(c.xor(d))), STEP),
        1 => (c.xor(d.and(b.xor(c))), 5 * STEP + 1),
        2 => (b.xor(c).xor(d), 3 * STEP + 5),
        _ => (c.xor(b.or(d.not())), 7 * STEP),
    };
    let sum = a
        .plus(mixed)
        .plus(Lanes([SINES[STEP]; LANES]))
        .plus(message[word % 16]);
    [d, b.plus(sum.turned(TURNS[STEP / 16][STEP % 4])), b, c]
}

/// One block of each lane.
fn round(state: &mut [Lanes; 4], message: &[Lanes; 16]) {
    let mut now = *state;
    macro_rules! steps {
        ($($step:literal)*) => { $(now = step::<$step>(now, message);)* };
    }
    steps!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31);
    steps!(32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60);
    steps!(61 62 63);
    for (word, more) in state.iter_mut().zip(now) {
        *word = word.plus(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::md5::Digest as _;

    fn bytes(length: usize, seed: usize) -> Vec<u8> {
        (0..length)
            .map(|at| ((at * 31 + seed * 7) >> 3) as u8)
            .collect()
    }

    fn expected(bytes: &[u8]) -> [u8; 16] {
        ::md5::Md5::digest(bytes).into()
    }

    #[test]
    fn any_length_in_any_pieces_has_the_digest_of_the_library() {
        for length in (0..200).chain([4095, 4096, 4097]) {
            let whole = bytes(length, length);
            for piece in [1, 3, 55, 56, 63, 64, 65, 5000] {
                let mut stream = Md5::default();
                for piece in whole.chunks(piece) {
                    stream.update(piece);
                }
                assert_eq!(stream.finish(), expected(&whole), "{length} by {piece}");
            }
        }
    }

    #[test]
    fn streams_beside_each_other_keep_apart() {
        for count in 0..10 {
            let wholes: Vec<Vec<u8>> = (0..count)
                .map(|stream| bytes(stream * 97 + (stream % 3) * 1000, stream))
                .collect();
            for (offer, piece) in [(1, 1), (64, 64), (100, 33), (700, 200), (5000, 64)] {
                let mut streams = vec![Md5::default(); count];
                for at in (0..4000).step_by(offer) {
                    let offers: Vec<Vec<&[u8]>> = wholes
                        .iter()
                        .map(|whole| {
                            let end = whole.len().min(at + offer);
                            let offer = whole.get(at..end).unwrap_or_default();
                            offer.chunks(piece).collect()
                        })
                        .collect();
                    let offers = offers.iter().map(Vec::as_slice);
                    let mut together: Vec<_> = streams.iter_mut().zip(offers).collect();
                    Md5::update_all(&mut together);
                }
                for (stream, whole) in streams.into_iter().zip(&wholes) {
                    assert_eq!(stream.finish(), expected(whole), "{count} by {offer}");
                }
            }
        }
    }
}
