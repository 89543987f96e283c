//! HCL version 1, as Vault's own configuration files are written.
//!
//! It is another language than the HCL 2 of today's libraries: `${…}` is plain text in which quotes do not
//! end the string, `%{` means nothing, numbers may be octal (`0644`) or hexadecimal, blocks and attributes
//! are the same thing, and `<<-` cuts off the blanks before its closing marker. A configuration whose
//! templates hold shell (`${HOME:-/}`) is an error there.

use std::collections::BTreeMap;
use std::fmt;

use crate::base::json::{DEPTH_MAX, Json};

/// Why a text is not HCL. Holds no content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HclError {
    /// From 1.
    pub line: usize,
    /// One clause.
    pub reason: &'static str,
    /// A string ended just before, on the same line: perhaps by a quote that was meant to be part of it.
    pub is_after_string: bool,
}

impl fmt::Display for HclError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)?;
        f.write_str(if self.is_after_string { QUOTES_HINT } else { "" })
    }
}

impl std::error::Error for HclError {}

/// The way out where quotes inside of quotes are the likely mistake.
const QUOTES_HINT: &str =
    "; a quote inside of a string in quotes is written \\\", or the string as a heredoc (<<EOT)";

/// On which line each member stands, by its place: `template[1].perms`.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines(BTreeMap<String, usize>);

impl Lines {
    /// The line of a place, or of the innermost block around it that is known.
    pub(super) fn of(&self, place: &str) -> Option<usize> {
        let plain = place.replace("[0]", "");
        let mut place = plain.as_str();
        loop {
            if let Some(line) = self.0.get(place) {
                return Some(*line);
            }
            place = place.rsplit_once(['.', '['])?.0;
        }
    }
}

/// Reads a text into the value that the JSON form of the same configuration has: a block is an object,
/// its labels are objects around it, a repeated block is a list. A repeated attribute counts once, its
/// last value.
pub fn parse(text: &str) -> Result<Json, HclError> {
    parse_with_lines(text).map(|(json, _)| json)
}

/// The same, and where everything stands.
pub(super) fn parse_with_lines(text: &str) -> Result<(Json, Lines), HclError> {
    let rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (place, lines) = (String::new(), Lines::default());
    let mut cursor = Cursor { rest, line: 1, string_line: 0, place, lines };
    let members = cursor.members(None, 0)?;
    Ok((Json::Object(members), cursor.lines))
}

type Members = BTreeMap<String, Json>;

struct Cursor<'a> {
    rest: &'a str,
    line: usize,
    /// The line on which the last value in quotes ended.
    string_line: usize,
    /// Where the member stands that is being read.
    place: String,
    lines: Lines,
}

impl<'a> Cursor<'a> {
    fn error<T>(&self, reason: &'static str) -> Result<T, HclError> {
        Err(HclError { line: self.line, reason, is_after_string: false })
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next()?;
        self.rest = chars.as_str();
        self.line += usize::from(c == '\n');
        Some(c)
    }

