//! Numbers for values, shared by all threads, and memoised results by number.

use std::hash::Hash;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use ahash::RandomState;
use dashmap::{DashMap, Entry};

const FIRST: usize = 1024;
const BUCKETS: usize = 20;

/// A list that only grows and is read without a lock.
#[derive(Debug)]
struct Arena<T> {
    buckets: [OnceLock<Box<[OnceLock<T>]>>; BUCKETS],
}

impl<T> Arena<T> {
    fn new() -> Self {
        Self { buckets: [const { OnceLock::new() }; BUCKETS] }
    }

    /// Bucket and index of a value: each bucket is as large as all before it.
    fn place(index: usize) -> (usize, usize) {
        let bucket = ((index / FIRST) + 1).ilog2() as usize;
        (bucket, index - FIRST * ((1 << bucket) - 1))
    }

    fn set(&self, index: usize, value: T) {
        let (bucket, place) = Self::place(index);
        let make = || (0..FIRST << bucket).map(|_| OnceLock::new()).collect();
        let cell = &self.buckets[bucket].get_or_init(make)[place];
        assert!(cell.set(value).is_ok(), "a value was set twice");
    }

    fn get(&self, index: usize) -> &T {
        let (bucket, place) = Self::place(index);
        let bucket = self.buckets[bucket].get().expect("a known number");
        bucket[place].get().expect("a value that was set before its number was returned")
    }
}

/// Gives each value a number, which depends on the order of the threads.
#[derive(Debug)]
pub(crate) struct Interner<T: Hash + Eq, I> {
    numbers: DashMap<T, u32, RandomState>,
    infos: Arena<I>,
    next: AtomicU32,
}

impl<T: Hash + Eq, I> Interner<T, I> {
    pub(crate) fn new() -> Self {
        Self { numbers: DashMap::default(), infos: Arena::new(), next: AtomicU32::new(0) }
    }

    /// The number of the value. `info` computes what is stored for a new one.
    pub(crate) fn number(&self, value: T, info: impl FnOnce(&T) -> I) -> u32 {
        if let Some(found) = self.numbers.get(&value) {
            return *found;
        }
        match self.numbers.entry(value) {
            Entry::Occupied(found) => *found.get(),
            Entry::Vacant(vacant) => {
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                self.infos.set(number as usize, info(vacant.key()));
                vacant.insert(number);
                number
            }
        }
    }

    pub(crate) fn info(&self, number: u32) -> &I {
        self.infos.get(number as usize)
    }

    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }
}

/// Memoises a pure function.
#[derive(Debug)]
pub(crate) struct Memo<K: Hash + Eq> {
    known: DashMap<K, u32, RandomState>,
}

impl<K: Hash + Eq + Copy> Memo<K> {
    pub(crate) fn new() -> Self {
        Self { known: DashMap::default() }
    }

    pub(crate) fn get(&self, key: K, compute: impl FnOnce() -> u32) -> u32 {
        if let Some(found) = self.known.get(&key) {
            return *found;
        }
        let result = compute();
        self.known.insert(key, result);
        result
    }
}
