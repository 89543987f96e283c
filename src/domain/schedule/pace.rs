//! How long to wait: back-off with full jitter, renewal points, and the dice they are thrown with.

use std::time::Duration;

use crate::base::time::Spread;

/// No two renewals, nor two fetches of one secret, are closer than this.
pub const REPEAT_MIN: Duration = Duration::from_secs(1);

/// A failed fetch is not repeated sooner, whatever the jitter says.
const RETRY_MIN: Duration = Duration::from_millis(100);

/// What we believe of a `Retry-After`: a proxy that says "next week" shall not stop a pod for a week.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(10);

/// Random numbers as a value: the same seed gives the same schedule.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Seeded by `adapter::entropy`, so that no two pods march in step.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number (`SplitMix64`).
    pub fn roll(&mut self) -> Spread {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Spread::of_bits(bits ^ (bits >> 31))
    }
}

/// Waits that double from `min` to `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first wait, on average.
    pub min: Duration,
    /// The longest wait.
    pub max: Duration,
}

impl Backoff {
    /// The longest wait before try number `attempt` (from 1): twice what doubling gives, since the
    /// jitter below takes half of it on average.
    fn ceiling(&self, attempt: u32) -> Duration {
        let doubled = 1_u32.checked_shl(attempt.min(31)).unwrap_or(u32::MAX);
        self.min.saturating_mul(doubled).min(self.max)
    }

    /// The wait before try number `attempt` (from 1) of a fetch: anything up to the ceiling, so that
    /// pods that failed together do not come back together.
    pub fn wait(&self, attempt: u32, retry_after: Option<Duration>, dice: &mut Dice) -> Duration {
        let jittered = dice.roll().of(self.ceiling(attempt)).max(RETRY_MIN.min(self.max));
        asked_for(retry_after, dice).max(jittered)
    }

    /// The same, but never below `min`: for logins, where `min` is the administrator's word.
    pub fn wait_at_least_min(
        &self,
        attempt: u32,
        retry_after: Option<Duration>,
        dice: &mut Dice,
    ) -> Duration {
        let above = self.ceiling(attempt).saturating_sub(self.min);
        let jittered = self.min + dice.roll().of(above);
        asked_for(retry_after, dice).max(jittered)
    }
}

/// `Retry-After` and up to a tenth more, or nothing.
fn asked_for(retry_after: Option<Duration>, dice: &mut Dice) -> Duration {
    let asked = retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
    asked + dice.roll().of(asked / 10)
}

/// When to renew what lives for `ttl`: two thirds into it, less up to a tenth of it.
pub fn renew_after(ttl: Duration, dice: &mut Dice) -> Duration {
    let latest = Duration::from_secs_f64(ttl.as_secs_f64() * 2.0 / 3.0);
    latest.saturating_sub(dice.roll().of(ttl / 10)).max(REPEAT_MIN)
}

/// When to read again what is good for `base`: at `threshold` of it, give or take a twentieth.
pub fn reread_after(base: Duration, threshold: f64, dice: &mut Dice) -> Duration {
    let jittered = threshold + (dice.roll().fraction() - 0.5) / 10.0;
    let factor = if jittered > 0.0 && jittered < 1.0 { jittered } else { threshold };
    Duration::try_from_secs_f64(base.as_secs_f64() * factor).unwrap_or(base).max(REPEAT_MIN)
}

/// Whether an answer to a renewal says that the end (`max_ttl`) is near: renewals grant what was
/// granted at first until the limit starts to cut them.
pub fn is_running_out(full: Duration, granted: Duration) -> bool {
    granted.saturating_mul(2) < full
}