    fn eat(&mut self, token: &str) -> bool {
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Takes characters as long as they fit; none of them is a line break.
    fn take_while(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !fits(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    /// Takes what is left of the line, without its end.
    fn take_line(&mut self) -> &'a str {
        let taken = self.take_while(|c| c != '\n');
        self.next();
        taken
    }

    fn skip_blanks(&mut self) -> Result<(), HclError> {
        loop {
            if self.peek().is_some_and(char::is_whitespace) {
                self.next();
            } else if self.eat("#") || self.eat("//") {
                self.take_line();
            } else if self.rest.starts_with("/*") {
                let Some((comment, rest)) = self.rest.split_once("*/") else {
                    return self.error("a comment without its end, want */");
                };
                self.line += comment.matches('\n').count();
                self.rest = rest;
            } else {
                return Ok(());
            }
        }
    }

    /// Attributes and blocks up to `end`, or to the end of the text.
    fn members(&mut self, end: Option<char>, depth: usize) -> Result<Members, HclError> {
        if depth > DEPTH_MAX {
            return self.error("nested too deeply");
        }
        let mut members = Members::new();
        loop {
            self.skip_blanks()?;
            match self.peek() {
                None if end.is_none() => return Ok(members),
                None => return self.error("a block without its end, want }"),
                Some(c) if Some(c) == end => {
                    self.next();
                    return Ok(members);
                }
                Some(_) => {
                    let line = self.line;
                    let is_after_string = self.string_line == line;
                    self.member(&mut members, depth).map_err(|error| match error {
                        // What was meant as a text is read as names and labels, up to some later line.
                        HclError { reason, .. } if is_after_string => {
                            HclError { line, reason, is_after_string }
                        }
                        error => error,
                    })?;
                }
            }
            self.skip_blanks()?;
            self.eat(",");
        }
    }

    fn member(&mut self, members: &mut Members, depth: usize) -> Result<(), HclError> {
        let (line, around) = (self.line, self.place.len());
        let key = self.key()?;
        self.enter(&key, members.get(&key), line);
        let read = self.after_key(key, members, depth);
        self.place.truncate(around);
        read
    }

    /// Notes the line of a member, which is one more if there are some of its name.
    fn enter(&mut self, key: &str, before: Option<&Json>, line: usize) {
        self.place.push_str(if self.place.is_empty() { "" } else { "." });
        self.place.push_str(key);
        match before {
            Some(Json::Array(blocks)) => self.place.push_str(&format!("[{}]", blocks.len())),
            Some(Json::Object(_)) => self.place.push_str("[1]"),
            Some(_) | None => {}
        }
        self.note_line(line);
    }

    /// Names long enough to be none would make the table grow with the square of the text, and what has
    /// thousands of members is no configuration.
    fn note_line(&mut self, line: usize) {
        const PLACE_BYTES_MAX: usize = 200;
        const LINES_MAX: usize = 10_000;
        if self.place.len() <= PLACE_BYTES_MAX && self.lines.0.len() < LINES_MAX {
            self.lines.0.insert(self.place.clone(), line);
        }
    }

    fn after_key(
        &mut self,
        key: String,
        members: &mut Members,
        depth: usize,
    ) -> Result<(), HclError> {
        let mut labels = Vec::new();
        loop {
            self.skip_blanks()?;
            match self.peek() {
                Some('=') if labels.is_empty() => {
                    self.next();
                    let value = self.value(depth)?;
                    insert(members, key, value);
                    return Ok(());
                }
                Some('=') => return self.error("a label before =, want name = value"),
                Some('{') => {
                    self.next();
                    let block = Json::Object(self.members(Some('}'), depth + 1)?);
                    let value = labels
                        .into_iter()
                        .rev()
                        .fold(block, |inner, label| Json::Object(Members::from([(label, inner)])));
                    insert(members, key, value);
                    return Ok(());
                }
                Some(_) if labels.len() < LABELS_MAX => {
                    let label = self.key()?;
                    self.place.push('.');
                    self.place.push_str(&label);
                    labels.push(label);
                }
                Some(_) => return self.error("too many labels"),
                None => return self.error("a name without a value, want = or {"),
            }
        }
    }

    fn key(&mut self) -> Result<String, HclError> {
        if self.peek() == Some('"') {
            return self.string();
        }
        let name = self.take_while(|c| c.is_alphanumeric() || "_-.".contains(c));
        if name.is_empty() { self.error("want a name here") } else { Ok(name.to_owned()) }
    }

    fn value(&mut self, depth: usize) -> Result<Json, HclError> {
        self.skip_blanks()?;
        match self.peek() {
            Some('"') => {
                let text = self.string()?;
                self.string_line = self.line;
                Ok(Json::String(text))
            }
            Some('[') => {
                self.next();
                self.list(depth + 1)
            }
            Some('{') => {
                self.next();
                Ok(Json::Object(self.members(Some('}'), depth + 1)?))
            }
            Some('<') => Ok(Json::String(self.heredoc()?)),
            _ => self.bare_value(),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Json, HclError> {
        if depth > DEPTH_MAX {
            return self.error("nested too deeply");
        }
        let mut items = Vec::new();
        loop {
            self.skip_blanks()?;
            if self.eat("]") {
                return Ok(Json::Array(items));
            }
            let around = self.place.len();
            if !items.is_empty() {
                self.place.push_str(&format!("[{}]", items.len()));
            }
            if self.peek() == Some('{') {
                self.note_line(self.line);
            }
            items.push(self.value(depth)?);
            self.place.truncate(around);
            self.skip_blanks()?;
            if !self.eat(",") && self.peek() != Some(']') {
                let reason = "want , or ] in a list";
                let is_after_string = self.string_line == self.line;
                return Err(HclError { line: self.line, reason, is_after_string });
            }
        }
    }

    /// `true`, `false` or a number.
    fn bare_value(&mut self) -> Result<Json, HclError> {
        let word = self.take_while(|c| c.is_ascii_alphanumeric() || "+-._".contains(c));
        let (sign, digits) = word.strip_prefix('-').map_or(("", word), |digits| ("-", digits));
        let in_base = |digits: &str, base| {
            u64::from_str_radix(digits, base).map(|n| Json::Number(format!("{sign}{n}").into()))
        };
        let number = match word {
            "true" => return Ok(Json::Bool(true)),
            "false" => return Ok(Json::Bool(false)),
            _ => match (digits.strip_prefix("0x").or(digits.strip_prefix("0X")), digits) {
                (Some(hex), _) => in_base(hex, 16).ok(),
                (None, octal) if octal.len() > 1 && octal.bytes().all(|b| b.is_ascii_digit()) => {
                    in_base(octal, if octal.starts_with('0') { 8 } else { 10 }).ok()
                }
                (None, other) if other.starts_with(|c: char| c.is_ascii_digit()) => other
                    .parse::<f64>()
                    .is_ok_and(f64::is_finite)
                    .then(|| Json::Number(word.into())),
                _ => None,
            },
        };
        match number {
            Some(number) => Ok(number),
            None => self.error("want a string in quotes, a number, true, false, [ or {"),
        }
    }

    fn string(&mut self) -> Result<String, HclError> {
        const OPEN: &str = "a string without its end on the same line, want \" or a heredoc";
        self.next();
        let mut text = String::new();
        loop {
            if self.rest.starts_with("${") {
                self.interpolation(&mut text)?;
                continue;
            }
            match self.next() {
                Some('"') => return Ok(text),
                Some('\\') => text.push(self.escape()?),
                None | Some('\n') => return self.error(OPEN),
                Some(c) => text.push(c),
            }
        }
    }

    /// Copies `${…}` as it stands, with the braces inside of it.
    fn interpolation(&mut self, text: &mut String) -> Result<(), HclError> {
        let mut open = 0_usize;
        while let Some(c) = self.next() {
            text.push(c);
            match c {
                '{' => open += 1,
                '}' if open == 1 => return Ok(()),
                '}' => open -= 1,
                _ => {}
            }
        }
        self.error("${ without its }")
    }

    fn escape(&mut self) -> Result<char, HclError> {
        if let Some((_, meant)) = ESCAPES.iter().find(|(letter, _)| self.peek() == Some(*letter)) {
            self.next();
            return Ok(*meant);
        }
        let (has_letter, count, base) = match self.peek() {
            Some('0'..='7') => (false, 3, 8),
            Some('x') => (true, 2, 16),
            Some('u') => (true, 4, 16),
            Some('U') => (true, 8, 16),
            _ => return self.error("unknown escape in a string, write a backslash as \\\\"),
        };
        if has_letter {
            self.next();
        }
        let mut code = 0_u32;
        for _ in 0..count {
            match self.next().and_then(|c| c.to_digit(base)) {
                Some(digit) => code = code.saturating_mul(base).saturating_add(digit),
                None => return self.error("an escape in a string lacks digits"),
            }
        }
        char::from_u32(code).map_or_else(|| self.error("an escape in a string is no character"), Ok)
    }
    /// `<<MARK` or `<<-MARK`: the lines up to one that holds the mark alone.
    fn heredoc(&mut self) -> Result<String, HclError> {
        if !self.eat("<<") {
            return self.error("want << here");
        }
        let is_indented = self.eat("-");
        let mark = self.take_line().trim_end_matches('\r');
        if mark.is_empty() || !mark.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c)) {
            return self.error("a heredoc needs a mark such as EOT at the end of its line");
        }
        let mut lines = Vec::new();
        while !self.rest.is_empty() {
            let line = self.take_line();
            let line = line.strip_suffix('\r').unwrap_or(line);
            let Some(indent) = line.strip_suffix(mark).filter(|blanks| blanks.trim().is_empty())
            else {
                lines.push(line);
                continue;
            };
            // One line that is indented less, even an empty one, and all stay as they are.
            let is_cut = is_indented && lines.iter().all(|line| line.starts_with(indent));
            let cut = if is_cut { indent } else { "" };
            let lines = lines.iter().map(|line| line.strip_prefix(cut).unwrap_or(line));
            let mut text: String = lines.flat_map(|line| [line, "\n"]).collect();
            // The blanks before the mark belong to the text, as odd as that is.
            text.push_str(if is_indented { "" } else { indent });
            return Ok(text);
        }
        self.error("a heredoc without the line that ends it")
    }
}

/// What stands behind a backslash, and what it means.
const ESCAPES: &[(char, char)] = &[
    ('"', '"'),
    ('\\', '\\'),
    ('a', '\u{7}'),
    ('b', '\u{8}'),
    ('f', '\u{c}'),
    ('n', '\n'),
    ('r', '\r'),
    ('t', '\t'),
    ('v', '\u{b}'),
];

/// Labels of one block; Vault's have one.
const LABELS_MAX: usize = 4;

/// Blocks of one name gather in a list; of attributes the last counts.
fn insert(members: &mut Members, key: String, value: Json) {
    let before = members.remove(&key);
    let value = match (before, value) {
        (Some(Json::Object(first)), Json::Object(second)) => {
            Json::Array(vec![Json::Object(first), Json::Object(second)])
        }
        (Some(Json::Array(mut blocks)), Json::Object(next))
            if blocks.last().is_some_and(|last| last.as_object().is_some()) =>
        {
            blocks.push(Json::Object(next));
            Json::Array(blocks)
        }
        (Some(_) | None, value) => value,
    };
    members.insert(key, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> String {
        parse(text).unwrap().to_text()
    }

    #[test]
    fn blocks_labels_and_repetition_become_json() {
        let text = r#"
            # an agent
            pid_file = "/home/vault/.pid" // here
            auto_auth {
              method "kubernetes" { mount_path = "auth/kubernetes"
                config = { role = "app", token_path = "/t" } }
              sink "file" { config { path = "/a" } }
              sink "file" { config { path = "/b", mode = 0640 } }
            }
            /* two
               templates */
            template { contents = "a" }
            "template" { contents = "b", command = ["sh", "-c", "true",] }
            n = [1, -2, 1.5, 0x1F, 010, 1e3] ok = true
        "#;
        assert_eq!(
            json(text),
            concat!(
                r#"{"auto_auth":{"method":{"kubernetes":{"config":{"role":"app","token_path":"/t"},"#,
                r#""mount_path":"auth/kubernetes"}},"sink":[{"file":{"config":{"path":"/a"}}},"#,
                r#"{"file":{"config":{"mode":416,"path":"/b"}}}]},"#,
                r#""n":[1,-2,1.5,31,8,1e3],"ok":true,"pid_file":"/home/vault/.pid","#,
                r#""template":[{"contents":"a"},{"command":["sh","-c","true"],"contents":"b"}]}"#
            )
        );
    }

    #[test]
    fn strings_keep_interpolations_and_know_escapes() {
        assert_eq!(json(r#"a = "${HOME:-"/"} {{ .x }}" a = "last""#), r#"{"a":"last"}"#);
        let text = parse(r#"a = "x\t\"\\\u00e9 ${f("{}", \n)} %{if}""#).unwrap();
        let text = text.get("a").and_then(Json::as_str);
        assert_eq!(text, Some("x\t\"\\\u{e9} ${f(\"{}\", \\n)} %{if}"));
    }

    /// Recorded from `bao agent`, which wrote each value to a file.
    #[test]
    fn strings_and_heredocs_are_read_as_the_original_reads_them() {
        for (written, meant) in [
            ("<<EOT\n one\n  two\nEOT", " one\n  two\n"),
            ("<<EOT\n one\n  two\n  EOT", " one\n  two\n  "),
            ("<<-EOT\n    one\n      two\n    EOT", "one\n  two\n"),
            ("<<-EOT\n    one\n  two\n    EOT", "    one\n  two\n"),
            ("<<-EOT\n    one\n\n    two\n    EOT", "    one\n\n    two\n"),
            ("<<-EOT\n\tone\n\t\ttwo\n\tEOT", "one\n\ttwo\n"),
            ("<<EOT\r\n one\r\nEOT\r", " one\n"),
            ("<<EOT\nEOT x\n EOT2\nEOT", "EOT x\n EOT2\n"),
            ("<<EOT\n\\n ${x} \"q\"\nEOT", "\\n ${x} \"q\"\n"),
            (r#""x\t${HOME:-"/"}|\"q\"|\u00e9|\101|\x41""#, "x\t${HOME:-\"/\"}|\"q\"|\u{e9}|A|A"),
            (r#""a\nb ${f \"x\"} c""#, "a\nb ${f \\\"x\\\"} c"),
        ] {
            let json = parse(&format!("a = {written}\nb = 1\n")).unwrap();
            assert_eq!(json.get("a").and_then(Json::as_str), Some(meant), "{written}");
        }
    }

    #[test]
    fn quotes_inside_of_quotes_are_told_as_such() {
        for text in [
            r#"a { contents = "{{ with secret "kv/a" }}{{ .Data }}{{ end }}" }"#,
            "a {\n  contents = \"{{ with secret \"kv/a\" }}\"\n  destination = \"/d\"\n}",
            r#"contents = "{{ secret " kv/a" }}""#,
            r#"contents = "{{ secret "kv/a }}""#,
            "contents = \"\"\"",
            r#"contents = ""x"""#,
            r#"command = ["sh", "-c", "echo "x" y"]"#,
            r#"command = ["sh", "-c", "echo " x]"#,
            r#"command = "sh -c "kill 1"""#,
            "contents = \"say \"hello\"\"\n\n\n}",
        ] {
            let error = parse(text);
            let error = error.unwrap_err();
            assert!(error.to_string().contains("a quote inside"), "{text}: {error}");
            let line = text.lines().position(|line| line.matches('"').count() > 1).unwrap() + 1;
            assert_eq!(error.line, line, "{text}");
        }
        for text in ["a = \"x\"\nb", "a = \"x\"\n= 1", "a = \"x", "a {", "a = [1 2]"] {
            let error = parse(text).unwrap_err().to_string();
            assert!(!error.contains("a quote inside"), "{text}: {error}");
        }
    }

    #[test]
    fn the_table_of_lines_is_bounded() {
        let many = format!("a = [{}]", "{},".repeat(30_000));
        let (_, lines) = parse_with_lines(&many).unwrap();
        assert_eq!(lines.0.len(), 10_000);
        let long = format!("{} {{ a = 1 }}", "x".repeat(1000));
        assert_eq!(parse_with_lines(&long).unwrap().1.0.len(), 0);
        let (_, lines) = parse_with_lines("a = [1, 2, \"x\"]").unwrap();
        assert_eq!(lines.0.len(), 1, "plain items need no line of their own");
    }

    #[test]
    fn knows_on_which_line_everything_stands() {
        let text = "pid_file = \"x\"\ntemplate {\n  perms = 1\n}\ntemplate {\n\n  wait {\n min = 1 }\n}\n\
                    auto_auth {\n  method \"jwt\" {\n    config = {\n      role = \"a\"\n    }\n  }\n}\n\
                    sink = [{\n  a = 1 }, {\n  a = 2\n}]\n";
        let (_, lines) = parse_with_lines(text).unwrap();
        for (place, line) in [
            ("pid_file", 1),
            ("template[0]", 2),
            ("template[0].perms", 3),
            ("template[0].destination", 2),
            ("template[1].perms", 5),
            ("template[1].wait.min", 8),
            ("auto_auth.method.jwt.config.role", 13),
            ("auto_auth.method.jwt.mount_path", 11),
            ("sink[0].a", 18),
            ("sink[1].a", 19),
        ] {
            assert_eq!(lines.of(place), Some(line), "{place}");
        }
        assert_eq!(lines.of("vault.address"), None);
    }

    #[test]
    fn names_the_line_of_a_mistake() {
        for (text, line) in [
            ("a = \"x\n", 2),
            ("\na {\n", 3),
            ("a = b", 1),
            ("a \"b\" = 1", 1),
            ("\n\na = <<EOT\nx", 4),
            ("a = \"\\q\"", 1),
            ("a = [1 2]", 1),
            ("/* x", 1),
            ("a = \"${x\"", 1),
            ("a", 1),
            ("}", 1),
            ("a = 08", 1),
        ] {
            assert_eq!(parse(text).map_err(|e| e.line), Err(line), "{text}");
        }
        assert!(parse(&"a {".repeat(1000)).unwrap_err().reason.contains("deep"));
        assert!(parse(&format!("a = {}", "[".repeat(1000))).unwrap_err().reason.contains("deep"));
    }
}
