//! `printf`: the format of Go's fmt, with its error texts.

use super::print::{Flags, Printer, SPEWER};
use crate::domain::template::error::Result;
use crate::domain::template::value::Value;

/// Go takes no larger width, precision or argument index.
const NUMBER_MAX: usize = 1_000_000;

/// `fmt.Sprintf`
pub(crate) fn sprintf(format: &[u8], values: &[Value<'_>], bytes_max: usize) -> Result<Vec<u8>> {
    printed(format, values, Printer::new(bytes_max))
}

/// `spew.Sprintf`: the verb `v` shows values in go-spew's way.
pub(crate) fn spewed(format: &[u8], values: &[Value<'_>], bytes_max: usize) -> Result<Vec<u8>> {
    let mut printer = Printer::new(bytes_max);
    printer.spews = true;
    printed(format, values, printer)
}

fn printed(format: &[u8], values: &[Value<'_>], printer: Printer) -> Result<Vec<u8>> {
    let mut state = State {
        rest: format,
        values,
        next: 0,
        reordered: false,
        good_index: true,
        after_index: false,
        printer,
    };
    state.run()?;
    Ok(state.printer.out)
}

struct State<'v, 'a> {
    rest: &'v [u8],
    values: &'v [Value<'a>],
    next: usize,
    /// Whether a verb named its argument by `[n]`: Go then does not look for arguments left over.
    reordered: bool,
    good_index: bool,
    after_index: bool,
    printer: Printer,
}

impl State<'_, '_> {
    fn run(&mut self) -> Result<()> {
        while !self.rest.is_empty() {
            let plain = self.rest.iter().position(|b| *b == b'%').unwrap_or(self.rest.len());
            let (text, rest) = self.rest.split_at(plain);
            self.printer.push(text)?;
            self.rest = rest.get(1..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
            self.good_index = true;
            self.after_index = false;
            self.verb()?;
        }
        if !self.reordered && self.next < self.values.len() {
            self.extra()?;
        }
        Ok(())
    }

    /// One directive, the `%` already read.
    fn verb(&mut self) -> Result<()> {
        self.flags();
        self.argument_index();
        self.width()?;
        self.precision()?;
        if !self.after_index {
            self.argument_index();
        }
        let Some(verb) = self.character() else { return self.printer.push(b"%!(NOVERB)") };
        let value = self.values.get(self.next);
        if verb == '%' {
            self.printer.push(b"%")
        } else if !self.good_index {
            self.printer.push(format!("%!{verb}(BADINDEX)").as_bytes())
        } else if let Some(value) = value {
            if matches!(verb, 'v' | 'w') {
                let flags = &mut self.printer.flags;
                flags.sharp_v = std::mem::take(&mut flags.sharp);
                flags.plus_v = std::mem::take(&mut flags.plus);
            }
            self.next += 1;
            self.printer.argument(value, verb)
        } else {
            self.printer.push(format!("%!{verb}(MISSING)").as_bytes())
        }
    }

    fn flags(&mut self) {
        self.printer.flags = Flags::default();
        let flags = &mut self.printer.flags;
        while let Some((byte, rest)) = self.rest.split_first() {
            match byte {
                b'#' => flags.sharp = true,
                b'0' => flags.zero = true,
                b'+' => flags.plus = true,
                b'-' => flags.minus = true,
                b' ' => flags.space = true,
                _ => break,
            }
            self.rest = rest;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let Some(rest) = self.rest.strip_prefix(&[byte]) else { return false };
        self.rest = rest;
        true
    }

    fn width(&mut self) -> Result<()> {
        if self.take(b'*') {
            match self.star() {
                Some(width) => {
                    if width < 0 {
                        self.printer.flags.minus = true;
                        self.printer.flags.zero = false;
                    }
                    self.printer.flags.width = usize::try_from(width.unsigned_abs()).ok();
                }
                None => self.printer.push(b"%!(BADWIDTH)")?,
            }
            self.after_index = false;
        } else {
            self.printer.flags.width = self.number();
            if self.after_index && self.printer.flags.width.is_some() {
                self.good_index = false;
            }
        }
        Ok(())
    }

    fn precision(&mut self) -> Result<()> {
        // A point at the very end is the verb.
        if self.rest.len() < 2 || !self.take(b'.') {
            return Ok(());
        }
        if self.after_index {
            self.good_index = false;
        }
        self.argument_index();
        if self.take(b'*') {
            self.printer.flags.precision = self.star().and_then(|n| usize::try_from(n).ok());
            if self.printer.flags.precision.is_none() {
                self.printer.push(b"%!(BADPREC)")?;
            }
            self.after_index = false;
        } else {
            self.printer.flags.precision = Some(self.number().unwrap_or(0));
        }
        Ok(())
    }

    /// An `int` argument for a `*`.
    fn star(&mut self) -> Option<i64> {
        let value = self.values.get(self.next)?;
        self.next += 1;
        let number = match value {
            Value::Int(n) | Value::Int64(n) => *n,
            Value::Byte(n) => (*n).into(),
            Value::Uint64(n) => i64::try_from(*n).ok()?,
            _ => return None,
        };
        usize::try_from(number.unsigned_abs()).is_ok_and(|n| n <= NUMBER_MAX).then_some(number)
    }

    /// Decimal digits. Go gives up on the rest of the format when the number is absurd.
    fn number(&mut self) -> Option<usize> {
        let mut number = None;
        while let Some((digit, rest)) = self.rest.split_first().filter(|(b, _)| b.is_ascii_digit())
        {
            let value: usize = number.unwrap_or(0) * 10 + usize::from(digit - b'0');
            if number.is_some_and(|n| n > NUMBER_MAX) {
                self.rest = &[];
                return None;
            }
            number = Some(value);
            self.rest = rest;
        }
        number
    }

    /// `[3]` chooses an argument.
    fn argument_index(&mut self) {
        self.after_index = false;
        if self.rest.first() != Some(&b'[') {
            return;
        }
        self.reordered = true;
        let close = self.rest.iter().position(|b| *b == b']');
        let Some(close) = close.filter(|_| self.rest.len() > 2) else {
            self.good_index = false;
            self.rest = self.rest.get(1..).unwrap_or_default();
            return;
        };
        let digits = self.rest.get(1..close).unwrap_or_default();
        self.rest = self.rest.get(close + 1..).unwrap_or_default();
        let digits = str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'));
        let index = digits.and_then(|text| text.parse::<usize>().ok());
        match index.and_then(|n| n.checked_sub(1)).filter(|n| *n < self.values.len()) {
            Some(index) => {
                self.next = index;
                self.after_index = true;
            }
            None => {
                self.good_index = false;
                self.after_index = index.is_some();
            }
        }
    }

    fn character(&mut self) -> Option<char> {
        let chunk = self.rest.get(..4).unwrap_or(self.rest).utf8_chunks().next()?;
        let c = chunk.valid().chars().next();
        let bytes = c.map_or(1, char::len_utf8);
        self.rest = self.rest.get(bytes..).unwrap_or_default();
        Some(c.unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    /// `%!(EXTRA type=value, …)`
    fn extra(&mut self) -> Result<()> {
        self.printer.flags = Flags::default();
        self.printer.push(b"%!(EXTRA ")?;
        for (i, value) in self.values.iter().skip(self.next).enumerate() {
            if i > 0 {
                self.printer.push(b", ")?;
            }
            if self.printer.spews {
                self.printer.push(SPEWER.as_bytes())?;
                self.printer.push(b"=")?;
                self.printer.argument(value, 'v')?;
            } else if matches!(value, Value::Absent | Value::Nil) {
                self.printer.push(b"<nil>")?;
            } else {
                self.printer.push(value.type_name().as_bytes())?;
                self.printer.push(b"=")?;
                self.printer.argument(value, 'v')?;
            }
        }
        self.printer.push(b")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::template::value::{List, Text};

    #[test]
    fn formats_as_go_does() {
        let text = || Value::Text(Text::Borrowed("h\u{e9}\"".as_bytes()));
        let cases: &[(&str, &[Value<'_>], &str)] = &[
            ("%5d|%-5d|%05d|%+d|% d", &[1, 2, 3, 4, 5].map(Value::Int), "    1|2    |00003|+4| 5"),
            (
                "%x %X %#x %o %b %c %U",
                &[10, 11, 12, 8, 5, 65, 66].map(Value::Int),
                "a B 0xc 10 101 A U+0042",
            ),
            (
                "%q %v %s %x %5.1s|",
                &[text(), text(), text(), text(), text()],
                "\"h\u{e9}\\\"\" h\u{e9}\" h\u{e9}\" 68c3a922     h|",
            ),
            (
                "%6.2f|%e|%g|%v",
                &[1.5, 2.0, 1e21, 0.1].map(Value::Float),
                "  1.50|2.000000e+00|1e+21|0.1",
            ),
            ("%d%%", &[Value::Int(9)], "9%"),
            ("%d", &[text()], "%!d(string=h\u{e9}\")"),
            ("%d %d", &[Value::Int(1)], "1 %!d(MISSING)"),
            ("%d", &[Value::Int(1), Value::Int(2)], "1%!(EXTRA int=2)"),
            ("%[2]d %[1]d", &[Value::Int(1), Value::Int(2)], "2 1"),
            ("%*d", &[Value::Int(4), Value::Int(7)], "   7"),
            ("%", &[], "%!(NOVERB)"),
            (
                "%T %v %t",
                &[List::any(vec![]), Value::Nil, Value::Bool(true)],
                "[]interface {} <nil> true",
            ),
        ];
        for (format, values, want) in cases {
            let got = sprintf(format.as_bytes(), values, 1000).map(String::from_utf8);
            assert_eq!(got.ok().unwrap().unwrap(), *want, "{format}");
        }
        assert!(sprintf(b"%9999d", &[Value::Int(1)], 1000).is_err());
    }
}
