//! Expressions as instructions for the machine, in the order in which Go would try them.

use std::collections::BTreeMap;

use super::class::Class;
use super::syntax::{Look, Node};

/// One step of a thread of the machine.
#[derive(Clone, Copy)]
pub(super) enum Step {
    Char(char),
    Class(usize),
    Goto(usize),
    Look(Look),
    Match,
    /// The start or the end of a group.
    Save(usize),
    /// The first is preferred.
    Split(usize, usize),
}

/// A set of characters; most that are asked for are of ASCII.
pub(super) struct Set {
    ascii: u128,
    class: Class,
}

impl Set {
    fn new(class: &Class) -> Self {
        let ascii = (0..128).filter(|c| class.contains(*c)).fold(0, |set, c| set | 1 << c);
        Self { ascii, class: class.clone() }
    }

    pub(super) fn contains(&self, c: char) -> bool {
        let c = u32::from(c);
        if c < 128 { self.ascii >> c & 1 == 1 } else { self.class.contains(c) }
    }
}

/// Where a match can begin.
pub(super) enum Begin {
    Anywhere,
    /// At one of these bytes.
    At(Box<[bool; 256]>),
    /// At this byte.
    AtByte(u8),
    /// At the start of the text only.
    AtStart,
}

/// The instructions of an expression. The first is where threads start.
pub(super) struct Program {
    pub(super) steps: Vec<Step>,
    pub(super) sets: Vec<Set>,
    pub(super) begin: Begin,
}

impl Program {
    /// `with_groups` when a search has to say where groups are.
    pub(super) fn new(root: &Node, with_groups: bool) -> Self {
        let (steps, sets) = (Vec::new(), Vec::new());
        let mut writer = Writer { steps, sets, known: BTreeMap::new(), groups: 0, with_groups };
        writer.node(root);
        writer.steps.push(Step::Match);
        let mut program = Self { steps: writer.steps, sets: writer.sets, begin: Begin::Anywhere };
        program.begin = program.begin();
        program
    }

    /// Looks at all that a thread can meet before it takes a character.
    fn begin(&self) -> Begin {
        let mut bytes = Box::new([false; 256]);
        let mut add = |low: char, high: char| {
            let [low, high] = [low, high].map(|c| {
                let mut buffer = [0; 4];
                c.encode_utf8(&mut buffer);
                usize::from(buffer[0])
            });
            bytes.iter_mut().take(high + 1).skip(low).for_each(|byte| *byte = true);
        };
        let (mut starts, mut others) = (0, 0);
        let mut seen = vec![false; self.steps.len()];
        let mut open = vec![0];
        while let Some(at) = open.pop() {
            if seen.get_mut(at).is_none_or(|seen| std::mem::replace(seen, true)) {
                continue;
            }
            match self.steps.get(at).copied() {
                Some(Step::Char(c)) => {
                    others += 1;
                    add(c, c);
                }
                Some(Step::Class(set)) => {
                    others += 1;
                    let ranges = self.sets.get(set).map_or(&[][..], |set| set.class.ranges());
                    for (low, high) in ranges {
                        let low = char::from_u32(*low).unwrap_or('\u{e000}');
                        let high = char::from_u32(*high).unwrap_or('\u{d7ff}');
                        if low <= high {
                            add(low, high);
                        }
                    }
                }
                Some(Step::Goto(to)) => open.push(to),
                Some(Step::Save(_)) => open.push(at + 1),
                Some(Step::Split(first, second)) => open.extend([first, second]),
                Some(Step::Look(Look::TextStart)) => starts += 1,
                Some(Step::Look(_) | Step::Match) | None => return Begin::Anywhere,
            }
        }
        let mut marked = bytes.iter().zip(0..=u8::MAX).filter(|(marked, _)| **marked);
        match (starts, others, marked.next(), marked.next()) {
            (1.., 0, ..) => Begin::AtStart,
            (1.., ..) => Begin::Anywhere,
            (_, _, Some((_, byte)), None) => Begin::AtByte(byte),
            _ => Begin::At(bytes),
        }
    }
}

struct Writer {
    steps: Vec<Step>,
    sets: Vec<Set>,
    /// Sets by the class they are of: repetitions meet the same class many times.
    known: BTreeMap<*const Class, usize>,
    groups: usize,
    with_groups: bool,
}

