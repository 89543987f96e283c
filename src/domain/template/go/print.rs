//! Values as Go's fmt prints them, for every verb.

use super::float;
use super::layout;
use super::quote;
use super::spew;
use crate::domain::template::error::{Fault, Result};
use crate::domain::template::named::Named;
use crate::domain::template::value::{List, Value};

/// What stands between `%` and the verb.
#[derive(Clone, Copy, Default)]
pub(crate) struct Flags {
    pub(crate) width: Option<usize>,
    pub(crate) precision: Option<usize>,
    pub(crate) minus: bool,
    pub(crate) plus: bool,
    pub(crate) sharp: bool,
    pub(crate) space: bool,
    pub(crate) zero: bool,
    /// `%+v`: field names.
    pub(crate) plus_v: bool,
    /// `%#v`: Go syntax.
    pub(crate) sharp_v: bool,
}

/// Values nest deeper than this only when a template builds them to.
pub(crate) const NESTING_MAX: usize = 160;

/// Go prints the address of a pointer; what it is differs from run to run, so this stands for all.
pub(crate) const ADDRESS: u64 = 0xc0_0000_0000;

/// What go-spew makes of each argument.
pub(crate) const SPEWER: &str = "*spew.formatState";

/// Collects printed text up to a bound.
pub(crate) struct Printer {
    pub(crate) out: Vec<u8>,
    pub(crate) flags: Flags,
    /// Whether arguments are shown as go-spew shows them.
    pub(crate) spews: bool,
    bytes_max: usize,
}

/// What `{{value}}` prints. The pointer to a secret is followed; nil is `<no value>`.
pub(crate) fn action(value: &Value<'_>, bytes_max: usize) -> Result<Vec<u8>> {
    if let Value::Channel(_) = value {
        return Err(Fault::new("can't print a channel"));
    }
    let mut printer = Printer::new(bytes_max);
    printer.shown(value)?;
    Ok(printer.out)
}

