//! In place of the gateway's `sync`: the same names over a model checker, which sees every operation,
//! and the faults that an exploration asks for.

use std::marker::PhantomData;

use loom::sync::MutexGuard;
use loom::sync::atomic::AtomicU64 as Word;

use crate::exploration::{Fault, fault};

pub use std::sync::atomic::Ordering;

pub type AtomicI32 = Atomic<i32>;
pub type AtomicI64 = Atomic<i64>;
pub type AtomicU32 = Atomic<u32>;
pub type AtomicU64 = Atomic<u64>;

/// An integer in a word, extended by its sign: sums of words are words of sums.
pub trait Bits: Copy {
    fn to_bits(self) -> u64;
    /// Fails for what the integer cannot be: a sum beyond its bounds.
    fn from_bits(bits: u64) -> Self;
}

#[derive(Debug, Default)]
pub struct Atomic<T> {
    word: Word,
    is: PhantomData<T>,
}

impl<T: Bits> Atomic<T> {
    pub fn new(value: T) -> Self {
        Self { word: Word::new(value.to_bits()), is: PhantomData }
    }

    pub fn load(&self, order: Ordering) -> T {
        T::from_bits(self.word.load(actual(order)))
    }

    pub fn store(&self, value: T, order: Ordering) {
        self.word.store(value.to_bits(), actual(order));
    }

    pub fn swap(&self, value: T, order: Ordering) -> T {
        self.step(|_| value.to_bits(), |word| word.swap(value.to_bits(), actual(order)))
    }

    pub fn fetch_add(&self, value: T, order: Ordering) -> T {
        let value = value.to_bits();
        self.step(|bits| bits.wrapping_add(value), |word| word.fetch_add(value, actual(order)))
    }

    pub fn fetch_sub(&self, value: T, order: Ordering) -> T {
        let value = value.to_bits();
        self.step(|bits| bits.wrapping_sub(value), |word| word.fetch_sub(value, actual(order)))
    }

    pub fn fetch_update(
        &self,
        set: Ordering,
        fetch: Ordering,
        mut next: impl FnMut(T) -> Option<T>,
    ) -> Result<T, T> {
        let mut value = self.load(fetch);
        while let Some(then) = next(value) {
            match self.compare_exchange_weak(value, then, set, fetch) {
                Ok(before) => return Ok(before),
                Err(changed) => value = changed,
            }
        }
        Err(value)
    }

    pub fn compare_exchange_weak(
        &self,
        value: T,
        then: T,
        set: Ordering,
        fetch: Ordering,
    ) -> Result<T, T> {
        if fault() == Fault::Torn {
            self.word.store(then.to_bits(), Ordering::Release);
            return Ok(value);
        }
        let (value, then) = (value.to_bits(), then.to_bits());
        let result = self.word.compare_exchange_weak(value, then, actual(set), actual(fetch));
        result.map(T::from_bits).map_err(T::from_bits)
    }

    /// One step; in two when it is to be torn. The value before.
    fn step(&self, next: impl Fn(u64) -> u64, whole: impl Fn(&Word) -> u64) -> T {
        T::from_bits(if fault() == Fault::Torn {
            let before = self.word.load(Ordering::Acquire);
            self.word.store(next(before), Ordering::Release);
            before
        } else {
            whole(&self.word)
        })
    }
}

/// The order that an operation has in this run.
fn actual(order: Ordering) -> Ordering {
    if fault() == Fault::Unordered { Ordering::Relaxed } else { order }
}

impl Bits for u64 {
    fn to_bits(self) -> u64 {
        self
    }

    fn from_bits(bits: u64) -> Self {
        bits
    }
}

impl Bits for i64 {
    fn to_bits(self) -> u64 {
        self.cast_unsigned()
    }

    fn from_bits(bits: u64) -> Self {
        bits.cast_signed()
    }
}

impl Bits for u32 {
    fn to_bits(self) -> u64 {
        self.into()
    }

    fn from_bits(bits: u64) -> Self {
        Self::try_from(bits.cast_signed()).expect("a count stays within its bounds")
    }
}

impl Bits for i32 {
    fn to_bits(self) -> u64 {
        i64::from(self).cast_unsigned()
    }

    fn from_bits(bits: u64) -> Self {
        Self::try_from(bits.cast_signed()).expect("a count stays within its bounds")
    }
}

/// As the gateway's, which has no poison.
#[derive(Debug)]
pub struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().expect("a panic ends the run")
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}