impl Writer {
    fn next(&self) -> usize {
        self.steps.len()
    }

    /// Leaves room for a step that is known later.
    fn reserve(&mut self) -> usize {
        self.steps.push(Step::Match);
        self.next() - 1
    }

    fn set(&mut self, at: usize, step: Step) {
        if let Some(place) = self.steps.get_mut(at) {
            *place = step;
        }
    }

    fn split(is_greedy: bool, into: usize, past: usize) -> Step {
        if is_greedy { Step::Split(into, past) } else { Step::Split(past, into) }
    }

    /// Writes the steps of a node; those after it follow. Says whether it can match nothing.
    fn node(&mut self, node: &Node) -> bool {
        match node {
            Node::Alternate(nodes) => self.alternate(nodes),
            Node::Capture(node) => {
                self.groups += 1;
                let group = self.groups;
                if !self.with_groups {
                    return self.node(node);
                }
                self.steps.push(Step::Save(2 * group));
                let is_empty = self.node(node);
                self.steps.push(Step::Save(2 * group + 1));
                is_empty
            }
            Node::Class(class) => {
                self.class(class);
                false
            }
            Node::Concat(nodes) => {
                // All of them are written, whatever the first one is.
                let mut is_empty = true;
                for node in nodes {
                    is_empty &= self.node(node);
                }
                is_empty
            }
            Node::Look(look) => {
                self.steps.push(Step::Look(*look));
                true
            }
            Node::Repeat { of, min, max, is_greedy } => self.repeat(of, *min, *max, *is_greedy),
        }
    }

    fn class(&mut self, class: &Class) {
        if let [(low, high)] = class.ranges()
            && low == high
            && let Some(c) = char::from_u32(*low)
        {
            self.steps.push(Step::Char(c));
            return;
        }
        let sets = &mut self.sets;
        let set = *self.known.entry(std::ptr::from_ref(class)).or_insert_with(|| {
            sets.push(Set::new(class));
            sets.len() - 1
        });
        self.steps.push(Step::Class(set));
    }

    fn alternate(&mut self, nodes: &[Node]) -> bool {
        let Some((last, before)) = nodes.split_last() else { return true };
        let (mut ends, mut is_empty) = (Vec::new(), false);
        for node in before {
            let split = self.reserve();
            is_empty |= self.node(node);
            ends.push(self.reserve());
            self.set(split, Step::Split(split + 1, self.next()));
        }
        is_empty |= self.node(last);
        for end in ends {
            self.set(end, Step::Goto(self.next()));
        }
        is_empty
    }

    fn repeat(&mut self, of: &Node, min: u32, max: Option<u32>, is_greedy: bool) -> bool {
        let groups = self.groups;
        let once = |writer: &mut Self| {
            // Each copy has the same groups.
            writer.groups = groups;
            writer.node(of)
        };
        let mut is_empty = true;
        match max {
            None if min == 0 => self.star(once, is_greedy),
            None => {
                for _ in 1..min {
                    is_empty &= once(self);
                }
                let start = self.next();
                is_empty &= once(self);
                let past = self.next() + 1;
                self.steps.push(Self::split(is_greedy, start, past));
            }
            Some(max) => {
                for _ in 0..min {
                    is_empty &= once(self);
                }
                let optional: Vec<usize> = (min..max)
                    .map(|_| {
                        let split = self.reserve();
                        once(self);
                        split
                    })
                    .collect();
                is_empty |= min == 0;
                for split in optional {
                    self.set(split, Self::split(is_greedy, split + 1, self.next()));
                }
                if max == 0 {
                    // Its groups are there all the same, and never take part.
                    let length = self.next();
                    once(self);
                    self.steps.truncate(length);
                }
            }
        }
        is_empty
    }

    /// What can match nothing is repeated as `(x+)?`, as by Go: its groups say then where nothing was.
    fn star(&mut self, mut once: impl FnMut(&mut Self) -> bool, is_greedy: bool) {
        let split = self.reserve();
        if once(self) {
            let past = self.next() + 1;
            self.steps.push(Self::split(is_greedy, split + 1, past));
        } else {
            self.steps.push(Step::Goto(split));
        }
        self.set(split, Self::split(is_greedy, split + 1, self.next()));
    }
}
