//! An allocator that counts, for each thread by itself, what is asked for and what is held at a time.

#![expect(unsafe_code, reason = "an allocator that counts is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// What a piece of work took of its thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    /// How often something was allocated or made larger.
    pub(crate) allocations: usize,
    /// Most bytes at a time, of those that were not held before.
    pub(crate) peak: usize,
}

/// Runs `work` and says what it took.
pub(crate) fn measure(work: impl FnOnce()) -> Taken {
    let (allocations, held) = (ALLOCATIONS.get(), HELD.get());
    PEAK.set(held);
    work();
    let peak = usize::try_from(PEAK.get() - held).unwrap();
    Taken { allocations: ALLOCATIONS.get() - allocations, peak }
}

struct Counting;

/// A block of so many bytes less and so many bytes more.
fn note(freed: usize, taken: usize) {
    // A thread that ends has no counters any more.
    let _ended = HELD.try_with(|held| {
        let now = held.get() + taken.cast_signed() - freed.cast_signed();
        held.set(now);
        PEAK.with(|peak| peak.set(peak.get().max(now)));
        ALLOCATIONS.with(|count| count.set(count.get() + usize::from(taken > 0)));
    });
}

// SAFETY: everything is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(0, layout.size());
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note(layout.size(), 0);
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // The old block may live until the new one is filled.
        note(0, size);
        note(layout.size(), 0);
        // SAFETY: the caller keeps the contract.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
