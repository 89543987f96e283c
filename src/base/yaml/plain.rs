//! What plain words mean, as the YAML library of Kubernetes has it.

use crate::base::json::Json;

/// What a plain word means, as the YAML library of Kubernetes has it. `None` for infinities.
pub(super) fn resolve(text: &str) -> Option<Json> {
    Some(match text {
        "" | "~" | "null" | "Null" | "NULL" => Json::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "true" | "True" | "TRUE" => {
            Json::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "false" | "False" | "FALSE" => {
            Json::Bool(false)
        }
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf" | "-.INF"
        | ".nan" | ".NaN" | ".NAN" => return None,
        _ => number(text).map_or_else(|| Json::String(text.to_owned()), Json::Number),
    })
}

/// The JSON text of a plain number.
fn number(text: &str) -> Option<Box<str>> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return None;
    }
    let digits = text.replace('_', "");
    let (sign, unsigned) = match digits.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", digits.strip_prefix('+').unwrap_or(&digits)),
    };
    let radix = |prefix: &str, radix: u32| {
        let rest = unsigned.strip_prefix(prefix)?;
        let digit = rest.starts_with(|c: char| c.is_digit(radix));
        digit.then(|| u64::from_str_radix(rest, radix).ok()).flatten()
    };
    let whole = radix("0x", 16)
        .or_else(|| radix("0X", 16))
        .or_else(|| radix("0b", 2))
        .or_else(|| radix("0o", 8))
        .or_else(|| if unsigned == "0" { Some(0) } else { radix("0", 8) });
    if let Some(whole) = whole {
        return Some(format!("{sign}{whole}").into());
    }
    let decimal = !unsigned.is_empty() && unsigned.bytes().all(|b| b.is_ascii_digit());
    if decimal && !unsigned.starts_with('0') && unsigned.parse::<u64>().is_ok() {
        return Some(format!("{sign}{unsigned}").into());
    }
    float(sign, unsigned)
}

/// `1.5`, `.5`, `1.5e+3`; an exponent without a sign makes a text, as in the library of Kubernetes.
fn float(sign: &str, unsigned: &str) -> Option<Box<str>> {
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or(("", mantissa));
    if fraction.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    if let Some(exponent) = exponent {
        let rest = exponent.strip_prefix(['+', '-'])?;
        if rest.is_empty() || !all_digits(rest) {
            return None;
        }
    }
    let value: f64 = format!("{sign}{unsigned}").parse().ok()?;
    if !value.is_finite() {
        return None;
    }
    let size = value.abs();
    let text = if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{value:e}");
        if size >= 1.0 { text.replace('e', "e+") } else { text }
    } else {
        format!("{value}")
    };
    Some(text.into())
}
