//! Expressions compiled, and texts to search in.
//!
//! The machine goes over a text once, with a list of threads that are at the same character (Pike's; the one
//! that Go has for what may not go back). It counts what it does while it does it.

use std::cell::RefCell;

use super::program::{Begin, Program, Step};
use super::syntax::{Expression, Look, Node, SyntaxError, TOO_LARGE, parse};
use crate::domain::template::budget::Meter;
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

/// Instructions that the machine runs in the time of one step of a template.
const WORK_PER_STEP: usize = 16;
/// Work that is done before it is charged: a small part of what a template has.
const WORK_AT_A_TIME: usize = 16 * 1024;
/// Bytes that are passed over, while nothing can begin there, in the time of one instruction.
const BYTES_PER_WORK: usize = 4;
/// Places of groups that are copied in that time.
const PLACES_PER_WORK: usize = 4;

/// A compiled expression.
pub(super) struct Machine {
    program: Program,
    /// Of its groups from the first on, empty for those without.
    pub(super) names: Vec<Box<str>>,
    /// Starts and ends of groups that a thread carries, those of the whole match first.
    places: usize,
    /// What it cost to make, in steps.
    pub(super) compiling: usize,
    lists: RefCell<Lists>,
}

/// What an expression unfolds to.
#[derive(Clone, Copy, Default)]
struct Size {
    instructions: usize,
    ranges: usize,
}

/// A place that is not known.
const NOWHERE: usize = usize::MAX;

/// Threads in the order in which they are preferred, none twice.
#[derive(Default)]
struct Threads {
    order: Vec<usize>,
    /// Where in `order` an instruction stands, if it does.
    at: Vec<usize>,
    /// The places that each carries.
    places: Vec<usize>,
}

impl Threads {
    fn fit(&mut self, steps: usize, places: usize) {
        self.at.resize(steps, 0);
        self.places.resize(steps * places, NOWHERE);
        self.order.clear();
    }

    fn has(&self, step: usize) -> bool {
        let at = self.at.get(step).copied().unwrap_or(0);
        self.order.get(at) == Some(&step)
    }

    fn push(&mut self, step: usize) {
        if let Some(at) = self.at.get_mut(step) {
            *at = self.order.len();
        }
        self.order.push(step);
    }

    fn places(&self, step: usize, count: usize) -> &[usize] {
        self.places.get(step * count..(step + 1) * count).unwrap_or_default()
    }

    fn put(&mut self, step: usize, places: &[usize]) {
        let count = places.len();
        if let Some(own) = self.places.get_mut(step * count..(step + 1) * count) {
            own.copy_from_slice(places);
        }
    }
}

/// What a search needs, kept from one to the next.
#[derive(Default)]
struct Lists {
    now: Threads,
    next: Threads,
    path: Path,
    /// The places of the match that is preferred so far; none without one.
    found: Vec<usize>,
}

/// The way of one thread up to its next character.
#[derive(Default)]
struct Path {
    open: Vec<Open>,
    places: Vec<usize>,
    /// Instructions since the last charge.
    work: usize,
}

/// What is still to be done while a thread is followed up to its next character.
enum Open {
    Follow(usize),
    /// A place as it was before.
    Restore(usize, usize),
}

/// Where a search is.
#[derive(Clone, Copy)]
struct At<'t> {
    text: &'t str,
    place: usize,
    before: Option<char>,
    /// The character that comes next.
    next: Option<char>,
}

impl<'t> At<'t> {
    fn new(text: &'t str, place: usize) -> Self {
        let (before, after) = text.split_at_checked(place).unwrap_or((text, ""));
        let mut at = Self { text: after, place, before: None, next: None };
        at.before = before.chars().next_back();
        at.next = after.chars().next();
        at
    }

    fn advance(&mut self) {
        let Some(c) = self.next else { return };
        self.text = self.text.get(c.len_utf8()..).unwrap_or_default();
        self.place += c.len_utf8();
        self.before = Some(c);
        self.next = self.text.chars().next();
    }

    /// Goes on to where a match can begin; whether there is such a place.
    fn goes_to(&mut self, begin: &Begin, work: &mut usize) -> bool {
        let bytes = self.text.as_bytes();
        let found = match begin {
            Begin::Anywhere => return true,
            Begin::AtStart => return self.place == 0,
            Begin::AtByte(byte) => memchr::memchr(*byte, bytes),
            Begin::At(set) => {
                let marked = |byte: &u8| set.get(usize::from(*byte)) == Some(&true);
                bytes.iter().position(marked)
            }
        };
        // Such a byte is the first of a character.
        let passed = found.unwrap_or(bytes.len());
        *work += passed / BYTES_PER_WORK;
        let (before, after) = self.text.split_at_checked(passed).unwrap_or((self.text, ""));
        self.place += before.len();
        self.before = before.chars().next_back().or(self.before);
        self.next = after.chars().next();
        self.text = after;
        found.is_some()
    }

    fn is(&self, look: Look) -> bool {
        let is_word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
        match look {
            Look::LineEnd => matches!(self.next, None | Some('\n')),
            Look::LineStart => matches!(self.before, None | Some('\n')),
            Look::NotWordEdge => is_word(self.before) == is_word(self.next),
            Look::TextEnd => self.next.is_none(),
            Look::TextStart => self.place == 0,
            Look::WordEdge => is_word(self.before) != is_word(self.next),
        }
    }
}

