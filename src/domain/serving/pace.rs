//! How long to wait before the API server is asked again.

use std::time::Duration;

use crate::base::time::Spread;

const FIRST: Duration = Duration::from_millis(500);
const FACTOR: f64 = 1.5;
const LONGEST: Duration = Duration::from_mins(1);

/// What we believe of a `Retry-After`: nobody shall be able to stop us for a week.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(5);

/// Waits that grow by half with each failure in a row, for ever, from half a second to a minute. Each is shortened by
/// up to a half, so that replicas that failed together do not come back together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    failures: u32,
}

impl Pace {
    /// Nothing has failed yet.
    pub const fn new() -> Self {
        Self { failures: 0 }
    }

    /// The wait after one more failure. `retry_after` is the least the server asks for.
    pub fn fail(&mut self, retry_after: Option<Duration>, spread: Spread) -> Duration {
        let wait = self.wait(spread);
        self.failures = self.failures.saturating_add(1);
        let asked = retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
        // Whoever was told the same moment shall not come in the same moment.
        let asked = asked + spread.of(asked / 4);
        wait.max(asked)
    }

    /// The wait that stands for the failures so far.
    pub fn wait(self, spread: Spread) -> Duration {
        // 1.5^12 halves of a second are more than a minute.
        let power = i32::try_from(self.failures.min(12)).unwrap_or_default();
        let whole = FIRST.mul_f64(FACTOR.powi(power)).min(LONGEST);
        whole / 2 + spread.of(whole / 2)
    }

    /// Failures in a row.
    pub const fn failures(self) -> u32 {
        self.failures
    }

    /// Something went well.
    pub const fn succeed(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_minute_and_stay_there() {
        let mut pace = Pace::default();
        let all: Vec<_> = (0..50).map(|_| pace.fail(None, Spread::MIDDLE).as_millis()).collect();
        assert_eq!(&all[..4], [375, 562, 843, 1265]);
        assert!(all.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(all.last(), Some(&45_000));
        pace.succeed();
        assert_eq!(pace.fail(None, Spread::of_bits(0)).as_millis(), 250);
    }

    #[test]
    fn the_server_may_ask_for_more_within_reason() {
        let mut pace = Pace::default();
        let asked = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(pace.fail(asked(8), Spread::of_bits(0)).as_secs(), 8);
        assert_eq!(pace.fail(asked(1_000_000), Spread::of_bits(0)).as_secs(), 300);
    }
}
