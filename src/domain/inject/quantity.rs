//! Kubernetes quantities (`250m`, `1.5Gi`, `64e6`) in the canonical form that the API server prints.
//!
//! The rules are those of apimachinery's `resource.Quantity`: the suffix keeps its family, exponents are
//! multiples of 3 (or powers of 1024), nothing finer than a billionth survives (rounded up).

use std::fmt;

/// Why a text is no quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QuantityError {
    /// More than 2^63-1.
    Large,
    /// Below zero, which no resource can be.
    Negative,
    /// Not a number with one of the suffixes.
    Syntax,
}

impl fmt::Display for QuantityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Large => "is larger than 2^63-1",
            Self::Negative => "is negative",
            Self::Syntax => {
                "is not a quantity: write a number with one of n u m k M G T P E Ki Mi Gi Ti Pi Ei, such as 250m or 64Mi"
            }
        })
    }
}

impl std::error::Error for QuantityError {}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Binary,
    Decimal,
    Exponent,
}

const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
/// From 10^-9 in steps of 10^3.
const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
/// Billionths of one.
pub(crate) const NANOS: i128 = 1_000_000_000;

/// An amount, to compare and to print.
#[derive(Clone, Copy)]
pub(crate) struct Amount {
    nanos: i128,
    family: Family,
}

impl Amount {
    /// In billionths, rounded up.
    pub(crate) const fn nanos(self) -> i128 {
        self.nanos
    }

    /// The canonical form.
    pub(crate) fn text(self) -> String {
        if self.nanos == 0 { "0".into() } else { print(self.nanos, self.family) }
    }
}

/// The canonical form of `text`.
pub(crate) fn canonical(text: &str) -> Result<String, QuantityError> {
    parse(text).map(Amount::text)
}

/// The amount that `text` says.
pub(crate) fn parse(text: &str) -> Result<Amount, QuantityError> {
    if text.len() > 64 {
        return Err(QuantityError::Syntax);
    }
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
        return Err(QuantityError::Syntax);
    }
    let (family, base2, base10) = scale(suffix)?;
    let nanos = nanos(whole, fraction, base2, base10)?;
    match nanos {
        0 => Ok(Amount { nanos, family }),
        _ if negative => Err(QuantityError::Negative),
        _ if nanos > i128::from(i64::MAX) * NANOS => Err(QuantityError::Large),
        _ => Ok(Amount { nanos, family }),
    }
}

/// Family, power of two and power of ten of a suffix.
fn scale(suffix: &str) -> Result<(Family, u32, i32), QuantityError> {
    if let Some(i) = BINARY.iter().skip(1).position(|s| *s == suffix) {
        let power = u32::try_from(i + 1).unwrap_or(0) * 10;
        return Ok((Family::Binary, power, 0));
    }
    if let Some(i) = DECIMAL.iter().position(|s| *s == suffix) {
        return Ok((Family::Decimal, 0, i32::try_from(i).unwrap_or(0) * 3 - 9));
    }
    let exponent = suffix.strip_prefix(['e', 'E']).ok_or(QuantityError::Syntax)?;
    let exponent: i32 = exponent.parse().ok().ok_or(QuantityError::Syntax)?;
    Ok((Family::Exponent, 0, exponent))
}

/// Digits that decide about a value of at most 2^63; those after them only round it up.
const DIGITS_MAX: i32 = 30;

