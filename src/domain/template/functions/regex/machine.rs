//! Expressions compiled, and texts to search in.

use regex_lite::{Regex, RegexBuilder};

use super::class::Class;
use super::syntax::{Expression, Look, Node, SyntaxError, TOO_LARGE, parse};
use crate::domain::template::error::Result;
use crate::domain::template::go::eval::Eval;

/// Of a compiled expression, in bytes: what repetitions by number unfold to, and what a search needs for
/// the places of groups.
const COMPILED_MAX: usize = 1024 * 1024;
/// An instruction of the machine, with its share of the machine's lists.
const INSTRUCTION_BYTES: usize = 64;
const RANGE_BYTES: usize = 8;
/// The start and the end of a group, now and for the next character.
const GROUP_BYTES: usize = 32;
/// Two groups' places are copied, and so many ranges looked at, in the time of one instruction.
const GROUPS_PER_INSTRUCTION: usize = 2;
const RANGES_PER_INSTRUCTION: usize = 16;
/// Deeper than any expression that parses.
const NEST_MAX: u32 = 1000;

/// Bytes of a text that a search with one instruction reads per step.
const BYTES_PER_STEP: usize = 16;
/// The same for every search after the first: most end soon after where they start.
const BYTES_PER_LATER_STEP: usize = 32;

/// A compiled expression.
pub(super) struct Machine {
    regex: Regex,
    /// Of its groups from the first on, empty for those without.
    pub(super) names: Vec<Box<str>>,
    /// What one byte of text costs, in instructions.
    cost: usize,
    /// What it cost to make, in steps.
    pub(super) compiling: usize,
}

/// What an expression unfolds to.
#[derive(Clone, Copy, Default)]
struct Size {
    instructions: usize,
    ranges: usize,
}

impl Machine {
    /// Compiles; `with_groups` when a search has to say where groups are.
    pub(super) fn compile(
        pattern: &str,
        with_groups: bool,
    ) -> std::result::Result<Self, SyntaxError<'_>> {
        let Expression { root, names, ranges } = parse(pattern)?;
        let size = root.size();
        let groups = if with_groups { names.len() + 1 } else { 1 };
        let bytes_per_instruction = INSTRUCTION_BYTES + groups * GROUP_BYTES;
        let bytes = size.instructions.saturating_mul(bytes_per_instruction);
        let bytes = bytes.saturating_add(size.ranges.saturating_mul(RANGE_BYTES));
        let too_large = SyntaxError { clause: TOO_LARGE, fragment: pattern };
        if bytes > COMPILED_MAX {
            return Err(too_large);
        }
        let mut text = String::with_capacity(pattern.len().saturating_mul(8));
        root.write(with_groups, &mut text);
        let built = RegexBuilder::new(&text).size_limit(COMPILED_MAX).nest_limit(NEST_MAX).build();
        let Ok(regex) = built else { return Err(too_large) };
        let per_group = 1 + groups / GROUPS_PER_INSTRUCTION;
        let cost = size.instructions * per_group + size.ranges / RANGES_PER_INSTRUCTION;
        let compiling = pattern.len() + text.len() / BYTES_PER_STEP + ranges + size.instructions;
        Ok(Self { regex, names, cost: cost.max(1), compiling })
    }

    /// Before a search through `bytes`. The machine may hold every instruction at every byte.
    fn charge(&self, eval: &mut Eval<'_>, bytes: usize, is_first: bool) -> Result<()> {
        let per_step = if is_first { BYTES_PER_STEP } else { BYTES_PER_LATER_STEP };
        eval.meter.steps(bytes.saturating_mul(self.cost) / per_step + 1)
    }

    pub(super) fn is_match(&self, eval: &mut Eval<'_>, subject: &Subject<'_>) -> Result<bool> {
        self.charge(eval, subject.text.len(), true)?;
        Ok(self.regex.is_match(&subject.text))
    }

    /// Where group 0 and the groups after it are, in the first match from `from` on.
    fn groups_at(
        &self,
        eval: &mut Eval<'_>,
        subject: &Subject<'_>,
        from: usize,
        with_groups: bool,
    ) -> Result<Option<Vec<Place>>> {
        let text = &subject.text;
        self.charge(eval, text.len().saturating_sub(from), from == 0)?;
        if !with_groups {
            let found = self.regex.find_at(text, from);
            return Ok(found.map(|found| vec![Some((found.start(), found.end()))]));
        }
        let found = self.regex.captures_at(text, from).map(|captures| {
            let groups =
                captures.iter().map(|group| group.map(|group| (group.start(), group.end())));
            groups.collect()
        });
        Ok(found)
    }

    /// Goes over all matches that do not overlap, at most `count`, as Go does: an empty match right
    /// behind another one is none. `take` gets the places in the subject's own bytes.
    pub(super) fn each_match<'a>(
        &self,
        eval: &mut Eval<'a>,
        subject: &Subject<'_>,
        (count, with_groups): (usize, bool),
        mut take: impl FnMut(&mut Eval<'a>, &[Place]) -> Result<()>,
    ) -> Result<()> {
        let (mut at, mut taken, mut last_end) = (0, 0, None);
        while taken < count && at <= subject.text.len() {
            let Some(mut places) = self.groups_at(eval, subject, at, with_groups)? else { break };
            let Some(Some((start, end))) = places.first().copied() else { break };
            let is_new = end != at || last_end != Some(start);
            if end == at {
                at = subject.after_char(at);
            } else {
                at = end;
            }
            last_end = Some(end);
            if is_new {
                taken += 1;
                subject.translate(&mut places);
                take(eval, &places)?;
            }
        }
        Ok(())
    }
}

