//! RE2's syntax as Go reads it (`regexp/syntax`), with Go's errors.

use std::fmt;

use super::class::{Class, perl, posix};
use super::unicode::{self, Folding};

/// `{n}` repeats no more than this, also when repetitions nest.
const REPEAT_MAX: u32 = 1000;
/// How deep groups and repetitions nest. Go allows 1000; real ones have a handful.
const DEPTH_MAX: usize = 100;
/// Ranges of all classes of an expression; `\pL` has 650.
const RANGES_MAX: usize = 32 * 1024;

/// An expression as a tree.
#[derive(Debug)]
pub(super) enum Node {
    Alternate(Vec<Self>),
    Capture(Box<Self>),
    /// One character.
    Class(Class),
    Concat(Vec<Self>),
    Look(Look),
    Repeat {
        of: Box<Self>,
        min: u32,
        /// `None` is without end.
        max: Option<u32>,
        is_greedy: bool,
    },
}

/// A place between characters.
#[derive(Clone, Copy, Debug)]
pub(super) enum Look {
    LineEnd,
    LineStart,
    NotWordEdge,
    TextEnd,
    TextStart,
    WordEdge,
}

/// A parsed expression.
pub(super) struct Expression {
    pub(super) root: Node,
    /// The names of its groups from the first on, empty for those without.
    pub(super) names: Vec<Box<str>>,
    /// Ranges that its classes took to make.
    pub(super) ranges: usize,
}

/// Why a text is no expression, with Go's words.
#[derive(Debug)]
pub(super) struct SyntaxError<'p> {
    pub(super) clause: &'static str,
    /// What of the expression is wrong.
    pub(super) fragment: &'p str,
}

impl fmt::Display for SyntaxError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error parsing regexp: {}: `{}`", self.clause, self.fragment)
    }
}

type Result<'p, T> = std::result::Result<T, SyntaxError<'p>>;

const BAD_RANGE: &str = "invalid character class range";
const BAD_ESCAPE: &str = "invalid escape sequence";
const BAD_NAME: &str = "invalid named capture";
const BAD_PERL: &str = "invalid or unsupported Perl syntax";
const BAD_REPEAT: &str = "invalid nested repetition operator";
const BAD_REPEAT_SIZE: &str = "invalid repeat count";
const NO_BRACKET: &str = "missing closing ]";
const NO_PAREN: &str = "missing closing )";
const NO_REPEAT_ARGUMENT: &str = "missing argument to repetition operator";
const TRAILING_BACKSLASH: &str = "trailing backslash at end of expression";
const UNEXPECTED_PAREN: &str = "unexpected )";
const TOO_DEEP: &str = "expression nests too deeply";
pub(super) const TOO_LARGE: &str = "expression too large";

fn fault<'p, T>(clause: &'static str, fragment: &'p str) -> Result<'p, T> {
    Err(SyntaxError { clause, fragment })
}

/// Parses an expression.
pub(super) fn parse(pattern: &str) -> Result<'_, Expression> {
    let mut parser = Parser {
        pattern,
        rest: pattern,
        flags: Flags::default(),
        open: Vec::new(),
        group: Group::default(),
        names: Vec::new(),
        folding: None,
        ranges: 0,
    };
    parser.run()?;
    if !parser.open.is_empty() {
        return fault(NO_PAREN, pattern);
    }
    let root = parser.group.into_node();
    Ok(Expression { root, names: parser.names, ranges: parser.ranges })
}

#[derive(Clone, Copy, Default)]
struct Flags {
    dot_takes_line_feed: bool,
    folds_case: bool,
    is_lazy: bool,
    is_multi_line: bool,
}

/// What is between two parentheses, so far.
#[derive(Default)]
struct Group {
    is_capture: bool,
    /// The flags to go back to.
    outer_flags: Flags,
    alternatives: Vec<Node>,
    sequence: Vec<Node>,
}