impl Path {
    /// Charges what was done when it has become much.
    fn charge(&mut self, meter: &mut Meter, at_least: usize) -> Result<()> {
        if self.work >= at_least {
            meter.steps(std::mem::take(&mut self.work) / WORK_PER_STEP)?;
        }
        Ok(())
    }

    /// Follows a thread from `start` to all that it can become before it takes a character.
    fn follow(&mut self, program: &Program, threads: &mut Threads, start: usize, at: &At<'_>) {
        self.open.push(Open::Follow(start));
        while let Some(open) = self.open.pop() {
            let mut step = match open {
                Open::Follow(step) => step,
                Open::Restore(place, was) => {
                    if let Some(place) = self.places.get_mut(place) {
                        *place = was;
                    }
                    continue;
                }
            };
            while !threads.has(step) {
                self.work += 1;
                threads.push(step);
                match program.steps.get(step).copied() {
                    Some(Step::Goto(to)) => step = to,
                    Some(Step::Look(look)) if at.is(look) => step += 1,
                    Some(Step::Look(_)) | None => break,
                    Some(Step::Save(place)) => {
                        if let Some(own) = self.places.get_mut(place) {
                            self.open.push(Open::Restore(place, *own));
                            *own = at.place;
                        }
                        step += 1;
                    }
                    Some(Step::Split(first, second)) => {
                        self.open.push(Open::Follow(second));
                        step = first;
                    }
                    Some(Step::Char(_) | Step::Class(_) | Step::Match) => {
                        self.work += self.places.len() / PLACES_PER_WORK;
                        threads.put(step, &self.places);
                        break;
                    }
                }
            }
        }
    }
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
        if bytes > COMPILED_MAX {
            return Err(SyntaxError { clause: TOO_LARGE, fragment: pattern });
        }
        let program = Program::new(&root, with_groups);
        let compiling = pattern.len() + ranges + size.instructions + size.ranges;
        let lists = RefCell::default();
        Ok(Self { program, names, places: 2 * groups, compiling, lists })
    }

    pub(super) fn is_match(&self, eval: &mut Eval<'_>, subject: &Subject<'_>) -> Result<bool> {
        self.search(&mut self.lists.borrow_mut(), &mut eval.meter, &subject.text, 0, true)
    }

    /// Looks for the first match from `from` on, of several the one that Go prefers, and leaves its places in
    /// `found`. Who wants `any` match learns only whether there is one.
    fn search(
        &self,
        lists: &mut Lists,
        meter: &mut Meter,
        text: &str,
        from: usize,
        any: bool,
    ) -> Result<bool> {
        let program = &self.program;
        let Lists { now, next, path, found } = lists;
        now.fit(program.steps.len(), self.places);
        next.fit(program.steps.len(), self.places);
        found.clear();
        let mut at = At::new(text, from);
        loop {
            path.work += 1;
            path.charge(meter, WORK_AT_A_TIME)?;
            if found.is_empty() {
                if now.order.is_empty() && !at.goes_to(&program.begin, &mut path.work) {
                    break;
                }
                // What begins here comes after what began before.
                path.places.clear();
                path.places.resize(self.places, NOWHERE);
                path.places.splice(..1, [at.place]);
                path.follow(program, now, 0, &at);
            } else if now.order.is_empty() {
                break;
            }
            let mut after = at;
            after.advance();
            for step in now.order.iter().copied() {
                path.work += 1;
                let takes = match (program.steps.get(step), at.next) {
                    (Some(Step::Char(own)), Some(c)) => *own == c,
                    (Some(Step::Class(set)), Some(c)) => {
                        program.sets.get(*set).is_some_and(|set| set.contains(c))
                    }
                    (Some(Step::Match), _) => {
                        found.clear();
                        found.extend_from_slice(now.places(step, self.places));
                        found.splice(1..2, [at.place]);
                        // The others would be less preferred.
                        break;
                    }
                    _ => false,
                };
                if takes {
                    path.places.clear();
                    path.places.extend_from_slice(now.places(step, self.places));
                    path.follow(program, next, step + 1, &after);
                }
            }
            if at.next.is_none() || (any && !found.is_empty()) {
                break;
            }
            at = after;
            std::mem::swap(now, next);
            next.order.clear();
        }
        path.charge(meter, 0)?;
        Ok(!found.is_empty())
    }

    /// Goes over all matches that do not overlap, at most `count`, as Go does: an empty match right
    /// behind another one is none. `take` gets the places in the subject's own bytes.
    pub(super) fn each_match<'a>(
        &self,
        eval: &mut Eval<'a>,
        subject: &Subject<'_>,
        count: usize,
        mut take: impl FnMut(&mut Eval<'a>, &[Place]) -> Result<()>,
    ) -> Result<()> {
        let mut lists = self.lists.borrow_mut();
        let (mut at, mut taken, mut last_end) = (0, 0, None);
        let mut places = Vec::new();
        while taken < count && at <= subject.text.len() {
            if !self.search(&mut lists, &mut eval.meter, &subject.text, at, false)? {
                break;
            }
            places.clear();
            places.extend(lists.found.chunks_exact(2).map(|place| match place {
                [start, end] if *start != NOWHERE && *end != NOWHERE => Some((*start, *end)),
                _ => None,
            }));
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
}
