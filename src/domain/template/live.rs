//! What the values of templates hold at this moment, in bytes.
//!
//! A value cannot leave its thread, so that a counter of the thread is exact: what is made is added where it
//! is made, what is dropped is taken off where it is dropped, and no code in between can forget either.

use std::cell::Cell;
use std::ops::Deref;

thread_local! {
    static LIVE: Cell<usize> = const { Cell::new(0) };
}

/// Bytes that all values of this thread hold.
pub(super) fn bytes() -> usize {
    LIVE.get()
}

/// Bytes that are counted until this is dropped.
#[derive(Default)]
pub(super) struct Held(usize);

impl Held {
    pub(super) const fn none() -> Self {
        Self(0)
    }

    pub(super) fn new(bytes: usize) -> Self {
        LIVE.set(LIVE.get().saturating_add(bytes));
        Self(bytes)
    }

    /// From now on so many are held.
    pub(super) fn become_of(&mut self, bytes: usize) {
        if bytes != self.0 {
            *self = Self::new(bytes);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        LIVE.set(LIVE.get().saturating_sub(self.0));
    }
}

impl<T: PartialEq> PartialEq for Counted<T> {
    fn eq(&self, other: &Self) -> bool {
        self.of == other.of
    }
}

/// Something with the bytes that it holds.
#[derive(Default)]
pub(crate) struct Counted<T> {
    of: T,
    _held: Held,
}

impl<T> Counted<T> {
    pub(super) fn new(of: T, bytes: usize) -> Self {
        Self { of, _held: Held::new(bytes) }
    }
}

impl<T> Deref for Counted<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.of
    }
}
