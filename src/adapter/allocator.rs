//! Memory: wiped when it is freed, one arena, and what is not in use given back when there is nothing to do.

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::ptr;

use super::files;

/// The system's allocator, which finds no secret in what it gets back.
///
/// A secret is copied by all that touches it: parsers, templates, buffers of HTTP and TLS, texts that grow. Types that
/// wipe themselves cover those that somebody thought of, this covers all.
#[derive(Debug)]
pub struct Wiping;

/// From here on a block is a mapping of its own. The kernel takes it back as a whole and hands out its pages as zeros:
/// nothing has to be written to, what was never used stays unused, a block that grows is neither copied nor there
/// twice, and none keeps what lies before it on the heap. Some are made in a second; each costs a few page faults.
const MAPPED_BYTES: usize = 256 * 1024;
/// The smallest page of the machines that we build for: no mapping starts anywhere else.
const PAGE_BYTES: usize = 4096;

const fn is_mapped(layout: Layout) -> bool {
    layout.size() >= MAPPED_BYTES && layout.align() <= PAGE_BYTES
}

#[expect(unsafe_code, reason = "an allocator is unsafe by its trait")]
// SAFETY: a block is the system's or a mapping, as its layout says, which the trait hands in with each call. It is
// wiped before it is given back, and not touched after.
unsafe impl GlobalAlloc for Wiping {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: what the caller promises is what the system wants.
        if is_mapped(layout) { map(layout.size()) } else { unsafe { System.alloc(layout) } }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        if is_mapped(layout) { map(layout.size()) } else { unsafe { System.alloc_zeroed(layout) } }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block is the caller's until it is given back.
        unsafe {
            if is_mapped(layout) {
                // Fails where the middle of a mapping is given back and the kernel's table of them is full.
                if libc::munmap(block.cast(), layout.size()) != 0 {
                    libc::explicit_bzero(block.cast(), layout.size());
                }
                return;
            }
            // Not by `memset`, which the compiler leaves out before memory is freed.
            libc::explicit_bzero(block.cast(), layout.size());
            System.dealloc(block, layout);
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: the caller promises that the size fits the alignment. A mapping stays one; else both blocks are as
        // long as what is copied and do not overlap, as both are in use.
        unsafe {
            let wanted = Layout::from_size_align_unchecked(bytes, layout.align());
            if is_mapped(layout) && is_mapped(wanted) {
                let moved = libc::mremap(block.cast(), layout.size(), bytes, libc::MREMAP_MAYMOVE);
                return if moved == libc::MAP_FAILED { ptr::null_mut() } else { moved.cast() };
            }
            let other = self.alloc(wanted);
            if !other.is_null() {
                ptr::copy_nonoverlapping(block, other, layout.size().min(bytes));
                self.dealloc(block, layout);
            }
            other
        }
    }
}

