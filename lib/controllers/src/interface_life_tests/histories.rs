//! Random histories of interfaces that come and go while members use them. `HISTORIES` says how
//! many, `SEED` where they begin.

use std::time::Duration;

use super::nothing_left;
use super::world::{Fate, World};

/// In each run of the tests; more by `make sim LEVEL=interfaces`.
const HISTORIES: u64 = 400;
/// By then everything is over: a lost instance is noticed after ten minutes, and its interface is
/// detached and deleted after five each. A leader that crashes, up to three times, starts over.
const END: Duration = Duration::from_mins(90);

/// SplitMix64 (Steele, Lea and Flood, 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn seconds(&mut self, bound: u64) -> Duration {
        Duration::from_secs(self.below(bound))
    }
}

/// An attach takes at most three minutes, and the call that it sends last a few seconds more.
fn attach(world: &mut World, random: &mut Random) {
    let Some(eni) = world.chosen() else { return };
    let was_attached = world.is_attached(&eni);
    if random.below(4) == 0 {
        world.drain();
    }
    // What it reads may be half a minute old.
    world.run(random.seconds(30) + random.seconds(170));
    world.acquire_on(eni.clone());
    world.run(random.seconds(8));
    if was_attached {
        world.must_be_attached(&eni);
    }
    world.assign_on(&eni);
}

fn act(world: &mut World, random: &mut Random) {
    let fates = [Fate::Well, Fate::Well, Fate::NoSlot, Fate::Denied, Fate::Throttled];
    match random.below(14) {
        0..=3 => attach(world, random),
        4 if world.is_held() => world.park_member(random.below(2) == 0),
        5 if world.is_held() => world.move_member(),
        6 => world.drain(),
        7 => world.restart_agent(),
        8 => world.restart_leader(),
        9 => world.hide_node(random.below(2) == 0),
        10 => world.fate(fates[usize::try_from(random.below(5)).unwrap()]),
        11 if random.below(3) == 0 => world.delete_by_hand(),
        12 => world.want(random.below(2) == 0),
        13 if random.below(4) == 0 => world.terminate(),
        _ => {}
    }
}

fn history(seed: u64) {
    let mut random = Random(seed);
    let crashes: Vec<u32> =
        (0..random.below(4)).map(|_| u32::try_from(random.below(40)).unwrap()).collect();
    let mut world = World::new(&crashes);
    world.run(random.seconds(40));
    for _act in 0..3 + random.below(8) {
        act(&mut world, &mut random);
        world.run(random.seconds(100));
        assert!(world.is_foreign_intact(), "seed {seed}: a foreign interface was touched");
        assert!(!world.lost_an_address(), "seed {seed}: an interface was deleted with an address");
    }
    world.fate(Fate::Well);
    world.hide_node(false);
    world.want(false);
    world.move_member();
    world.drain();
    world.run(END);
    nothing_left(&world, &format!("SEED={seed} HISTORIES=1"));
}

pub(crate) fn given(name: &str) -> Option<u64> {
    Some(std::env::var(name).ok()?.parse().expect(name))
}

#[test]
fn random_histories_leave_nothing_behind_and_touch_nothing_foreign() {
    let (first, count) = (given("SEED").unwrap_or(1), given("HISTORIES").unwrap_or(HISTORIES));
    let workers = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    std::thread::scope(|scope| {
        for worker in 0..workers {
            let mut seeds =
                (first + worker..first + count).step_by(usize::try_from(workers).unwrap());
            scope.spawn(move || seeds.by_ref().for_each(history));
        }
    });
    println!("{count} histories from seed {first} on");
}
