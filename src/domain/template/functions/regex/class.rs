//! Sets of characters as ranges.

/// The last code point.
const LAST: u32 = 0x10_ffff;

/// Ranges of code points, first and last; *clean* when sorted and apart from each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Class(std::borrow::Cow<'static, [(u32, u32)]>);

impl Class {
    /// Every character.
    pub(super) const ANY: Self = Self::of(&[(0, LAST)]);
    /// Every character but the line feed.
    pub(super) const NO_LINE_FEED: Self = Self::of(&[(0, 0x09), (0x0b, LAST)]);

    pub(super) const fn of(ranges: &'static [(u32, u32)]) -> Self {
        Self(std::borrow::Cow::Borrowed(ranges))
    }

    pub(super) fn one(c: u32) -> Self {
        Self(vec![(c, c)].into())
    }

    pub(super) fn ranges(&self) -> &[(u32, u32)] {
        &self.0
    }

    /// Of a clean class.
    pub(super) fn contains(&self, c: u32) -> bool {
        let at = self.ranges().partition_point(|(_, high)| *high < c);
        self.ranges().get(at).is_some_and(|(low, _)| *low <= c)
    }

    /// Adds a range, merged with the last one where they meet.
    pub(super) fn push(&mut self, low: u32, high: u32) {
        let ranges = self.0.to_mut();
        match ranges.last_mut() {
            Some(last) if low >= last.0 && low <= last.1.saturating_add(1) => {
                last.1 = last.1.max(high);
            }
            _ => ranges.push((low, high)),
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        other.ranges().iter().for_each(|&(low, high)| self.push(low, high));
    }

    pub(super) fn clean(self) -> Self {
        let mut ranges = self.0.into_owned();
        ranges.sort_unstable();
        let mut clean = Self::default();
        ranges.into_iter().for_each(|(low, high)| clean.push(low, high));
        clean
    }

    /// Of a clean class.
    pub(super) fn negated(self) -> Self {
        let mut negated = Self::default();
        let mut next = 0;
        for &(low, high) in self.ranges() {
            if next < low {
                negated.push(next, low - 1);
            }
            next = high.saturating_add(1);
        }
        if next <= LAST {
            negated.push(next, LAST);
        }
        negated
    }
}

/// `d`, `s`, `w` of `\d` and its kin: ASCII only, as in RE2.
pub(super) fn perl(letter: char) -> Option<Class> {
    match letter {
        'd' => posix("digit"),
        's' => Some(Class::of(&[(9, 10), (12, 13), (32, 32)])),
        'w' => posix("word"),
        _ => None,
    }
}

/// `[:name:]`.
pub(super) fn posix(name: &str) -> Option<Class> {
    Some(Class::of(match name {
        "alnum" => &[(0x30, 0x39), (0x41, 0x5a), (0x61, 0x7a)],
        "alpha" => &[(0x41, 0x5a), (0x61, 0x7a)],
        "ascii" => &[(0, 0x7f)],
        "blank" => &[(0x09, 0x09), (0x20, 0x20)],
        "cntrl" => &[(0, 0x1f), (0x7f, 0x7f)],
        "digit" => &[(0x30, 0x39)],
        "graph" => &[(0x21, 0x7e)],
        "lower" => &[(0x61, 0x7a)],
        "print" => &[(0x20, 0x7e)],
        "punct" => &[(0x21, 0x2f), (0x3a, 0x40), (0x5b, 0x60), (0x7b, 0x7e)],
        "space" => &[(0x09, 0x0d), (0x20, 0x20)],
        "upper" => &[(0x41, 0x5a)],
        "word" => &[(0x30, 0x39), (0x41, 0x5a), (0x5f, 0x5f), (0x61, 0x7a)],
        "xdigit" => &[(0x30, 0x39), (0x41, 0x46), (0x61, 0x66)],
        _ => return None,
    }))
}