/// The value in billionths, rounded up.
fn nanos(whole: &str, fraction: &str, base2: u32, base10: i32) -> Result<i128, QuantityError> {
    let mut mantissa: i128 = 0;
    let mut kept: i32 = 0;
    let mut cut: i32 = 0;
    let mut rest = false;
    for digit in whole.bytes().chain(fraction.bytes()).map(|byte| byte - b'0') {
        if kept < DIGITS_MAX {
            mantissa = mantissa * 10 + i128::from(digit);
            kept += i32::from(mantissa != 0);
        } else {
            cut += 1;
            rest |= digit != 0;
        }
    }
    if mantissa == 0 {
        return Ok(0);
    }
    // The value is mantissa * 2^base2 * 10^exponent billionths.
    let places = i32::try_from(fraction.len()).unwrap_or(i32::MAX);
    let exponent = base10.saturating_add(9).saturating_sub(places).saturating_add(cut);
    let value = mantissa.checked_mul(1_i128 << base2).ok_or(QuantityError::Large)?;
    let factor = 10_i128.checked_pow(exponent.unsigned_abs());
    if exponent >= 0 {
        return factor.and_then(|f| value.checked_mul(f)).ok_or(QuantityError::Large);
    }
    let Some(divisor) = factor else { return Ok(1) };
    Ok(value / divisor + i128::from(rest || value % divisor != 0))
}

/// The value without factors of `base`, and how many of at most `max` there were.
fn reduce(mut value: i128, base: u16, max: usize) -> (i128, usize) {
    let mut steps = 0;
    while steps < max {
        // Nearly every quantity fits into 64 bits, where division is cheap.
        let divided = match u64::try_from(value) {
            Ok(small) if small % u64::from(base) == 0 => i128::from(small / u64::from(base)),
            Err(_) if value % i128::from(base) == 0 => value / i128::from(base),
            Ok(_) | Err(_) => break,
        };
        value = divided;
        steps += 1;
    }
    (value, steps)
}

fn print(nanos: i128, family: Family) -> String {
    if family == Family::Binary && nanos >= 1024 * NANOS && nanos % NANOS == 0 {
        let (value, power) = reduce(nanos / NANOS, 1024, BINARY.len() - 1);
        return format!("{value}{}", BINARY.get(power).copied().unwrap_or_default());
    }
    let (value, step) = reduce(nanos, 1000, DECIMAL.len() - 1);
    if family == Family::Exponent {
        let exponent = i64::try_from(step).unwrap_or(0) * 3 - 9;
        return if exponent == 0 { value.to_string() } else { format!("{value}e{exponent}") };
    }
    format!("{value}{}", DECIMAL.get(step).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_what_the_api_server_prints() {
        for (text, want) in [
            ("0.5", "500m"),
            ("1000m", "1"),
            ("1.5Gi", "1536Mi"),
            ("134217728", "134217728"),
            ("64e6", "64e6"),
            ("6.4e7", "64e6"),
            ("1E3", "1e3"),
            ("5e-1", "500e-3"),
            ("1e0", "1"),
            ("1024Mi", "1Gi"),
            ("1000000", "1M"),
            ("0", "0"),
            ("-0", "0"),
            ("0.000", "0"),
            ("007", "7"),
            ("+2", "2"),
            (".5", "500m"),
            ("5.", "5"),
            ("0.5Ki", "512"),
            ("1.5Ki", "1536"),
            ("1000Ki", "1000Ki"),
            ("1.0001Ki", "1024102400u"),
            ("0.0000000001", "1n"),
            ("1e-100", "1e-9"),
            ("1.0000000001", "1000000001n"),
            ("1E", "1E"),
            ("100k", "100k"),
            ("1500m", "1500m"),
            ("1000000k", "1G"),
        ] {
            assert_eq!(canonical(text).as_deref(), Ok(want), "{text}");
        }
    }

    #[test]
    fn refuses_the_rest() {
        for text in [
            "",
            "m",
            ".",
            "1.2.3",
            "1 Gi",
            "1gi",
            "1K",
            "1e",
            "1e1.5",
            "x",
            "1Kii",
            "é",
            "1e9999999999",
        ] {
            assert_eq!(canonical(text), Err(QuantityError::Syntax), "{text}");
        }
        assert_eq!(canonical("-1m"), Err(QuantityError::Negative));
        for text in ["16Ei", "10E", "9223372036854775808", "1e30", "1e2000000000"] {
            assert_eq!(canonical(text), Err(QuantityError::Large), "{text}");
        }
        assert!(canonical(&"9".repeat(1_000_000)).is_err());
    }
}
