//! The input of both sides, by one formula: `peer.py` has the same.

/// Number `index` of the sequence `seed`, in [0, 1): SplitMix64's output function on a counter.
pub fn unit(seed: u64, index: usize) -> f64 {
    let at = (index as u64 + 1).wrapping_add(seed << 32);
    let mut mixed = at.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^= mixed >> 31;
    (mixed >> 11) as f64 / (1u64 << 53) as f64
}

/// `count` of them, from `low` to `high`.
pub fn uniform(seed: u64, count: usize, low: f64, high: f64) -> Vec<f64> {
    (0..count)
        .map(|index| low + (high - low) * unit(seed, index))
        .collect()
}
