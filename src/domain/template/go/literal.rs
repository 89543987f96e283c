//! Go's literals: quoted strings, characters and numbers (`strconv.Unquote`, `ParseInt`, `ParseFloat`).

use super::ast::Number;

/// The bytes of a quoted string, quotes included in `text`; `None` when an escape is malformed.
pub(crate) fn unquote(text: &str) -> Option<Vec<u8>> {
    if let Some(raw) = text.strip_prefix('`') {
        return Some(raw.strip_suffix('`')?.bytes().filter(|b| *b != b'\r').collect());
    }
    let mut rest = text.strip_prefix('"')?.strip_suffix('"')?;
    let mut out = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        let (unit, after) = unquote_unit(rest, '"')?;
        match unit {
            Unit::Byte(byte) => out.push(byte),
            Unit::Char(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        rest = after;
    }
    Some(out)
}

enum Unit {
    Byte(u8),
    Char(char),
}

fn unquote_unit(text: &str, quote: char) -> Option<(Unit, &str)> {
    let mut chars = text.chars();
    let c = chars.next()?;
    if c == quote || c == '\n' {
        return None;
    }
    if c != '\\' {
        return Some((Unit::Char(c), chars.as_str()));
    }
    let kind = chars.next()?;
    let rest = chars.as_str();
    let plain = match kind {
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        '\\' => '\\',
        '\'' | '"' if kind == quote => kind,
        'x' => {
            let value = u8::from_str_radix(hex(rest, 2)?, 16).ok()?;
            return Some((Unit::Byte(value), rest.get(2..)?));
        }
        'u' => return Some((Unit::Char(code_point(hex(rest, 4)?)?), rest.get(4..)?)),
        'U' => return Some((Unit::Char(code_point(hex(rest, 8)?)?), rest.get(8..)?)),
        '0'..='7' => {
            let digits = text.get(1..4)?;
            if !digits.bytes().all(|b| (b'0'..=b'7').contains(&b)) {
                return None;
            }
            let value = u8::from_str_radix(digits, 8).ok()?;
            return Some((Unit::Byte(value), text.get(4..)?));
        }
        _ => return None,
    };
    Some((Unit::Char(plain), rest))
}

fn hex(text: &str, digits: usize) -> Option<&str> {
    text.get(..digits).filter(|t| t.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn code_point(digits: &str) -> Option<char> {
    char::from_u32(u32::from_str_radix(digits, 16).ok()?)
}

/// A character constant, quotes included: its code point.
pub(crate) fn char_constant(text: &str) -> Option<Number> {
    let (unit, rest) = unquote_unit(text.strip_prefix('\'')?, '\'')?;
    if rest != "'" {
        return None;
    }
    let code = match unit {
        Unit::Byte(byte) => u32::from(byte),
        Unit::Char(c) => u32::from(c),
    };
    Some(Number {
        text: text.into(),
        int: Some(code.into()),
        uint: Some(code.into()),
        float: Some(code.into()),
        complex: None,
        is_char: true,
    })
}

/// A complex constant such as `1+2i`.
pub(crate) fn complex_constant(text: &str) -> Option<Number> {
    let split = text.rfind(['+', '-']).filter(|at| *at > 0)?;
    let real = parse_float(text.get(..split)?)?;
    let imaginary = parse_float(text.get(split..)?.strip_suffix('i')?)?;
    Some(of_complex(text, real, imaginary))
}

#[expect(clippy::cast_possible_truncation, reason = "kept only when the value is the same")]
fn of_complex(text: &str, real: f64, imaginary: f64) -> Number {
    let float = (imaginary == 0.0).then_some(real);
    let int = float.filter(|f| is_i64(*f)).map(|f| f as i64);
    let uint = int.and_then(|n| u64::try_from(n).ok());
    Number { text: text.into(), int, uint, float, complex: Some((real, imaginary)), is_char: false }
}

/// Why a number is none.
pub(crate) enum NotANumber {
    Overflow,
    Syntax,
}

/// A number constant, with every type it can take.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "Go's conversions: kept only when the value is the same, or meant to round"
)]
pub(crate) fn number(text: &str) -> Result<Number, NotANumber> {
    if let Some(imaginary) = text.strip_suffix('i').and_then(parse_float) {
        return Ok(of_complex(text, 0.0, imaginary));
    }
    let mut int = parse_int_any_base(text);
    let mut uint = parse_uint_any_base(text).or_else(|| int.filter(|n| *n == 0).map(|_| 0));
    let mut float = int.map(|n| n as f64).or_else(|| uint.map(|n| n as f64));
    if float.is_none()
        && let Some(value) = parse_float(text)
    {
        if !text.contains(['.', 'e', 'E', 'p', 'P']) {
            return Err(NotANumber::Overflow);
        }
        float = Some(value);
        int = is_i64(value).then_some(value as i64);
        let is_u64 = value.trunc() == value && (0.0..18_446_744_073_709_551_616.0).contains(&value);
        uint = is_u64.then_some(value as u64);
    }
    if float.is_none() {
        return Err(NotANumber::Syntax);
    }
    Ok(Number { text: text.into(), int, uint, float, complex: None, is_char: false })
}

/// Whether a float is a whole number that fits an `i64`.
fn is_i64(value: f64) -> bool {
    value.trunc() == value
        && (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&value)
}

/// `strconv.ParseInt(text, 0, 64)`
pub(crate) fn parse_int_any_base(text: &str) -> Option<i64> {
    let (is_negative, digits) = match text.strip_prefix(['+', '-']) {
        Some(digits) => (text.starts_with('-'), digits),
        None => (false, text),
    };
    let magnitude = parse_uint_any_base(digits)?;
    if is_negative { 0_i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

/// `strconv.ParseUint(text, 0, 64)`: prefixes 0x, 0o, 0b, 0, and underscores between digits.
pub(crate) fn parse_uint_any_base(text: &str) -> Option<u64> {
    let lower = text.get(..2).map(str::to_ascii_lowercase);
    let (radix, prefix) = match lower.as_deref() {
        Some("0x") => (16, 2),
        Some("0o") => (8, 2),
        Some("0b") => (2, 2),
        Some(two) if two.starts_with('0') => (8, 1),
        _ => (10, 0),
    };
    let digits = text.get(prefix..)?;
    if digits.starts_with(['+', '-']) || !are_underscores_right(digits, prefix > 0) {
        return None;
    }
    let plain: String = digits.chars().filter(|c| *c != '_').collect();
    u64::from_str_radix(&plain, radix).ok()
}

/// An underscore stands between digits, or between the base prefix and a digit.
fn are_underscores_right(digits: &str, has_prefix: bool) -> bool {
    !digits.contains("__") && !digits.ends_with('_') && (has_prefix || !digits.starts_with('_'))
}

/// `strconv.ParseFloat(text, 64)`
pub(crate) fn parse_float(text: &str) -> Option<f64> {
    if text.contains('_') {
        return separates_digits(text).then(|| parse_float(&text.replace('_', ""))).flatten();
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    if unsigned.starts_with("0x") || unsigned.starts_with("0X") {
        return Some(sign * parse_hex_float(unsigned.get(2..)?)?);
    }
    let word = unsigned.to_ascii_lowercase();
    if matches!(word.as_str(), "inf" | "infinity") {
        return Some(sign * f64::INFINITY);
    }
    if word == "nan" && unsigned == text {
        return Some(f64::NAN);
    }
    // Rust takes a second sign.
    let looks_decimal = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && unsigned.bytes().all(|b| b.is_ascii_digit() || b".eE+-".contains(&b));
    let value: f64 = unsigned.parse().ok().filter(|_| looks_decimal)?;
    value.is_finite().then_some(sign * value)
}

/// Whether every underscore stands between digits, or between the prefix 0x and a digit.
fn separates_digits(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_hex = unsigned.starts_with("0x") || unsigned.starts_with("0X");
    let is_digit = |b: u8| b.is_ascii_digit() || is_hex && b.is_ascii_hexdigit();
    let bytes = unsigned.as_bytes();
    (0..bytes.len()).filter(|at| bytes.get(*at) == Some(&b'_')).all(|at| {
        let before = at.checked_sub(1).and_then(|at| bytes.get(at).copied());
        let is_after_prefix = is_hex && at == 2;
        (is_after_prefix || before.is_some_and(is_digit))
            && bytes.get(at + 1).copied().is_some_and(is_digit)
    })
}

/// `h.hp±d` without its `0x`; the exponent is mandatory.
#[expect(
    clippy::cast_precision_loss,
    reason = "the mantissa is cut to 60 bits; the rest only rounds"
)]
fn parse_hex_float(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    let mut exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value: u64 = 0;
    for (i, c) in whole.chars().chain(fraction.chars()).enumerate() {
        let digit = u64::from(c.to_digit(16)?);
        if value >> 56 == 0 {
            value = value << 4 | digit;
            exponent = exponent.checked_sub(if i >= whole.len() { 4 } else { 0 })?;
        } else if i < whole.len() {
            exponent = exponent.checked_add(4)?;
        }
    }
    let result = value as f64 * 2.0_f64.powi(exponent.clamp(-1200, 1200));
    result.is_finite().then_some(result)
}