/// Start and end of a group that took part in the match.
pub(super) type Place = Option<(usize, usize)>;

/// A text to search in. Bytes that are no UTF-8 stand as U+FFFD, one for each, as Go sees them.
pub(super) struct Subject<'t> {
    text: std::borrow::Cow<'t, str>,
    /// Where such bytes stand in `text`.
    replaced: Vec<usize>,
}

impl<'t> Subject<'t> {
    pub(super) fn new(bytes: &'t [u8]) -> Self {
        if let Ok(text) = str::from_utf8(bytes) {
            return Self { text: text.into(), replaced: Vec::new() };
        }
        let (mut text, mut replaced) = (String::with_capacity(bytes.len()), Vec::new());
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            for _ in chunk.invalid() {
                replaced.push(text.len());
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        Self { text: text.into(), replaced }
    }

    fn after_char(&self, at: usize) -> usize {
        let c = self.text.get(at..).and_then(|rest| rest.chars().next());
        at + c.map_or(1, char::len_utf8)
    }

    /// Places in `text` become those in the bytes it was made of.
    fn translate(&self, places: &mut [Place]) {
        if self.replaced.is_empty() {
            return;
        }
        let grown = char::REPLACEMENT_CHARACTER.len_utf8() - 1;
        let own = |at: usize| at - grown * self.replaced.partition_point(|place| *place < at);
        places
            .iter_mut()
            .flatten()
            .for_each(|(start, end)| (*start, *end) = (own(*start), own(*end)));
    }
}

impl Node {
    fn size(&self) -> Size {
        let sum = |nodes: &[Self], each: usize| {
            nodes.iter().map(Self::size).fold(Size::default(), |sum, size| Size {
                instructions: sum.instructions.saturating_add(size.instructions + each),
                ranges: sum.ranges.saturating_add(size.ranges),
            })
        };
        match self {
            Self::Alternate(nodes) => sum(nodes, 2),
            Self::Capture(node) => sum(std::slice::from_ref(node), 2),
            Self::Class(class) => Size { instructions: 1, ranges: class.ranges().len() },
            Self::Concat(nodes) => sum(nodes, 1),
            Self::Look(_) => Size { instructions: 1, ranges: 0 },
            Self::Repeat { of, min, max, .. } => {
                let size = of.size();
                let times = max.unwrap_or(min.saturating_add(1)).max(1);
                let times = usize::try_from(times).unwrap_or(usize::MAX);
                Size {
                    instructions: (size.instructions + 2).saturating_mul(times),
                    ranges: size.ranges.saturating_mul(times),
                }
            }
        }
    }

    /// Writes the expression for the machine, which has none of the flags and escapes of RE2 then.
    fn write(&self, with_groups: bool, out: &mut String) {
        match self {
            Self::Alternate(nodes) => {
                out.push_str("(?:");
                for (i, node) in nodes.iter().enumerate() {
                    if i > 0 {
                        out.push('|');
                    }
                    node.write(with_groups, out);
                }
                out.push(')');
            }
            Self::Capture(node) => {
                out.push_str(if with_groups { "(" } else { "(?:" });
                node.write(with_groups, out);
                out.push(')');
            }
            Self::Class(class) => write_class(class, out),
            Self::Concat(nodes) => nodes.iter().for_each(|node| node.write(with_groups, out)),
            Self::Look(look) => out.push_str(match look {
                Look::LineEnd => "(?m:$)",
                Look::LineStart => "(?m:^)",
                Look::NotWordEdge => r"\B",
                Look::TextEnd => r"\z",
                Look::TextStart => r"\A",
                Look::WordEdge => r"\b",
            }),
            Self::Repeat { of, min, max, is_greedy } => {
                out.push_str("(?:");
                of.write(with_groups, out);
                out.push_str(&match (min, max) {
                    (0, None) => ")*".to_owned(),
                    (1, None) => ")+".to_owned(),
                    (0, Some(1)) => ")?".to_owned(),
                    (min, None) => format!("){{{min},}}"),
                    (min, Some(max)) => format!("){{{min},{max}}}"),
                });
                if !is_greedy {
                    out.push('?');
                }
            }
        }
    }
}

/// Ranges by number, without surrogates, which no text holds.
fn write_class(class: &Class, out: &mut String) {
    let literal = |c: u32| char::from_u32(c).filter(char::is_ascii_alphanumeric);
    if let [(low, high)] = class.ranges()
        && low == high
        && let Some(c) = literal(*low)
    {
        out.push(c);
        return;
    }
    let start = out.len();
    out.push('[');
    let empty = out.len();
    for &(low, high) in class.ranges() {
        let low = if (0xd800..0xe000).contains(&low) { 0xe000 } else { low };
        let high = if (0xd800..0xe000).contains(&high) { 0xd7ff } else { high };
        if low <= high {
            out.push_str(&format!("\\x{{{low:x}}}-\\x{{{high:x}}}"));
        }
    }
    if out.len() == empty {
        // Nothing matches it.
        out.truncate(start);
        out.push_str(r"[^\x{0}-\x{10ffff}]");
    } else {
        out.push(']');
    }
}
