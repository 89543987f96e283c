//! Unicode's classes and case folding as Go knows them. `tests/tools/unicode-tables` writes the file.
//!
//! All numbers are LEB128. The file holds: the count of names and, for each, its length, its text (lower
//! case, no separators) and its table; the count of tables and, for each, its bytes: pairs of a gap and a
//! width; then, until the end, runs of characters that fold alike: a gap, a count and a distance
//! (zigzag) to the next character of the same letter.

use super::class::Class;

const PACKED: &[u8] = include_bytes!("unicode.bin");

struct Reader(&'static [u8]);

impl Reader {
    fn number(&mut self) -> u32 {
        let mut n = 0;
        let mut shift = 0;
        while let Some((byte, rest)) = self.0.split_first() {
            self.0 = rest;
            n |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 || shift > 21 {
                break;
            }
            shift += 7;
        }
        n
    }

    fn bytes(&mut self) -> &'static [u8] {
        let length = usize::try_from(self.number()).unwrap_or(0);
        let (taken, rest) = self.0.split_at_checked(length).unwrap_or_default();
        self.0 = rest;
        taken
    }
}

/// The class of `\p{name}`: a general category or a script, by any of its names.
pub(super) fn class(name: &str) -> Option<Class> {
    let mut plain = name.to_ascii_lowercase();
    plain.retain(|c| !matches!(c, '_' | '-' | ' '));
    match plain.as_str() {
        "any" => return Some(Class::ANY),
        "ascii" => return Some(Class::of(&[(0, 0x7f)])),
        // All that is not unassigned.
        "assigned" => return class("cn").map(Class::negated),
        _ => {}
    }
    let mut file = Reader(PACKED);
    let mut table = None;
    for _ in 0..file.number() {
        let found = file.bytes() == plain.as_bytes();
        let index = file.number();
        table = table.or(found.then_some(index));
    }
    table.and_then(|index| at(file, index))
}

/// The class of a table, where `file` stands before all of them.
fn at(mut file: Reader, index: u32) -> Option<Class> {
    let count = file.number();
    let mut ranges = (0..count).map(|_| Reader(file.bytes())).nth(usize::try_from(index).ok()?)?;
    let mut class = Class::default();
    let mut next = 0;
    while !ranges.0.is_empty() {
        let low = next + ranges.number();
        let high = low + ranges.number();
        class.push(low, high);
        next = high + 1;
    }
    Some(class)
}

/// Case folding: which characters are the same letter.
pub(super) struct Folding {
    /// First, last, and the distance to the next of the same letter; sorted.
    runs: Vec<(u32, u32, i32)>,
}

impl Folding {
    pub(super) fn load() -> Self {
        let mut file = Reader(PACKED);
        for _ in 0..file.number() {
            file.bytes();
            file.number();
        }
        for _ in 0..file.number() {
            file.bytes();
        }
        let mut runs = Vec::new();
        let mut next = 0;
        while !file.0.is_empty() {
            let first = next + file.number();
            next = first + file.number();
            let zigzag = file.number();
            let distance = (zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed();
            runs.push((first, next.saturating_sub(1), distance));
        }
        Self { runs }
    }

    /// Adds to a clean class the other cases of its letters.
    pub(super) fn close(&self, class: &mut Class) {
        let mut fresh = class.clone();
        // No letter has more than four forms.
        for _ in 0..3 {
            let mut other = Class::default();
            for &(low, high) in fresh.ranges() {
                let from = self.runs.partition_point(|&(_, last, _)| last < low);
                let touched = self.runs.iter().skip(from).take_while(|(first, ..)| *first <= high);
                for &(first, last, distance) in touched {
                    let moved = |c: u32| c.saturating_add_signed(distance);
                    other.push(moved(first.max(low)), moved(last.min(high)));
                }
            }
            fresh = other.clean();
            fresh.ranges().iter().for_each(|&(low, high)| class.push(low, high));
        }
        *class = std::mem::take(class).clean();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chars(class: &Class) -> impl Iterator<Item = char> + '_ {
        class.ranges().iter().flat_map(|&(low, high)| (low..=high).filter_map(char::from_u32))
    }

    /// Go's matches of `^\p{NAME}$` for all categories and scripts, plain and with `(?i)`, as FNV-1a of
    /// the characters in UTF-8.
    #[test]
    fn all_classes_are_those_of_go() {
        let mut file = Reader(PACKED);
        for _ in 0..file.number() {
            file.bytes();
            file.number();
        }
        let folding = Folding::load();
        let cased = class("LC").unwrap();
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        let mut count = 0;
        for folds in [false, true] {
            count = 0;
            while let Some(mut class) = at(Reader(file.0), count) {
                count += 1;
                // Go forgets one mark that folds to a letter, U+0345, in `(?i)\p{LC}`.
                if folds && class.ranges() != cased.ranges() {
                    folding.close(&mut class);
                }
                for c in chars(&class) {
                    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
                    }
                }
            }
        }
        assert_eq!((count, format!("{hash:x}").as_str()), (212, "efc856a8f4f8f7ec"));
    }

    #[test]
    fn names_are_taken_in_all_spellings() {
        for (name, count) in [
            ("Lu", 1886),
            ("uppercase_letter", 1886),
            ("UPPER-CASE Letter", 1886),
            ("LC", 4200),
            ("Greek", 518),
            ("han", 103_351),
            ("Any", 0x11_0000 - 0x800),
            ("ASCII", 128),
        ] {
            assert_eq!(class(name).map(|class| chars(&class).count()), Some(count), "{name}");
        }
        assert_eq!(class("Klingon"), None);
        assert_eq!(class(""), None);
    }
}
