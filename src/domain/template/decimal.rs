//! Decimals of any length: sprig computes with them, so that 0.1 + 0.2 is 0.3, and rounds once, at the end.

use std::cmp::Ordering;

use super::go::float;

/// `±digits * 10^exponent`
#[derive(Clone, Debug)]
pub(crate) struct Decimal {
    is_negative: bool,
    /// The most significant first; none for zero.
    digits: Vec<u8>,
    exponent: i64,
}

/// Decimal places of a quotient.
const PLACES: i64 = 16;

/// Digits that are multiplied, or taken from each other, in the time of one step of a template.
const DIGITS_PER_STEP: usize = 32;

impl Decimal {
    /// The shortest decimal that reads back as the number, which is finite.
    pub(crate) fn of(number: f64) -> Self {
        let text = float::format(number, b'e', None);
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let places = mantissa.split_once('.').map_or(0, |(_, places)| places.len());
        let digits = mantissa.bytes().filter(u8::is_ascii_digit).map(|byte| byte - b'0');
        let exponent = exponent.parse::<i64>().unwrap_or(0) - i64::try_from(places).unwrap_or(0);
        Self { is_negative: number.is_sign_negative(), digits: trimmed(digits.collect()), exponent }
    }

    /// The nearest float.
    pub(crate) fn float(&self) -> f64 {
        let sign = if self.is_negative { "-" } else { "" };
        let digits: String = self.digits.iter().map(|digit| char::from(b'0' + digit)).collect();
        format!("{sign}0{digits}e{}", self.exponent).parse().unwrap_or(0.0)
    }

    pub(crate) fn length(&self) -> usize {
        self.digits.len()
    }

    /// What combining the two costs, in steps.
    pub(crate) fn cost(&self, other: &Self, operator: char) -> usize {
        let apart = usize::try_from(self.exponent.abs_diff(other.exponent)).unwrap_or(usize::MAX);
        let (own, others) = (self.digits.len(), other.digits.len());
        let work = match operator {
            '+' | '-' => own.saturating_add(others).saturating_add(apart),
            '*' => own.saturating_mul(others),
            // For each digit of the quotient the divisor is taken away up to nine times.
            _ => {
                let length = own.saturating_add(apart).saturating_add(16);
                length.saturating_mul(others.saturating_add(apart)).saturating_mul(10)
            }
        };
        (work / DIGITS_PER_STEP).saturating_add(4)
    }

    /// By `+`, `-`, `*`, or else `/`, of which a divisor of zero gives zero.
    pub(crate) fn combined(&self, other: &Self, operator: char) -> Self {
        match operator {
            '+' => self.plus(other),
            '-' => self.plus(&Self { is_negative: !other.is_negative, ..other.clone() }),
            '*' => self.times(other),
            _ => self.over(other),
        }
    }

    fn plus(&self, other: &Self) -> Self {
        let exponent = self.exponent.min(other.exponent);
        let (a, b) = (self.at(exponent), other.at(exponent));
        let (is_negative, digits) = match (self.is_negative == other.is_negative, compare(&a, &b)) {
            (true, _) => (self.is_negative, sum(&a, &b)),
            (false, Ordering::Less) => (other.is_negative, difference(&b, &a)),
            (false, _) => (self.is_negative, difference(&a, &b)),
        };
        Self { is_negative, digits, exponent }
    }

    fn times(&self, other: &Self) -> Self {
        Self {
            is_negative: self.is_negative != other.is_negative,
            digits: product(&self.digits, &other.digits),
            exponent: self.exponent + other.exponent,
        }
    }

    /// Rounded half away from zero.
    fn over(&self, other: &Self) -> Self {
        let shift = self.exponent - other.exponent + PLACES;
        let (digits, divisor) = if shift < 0 {
            (self.digits.clone(), other.at(other.exponent + shift))
        } else {
            (self.at(self.exponent - shift), other.digits.clone())
        };
        let (mut quotient, rest) = quotient(&digits, &divisor);
        if !divisor.is_empty() && compare(&sum(&rest, &rest), &divisor).is_ge() {
            quotient = sum(&quotient, &[1]);
        }
        let is_negative = self.is_negative != other.is_negative;
        Self { is_negative, digits: quotient, exponent: -PLACES }
    }