impl Group {
    fn next_alternative(&mut self) {
        let sequence = std::mem::take(&mut self.sequence);
        self.alternatives.push(Node::Concat(sequence));
    }

    fn into_node(mut self) -> Node {
        if self.alternatives.is_empty() {
            return Node::Concat(self.sequence);
        }
        self.next_alternative();
        Node::Alternate(self.alternatives)
    }
}

struct Parser<'p> {
    pattern: &'p str,
    rest: &'p str,
    flags: Flags,
    /// The groups around the current one.
    open: Vec<Group>,
    group: Group,
    names: Vec<Box<str>>,
    folding: Option<Folding>,
    ranges: usize,
}

impl<'p> Parser<'p> {
    fn run(&mut self) -> Result<'p, ()> {
        // The repetition just before, with all that follows it.
        let mut last_repeat = None;
        while let Some(c) = self.rest.chars().next() {
            let here = self.rest;
            let mut repeat = None;
            match c {
                '(' if self.eat("(?") => self.after_question_mark(here)?,
                '(' => {
                    self.skip(1);
                    self.names.push("".into());
                    self.open_group(true)?;
                }
                '|' => {
                    self.skip(1);
                    self.group.next_alternative();
                }
                ')' => self.close_group()?,
                '^' if self.flags.is_multi_line => self.look(Look::LineStart, 1),
                '^' => self.look(Look::TextStart, 1),
                '$' if self.flags.is_multi_line => self.look(Look::LineEnd, 1),
                '$' => self.look(Look::TextEnd, 1),
                '.' => {
                    self.skip(1);
                    let dot = if self.flags.dot_takes_line_feed {
                        Class::ANY
                    } else {
                        Class::NO_LINE_FEED
                    };
                    self.push_class(dot)?;
                }
                '[' => self.class()?,
                '*' | '+' | '?' => {
                    self.skip(1);
                    let max = (c == '?').then_some(1);
                    self.repeat(u32::from(c == '+'), max, here, last_repeat)?;
                    repeat = Some(here);
                }
                '{' => match counts(here) {
                    Some((min, max, after)) => {
                        self.rest = after;
                        let is_wrong = |n: u32| n > REPEAT_MAX;
                        if is_wrong(min) || max.is_some_and(|max| is_wrong(max) || max < min) {
                            return fault(BAD_REPEAT_SIZE, self.since(here));
                        }
                        self.repeat(min, max, here, last_repeat)?;
                        repeat = Some(here);
                    }
                    None => self.literal()?,
                },
                '\\' => self.escape()?,
                _ => self.literal()?,
            }
            last_repeat = repeat;
        }
        Ok(())
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    fn eat(&mut self, start: &str) -> bool {
        let after = self.rest.strip_prefix(start);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    /// What was read since `start` was the rest.
    fn since(&self, start: &'p str) -> &'p str {
        start.get(..start.len() - self.rest.len()).unwrap_or_default()
    }

    fn take_char(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.skip(c.len_utf8());
        Some(c)
    }

    fn literal(&mut self) -> Result<'p, ()> {
        match self.take_char() {
            Some(c) => self.push_char(u32::from(c)),
            None => Ok(()),
        }
    }

    fn look(&mut self, look: Look, bytes: usize) {
        self.skip(bytes);
        self.group.sequence.push(Node::Look(look));
    }

    fn push_char(&mut self, c: u32) -> Result<'p, ()> {
        let class = self.folded(Class::one(c));
        self.push_class(class)
    }

