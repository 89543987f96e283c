//! The order in which yaml.v2 writes the keys of a map.

use std::cmp::Ordering;

use crate::domain::template::value::Value;

type Member<'a> = (Value<'a>, Value<'a>);

/// Merge sort: the order of some odd keys goes round in circles, which the standard library may refuse.
pub(super) fn sorted(mut members: Vec<Member<'_>>) -> Vec<Member<'_>> {
    if members.len() < 2 {
        return members;
    }
    let right = sorted(members.split_off(members.len() / 2));
    let left = sorted(members);
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some((a, _)), Some((b, _))) = (left.peek(), right.peek()) {
        merged.extend(if is_less(b, a) { right.next() } else { left.next() });
    }
    merged.extend(left);
    merged.extend(right);
    merged
}

/// Numbers and booleans by value, then by kind; other kinds in the order of Go's list of kinds.
fn is_less(a: &Value<'_>, b: &Value<'_>) -> bool {
    if let (Value::Text(a), Value::Text(b)) = (a, b) {
        return is_text_less(&String::from_utf8_lossy(a), &String::from_utf8_lossy(b));
    }
    match (number(a), number(b)) {
        (Some(a_number), Some(b_number)) => match a_number.partial_cmp(&b_number) {
            Some(Ordering::Equal) if kind(a) == kind(b) => is_number_less(a, b),
            Some(Ordering::Equal) => kind(a) < kind(b),
            order => order == Some(Ordering::Less),
        },
        _ => kind(a) < kind(b),
    }
}

fn kind(value: &Value<'_>) -> u8 {
    match value {
        Value::Bool(_) => 1,
        Value::Int(_) => 2,
        Value::Int64(_) => 6,
        Value::Byte(_) => 8,
        Value::Uint64(_) => 11,
        Value::Float(_) => 14,
        Value::Text(_) | Value::Number(_) => 24,
        // nil has the kind of the place it is in: interface.
        _ => 20,
    }
}

#[expect(clippy::cast_precision_loss, reason = "Go compares as floats first")]
fn number(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Bool(truth) => Some(u8::from(*truth).into()),
        Value::Int(n) | Value::Int64(n) => Some(*n as f64),
        Value::Byte(n) => Some((*n).into()),
        Value::Uint64(n) => Some(*n as f64),
        Value::Float(n) => Some(*n),
        _ => None,
    }
}

/// Numbers of one kind that are the same as floats.
fn is_number_less(a: &Value<'_>, b: &Value<'_>) -> bool {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => a < b,
        (Value::Uint64(a), Value::Uint64(b)) => a < b,
        _ => false,
    }
}

/// At the first difference: letters behind everything else, numbers by value.
fn is_text_less(a: &str, b: &str) -> bool {
    let mut before = false;
    let (mut a, mut b) = (a.chars(), b.chars());
    loop {
        let (a_rest, b_rest) = (a.as_str(), b.as_str());
        let (Some(x), Some(y)) = (a.next(), b.next()) else {
            return a_rest.is_empty() && !b_rest.is_empty();
        };
        if x == y {
            // Whether the digits right before hold one that is not 0.
            before = x.is_ascii_digit() && (before || x != '0');
            continue;
        }
        return match (x.is_alphabetic(), y.is_alphabetic()) {
            (true, true) => x < y,
            (false, false) => {
                let start = i64::from(before && (x == '0' || y == '0'));
                let (a_number, a_digits) = digits(a_rest, start);
                let (b_number, b_digits) = digits(b_rest, start);
                (a_number, a_digits, x) < (b_number, b_digits, y)
            }
            (_, is_letter) => is_letter,
        };
    }
}

/// The number in front, and how many digits it has; it wraps like Go's.
fn digits(text: &str, start: i64) -> (i64, usize) {
    let digits = text.bytes().take_while(u8::is_ascii_digit);
    digits.fold((start, 0), |(number, count), digit| {
        (number.wrapping_mul(10).wrapping_add(i64::from(digit - b'0')), count + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sorted_keys: &[&str]) {
        let members: Vec<_> =
            sorted_keys.iter().rev().map(|key| (Value::text(*key), Value::Nil)).collect();
        let found: Vec<String> = sorted(members)
            .into_iter()
            .map(|(key, _)| match key {
                Value::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
                _ => panic!("no text"),
            })
            .collect();
        assert_eq!(found, sorted_keys);
    }

    /// Recorded from yaml.v2.
    #[test]
    fn texts_are_in_natural_order() {
        check(&["", "_", "1.5", "9", "10", "A", "a", "a9", "a10", "b"]);
        check(&["a0", "a00", "a1", "a2", "a02", "a10", "a100", "a101", "ab", "b"]);
        check(&["1", "2", "10", "10a", "11", "é"]);
        check(&["d1", "d7", "d7abc", "d12", "d12a"]);
    }

    #[test]
    fn numbers_stand_before_texts() {
        let keys = [
            Value::text("a"),
            Value::Nil,
            Value::Float(1.5),
            Value::Int(2),
            Value::Bool(true),
            Value::Int(1),
        ];
        let members = keys.into_iter().map(|key| (key, Value::Nil)).collect();
        let names: Vec<_> = sorted(members).iter().map(|(key, _)| key.type_name()).collect();
        assert_eq!(names, ["bool", "int", "float64", "int", "<nil>", "string"]);
    }
}