    /// The digits for a lower exponent.
    fn at(&self, exponent: i64) -> Vec<u8> {
        let zeros = usize::try_from(self.exponent - exponent).unwrap_or(0);
        let mut digits = self.digits.clone();
        if !digits.is_empty() {
            digits.resize(digits.len() + zeros, 0);
        }
        digits
    }
}

/// Without zeros in front.
fn trimmed(mut digits: Vec<u8>) -> Vec<u8> {
    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
    digits.drain(..zeros);
    digits
}

fn compare(a: &[u8], b: &[u8]) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

fn sum(a: &[u8], b: &[u8]) -> Vec<u8> {
    let (mut a, mut b) = (a.iter().rev(), b.iter().rev());
    let (mut out, mut carry) = (Vec::new(), 0);
    loop {
        let (one, other) = (a.next(), b.next());
        if one.is_none() && other.is_none() && carry == 0 {
            break;
        }
        let digit = one.unwrap_or(&0) + other.unwrap_or(&0) + carry;
        out.push(digit % 10);
        carry = digit / 10;
    }
    out.reverse();
    trimmed(out)
}

/// Of two numbers, the first of which is not smaller.
fn difference(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut b = b.iter().rev();
    let (mut out, mut borrowed) = (Vec::with_capacity(a.len()), 0);
    for digit in a.iter().rev() {
        let taken = b.next().unwrap_or(&0) + borrowed;
        borrowed = u8::from(*digit < taken);
        out.push(digit + 10 * borrowed - taken);
    }
    out.reverse();
    trimmed(out)
}

fn product(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut out = vec![0_u64; a.len() + b.len()];
    for (i, x) in a.iter().rev().enumerate() {
        for (place, y) in out.iter_mut().skip(i).zip(b.iter().rev()) {
            *place += u64::from(*x) * u64::from(*y);
        }
    }
    let mut carry = 0;
    let mut digits: Vec<u8> = Vec::with_capacity(out.len());
    for place in out {
        let sum = place + carry;
        digits.push(u8::try_from(sum % 10).unwrap_or(0));
        carry = sum / 10;
    }
    digits.reverse();
    trimmed(digits)
}

/// Quotient and rest; nothing for a divisor of zero.
fn quotient(digits: &[u8], divisor: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (mut out, mut rest) = (Vec::with_capacity(digits.len()), Vec::new());
    if divisor.is_empty() {
        return (out, rest);
    }
    for digit in digits {
        if !rest.is_empty() || *digit > 0 {
            rest.push(*digit);
        }
        let mut times = 0;
        while compare(&rest, divisor).is_ge() {
            rest = difference(&rest, divisor);
            times += 1;
        }
        out.push(times);
    }
    (trimmed(out), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(operator: char, numbers: &[f64]) -> f64 {
        let numbers = numbers.iter().map(|number| Decimal::of(*number));
        numbers.reduce(|a, b| a.combined(&b, operator)).unwrap().float()
    }

    /// Recorded from sprig.
    #[test]
    #[expect(clippy::float_cmp, reason = "to the last digit")]
    fn several_numbers_are_rounded_once() {
        assert_eq!(folded('/', &[100.0, 3.0, 1.19]), 28.011204481792717);
        assert_eq!(folded('+', &[0.1, 0.2]), 0.3);
        assert_eq!(folded('+', &[1e308, 5e-324, -1e308]), 5e-324);
        assert_eq!(folded('-', &[0.3, 0.1, 0.2]), 0.0);
        assert_eq!(folded('*', &[1e300, 1e300, 1e-300]), 1e300);
        assert_eq!(folded('*', &[-1.1, 1.1, 1.1]), -1.331);
        assert_eq!(folded('/', &[-1.0, 3.0]), -0.333_333_333_333_333_3);
        assert_eq!(folded('/', &[1e-20, 3.0]), 0.0);
        assert_eq!(folded('/', &[5e-17, 1.0]), 1e-16);
    }
}
