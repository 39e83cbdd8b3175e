//! The file registry against a model: sequences of requests, crashes, corruption, unrelated files.
//!
//! Input: steps, each with one byte for its kind, and its parameters.

mod modelled_registry;

use firecamp_core::ids::Version;

use crate::draw::Draw;
use modelled_registry::{Basis, ModelledRegistry};

/// More steps find nothing new and take long.
const STEPS_MAX: usize = 40;

/// The registry answers like the model, also after crashes and beside unrelated files. A write at
/// another version than the stored one changes nothing. The registry reports a corrupt object,
/// does not change it, and serves all others.
pub fn file_registry(input: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime without I/O starts");
    runtime.block_on(async {
        let mut modelled = ModelledRegistry::new().await;
        let mut draw = Draw::new(input);
        for _step in 0..STEPS_MAX {
            if draw.is_empty() {
                break;
            }
            step(&mut modelled, &mut draw).await;
            modelled.check().await;
        }
    });
}

async fn step(modelled: &mut ModelledRegistry, draw: &mut Draw<'_>) {
    let what = draw.byte() % 16;
    let member = draw.byte() % 3;
    // Two addresses in the ranges, one outside, one that AWS reserves.
    let last = draw.choose(&[16_u8, 17, 99, 2]);
    let basis = draw.choose(&[Basis::Current, Basis::Current, Basis::Current, Basis::Stale]);
    let number = draw.byte();
    match what {
        0 => modelled.create_claim(member).await,
        1 => modelled.bind(member, (!number.is_multiple_of(4)).then_some(last), basis).await,
        2 | 3 => modelled.create_ip(last, member).await,
        4..=6 => modelled.acquire(last, u64::from(number % 8), member, basis).await,
        7 => modelled.comment(last, number).await,
        8 => modelled.delete_ip(last),
        9 => modelled.reopen(),
        10 => modelled.crash_before_publishing(last, draw.piece()),
        11 => modelled.crash_after_publishing(last),
        12 => modelled.damage(last, usize::from(number)),
        13 => modelled.repair(last),
        14 => modelled.add_unrelated_file(number, draw.piece()).await,
        _ => modelled.race(last, u64::from(number)).await,
    }
}

fn unknown_version() -> Version {
    Version::new("0-0").expect("a version")
}
