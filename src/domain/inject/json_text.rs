//! Writes JSON text member by member, as Go's encoder does: in the order of the calls, no spaces, and
//! `<`, `>`, `&`, U+2028 and U+2029 escaped.

/// A JSON text under construction. Commas are set by what was written last.
#[derive(Default)]
pub(crate) struct JsonText {
    text: String,
}

impl JsonText {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { text: String::with_capacity(bytes) }
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }

    /// `{`, then what `members` writes, then `}`.
    pub(crate) fn object(&mut self, members: impl FnOnce(&mut Self)) {
        self.comma();
        self.text.push('{');
        members(self);
        self.text.push('}');
    }

    /// `[`, then what `items` writes, then `]`.
    pub(crate) fn array(&mut self, items: impl FnOnce(&mut Self)) {
        self.comma();
        self.text.push('[');
        items(self);
        self.text.push(']');
    }

    /// A member's name; its value must follow.
    pub(crate) fn key(&mut self, name: &str) -> &mut Self {
        self.string(name);
        self.text.push(':');
        self
    }

    /// A member whose value is a string.
    pub(crate) fn member(&mut self, name: &str, value: &str) {
        self.key(name).string(value);
    }

    /// The same, left out when the value is empty.
    pub(crate) fn member_if(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.member(name, value);
        }
    }

    /// A member that is `true`, left out otherwise.
    pub(crate) fn flag_if(&mut self, name: &str, value: bool) {
        if value {
            self.key(name).raw("true");
        }
    }

    /// A member whose value is an array of strings.
    pub(crate) fn strings(&mut self, name: &str, values: impl IntoIterator<Item: AsRef<str>>) {
        self.key(name).array(|out| values.into_iter().for_each(|value| out.string(value.as_ref())));
    }

    /// A value that is JSON already.
    pub(crate) fn raw(&mut self, json: &str) {
        self.comma();
        self.text.push_str(json);
    }

    /// A member whose value is a string without anything to escape, such as base64.
    pub(crate) fn plain_member(&mut self, name: &str, value: &str) {
        self.key(name);
        self.text.push('"');
        self.text.push_str(value);
        self.text.push('"');
    }

    /// A string value.
    pub(crate) fn string(&mut self, value: &str) {
        self.comma();
        self.text.push('"');
        let mut plain = 0;
        for (i, byte) in value.bytes().enumerate() {
            // U+2028 and U+2029 are E2 80 A8 and E2 80 A9.
            let rare = || value.get(i..).and_then(|rest| rest.chars().next());
            let escaped = match byte {
                0xE2 => rare().filter(|c| matches!(c, '\u{2028}' | '\u{2029}')),
                b if needs_escape(b) => Some(char::from(b)),
                _ => None,
            };
            if let Some(c) = escaped {
                self.text.push_str(value.get(plain..i).unwrap_or_default());
                plain = i + c.len_utf8();
                self.escape(c);
            }
        }
        self.text.push_str(value.get(plain..).unwrap_or_default());
        self.text.push('"');
    }

    fn escape(&mut self, c: char) {
        match c {
            '"' => self.text.push_str("\\\""),
            '\\' => self.text.push_str("\\\\"),
            '\n' => self.text.push_str("\\n"),
            '\r' => self.text.push_str("\\r"),
            '\t' => self.text.push_str("\\t"),
            '\u{8}' => self.text.push_str("\\b"),
            '\u{c}' => self.text.push_str("\\f"),
            other => {
                self.text.push_str("\\u");
                for shift in [12, 8, 4, 0] {
                    let nibble = (u32::from(other) >> shift) & 15;
                    self.text.push(char::from_digit(nibble, 16).unwrap_or('0'));
                }
            }
        }
    }

    fn comma(&mut self) {
        if !matches!(self.text.as_bytes().last(), None | Some(b'{' | b'[' | b':')) {
            self.text.push(',');
        }
    }
}

const fn needs_escape(byte: u8) -> bool {
    matches!(byte, 0..=0x1f | b'"' | b'\\' | b'<' | b'>' | b'&')
}

/// A float as Go's encoder prints it: plain digits, an exponent only for the very small and very large.
pub(crate) fn float(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{value:e}");
        return if size >= 1.0 { text.replace('e', "e+") } else { text };
    }
    format!("{value}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_as_go_does() {
        let mut out = JsonText::default();
        out.object(|out| {
            out.member("a\"\\", "<&>\u{2028}\n\t\u{1}é\u{7f}");
            out.key("b").array(|out| {
                out.raw("1");
                out.object(|_| {});
                out.string(":");
                out.string("x");
            });
            out.flag_if("c", true);
            out.flag_if("d", false);
            out.member_if("e", "");
            out.strings("f", ["[", "{"]);
        });
        assert_eq!(
            out.into_text(),
            "{\"a\\\"\\\\\":\"\\u003c\\u0026\\u003e\\u2028\\n\\t\\u0001é\u{7f}\",\"b\":[1,{},\":\",\"x\"],\"c\":true,\"f\":[\"[\",\"{\"]}"
        );
    }

    #[test]
    fn floats_print_as_go_prints_them() {
        for (value, want) in
            [(0.75, "0.75"), (1.0, "1"), (1e-7, "1e-7"), (1e21, "1e+21"), (0.00001, "0.00001")]
        {
            assert_eq!(float(value), want);
        }
    }
}
