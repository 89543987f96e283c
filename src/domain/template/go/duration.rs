//! Go's `time.Duration`: nanoseconds, written as `1h30m0s`.

use crate::base::go_duration::{self, DurationError};

pub(crate) const SECOND: i64 = 1_000_000_000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;

/// `Duration.String`
pub(crate) fn string(duration: i64) -> String {
    let sign = if duration < 0 { "-" } else { "" };
    let nanos = duration.unsigned_abs();
    let fraction = |scale: u64| {
        let digits = usize::try_from(scale.ilog10()).unwrap_or(0);
        let fraction = format!("{:0digits$}", nanos % scale);
        match fraction.trim_end_matches('0') {
            "" => String::new(),
            digits if scale > 1 => format!(".{digits}"),
            _ => String::new(),
        }
    };
    let (whole, fraction) = match nanos {
        0 => return "0s".to_owned(),
        1..1_000 => return format!("{sign}{nanos}ns"),
        1_000..1_000_000 => {
            return format!("{sign}{}{}\u{b5}s", nanos / 1_000, fraction(1_000));
        }
        1_000_000..1_000_000_000 => {
            return format!("{sign}{}{}ms", nanos / 1_000_000, fraction(1_000_000));
        }
        _ => (nanos / 1_000_000_000, fraction(1_000_000_000)),
    };
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    match (hours, minutes) {
        (0, 0) => format!("{sign}{seconds}{fraction}s"),
        (0, _) => format!("{sign}{minutes}m{seconds}{fraction}s"),
        _ => format!("{sign}{hours}h{minutes}m{seconds}{fraction}s"),
    }
}

/// `time.ParseDuration`, with a sign.
pub(crate) fn parse(text: &str) -> Result<i64, DurationError> {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) if rest.starts_with(['+', '-']) => return Err(DurationError::Number),
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let nanos = go_duration::parse(unsigned)?.as_nanos();
    i64::try_from(nanos).map(|nanos| nanos * sign).or(Err(DurationError::Overflow))
}

/// To the nearest multiple of `unit`, halves away from zero.
pub(crate) fn rounded(duration: i64, unit: i64) -> i64 {
    if unit <= 0 {
        return duration;
    }
    let past = duration % unit;
    let near = duration - past;
    let is_down = i128::from(past.unsigned_abs()) * 2 < i128::from(unit);
    let away = if duration < 0 { near.checked_sub(unit) } else { near.checked_add(unit) };
    if is_down { near } else { away.unwrap_or(if duration < 0 { i64::MIN } else { i64::MAX }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_go_does() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (-1_100, "-1.1\u{b5}s"),
            (2_200_000, "2.2ms"),
            (3_000_000_000, "3s"),
            (5 * MINUTE + SECOND / 2, "5m0.5s"),
            (-HOUR, "-1h0m0s"),
            (i64::MAX, "2562047h47m16.854775807s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            assert_eq!(string(nanos), text);
        }
        assert_eq!(rounded(1_500_000_000, SECOND), 2 * SECOND);
        assert_eq!(rounded(-1_500_000_000, SECOND), -2 * SECOND);
        assert_eq!(rounded(1_499_999_999, SECOND), SECOND);
        assert_eq!(parse("-1.5h"), Ok(-5_400_000_000_000));
        assert!(parse("--1s").is_err() && parse("-+1s").is_err() && parse("1d").is_err());
    }
}
