//! Two clocks as two types that do not convert into each other, and chance as a value.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A moment of the monotonic clock, counted from the start of the process. Schedules are made of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mono(Duration);

impl Mono {
    /// The moment `since_start` after the start of the process.
    pub const fn at(since_start: Duration) -> Self {
        Self(since_start)
    }

    /// Time since the start of the process.
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// Time from `earlier` to `self`, zero when `earlier` is the later one.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Mono {
    type Output = Self;

    fn add(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(wait))
    }
}

impl Sub for Mono {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

/// Wall-clock time in milliseconds since 1970-01-01T00:00:00Z. For certificates, log lines and what
/// one process tells another; never for schedules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wall(pub i64);

impl Wall {
    /// Whole seconds since the epoch.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }
}

/// A number from 0 (inclusive) to 1 (exclusive), drawn by `adapter::entropy` and passed in wherever
/// a decision wants chance.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Spread(f64);

impl Spread {
    /// Half: for callers who do not care and for tests.
    pub const MIDDLE: Self = Self(0.5);

    /// Of 53 random bits.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit the mantissa of an f64 exactly")]
    pub fn of_bits(bits: u64) -> Self {
        Self((bits >> 11) as f64 / (1_u64 << 53) as f64)
    }

    /// The number itself.
    pub const fn fraction(self) -> f64 {
        self.0
    }

    /// That part of `whole`.
    pub fn of(self, whole: Duration) -> Duration {
        whole.mul_f64(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_stays_below_one() {
        assert!(Spread::of_bits(u64::MAX).fraction() < 1.0);
        assert_eq!(Spread::of_bits(0).of(Duration::from_secs(9)), Duration::ZERO);
    }
}
