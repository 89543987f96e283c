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
        None => shortest(value).fixed(),
        Some(digits) => format!("{value:.*}{}", digits.min(DIGITS_MAX), zeros(precision)),
    }
}

/// A number as its digits, the first of which stands before the point of `d.ddde±x`.
struct Digits {
    sign: &'static str,
    digits: String,
    exponent: i32,
}

impl Digits {
    /// Of a text `d.ddde±x`.
    fn read(text: &str) -> Self {
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        Self {
            sign: if mantissa.starts_with('-') { "-" } else { "" },
            digits: mantissa.chars().filter(char::is_ascii_digit).collect(),
            exponent: exponent.parse().unwrap_or(0),
        }
    }

    /// Without zeros at the end.
    fn trimmed(mut self) -> Self {
        let length = self.digits.trim_end_matches('0').len().max(1);
        self.digits.truncate(length);
        self
    }

    fn exponential(&self, letter: char) -> String {
        let Self { sign, digits, exponent } = self;
        let (first, rest) = digits.split_at_checked(1).unwrap_or((digits, ""));
        let point = if rest.is_empty() { "" } else { "." };
        let exponent_sign = if *exponent < 0 { '-' } else { '+' };
        format!("{sign}{first}{point}{rest}{letter}{exponent_sign}{:02}", exponent.abs())
    }

    fn fixed(&self) -> String {
        let Self { sign, digits, exponent } = self;
        let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
        let Ok(before_point) = usize::try_from(*exponent) else {
            return format!("{sign}0.{}{digits}", zeros(-exponent - 1));
        };
        match digits.split_at_checked(before_point + 1) {
            None | Some((_, "")) => {
                let length = i32::try_from(digits.len()).unwrap_or(i32::MAX);
                format!("{sign}{digits}{}", zeros(exponent + 1 - length))
            }
            Some((whole, rest)) => format!("{sign}{whole}.{rest}"),
        }
    }
}

/// With fewer digits, two numbers as near as each other are too far apart to read back as the same.
const TIES_FROM: usize = 15;

/// The fewest digits that read back as the same number, of those the nearest, and the even one of two that are
/// as near. Rust finds how many there are, and takes the upper one of two.
fn shortest(value: f64) -> Digits {
    let text = format!("{value:e}");
    let found = Digits::read(&text);
    if found.digits.len() < TIES_FROM {
        return found;
    }
    let even = format!("{value:.*e}", found.digits.len() - 1);
    if even.parse() == Ok(value) { Digits::read(&even).trimmed() } else { found }
}

fn exponential(value: f64, verb: u8, precision: Option<usize>) -> String {
    let letter = char::from(verb);
    let Some(digits) = precision else { return shortest(value).exponential(letter) };
    let mut found = Digits::read(&format!("{value:.*e}", digits.min(DIGITS_MAX)));
    found.digits.push_str(&zeros(precision));
    found.exponential(letter)
}

/// The shorter of fixed and exponential: exponents from -4 up to the precision are written out.
fn general(value: f64, verb: u8, precision: Option<usize>) -> String {
    let precision = precision.map(|precision| precision.max(1));
    let found = match precision {
        None => shortest(value),
        Some(digits) => {
            Digits::read(&format!("{value:.*e}", (digits - 1).min(DIGITS_MAX))).trimmed()
        }
    };
    let significant = i32::try_from(found.digits.len()).unwrap_or(i32::MAX);
    let mut threshold = 6;
    if let Some(digits) = precision {
        threshold = i32::try_from(digits).unwrap_or(i32::MAX);
        if threshold > significant && significant > found.exponent {
            threshold = significant;
        }
    }
    if found.exponent < -4 || found.exponent >= threshold {
        return found.exponential(if verb == b'G' { 'E' } else { 'e' });
    }
    found.fixed()
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
