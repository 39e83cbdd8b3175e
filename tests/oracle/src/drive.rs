//! Small seeded histories of single components. They claim nothing about what is right: they only
//! lead a component through as much as they can, for [`mod@crate::record`].

mod leader;
mod lease;

pub use self::leader::leader;
pub use self::lease::lease;

use std::fmt::Debug;
use std::str::FromStr;

use firecamp_histories::seed::SeededRng;

fn parsed<T: FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().expect("names of this module are well formed")
}

/// One of these.
fn pick<T: Clone>(rng: &mut SeededRng, all: &[T]) -> T {
    let at = rng.below(u64::try_from(all.len()).unwrap_or_default());
    all[usize::try_from(at).unwrap_or_default()].clone()
}
