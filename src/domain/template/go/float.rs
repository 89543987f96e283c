//! Floats as Go's strconv writes them.

/// `strconv.FormatFloat(value, verb, precision, 64)` for the verbs e, E, f, F, g, G, x and X, b; without
/// a precision the shortest digits that read back the same.
pub(crate) fn format(value: f64, verb: u8, precision: Option<usize>) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.into();
    }
    match verb {
        b'e' | b'E' => exponential(value, verb, precision),
        b'f' | b'F' => fixed(value, precision),
        b'b' => binary(value),
        b'x' | b'X' => hexadecimal(value, verb, precision),
        _ => general(value, verb, precision),
    }
}

/// No float has more digits than this; what is asked for beyond is zeros.
const DIGITS_MAX: usize = 1100;

fn zeros(precision: Option<usize>) -> String {
    "0".repeat(precision.unwrap_or(0).saturating_sub(DIGITS_MAX))
}

fn fixed(value: f64, precision: Option<usize>) -> String {
    match precision {
        None => format!("{value}"),
        Some(digits) => format!("{value:.*}{}", digits.min(DIGITS_MAX), zeros(precision)),
    }
}

/// Digits and exponent of `d.ddde±x`.
fn scientific(value: f64, digits: Option<usize>) -> (String, i32) {
    let text = match digits {
        None => format!("{value:e}"),
        Some(digits) => format!("{value:.*e}", digits.min(DIGITS_MAX)),
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    (mantissa.to_owned(), exponent.parse().unwrap_or(0))
}

fn exponential(value: f64, verb: u8, precision: Option<usize>) -> String {
    let (mantissa, exponent) = scientific(value, precision);
    let sign = if exponent < 0 { '-' } else { '+' };
    let zeros = zeros(precision);
    format!("{mantissa}{zeros}{}{sign}{:02}", char::from(verb), exponent.abs())
}

/// The shorter of fixed and exponential: exponents from -4 up to the precision are written out.
fn general(value: f64, verb: u8, precision: Option<usize>) -> String {
    let digits = precision.map(|p| p.max(1));
    let (mantissa, exponent) = scientific(value, digits.map(|p| p - 1));
    let significant = mantissa.trim_start_matches('-').replace('.', "");
    let significant = significant.trim_end_matches('0').len().max(1);
    let mut threshold = 6;
    if let Some(digits) = digits {
        threshold = i32::try_from(digits).unwrap_or(i32::MAX);
        let places = i32::try_from(significant).unwrap_or(i32::MAX);
        if threshold > places && places > exponent {
            threshold = places;
        }
    }
    if exponent < -4 || exponent >= threshold {
        let letter = if verb == b'G' { b'E' } else { b'e' };
        return exponential(value, letter, Some(significant - 1));
    }
    let places = i32::try_from(significant).unwrap_or(i32::MAX) - 1 - exponent;
    fixed(value, Some(usize::try_from(places).unwrap_or(0)))
}

/// `±mantissa p±exponent`, both decimal.
fn binary(value: f64) -> String {
    let (sign, mantissa, exponent) = parts(value);
    format!("{sign}{mantissa}p{:+}", exponent - 52)
}

/// Sign, mantissa with its hidden bit, and the exponent of that bit.
fn parts(value: f64) -> (&'static str, u64, i64) {
    let bits = value.to_bits();
    let sign = if value.is_sign_negative() { "-" } else { "" };
    let exponent = i64::try_from(bits >> 52 & 0x7ff).unwrap_or(0);
    let mantissa = bits & 0x000f_ffff_ffff_ffff;
    if exponent == 0 {
        (sign, mantissa, -1022)
    } else {
        (sign, mantissa | 1 << 52, exponent - 1023)
    }
}

/// `0x1.8p+01`
fn hexadecimal(value: f64, verb: u8, precision: Option<usize>) -> String {
    let (sign, mut mantissa, mut exponent) = parts(value);
    if mantissa == 0 {
        exponent = 0;
    } else {
        let shift = mantissa.leading_zeros() - 11;
        mantissa <<= shift;
        exponent -= i64::from(shift);
    }
    let mut digits = format!("{:013x}", mantissa & 0x000f_ffff_ffff_ffff);
    let mut whole = mantissa >> 52;
    match precision {
        None => digits.truncate(digits.trim_end_matches('0').len()),
        Some(places) if places < 13 => {
            let dropped = 4 * (13 - places);
            let half = 1_u64 << (dropped - 1);
            let rest = mantissa & ((1 << dropped) - 1);
            let mut kept = mantissa >> dropped;
            if rest > half || (rest == half && kept & 1 == 1) {
                kept += 1;
            }
            whole = kept >> (4 * places);
            if whole > 1 {
                whole = 1;
                exponent += 1;
                kept >>= 1;
            }
            digits = format!("{:0places$x}", kept & ((1_u64 << (4 * places)) - 1));
            digits.truncate(places);
        }
        Some(places) => digits.push_str(&"0".repeat(places.saturating_sub(13))),
    }
    let point = if digits.is_empty() { "" } else { "." };
    let exponent_sign = if exponent < 0 { '-' } else { '+' };
    let text = format!("{sign}0x{whole}{point}{digits}p{exponent_sign}{:02}", exponent.abs());
    if verb == b'X' { text.to_uppercase() } else { text }
}