/// Memory full of zeros, or null.
#[expect(unsafe_code, reason = "the kernel's own call")]
fn map(bytes: usize) -> *mut u8 {
    // SAFETY: a new mapping touches nothing that is there.
    let block = unsafe {
        libc::mmap(
            ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if block == libc::MAP_FAILED { ptr::null_mut() } else { block.cast() }
}

/// Limits the allocator to one arena. To be called before any thread is started: each further arena keeps some 30 KiB
/// resident of a thread that hardly allocates, and no mode of ours is bound by the allocator's lock.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "the C library's own call; no Rust crate has it without")]
pub(crate) fn prepare() {
    // SAFETY: `mallopt` takes two integers and is called while there is one thread.
    let _arenas_may_stay = unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}

/// Gives free memory back to the kernel. Takes some 100 µs for a heap of a few MiB.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "the C library's own call; no Rust crate has it without")]
pub(crate) fn trim() {
    // SAFETY: `malloc_trim` takes an integer, locks what it touches and moves nothing in use.
    let _nothing_to_give = unsafe { libc::malloc_trim(0) };
}

/// Nothing to limit in other allocators.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn prepare() {}

/// Other allocators look after themselves.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn trim() {}

/// Takes this program's code out of memory as far as the process counts it; what runs next comes back
/// from the page cache, a few microseconds per 64 KiB. The kernel maps nearly all of the code in the course
/// of a start, and a process at rest needs little of it.
#[expect(unsafe_code, reason = "the kernel's own call; no Rust crate has it without")]
pub(crate) fn unmap_code() {
    for (start, length) in code_ranges().unwrap_or_default() {
        let start = ptr::with_exposed_provenance_mut(start);
        // SAFETY: the range is a private mapping of our executable that is not writable, so each of its
        // pages is the file's; one that is dropped is read from the file when it is needed.
        let _it_stays_then = unsafe { libc::madvise(start, length, libc::MADV_DONTNEED) };
    }
}

/// Where the executable's code is mapped, as addresses and lengths. Code alone: what is read-only may have
/// been relocated at the start, and would be lost.
fn code_ranges() -> Option<Vec<(usize, usize)>> {
    let executable = std::fs::read_link("/proc/self/exe").ok()?;
    let maps = files::read_bounded(Path::new("/proc/self/maps"), MAPS_BYTES_MAX).ok()?;
    let maps = String::from_utf8(maps).ok()?;
    let of_line = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let is_code = words.next()? == "r-xp" && Path::new(words.nth(3)?) == executable;
        let start = usize::from_str_radix(start, 16).ok()?;
        let end = usize::from_str_radix(end, 16).ok()?;
        is_code.then_some((start, end.checked_sub(start)?))
    };
    Some(maps.lines().filter_map(of_line).collect())
}

/// Bytes of the list of mappings; ours has some thirty lines.
const MAPS_BYTES_MAX: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    #[global_allocator]
    static WIPING: super::Wiping = super::Wiping;

    /// What lies at an address, whoever it belongs to now.
    fn seen(place: u64, bytes: usize) -> Vec<u8> {
        let memory = std::fs::File::open("/proc/self/mem").unwrap();
        let mut seen = vec![0; bytes];
        // Given back to the kernel: nothing is there.
        let read = memory.read_at(&mut seen, place).unwrap_or_default();
        seen.truncate(read);
        seen
    }

    #[test]
    fn what_is_freed_is_wiped() {
        let pattern = [0x5a_u8; 16];
        for size in [100, 1000, 5000, 60_000, 131_000, 200_000, 262_143, 262_144, 5_000_000] {
            let secret = vec![0x5a_u8; size];
            let place = secret.as_ptr().addr() as u64;
            assert!(seen(place, size).windows(16).any(|window| window == pattern));
            drop(secret);
            assert!(!seen(place, size).windows(16).any(|window| window == pattern), "{size}");
            // What it grows out of is freed as well.
            let mut secret = vec![0x5a_u8; size];
            let place = secret.as_ptr().addr() as u64;
            secret.reserve_exact(size);
            if secret.as_ptr().addr() as u64 != place {
                assert!(!seen(place, size).windows(16).any(|window| window == pattern), "{size}");
            }
        }
    }

    #[test]
    fn blocks_that_grow_and_shrink_keep_their_content() {
        let mut text = Vec::new();
        for round in 0..400_000_u32 {
            text.push(round.to_le_bytes()[0]);
        }
        for size in [300_000, 262_144, 262_143, 1000, 3] {
            text.truncate(size);
            text.shrink_to_fit();
            assert!(text.iter().zip(0_u32..).all(|(&byte, round)| byte == round.to_le_bytes()[0]));
        }
    }

    #[test]
    fn trimming_gives_memory_back() {
        #[expect(clippy::disallowed_methods, reason = "a file of the kernel")]
        let resident = || {
            let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
            statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap()
        };
        // Blocks below the mmap threshold, freed under one that stays: only a trim gives them back.
        let blocks: Vec<Vec<u8>> = (0..4000).map(|_| vec![1_u8; 16 * 1024]).collect();
        let top = vec![1_u8; 16 * 1024];
        drop(blocks);
        let before = resident();
        super::trim();
        let after = resident();
        drop(top);
        if cfg!(target_env = "gnu") {
            assert!(after + 4000 < before, "{before} pages before, {after} after");
        }
    }

    #[test]
    fn code_that_was_unmapped_runs_on() {
        let ranges = super::code_ranges().unwrap();
        assert!(!ranges.is_empty());
        for _ in 0..3 {
            super::unmap_code();
            assert_eq!(super::code_ranges().unwrap(), ranges);
        }
    }
}