/// [`sprint`] of what [`action`] prints, as the escaping functions see their arguments.
pub(crate) fn sprint_shown(values: &[Value<'_>], bytes_max: usize) -> Result<Vec<u8>> {
    sprint_with(values, bytes_max, Value::is_nothing, Printer::shown)
}

/// `fmt.Sprint`: blanks between operands when neither is a string.
pub(crate) fn sprint(values: &[Value<'_>], bytes_max: usize) -> Result<Vec<u8>> {
    sprint_with(values, bytes_max, |_| false, |printer, value| printer.argument(value, 'v'))
}

fn sprint_with<'a>(
    values: &[Value<'a>],
    bytes_max: usize,
    is_like_text: fn(&Value<'a>) -> bool,
    print: fn(&mut Printer, &Value<'a>) -> Result<()>,
) -> Result<Vec<u8>> {
    let mut printer = Printer::new(bytes_max);
    let mut after_text = true;
    for (i, value) in values.iter().enumerate() {
        let is_text = matches!(value, Value::Text(_) | Value::Number(_)) || is_like_text(value);
        if i > 0 && !is_text && !after_text {
            printer.push(b" ")?;
        }
        print(&mut printer, value)?;
        after_text = is_text;
    }
    Ok(printer.out)
}

/// `fmt.Sprintln`: blanks between all operands, a newline behind them.
pub(crate) fn sprintln(values: &[Value<'_>], bytes_max: usize) -> Result<Vec<u8>> {
    let mut printer = Printer::new(bytes_max);
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            printer.push(b" ")?;
        }
        printer.argument(value, 'v')?;
    }
    printer.push(b"\n")?;
    Ok(printer.out)
}

impl Printer {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { out: Vec::new(), flags: Flags::default(), spews: false, bytes_max }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<()> {
        if self.out.len() + bytes.len() > self.bytes_max {
            let max = self.bytes_max;
            return Err(Fault::new(format!("a text of more than {max} bytes is too long")));
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    /// An argument of a print function.
    pub(crate) fn argument(&mut self, value: &Value<'_>, verb: char) -> Result<()> {
        match verb {
            'T' if self.spews => self.padded(SPEWER.as_bytes()),
            'v' if self.spews => spew::formatted(self, value),
            'T' | 'v' if value.is_nothing() => self.padded(b"<nil>"),
            'T' => {
                let name = self.truncated(value.type_name().as_bytes());
                self.padded(name)
            }
            _ if value.is_nothing() => self.bad_verb(value, verb),
            // `%w` wraps errors, of which templates have none.
            'w' => self.bad_verb(value, verb),
            'p' => self.pointer(value, verb),
            // Only Errorf can wrap.
            _ => self.value(value, verb, 0),
        }
    }

    fn value(&mut self, value: &Value<'_>, verb: char, depth: usize) -> Result<()> {
        if depth > NESTING_MAX {
            return Err(Fault::new("a value nested too deeply to be printed"));
        }
        match value {
            Value::Absent | Value::Nil if self.flags.sharp_v => self.push(b"interface {}(nil)"),
            Value::Absent | Value::Nil => self.push(b"<nil>"),
            Value::Bool(truth) if matches!(verb, 't' | 'v') => {
                self.padded(if *truth { b"true" } else { b"false" })
            }
            Value::Bool(_) => self.bad_verb(value, verb),
            Value::Int(n) | Value::Int64(n) => self.integer(value, n.unsigned_abs(), *n < 0, verb),
            Value::Byte(n) => self.integer(value, (*n).into(), false, verb),
            Value::Uint64(n) => self.integer(value, *n, false, verb),
            Value::Float(n) => match verb {
                'v' => self.float(*n, b'g', None),
                'b' | 'g' | 'G' | 'x' | 'X' => self.float(*n, verb as u8, None),
                'e' | 'E' | 'f' | 'F' => self.float(*n, verb as u8, Some(6)),
                _ => self.bad_verb(value, verb),
            },
            Value::Complex(re, im) => self.complex(value, *re, *im, verb),
            Value::Text(text) | Value::Number(text) => self.text(value, text, verb),
            Value::Named(named) => self.named(value, named, verb, depth),
            Value::List(List { is_nil: true, .. }) if self.flags.sharp_v => {
                self.push(format!("{}(nil)", value.type_name()).as_bytes())
            }
            Value::Map(map) if self.flags.sharp_v && map.is_nil() => {
                self.push(format!("{}(nil)", value.type_name()).as_bytes())
            }
            Value::List(list) => self.list(list, value.type_name(), verb, depth),
            Value::Map(map) => {
                let entries = map.entries().into_iter().map(|(key, item)| (Value::Text(key), item));
                self.map(entries, value.type_name(), verb, depth)
            }
            Value::AnyMap(map) => {
                let entries = map.iter().map(|(key, item)| (key.value(), item.clone()));
                self.map(entries, value.type_name(), verb, depth)
            }
            Value::Secret(_) | Value::Auth(_) | Value::Wrap(_) if depth == 0 => {
                self.push(b"&")?;
                self.fields(value, verb, depth + 1)
            }
            Value::Record(_) => self.fields(value, verb, depth),
            _ => self.pointer(value, verb),
        }
    }

    /// As an action prints it: pointers to structs followed, nil as `<no value>`.
    fn shown(&mut self, value: &Value<'_>) -> Result<()> {
        match value {
            Value::Absent | Value::Nil => self.push(b"<no value>"),
            Value::Secret(_) | Value::Auth(_) | Value::Wrap(_) => self.fields(value, 'v', 0),
            _ => self.argument(value, 'v'),
        }
    }

    fn pointer(&mut self, value: &Value<'_>, verb: char) -> Result<()> {
        if !matches!(value.kind_name(), "ptr" | "chan" | "map" | "slice") {
            return self.bad_verb(value, verb);
        }
        let address = if let Value::NilPointer(_) = value { 0 } else { ADDRESS };
        match verb {
            'v' if self.flags.sharp_v => {
                self.push(format!("({})(", value.type_name()).as_bytes())?;
                if address == 0 {
                    self.push(b"nil")?;
                } else {
                    self.address(address, true)?;
                }
                self.push(b")")
            }
            'v' if address == 0 => self.padded(b"<nil>"),
            'v' | 'p' => self.address(address, !self.flags.sharp),
            'b' | 'o' | 'd' | 'x' | 'X' => self.digits(address, false, verb),
            _ => self.bad_verb(value, verb),
        }
    }

    fn address(&mut self, address: u64, sharp: bool) -> Result<()> {
        let outer = std::mem::replace(&mut self.flags.sharp, sharp);
        let result = self.digits(address, false, 'x');
        self.flags.sharp = outer;
        result
    }

    /// `%!verb(type=value)`
    fn bad_verb(&mut self, value: &Value<'_>, verb: char) -> Result<()> {
        self.push(format!("%!{verb}(").as_bytes())?;
        if value.is_nothing() {
            self.push(b"<nil>")?;
        } else {
            self.push(value.type_name().as_bytes())?;
            self.push(b"=")?;
            match value {
                // Here Go does not ask a value to print itself.
                Value::Named(named) if named.number().is_some() => {
                    self.integer_of(named, value, 'v')?;
                }
                _ => self.value(value, 'v', 0)?,
            }
        }
        self.push(b")")
    }

    fn named(&mut self, value: &Value<'_>, named: &Named, verb: char, depth: usize) -> Result<()> {
        match (named, verb) {
            (Named::Time(time), 'v') if self.flags.sharp_v => {
                self.padded(layout::go_syntax(time).as_bytes())
            }
            (_, 'v' | 's' | 'x' | 'X' | 'q') if !self.flags.sharp_v => {
                let verb = if verb == 'v' { 's' } else { verb };
                self.text(value, named.string().as_bytes(), verb)
            }
            _ if named.number().is_some() => self.integer_of(named, value, verb),
            (Named::Location(_), _) => self.pointer(value, verb),
            _ => {
                let is_pointer = value.kind_name() == "ptr";
                if is_pointer && depth > 0 {
                    return self.pointer(value, verb);
                }
                self.push(if is_pointer { b"&" } else { b"" })?;
                self.fields(value, verb, depth)
            }
        }
    }

    fn integer_of(&mut self, named: &Named, value: &Value<'_>, verb: char) -> Result<()> {
        let n = named.number().unwrap_or(0);
        self.integer(value, n.unsigned_abs(), n < 0, verb)
    }

    fn list(&mut self, list: &List<'_>, name: &str, verb: char, depth: usize) -> Result<()> {
        let sharp = self.flags.sharp_v;
        let (open, between, close) =
            if sharp { (format!("{name}{{"), ", ", "}") } else { ("[".into(), " ", "]") };
        self.push(open.as_bytes())?;
        for (i, item) in list.iter().enumerate() {
            if i > 0 {
                self.push(between.as_bytes())?;
            }
            self.value(item, verb, depth + 1)?;
        }
        self.push(close.as_bytes())
    }

    fn map<'v>(
        &mut self,
        entries: impl Iterator<Item = (Value<'v>, Value<'v>)>,
        name: &str,
        verb: char,
        depth: usize,
    ) -> Result<()> {
        let sharp = self.flags.sharp_v;
        let (open, between, close) =
            if sharp { (format!("{name}{{"), ", ", "}") } else { ("map[".into(), " ", "]") };
        self.push(open.as_bytes())?;
        for (i, (key, item)) in entries.enumerate() {
            if i > 0 {
                self.push(between.as_bytes())?;
            }
            self.value(&key, verb, depth + 1)?;
            self.push(b":")?;
            self.value(&item, verb, depth + 1)?;
        }
        self.push(close.as_bytes())
    }

    fn fields(&mut self, value: &Value<'_>, verb: char, depth: usize) -> Result<()> {
        let sharp = self.flags.sharp_v;
        if sharp {
            self.push(value.type_name().trim_start_matches('*').as_bytes())?;
        }
        self.push(b"{")?;
        let fields = match value {
            Value::Named(named) => named.hidden_fields(),
            _ => value.fields().unwrap_or_default(),
        };
        for (i, (name, field)) in fields.iter().enumerate() {
            if i > 0 {
                self.push(if sharp { b", " } else { b" " })?;
            }
            if sharp || self.flags.plus_v {
                self.push(format!("{name}:").as_bytes())?;
            }
            self.value(field, verb, depth + 1)?;
        }
        self.push(b"}")
    }

    // Padding.

    pub(crate) fn padded(&mut self, text: &[u8]) -> Result<()> {
        let Some(width) = self.flags.width else { return self.push(text) };
        let characters: usize = text
            .utf8_chunks()
            .map(|chunk| chunk.valid().chars().count() + chunk.invalid().len())
            .sum();
        let missing = width.saturating_sub(characters);
        if self.flags.minus {
            self.push(text)?;
            self.padding(missing, b' ')
        } else {
            self.padding(missing, if self.flags.zero { b'0' } else { b' ' })?;
            self.push(text)
        }
    }

    fn padding(&mut self, count: usize, with: u8) -> Result<()> {
        if self.out.len() + count > self.bytes_max {
            return self.push(&vec![with; self.bytes_max.min(count) + 1]);
        }
        self.out.resize(self.out.len() + count, with);
        Ok(())
    }

    // Texts.

    fn text(&mut self, value: &Value<'_>, text: &[u8], verb: char) -> Result<()> {
        match verb {
            'v' if self.flags.sharp_v => self.quoted(text),
            'v' | 's' => {
                let cut = self.truncated(text);
                self.padded(cut)
            }
            'q' => self.quoted(text),
            'x' | 'X' => self.hex(text, verb == 'X'),
            _ => self.bad_verb(value, verb),
        }
    }

    /// At most as many characters as the precision says.
    fn truncated<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        let Some(precision) = self.flags.precision else { return text };
        let mut bytes = 0;
        let mut left = precision;
        for chunk in text.utf8_chunks() {
            let units = chunk.valid().chars().map(char::len_utf8);
            for unit in units.chain(chunk.invalid().iter().map(|_| 1)) {
                if left == 0 {
                    return text.get(..bytes).unwrap_or(text);
                }
                left -= 1;
                bytes += unit;
            }
        }
        text
    }

    fn quoted(&mut self, text: &[u8]) -> Result<()> {
        let text = self.truncated(text);
        if self.flags.sharp && quote::can_backquote(text) {
            let backquoted = [b"`", text, b"`"].concat();
            return self.padded(&backquoted);
        }
        let quoted = quote::quote(text, self.flags.plus);
        self.padded(quoted.as_bytes())
    }

    fn hex(&mut self, text: &[u8], upper: bool) -> Result<()> {
        let bytes = text.get(..self.flags.precision.unwrap_or(text.len())).unwrap_or(text);
        if bytes.len().saturating_mul(5) > self.bytes_max {
            return self.padding(self.bytes_max, b' ').and_then(|()| self.push(b" "));
        }
        let prefix = match (self.flags.sharp, upper) {
            (false, _) => "",
            (true, false) => "0x",
            (true, true) => "0X",
        };
        let mut out = String::new();
        for (i, byte) in bytes.iter().enumerate() {
            if self.flags.space && i > 0 {
                out.push(' ');
            }
            if i == 0 || self.flags.space {
                out.push_str(prefix);
            }
            out.push_str(&if upper { format!("{byte:02X}") } else { format!("{byte:02x}") });
        }
        self.padded(out.as_bytes())
    }

    // Numbers.

    fn integer(
        &mut self,
        value: &Value<'_>,
        magnitude: u64,
        is_negative: bool,
        verb: char,
    ) -> Result<()> {
        let is_unsigned = matches!(value, Value::Byte(_) | Value::Uint64(_));
        match verb {
            'v' if self.flags.sharp_v && is_unsigned => {
                let sharp = std::mem::replace(&mut self.flags.sharp, true);
                self.digits(magnitude, is_negative, 'x')?;
                self.flags.sharp = sharp;
                Ok(())
            }
            'v' => self.digits(magnitude, is_negative, 'd'),
            'd' | 'b' | 'o' | 'O' | 'x' | 'X' => self.digits(magnitude, is_negative, verb),
            'c' | 'q' | 'U' => {
                let code = u32::try_from(magnitude).ok().filter(|_| !is_negative);
                let c = code.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER);
                match verb {
                    'c' => self.padded(c.encode_utf8(&mut [0; 4]).as_bytes()),
                    'q' => self.padded(quote::quote_char(c, self.flags.plus).as_bytes()),
                    _ => {
                        let code = if is_negative { magnitude.wrapping_neg() } else { magnitude };
                        self.unicode(code)
                    }
                }
            }
            _ => self.bad_verb(value, verb),
        }
    }

    /// `U+0078`, with `#` also the character.
    fn unicode(&mut self, code: u64) -> Result<()> {
        let digits = self.flags.precision.unwrap_or(4).max(4).min(self.bytes_max);
        let mut text = format!("U+{}", pad_digits(&format!("{code:X}"), digits));
        let c = u32::try_from(code).ok().and_then(char::from_u32);
        if let Some(c) = c.filter(|c| self.flags.sharp && quote::is_printable(*c)) {
            text.push_str(&format!(" '{c}'"));
        }
        let zero = std::mem::take(&mut self.flags.zero);
        let result = self.padded(text.as_bytes());
        self.flags.zero = zero;
        result
    }

    fn digits(&mut self, magnitude: u64, is_negative: bool, verb: char) -> Result<()> {
        let flags = self.flags;
        let has_sign = is_negative || flags.plus || flags.space;
        let mut least = 0;
        if let Some(precision) = flags.precision {
            if precision == 0 && magnitude == 0 {
                self.flags.zero = false;
                let result = self.padded(b"");
                self.flags.zero = flags.zero;
                return result;
            }
            least = precision;
        } else if flags.zero && !flags.minus {
            least = flags.width.unwrap_or(0).saturating_sub(usize::from(has_sign));
        }
        let bare = match verb {
            'b' => format!("{magnitude:b}"),
            'o' | 'O' => format!("{magnitude:o}"),
            'x' => format!("{magnitude:x}"),
            'X' => format!("{magnitude:X}"),
            _ => magnitude.to_string(),
        };
        let digits = pad_digits(&bare, least.min(self.bytes_max));
        let prefix = match verb {
            'b' if flags.sharp => "0b",
            'o' if flags.sharp && !digits.starts_with('0') => "0",
            'O' if flags.sharp && !digits.starts_with('0') => "0o0",
            'O' => "0o",
            'x' if flags.sharp => "0x",
            'X' if flags.sharp => "0X",
            _ => "",
        };
        let sign = match (is_negative, flags.plus, flags.space) {
            (true, ..) => "-",
            (false, true, _) => "+",
            (false, false, true) => " ",
            _ => "",
        };
        self.flags.zero = false;
        let result = self.padded(format!("{sign}{prefix}{digits}").as_bytes());
        self.flags.zero = flags.zero;
        result
    }

    fn float(&mut self, value: f64, verb: u8, precision: Option<usize>) -> Result<()> {
        let flags = self.flags;
        let precision = flags.precision.map(|p| p.min(self.bytes_max)).or(precision);
        let text = float::format(value, verb, precision);
        let (sign, mut digits) = match text.strip_prefix(['-', '+']) {
            Some(digits) if text.starts_with('-') => ("-", digits.to_owned()),
            Some(digits) => ("+", digits.to_owned()),
            None => ("+", text),
        };
        let sign = if sign == "+" && flags.space && !flags.plus { " " } else { sign };
        if !value.is_finite() {
            let is_bare = value.is_nan() && !flags.space && !flags.plus;
            let shown = if is_bare { digits } else { format!("{sign}{digits}") };
            self.flags.zero = false;
            let result = self.padded(shown.as_bytes());
            self.flags.zero = flags.zero;
            return result;
        }
        if flags.sharp && verb != b'b' {
            digits = with_point(&digits, verb, precision);
        }
        if sign == "+" && !flags.plus {
            return self.padded(digits.as_bytes());
        }
        match flags.width {
            Some(width) if flags.zero && !flags.minus && width > digits.len() + 1 => {
                self.push(sign.as_bytes())?;
                self.padding(width - digits.len() - 1, b'0')?;
                self.push(digits.as_bytes())
            }
            _ => self.padded(format!("{sign}{digits}").as_bytes()),
        }
    }

    fn complex(&mut self, value: &Value<'_>, re: f64, im: f64, verb: char) -> Result<()> {
        let (letter, precision) = match verb {
            'v' => (b'g', None),
            'b' | 'g' | 'G' | 'x' | 'X' => (verb as u8, None),
            'e' | 'E' | 'f' | 'F' => (verb as u8, Some(6)),
            _ => return self.bad_verb(value, verb),
        };
        self.push(b"(")?;
        self.float(re, letter, precision)?;
        let plus = std::mem::replace(&mut self.flags.plus, true);
        self.float(im, letter, precision)?;
        self.flags.plus = plus;
        self.push(b"i)")
    }
}

fn pad_digits(digits: &str, least: usize) -> String {
    format!("{}{digits}", "0".repeat(least.saturating_sub(digits.len())))
}

/// `#` keeps the decimal point, and for `g` the trailing zeros.
fn with_point(digits: &str, verb: u8, precision: Option<usize>) -> String {
    let mut wanted = match verb {
        b'g' | b'G' | b'x' => precision.unwrap_or(6),
        _ => 0,
    };
    let is_hex = matches!(verb, b'x' | b'X');
    let exponent = if is_hex { digits.find(['p', 'P']) } else { digits.find(['e', 'E']) };
    let (mantissa, tail) = digits.split_at(exponent.unwrap_or(digits.len()));
    let significant = mantissa.replace('.', "");
    wanted = wanted.saturating_sub(significant.trim_start_matches('0').len());
    let mut out = mantissa.to_owned();
    if !mantissa.contains('.') {
        wanted = wanted.saturating_sub(usize::from(mantissa == "0"));
        out.push('.');
    }
    out.push_str(&"0".repeat(wanted));
    out.push_str(tail);
    out
}
