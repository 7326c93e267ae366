//! A global allocator that counts allocations, for `allocs_per_call`.
//!
//! Each thread counts in a cache line of its own, with a plain load and store: a shared counter would be contended
//! by both workers and would slow the fast peers by more than the allocations that it counts.
#![allow(
    unsafe_code,
    reason = "GlobalAlloc is an unsafe trait; every method hands straight on to System"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Threads beyond this many share a line and may lose a few counts; no peer here starts more than about forty.
const SHARDS: usize = 128;

static COUNTS: [Shard; SHARDS] = [const { Shard(AtomicU64::new(0)) }; SHARDS];
static NEXT_SHARD: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SHARD: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Allocations and reallocations of this process so far.
pub(crate) fn allocations() -> u64 {
    COUNTS
        .iter()
        .map(|shard| shard.0.load(Ordering::Relaxed))
        .sum()
}

/// The system's allocator, counting.
#[derive(Debug)]
pub(crate) struct Counting;

#[repr(align(128))]
struct Shard(AtomicU64);

fn count() {
    SHARD.with(|mine| {
        if mine.get() == usize::MAX {
            mine.set(NEXT_SHARD.fetch_add(1, Ordering::Relaxed) % SHARDS);
        }
        let counter = &COUNTS[mine.get()].0;
        counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    });
}

// SAFETY: every method passes its arguments unchanged to `System`, which upholds the contract. `count` neither
// allocates nor unwinds: its thread local is const-initialised and has no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}
