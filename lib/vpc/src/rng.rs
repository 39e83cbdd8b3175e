//! Seeded randomness, keyed by purpose.
//!
//! Each draw is a hash of the seed, a stream's name and two keys, so it does not depend on earlier
//! draws. An additional call in one place changes no time elsewhere, and the values do not change
//! with a library's version.

use std::time::Duration;

use crate::profile::Distribution;

/// The source of all randomness of a simulation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SeededRng {
    seed: u64,
}

/// FNV-1a: hashes names to keys.
pub(crate) fn key_of(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The finalizer of SplitMix64.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Bytes in hex digits.
pub(crate) fn hex(bytes: impl IntoIterator<Item = u8>) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
    bytes.into_iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

impl SeededRng {
    /// A generator with this seed.
    pub(crate) const fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// 64 random bits.
    pub(crate) fn bits(self, stream: &str, a: u64, b: u64) -> u64 {
        mix(mix(mix(self.seed ^ key_of(stream)) ^ a) ^ b.rotate_left(32))
    }

    /// A number in 0..1.
    pub(crate) fn unit(self, stream: &str, a: u64, b: u64) -> f64 {
        let high = u32::try_from(self.bits(stream, a, b) >> 32).unwrap_or(u32::MAX);
        f64::from(high) / (f64::from(u32::MAX) + 1.0)
    }

    /// A number below `bound`; 0 for a bound of 0.
    pub(crate) fn below(self, bound: u64, stream: &str, a: u64, b: u64) -> u64 {
        self.bits(stream, a, b).checked_rem(bound).unwrap_or(0)
    }

    /// A duration from a distribution.
    pub(crate) fn draw(self, from: &Distribution, stream: &str, a: u64, b: u64) -> Duration {
        from.quantile(self.unit(stream, a, b))
    }

    /// 17 hex digits for an ID.
    pub(crate) fn hex17(self, stream: &str, a: u64) -> String {
        let (high, low) = (self.bits(stream, a, 1), self.bits(stream, a, 2));
        let digits = format!("{high:016x}{low:016x}");
        // EC2's IDs start with 0.
        format!("0{}", digits.get(..16).unwrap_or_default())
    }

    /// A UUID as text, the form of request IDs.
    pub(crate) fn uuid(self, stream: &str, a: u64) -> String {
        let (high, low) = (self.bits(stream, a, 1), self.bits(stream, a, 2));
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            0x8000 | (low >> 48 & 0x3fff),
            low & 0xffff_ffff_ffff,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_depend_on_seed_stream_and_keys_and_on_nothing_else() {
        let rng = SeededRng::new(7);
        assert_eq!(rng.bits("a", 1, 2), SeededRng::new(7).bits("a", 1, 2));
        let others = [
            rng.bits("a", 2, 1),
            rng.bits("b", 1, 2),
            SeededRng::new(8).bits("a", 1, 2),
            rng.bits("a", 1, 3),
        ];
        assert!(others.iter().all(|other| *other != rng.bits("a", 1, 2)));
    }

    #[test]
    fn draws_of_a_distribution_meet_its_percentiles() {
        let rng = SeededRng::new(1);
        let from = Distribution::new(100.0, 1_000.0, 5_000.0);
        let mut drawn: Vec<_> = (0..10_000).map(|n| rng.draw(&from, "x", n, 0)).collect();
        drawn.sort();
        let ms = |index: usize| drawn[index].as_secs_f64() * 1000.0;
        assert!((90.0..110.0).contains(&ms(5_000)), "{}", ms(5_000));
        assert!((900.0..1_000.0).contains(&ms(9_850)), "{}", ms(9_850));
        assert!((1_000.0..4_500.0).contains(&ms(9_950)), "{}", ms(9_950));
        assert!(ms(9_999) <= 5_000.0);
    }

    #[test]
    fn ids_look_like_those_of_ec2() {
        let rng = SeededRng::new(1);
        assert_eq!(rng.hex17("eni", 1).len(), 17);
        assert_eq!(rng.uuid("request", 1).len(), 36);
        assert_ne!(rng.hex17("eni", 1), rng.hex17("eni", 2));
    }
}