    fn push_class(&mut self, class: Class) -> Result<'p, ()> {
        self.ranges += class.ranges().len();
        if self.ranges > RANGES_MAX {
            return fault(TOO_LARGE, self.pattern);
        }
        self.group.sequence.push(Node::Class(class));
        Ok(())
    }

    /// The class with all cases of its letters, when case does not count here.
    fn folded(&mut self, mut class: Class) -> Class {
        if self.flags.folds_case {
            self.folding.get_or_insert_with(Folding::load).close(&mut class);
        }
        class
    }

    // Groups.

    fn open_group(&mut self, is_capture: bool) -> Result<'p, ()> {
        let group = Group { is_capture, outer_flags: self.flags, ..Group::default() };
        self.open.push(std::mem::replace(&mut self.group, group));
        if self.open.len() > DEPTH_MAX {
            return fault(TOO_DEEP, self.pattern);
        }
        Ok(())
    }

    fn close_group(&mut self) -> Result<'p, ()> {
        self.skip(1);
        let Some(outer) = self.open.pop() else { return fault(UNEXPECTED_PAREN, self.pattern) };
        let group = std::mem::replace(&mut self.group, outer);
        self.flags = group.outer_flags;
        let is_capture = group.is_capture;
        let node = group.into_node();
        self.group.sequence.push(if is_capture { Node::Capture(Box::new(node)) } else { node });
        Ok(())
    }

    /// A group's name, or flags, after `(?`.
    fn after_question_mark(&mut self, here: &'p str) -> Result<'p, ()> {
        let after_mark = self.rest;
        if self.eat("<") || self.eat("P<") {
            // A lone `(?P<` is no start of a name.
            if here != "(?P<" && here != "(?<" {
                return self.named_group(here);
            }
            self.rest = after_mark;
        }
        let mut flags = self.flags;
        let mut is_off = false;
        let mut saw_flag = false;
        while let Some(c) = self.take_char() {
            match c {
                'i' => flags.folds_case = !is_off,
                'm' => flags.is_multi_line = !is_off,
                's' => flags.dot_takes_line_feed = !is_off,
                'U' => flags.is_lazy = !is_off,
                '-' if !is_off => {
                    (is_off, saw_flag) = (true, false);
                    continue;
                }
                ':' | ')' if saw_flag || !is_off => {
                    if c == ':' {
                        self.open_group(false)?;
                    }
                    self.flags = flags;
                    return Ok(());
                }
                _ => break,
            }
            saw_flag = true;
        }
        fault(BAD_PERL, self.since(here))
    }

    fn named_group(&mut self, here: &'p str) -> Result<'p, ()> {
        let Some((name, after)) = self.rest.split_once('>') else {
            return fault(BAD_NAME, here);
        };
        self.rest = after;
        if name.is_empty() || !name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric()) {
            return fault(BAD_NAME, self.since(here));
        }
        self.names.push(name.into());
        self.open_group(true)
    }

    // Repetitions.

    fn repeat(
        &mut self,
        min: u32,
        max: Option<u32>,
        here: &'p str,
        last_repeat: Option<&'p str>,
    ) -> Result<'p, ()> {
        let is_greedy = self.eat("?") == self.flags.is_lazy;
        if let Some(last) = last_repeat {
            return fault(BAD_REPEAT, self.since(last));
        }
        let Some(of) = self.group.sequence.pop() else {
            return fault(NO_REPEAT_ARGUMENT, self.since(here));
        };
        let node = Node::Repeat { of: Box::new(of), min, max, is_greedy };
        let is_counted = here.starts_with('{') && (min >= 2 || max.is_some_and(|max| max >= 2));
        if is_counted && !node.repeats_at_most(REPEAT_MAX) {
            return fault(BAD_REPEAT_SIZE, self.since(here));
        }
        if node.depth() + self.open.len() > DEPTH_MAX {
            return fault(TOO_DEEP, self.pattern);
        }
        self.group.sequence.push(node);
        Ok(())
    }

    // Escapes and classes.

    fn escape(&mut self) -> Result<'p, ()> {
        let here = self.rest;
        match here.as_bytes().get(1) {
            Some(b'A') => self.look(Look::TextStart, 2),
            Some(b'b') => self.look(Look::WordEdge, 2),
            Some(b'B') => self.look(Look::NotWordEdge, 2),
            Some(b'z') => self.look(Look::TextEnd, 2),
            Some(b'C') => {
                self.skip(2);
                return fault(BAD_ESCAPE, self.since(here));
            }
            Some(b'Q') => {
                self.skip(2);
                let (text, after) = self.rest.split_once("\\E").unwrap_or((self.rest, ""));
                for c in text.chars() {
                    self.push_char(u32::from(c))?;
                }
                self.rest = after;
            }
            _ => {
                if let Some(class) = self.escaped_class()? {
                    return self.push_class(class);
                }
                let c = self.escaped_char()?;
                return self.push_char(c);
            }
        }
        Ok(())
    }

    /// `\pN`, `\p{Greek}`, `\d` and their negations.
    fn escaped_class(&mut self) -> Result<'p, Option<Class>> {
        let here = self.rest;
        let Some(letter) = here.strip_prefix('\\').and_then(|after| after.chars().next()) else {
            return Ok(None);
        };
        let mut is_negative = letter.is_ascii_uppercase();
        let class = if matches!(letter, 'p' | 'P') {
            self.skip(2);
            let mut name = match self.take_char() {
                None => return fault(BAD_RANGE, here),
                Some('{') => match self.rest.split_once('}') {
                    None => return fault(BAD_RANGE, here),
                    Some((name, after)) => {
                        self.rest = after;
                        name
                    }
                },
                Some(_) => self.since(here).get(2..).unwrap_or_default(),
            };
            if let Some(after) = name.strip_prefix('^') {
                is_negative = !is_negative;
                name = after;
            }
            match unicode::class(name) {
                Some(class) => class,
                None => return fault(BAD_RANGE, self.since(here)),
            }
        } else {
            let Some(class) = perl(letter.to_ascii_lowercase()) else { return Ok(None) };
            self.skip(2);
            class
        };
        self.ranges += class.ranges().len();
        let class = self.folded(class);
        Ok(Some(if is_negative { class.negated() } else { class }))
    }

    fn escaped_char(&mut self) -> Result<'p, u32> {
        let here = self.rest;
        self.skip(1);
        let Some(c) = self.take_char() else { return fault(TRAILING_BACKSLASH, "") };
        let octal = |c: &char| c.is_digit(8);
        let found = match c {
            '0' | '1'..='7' if c == '0' || self.rest.starts_with(|c| octal(&c)) => {
                let more = self.rest.bytes().take(2).take_while(|b| octal(&char::from(*b))).count();
                let digits = here.get(1..2 + more).unwrap_or_default();
                self.skip(more);
                u32::from_str_radix(digits, 8).ok()
            }
            'x' => self.hexadecimal(),
            'a' => Some(0x07),
            'f' => Some(0x0c),
            'n' => Some(0x0a),
            'r' => Some(0x0d),
            't' => Some(0x09),
            'v' => Some(0x0b),
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(u32::from(c)),
            _ => None,
        };
        match found {
            Some(c) => Ok(c),
            None => fault(BAD_ESCAPE, self.since(here)),
        }
    }

    /// What follows `\x`: two digits, or any number of them in braces.
    fn hexadecimal(&mut self) -> Option<u32> {
        let first = self.take_char()?;
        if first != '{' {
            let second = self.take_char();
            return Some(first.to_digit(16)? * 16 + second?.to_digit(16)?);
        }
        let mut value = None;
        loop {
            match self.take_char()? {
                '}' => return value,
                c => {
                    let next = value.unwrap_or(0) * 16 + c.to_digit(16)?;
                    value = Some(next).filter(|c| *c <= u32::from(char::MAX));
                    value?;
                }
            }
        }
    }

    /// `[…]`.
    fn class(&mut self) -> Result<'p, ()> {
        let whole = self.rest;
        self.skip(1);
        let is_negative = self.eat("^");
        let mut class = Class::default();
        let mut is_first = true;
        while is_first || !self.rest.starts_with(']') {
            is_first = false;
            if let Some(named) = self.named_class()? {
                class.add(&named);
            } else if let Some(escaped) = self.escaped_class()? {
                class.add(&escaped);
            } else {
                let (low, high) = self.range(whole)?;
                let mut range = Class::default();
                range.push(low, high);
                class.add(&self.folded(range));
            }
            if self.ranges + class.ranges().len() > RANGES_MAX {
                return fault(TOO_LARGE, self.pattern);
            }
        }
        self.skip(1);
        let class = class.clean();
        self.push_class(if is_negative { class.negated() } else { class })
    }

    /// `[:alpha:]`, `[:^alpha:]`.
    fn named_class(&mut self) -> Result<'p, Option<Class>> {
        let here = self.rest;
        let Some((name, after)) = here.strip_prefix("[:").and_then(|name| name.split_once(":]"))
        else {
            return Ok(None);
        };
        self.rest = after;
        let plain = name.strip_prefix('^');
        let Some(class) = posix(plain.unwrap_or(name)) else {
            return fault(BAD_RANGE, self.since(here));
        };
        let class = self.folded(class);
        Ok(Some(if plain.is_some() { class.negated() } else { class }))
    }

    /// One character of a class, or two with a dash between.
    fn range(&mut self, whole: &'p str) -> Result<'p, (u32, u32)> {
        let here = self.rest;
        let low = self.class_char(whole)?;
        let is_range =
            self.rest.len() >= 2 && self.rest.starts_with('-') && !self.rest.starts_with("-]");
        if !is_range {
            return Ok((low, low));
        }
        self.skip(1);
        let high = self.class_char(whole)?;
        if high < low { fault(BAD_RANGE, self.since(here)) } else { Ok((low, high)) }
    }

    fn class_char(&mut self, whole: &'p str) -> Result<'p, u32> {
        if self.rest.starts_with('\\') {
            return self.escaped_char();
        }
        match self.take_char() {
            Some(c) => Ok(u32::from(c)),
            None => fault(NO_BRACKET, whole),
        }
    }
}

/// `{n}`, `{n,}` or `{n,m}` with what follows; a number that is too large for any use is the largest.
fn counts(text: &str) -> Option<(u32, Option<u32>, &str)> {
    fn number(text: &str) -> Option<u32> {
        let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let is_plain = is_number && (text.len() == 1 || !text.starts_with('0'));
        is_plain.then(|| text.parse().unwrap_or(u32::MAX))
    }
    let (body, after) = text.strip_prefix('{')?.split_once('}')?;
    Some(match body.split_once(',') {
        None => {
            let n = number(body)?;
            (n, Some(n), after)
        }
        Some((min, "")) => (number(min)?, None, after),
        Some((min, max)) => (number(min)?, Some(number(max)?), after),
    })
}

impl Node {
    fn children(&self) -> &[Self] {
        match self {
            Self::Alternate(nodes) | Self::Concat(nodes) => nodes,
            Self::Capture(node) | Self::Repeat { of: node, .. } => std::slice::from_ref(node),
            Self::Class(_) | Self::Look(_) => &[],
        }
    }

    /// How deep repetitions and groups nest in it.
    fn depth(&self) -> usize {
        let own = usize::from(matches!(self, Self::Capture(_) | Self::Repeat { .. }));
        own + self.children().iter().map(Self::depth).max().unwrap_or(0)
    }

    /// Whether nothing in it is repeated more than `most` times over all levels.
    fn repeats_at_most(&self, most: u32) -> bool {
        let mut most = most;
        if let Self::Repeat { min, max, .. } = self {
            // `*`, `+` and `?` repeat by themselves, not by number.
            match max.unwrap_or(*min) {
                0 if max.is_some() => return true,
                n if n > most => return false,
                n => most /= n.max(1),
            }
        }
        self.children().iter().all(|node| node.repeats_at_most(most))
    }
}
