//! Durations as Go writes them (`1h30m`, `250ms`) and as Vault accepts them (also `30` and `2d`).

use std::fmt;
use std::time::Duration;

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DurationError {
    /// Nothing there.
    Empty,
    /// It is negative, and nothing here waits a negative time.
    Negative,
    /// A number is missing or malformed.
    Number,
    /// A number without one of the units ns, us, µs, ms, s, m, h.
    Unit,
    /// Too long to count in nanoseconds.
    Overflow,
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "empty, want a duration such as 30s or 1m30s",
            Self::Negative => "negative duration",
            Self::Number => "not a duration, want a number with a unit such as 30s or 1m30s",
            Self::Unit => "a duration needs a unit: ns, us, ms, s, m or h, such as 30s",
            Self::Overflow => "duration too long",
        })
    }
}

impl std::error::Error for DurationError {}

/// Reads Go's syntax (`time.ParseDuration`): decimal numbers, each with a unit; `0` alone needs none.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let unsigned = match text.strip_prefix('-') {
        Some("0") => "0",
        Some(_) => return Err(DurationError::Negative),
        None => text.strip_prefix('+').unwrap_or(text),
    };
    if unsigned == "0" {
        return Ok(Duration::ZERO);
    }
    if unsigned.is_empty() {
        return Err(DurationError::Empty);
    }
    let mut total: u64 = 0;
    let mut rest = unsigned;
    while !rest.is_empty() {
        let (nanos, after) = one_part(rest)?;
        total = total.checked_add(nanos).ok_or(DurationError::Overflow)?;
        rest = after;
    }
    if i64::try_from(total).is_err() {
        return Err(DurationError::Overflow);
    }
    Ok(Duration::from_nanos(total))
}

/// Reads what Vault's configuration accepts: a bare number is seconds, `d` is days, else Go's syntax.
pub fn parse_vault(text: &str) -> Result<Duration, DurationError> {
    let text = text.trim();
    let (number, unit) = match text.strip_suffix('d') {
        Some(days) => (days, 86_400),
        None => (text, 1),
    };
    let Ok(count) = number.parse::<u64>() else { return parse(text) };
    let seconds = count.checked_mul(unit).filter(|seconds| *seconds <= SECONDS_MAX);
    Ok(Duration::from_secs(seconds.ok_or(DurationError::Overflow)?))
}

/// What Go can hold: 2^63 nanoseconds, some 292 years.
const SECONDS_MAX: u64 = i64::MAX.unsigned_abs() / 1_000_000_000;

/// One number with its unit in nanoseconds, and what follows it.
fn one_part(text: &str) -> Result<(u64, &str), DurationError> {
    let number_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(number_end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return Err(DurationError::Number);
    }
    let unit_end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
    let (unit, after) = rest.split_at(unit_end);
    let scale: u64 = match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return Err(DurationError::Unit),
    };
    // All digits, so the one way to fail is too many of them.
    let whole: u64 = match whole {
        "" => 0,
        digits => digits.parse().ok().ok_or(DurationError::Overflow)?,
    };
    let mut nanos = whole.checked_mul(scale).ok_or(DurationError::Overflow)?;
    let mut place = scale;
    for digit in fraction.bytes() {
        place /= 10;
        nanos = nanos
            .checked_add(place.saturating_mul(u64::from(digit - b'0')))
            .ok_or(DurationError::Overflow)?;
    }
    Ok((nanos, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_reads() {
        for (text, nanos) in [
            ("0", 0),
            ("+5s", 5_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1.5h", 5_400_000_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("250ms", 250_000_000),
            ("3\u{b5}s7ns", 3_007),
            ("2562047h47m16.854775807s", i64::MAX as u64),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn refuses_what_go_refuses() {
        for text in [
            "",
            "+",
            ".",
            ".s",
            "1",
            "5 s",
            "1d",
            "s",
            "1..5s",
            "1.2.3s",
            "99999999999h",
            "2562047h47m16.854775808s",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(parse("-1s"), Err(DurationError::Negative));
    }

    #[test]
    fn vault_takes_bare_seconds_and_days() {
        assert_eq!(parse_vault("30"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_vault("2d"), Ok(Duration::from_secs(172_800)));
        assert_eq!(parse_vault("1m"), Ok(Duration::from_secs(60)));
    }
}
