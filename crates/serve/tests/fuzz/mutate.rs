//! Where new inputs come from.

/// SplitMix64. Not one of `rand`'s, so that a seed means the same after every update.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`, which is not zero.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("it is below a usize")
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    pub(crate) fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.below(from.len())]
    }

    /// A piece of `len` bytes, often short.
    fn piece(&mut self, len: usize) -> std::ops::Range<usize> {
        let start = self.below(len + 1);
        let longest = (len - start).min(if self.below(4) == 0 { len } else { 16 });
        start..start + self.below(longest + 1)
    }
}

/// A changed copy of `input`, with at most `len_max` bytes.
pub(crate) fn mutate(
    rng: &mut Rng,
    input: &[u8],
    other: &[u8],
    dictionary: &[&[u8]],
    len_max: usize,
) -> Vec<u8> {
    let mut bytes = input.to_vec();
    // One change in half of the cases, eight in few.
    let changes = 1 + rng.next().trailing_zeros().min(7);
    for _ in 0..changes {
        change(rng, &mut bytes, other, dictionary);
    }
    bytes.truncate(len_max);
    bytes
}

fn change(rng: &mut Rng, bytes: &mut Vec<u8>, other: &[u8], dictionary: &[&[u8]]) {
    let piece = rng.piece(bytes.len());
    let at = piece.start;
    match rng.below(14) {
        0..4 => drop(bytes.splice(at..at, rng.pick(dictionary).iter().copied())),
        4 => drop(bytes.splice(piece, rng.pick(dictionary).iter().copied())),
        5 => drop(bytes.drain(piece)),
        6 => {
            // Repeated a few times: limits and loops are reached so.
            let copy = bytes[piece].repeat(1 + rng.below(4));
            bytes.splice(at..at, copy);
        }
        7 => drop(bytes.splice(at..at, other[rng.piece(other.len())].iter().copied())),
        8 => {
            bytes.truncate(at);
            let from = rng.below(other.len() + 1);
            bytes.extend_from_slice(&other[from..]);
        }
        9 => bytes.truncate(at),
        10 => bytes.insert(at, rng.byte()),
        // Numbers are compared with sizes and limits: the next one becomes another.
        11 | 12 => {
            let digit = b'0' + u8::try_from(rng.below(10)).expect("it is below 10");
            if let Some(byte) = bytes[at..].iter_mut().find(|byte| byte.is_ascii_digit()) {
                *byte = digit;
            }
        }
        _ => {
            let bit = 1 << rng.below(8);
            let random = rng.byte();
            let is_flip = rng.below(2) == 0;
            if let Some(byte) = bytes.get_mut(at) {
                *byte = if is_flip { *byte ^ bit } else { random };
            }
        }
    }
}
