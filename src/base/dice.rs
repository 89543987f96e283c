//! Chance for tests, the same in each run.

/// Numbers below a bound, from xorshift64; the seed is any number but 0.
pub(crate) fn dice(mut state: u64) -> impl FnMut(usize) -> usize {
    move |bound| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(bound).unwrap()).unwrap()
    }
}
