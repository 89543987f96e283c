//! Memory: one arena for the allocator, and what is not in use given back when there is nothing to do.

use std::path::Path;

use super::files;

/// Limits the allocator to one arena, and has large blocks go back to the kernel as soon as they are free. To be called
/// before any thread is started: each further arena keeps some 30 KiB resident of a thread that hardly allocates, and
/// no mode of ours is bound by the allocator's lock. A large block that comes from the heap, as they do by default
/// after the first of them, keeps all that lies before it.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "the C library's own call; no Rust crate has it without")]
pub(crate) fn prepare() {
    // SAFETY: `mallopt` takes two integers and is called while there is one thread.
    let _arenas_may_stay = unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
    // SAFETY: as above.
    let _it_stays_then = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BYTES) };
}

/// Bytes of a large block: some are made in a second, and each costs a few page faults.
#[cfg(target_env = "gnu")]
const LARGE_BYTES: libc::c_int = 256 * 1024;

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
        let start = std::ptr::with_exposed_provenance_mut(start);
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
