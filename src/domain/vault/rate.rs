//! `VAULT_RATE_LIMIT`: how fast one client may ask. A bucket of tokens without a clock, as in Vault's client.

use std::time::Duration;

use crate::base::time::Mono;

/// Requests per second, and how many may come at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateLimit {
    per_second: f64,
    burst: f64,
}

impl RateLimit {
    /// `RATE` or `RATE:BURST`; without a burst it is the whole part of the rate, but at least one request.
    /// `None` when it is not that.
    pub fn parse(text: &str) -> Option<Self> {
        let (rate, burst) = match text.trim().split_once(':') {
            Some((rate, burst)) => (rate, Some(burst.trim().parse::<u32>().ok()?)),
            None => (text, None),
        };
        let per_second = rate.trim().parse::<f64>().ok().filter(|rate| rate.is_finite())?;
        let burst = burst.map_or(per_second.floor(), f64::from).max(1.0);
        (per_second > 0.0).then_some(Self { per_second, burst })
    }
}

/// The requests that may still be made at a moment.
#[derive(Clone, Debug)]
pub struct Bucket {
    limit: RateLimit,
    /// Below zero when requests wait for their turn.
    tokens: f64,
    at: Mono,
}

impl Bucket {
    /// A full one.
    pub const fn new(limit: RateLimit, now: Mono) -> Self {
        Self { tokens: limit.burst, limit, at: now }
    }

    /// Takes the turn of one request, and says how long to wait for it.
    pub fn take(&mut self, now: Mono) -> Duration {
        let gained = now.since(self.at).as_secs_f64() * self.limit.per_second;
        self.at = self.at.max(now);
        self.tokens = (self.tokens + gained).min(self.limit.burst) - 1.0;
        let seconds = (-self.tokens / self.limit.per_second).max(0.0);
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Mono {
        Mono::at(Duration::from_millis(millis))
    }

    fn waits(limit: &str, moments: &[u64]) -> Vec<u128> {
        let mut bucket = Bucket::new(RateLimit::parse(limit).unwrap(), at(0));
        moments.iter().map(|&moment| bucket.take(at(moment)).as_millis()).collect()
    }

    #[test]
    fn a_burst_goes_at_once_and_the_rest_at_the_rate() {
        assert_eq!(waits("4:2", &[0, 0, 0, 0]), [0, 0, 250, 500]);
        assert_eq!(waits("4", &[0; 6]), [0, 0, 0, 0, 250, 500]);
        assert_eq!(waits("0.5", &[0, 0, 0]), [0, 2000, 4000]);
    }

    #[test]
    fn time_fills_the_bucket_again_but_never_above_its_burst() {
        assert_eq!(waits("10:1", &[0, 100, 10_000, 10_000, 10_050]), [0, 0, 0, 100, 150]);
        assert_eq!(waits("10:1", &[500, 400]), [0, 100], "a clock that is asked out of order");
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for text in ["", "x", "0", "-1", "1:", "1:x", "inf", "nan", "1:2:3", "1:-2"] {
            assert_eq!(RateLimit::parse(text), None, "{text}");
        }
        assert_eq!(RateLimit::parse(" 3 : 1 "), RateLimit::parse("3:1"));
    }
}
