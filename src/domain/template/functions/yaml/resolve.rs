//! What plain words mean in YAML 1.1, as Go's yaml.v2 has it.

use crate::domain::template::go::literal;

/// A plain word as a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Meaning {
    Bool(bool),
    Float(f64),
    Int(i64),
    Nil,
    Text,
    /// A date or time. It stays a text, but a text that looks like one is quoted.
    Time,
    /// Too large for an `i64`.
    Uint(u64),
}

/// What a word without quotes means.
pub(super) fn resolve(text: &str) -> Meaning {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Meaning::Nil,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Meaning::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Meaning::Bool(false)
        }
        ".nan" | ".NaN" | ".NAN" => Meaning::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Meaning::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Meaning::Float(f64::NEG_INFINITY),
        _ if text.starts_with('.') => point_float(text).map_or(Meaning::Text, Meaning::Float),
        _ if text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-')) => {
            if is_timestamp(text) {
                Meaning::Time
            } else {
                number(&text.replace('_', ""))
            }
        }
        _ => Meaning::Text,
    }
}

/// `strconv.ParseFloat` of a text that starts with a point; underscores stand between digits.
fn point_float(text: &str) -> Option<f64> {
    let bytes = text.as_bytes();
    let is_digit = |i: Option<usize>| i.and_then(|i| bytes.get(i)).is_some_and(u8::is_ascii_digit);
    let mut underscores = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'_');
    let are_right = underscores.all(|(i, _)| is_digit(i.checked_sub(1)) && is_digit(Some(i + 1)));
    literal::parse_float(&text.replace('_', "")).filter(|_| are_right)
}

fn number(plain: &str) -> Meaning {
    if let Some(int) = literal::parse_int_any_base(plain) {
        return Meaning::Int(int);
    }
    let unsigned = Some(plain).filter(|plain| !plain.starts_with('+'));
    if let Some(uint) = unsigned.and_then(literal::parse_uint_any_base) {
        return Meaning::Uint(uint);
    }
    if is_float(plain)
        && let Some(float) = literal::parse_float(plain)
    {
        return Meaning::Float(float);
    }
    // The sign may stand behind the prefix.
    let binary = plain.strip_prefix("0b").and_then(|digits| i64::from_str_radix(digits, 2).ok());
    binary.map_or(Meaning::Text, Meaning::Int)
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let is_exponent = |exponent: &str| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !digits.is_empty() && is_digits(digits)
    };
    let is_mantissa = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && is_digits(fraction),
        Some((whole, fraction)) => is_digits(whole) && is_digits(fraction),
        None => !mantissa.is_empty() && is_digits(mantissa),
    };
    is_mantissa && exponent.is_none_or(is_exponent)
}

/// Whether other readers of YAML 1.1 take the text for a number to the base of 60:
/// `[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?`
pub(super) fn is_base_60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let Some((first, rest)) = unsigned.split_once(':') else { return false };
    let is_loose = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let (groups, fraction) = rest.split_once('.').unwrap_or((rest, ""));
    let is_group =
        |group: &str| matches!(group.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9']);
    first.starts_with(|c: char| c.is_ascii_digit())
        && is_loose(first)
        && groups.split(':').all(is_group)
        && is_loose(fraction)
}

/// A date, or a date and a time of day with a zone behind `T`, without one behind blanks.
fn is_timestamp(text: &str) -> bool {
    let mut rest = text;
    date(&mut rest).is_some() && (rest.is_empty() || time_of_day(rest).is_some())
}

/// The digits that come next: at least one, at most two.
fn two_digits(rest: &mut &str) -> Option<u32> {
    let count = rest.bytes().take(2).take_while(u8::is_ascii_digit).count();
    let (digits, after) = rest.split_at_checked(count)?;
    *rest = after;
    digits.parse().ok()
}

fn date(rest: &mut &str) -> Option<()> {
    let (year, after) = rest.split_at_checked(4)?;
    let year: u32 = year.parse().ok().filter(|_| !year.starts_with('+'))?;
    *rest = after.strip_prefix('-')?;
    let month = two_digits(rest)?;
    *rest = rest.strip_prefix('-')?;
    let day = two_digits(rest)?;
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let last = match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    };
    (1..=last).contains(&day).then_some(())
}

fn time_of_day(text: &str) -> Option<()> {
    let (has_zone, mut rest) = match text.strip_prefix(['T', 't']) {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix(' ')?.trim_start_matches(' ')),
    };
    for (i, limit) in [24, 60, 60].into_iter().enumerate() {
        if i > 0 {
            rest = rest.strip_prefix(':')?;
        }
        two_digits(&mut rest).filter(|n| *n < limit)?;
    }
    if let Some(fraction) = rest.strip_prefix(['.', ','])
        && fraction.starts_with(|c: char| c.is_ascii_digit())
    {
        rest = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    if !has_zone {
        return rest.is_empty().then_some(());
    }
    if rest == "Z" {
        return Some(());
    }
    let &[b'+' | b'-', h1, h2, b':', m1, m2] = rest.as_bytes() else { return None };
    let number = |tens: u8, ones: u8| {
        (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| (tens - b'0') * 10 + (ones - b'0'))
    };
    (number(h1, h2)? <= 24 && number(m1, m2)? <= 60).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_what_yaml_1_1_says() {
        use Meaning::{Float, Int, Text, Time, Uint};
        for (text, meaning) in [
            ("0x1F", Int(31)),
            ("-0b101", Int(-5)),
            ("0b-1", Int(-1)),
            ("0b+_1", Int(1)),
            ("0o17", Int(15)),
            ("017", Int(15)),
            ("09", Float(9.0)),
            ("1_000", Int(1000)),
            ("-9223372036854775808", Int(i64::MIN)),
            ("9223372036854775808", Uint(1 << 63)),
            ("+9223372036854775808", Float(9_223_372_036_854_775_808.0)),
            ("18446744073709551616", Float(18_446_744_073_709_551_616.0)),
            ("1e3", Float(1000.0)),
            ("1.", Float(1.0)),
            ("+.5", Float(0.5)),
            (".5", Float(0.5)),
            (".1_5", Float(0.15)),
            ("._5", Text),
            (".5_", Text),
            (".", Text),
            ("1e999", Text),
            ("1e", Text),
            ("-", Text),
            ("+", Text),
            ("0x", Text),
            ("0xg", Text),
            ("1 2", Text),
            ("inf", Text),
            ("2001-01-01", Time),
            ("2001-1-1", Time),
            ("2001-02-29", Text),
            ("2000-02-29", Time),
            ("2001-13-01", Text),
            ("2001-01-01T10:00:00Z", Time),
            ("2001-01-01t1:2:3.123456789123+05:30", Time),
            ("2001-01-01T10:00:00", Text),
            ("2001-01-01   10:00:00,5", Time),
            ("2001-01-01 10:00:00 Z", Text),
            ("2001-01-01 24:00:00", Text),
            ("2001-01-01T10:00:00+25:00", Text),
        ] {
            assert_eq!(resolve(text), meaning, "{text}");
        }
    }

    #[test]
    fn sexagesimals() {
        for text in ["1:30", "+190:20:30", "1_0:5.5_", "0:0."] {
            assert!(is_base_60(text), "{text}");
        }
        for text in ["1", "1:60", "1:", ":1", "_1:2", "1:2:", "1:2.x", "1:123", "1:2.3.4", "+:1"] {
            assert!(!is_base_60(text), "{text}");
        }
    }
}
