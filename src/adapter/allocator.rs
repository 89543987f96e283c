//! The C library's allocator: one arena, and memory given back when there is nothing to do.

/// Limits the allocator to one arena. To be called before any thread is started: each further arena
/// keeps some 30 KiB resident of a thread that hardly allocates, and no mode of ours is bound by the
/// allocator's lock.
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
}
