//! Versions and constraints as Masterminds' `semver` reads them, which is laxer than semver.org: `v1.2` is a
//! version, and constraints know `^`, `~`, wildcards and ranges.

use std::cmp::Ordering;
use std::fmt;

/// A version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) major: u64,
    pub(crate) minor: u64,
    pub(crate) patch: u64,
    pub(crate) prerelease: String,
    pub(crate) metadata: String,
    /// As it was written.
    pub(crate) original: String,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        if !self.prerelease.is_empty() {
            write!(f, "-{}", self.prerelease)?;
        }
        if !self.metadata.is_empty() {
            write!(f, "+{}", self.metadata)?;
        }
        Ok(())
    }
}

/// Why a text is no version or no constraint: one clause that shows nothing of it.
type Reason = &'static str;

const NO_VERSION: Reason = "not a version, want one such as 1.2.3-rc.1+build";
const NO_CONSTRAINT: Reason =
    "not a constraint on versions, want one such as \">= 1.2, < 2 || ^3\"";

impl Version {
    /// Reads a version; `v` may stand before it, minor and patch may be missing.
    pub(crate) fn parse(text: &str) -> Result<Self, Reason> {
        let pattern = Pattern::read(text, |c| c.is_ascii_digit()).filter(|p| p.rest.is_empty());
        let pattern = pattern.ok_or(NO_VERSION)?;
        let [major, minor, patch] = pattern.numbers;
        let number = |digits: &str| match digits {
            "" => Ok(0),
            digits => digits.parse().or(Err("a number of the version is too large")),
        };
        Ok(Self {
            major: number(major)?,
            minor: number(minor)?,
            patch: number(patch)?,
            prerelease: checked_prerelease(pattern.prerelease)?.to_owned(),
            metadata: pattern.metadata.to_owned(),
            original: text.to_owned(),
        })
    }

    /// By precedence; metadata has none.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        let release = |version: &Self| (version.major, version.minor, version.patch);
        release(self).cmp(&release(other)).then_with(|| {
            match (self.prerelease.is_empty(), other.prerelease.is_empty()) {
                (true, true) => Ordering::Equal,
                (true, false) => Ordering::Greater,
                (false, true) => Ordering::Less,
                (false, false) => order_of_prereleases(&self.prerelease, &other.prerelease),
            }
        })
    }

    fn changed(&self, numbers: [u64; 3], prerelease: &str, metadata: &str) -> Self {
        let [major, minor, patch] = numbers;
        let (prerelease, metadata) = (prerelease.to_owned(), metadata.to_owned());
        let mut next = Self { major, minor, patch, prerelease, metadata, original: String::new() };
        let v = if self.original.starts_with('v') { "v" } else { "" };
        next.original = format!("{v}{next}");
        next
    }

    pub(crate) fn next_major(&self) -> Self {
        self.changed([self.major.wrapping_add(1), 0, 0], "", "")
    }

    pub(crate) fn next_minor(&self) -> Self {
        self.changed([self.major, self.minor.wrapping_add(1), 0], "", "")
    }

    /// The release of a prerelease, else the next patch.
    pub(crate) fn next_patch(&self) -> Self {
        let patch = self.patch.wrapping_add(u64::from(self.prerelease.is_empty()));
        self.changed([self.major, self.minor, patch], "", "")
    }

    pub(crate) fn with_prerelease(&self, prerelease: &str) -> Result<Self, Reason> {
        if !prerelease.is_empty() && !are_identifiers(prerelease) {
            return Err("not a prerelease, want one such as rc.1");
        }
        let prerelease = checked_prerelease(prerelease)?;
        Ok(self.changed([self.major, self.minor, self.patch], prerelease, &self.metadata))
    }

    pub(crate) fn with_metadata(&self, metadata: &str) -> Result<Self, Reason> {
        if !metadata.is_empty() && !are_identifiers(metadata) {
            return Err("not the metadata of a version, want some such as build.1");
        }
        Ok(self.changed([self.major, self.minor, self.patch], &self.prerelease, metadata))
    }
}

fn are_identifiers(text: &str) -> bool {
    let is_identifier = |part: &str| !part.is_empty() && part.chars().all(is_identifier_char);
    text.split('.').all(is_identifier)
}

fn is_identifier_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-'
}

fn checked_prerelease(text: &str) -> Result<&str, Reason> {
    let has_zero = |part: &str| {
        part.len() > 1 && part.starts_with('0') && part.bytes().all(|c| c.is_ascii_digit())
    };
    if text.split('.').any(has_zero) {
        return Err("a number of the prerelease starts with 0");
    }
    Ok(text)
}

fn order_of_prereleases(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        let (a, b) = match (a.next(), b.next()) {
            (Some(a), Some(b)) => (a, b),
            (a, b) => return a.is_some().cmp(&b.is_some()),
        };
        let order = match (a.parse::<u64>(), b.parse::<u64>()) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            (Ok(_), Err(_)) => Ordering::Less,
            (Err(_), Ok(_)) => Ordering::Greater,
            (Err(_), Err(_)) => a.cmp(b),
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// The parts of a text that looks like a version, and what comes after it.
struct Pattern<'t> {
    /// Empty from the first one that is missing on.
    numbers: [&'t str; 3],
    prerelease: &'t str,
    metadata: &'t str,
    rest: &'t str,
}

impl<'t> Pattern<'t> {
    /// Takes as much as it can; `is_digit` says what a number is made of.
    fn read(text: &'t str, is_digit: fn(char) -> bool) -> Option<Self> {
        let mut rest = text.strip_prefix('v').unwrap_or(text);
        let mut numbers = [""; 3];
        for (i, number) in numbers.iter_mut().enumerate() {
            let after = if i == 0 { Some(rest) } else { rest.strip_prefix('.') };
            let Some(after) = after.filter(|after| after.starts_with(is_digit)) else { break };
            (*number, rest) = split_while(after, is_digit);
        }
        if numbers.iter().all(|number| number.is_empty()) {
            return None;
        }
        let (prerelease, rest) = identifiers(rest, '-');
        let (metadata, rest) = identifiers(rest, '+');
        Some(Self { numbers, prerelease, metadata, rest })
    }
}

fn split_while(text: &str, holds: fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !holds(c)).unwrap_or(text.len()))
}

/// `-rc.1`: identifiers after `mark`, or nothing.
fn identifiers(text: &str, mark: char) -> (&str, &str) {
    let Some(after) = text.strip_prefix(mark).filter(|t| t.starts_with(is_identifier_char)) else {
        return ("", text);
    };
    let mut end = split_while(after, is_identifier_char).0.len();
    while let Some(next) = after.get(end..).and_then(|rest| rest.strip_prefix('.'))
        && next.starts_with(is_identifier_char)
    {
        end += 1 + split_while(next, is_identifier_char).0.len();
    }
    after.split_at(end)
}

/// What versions must be like: one of the groups must hold whole.
pub(crate) struct Constraint {
    groups: Vec<Vec<Condition>>,
}

/// How a version compares to the one of a condition.
#[derive(Clone, Copy)]
enum Operator {
    Caret,
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    NotEqual,
    Tilde,
}

/// Longer ones before those they start with.
const OPERATORS: &[(&str, Operator)] = &[
    ("!=", Operator::NotEqual),
    (">=", Operator::GreaterOrEqual),
    ("=>", Operator::GreaterOrEqual),
    ("<=", Operator::LessOrEqual),
    ("=<", Operator::LessOrEqual),
    ("~>", Operator::Tilde),
    ("=", Operator::Equal),
    (">", Operator::Greater),
    ("<", Operator::Less),
    ("~", Operator::Tilde),
    ("^", Operator::Caret),
    ("", Operator::Equal),
];

/// Which numbers of a condition are missing or wildcards.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wild {
    No,
    /// `1.2`
    Patch,
    /// `1`
    Minor,
    /// `*`
    All,
}

struct Condition {
    operator: Operator,
    version: Version,
    wild: Wild,
}

/// What a number of a condition is made of; the bar is an old mistake that texts may rely on to fail.
fn is_wild_digit(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, 'x' | 'X' | '*' | '|')
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0c')
}

impl Constraint {
    /// Reads conditions: groups with `||` between them, conditions of a group with blanks or commas.
    pub(crate) fn parse(text: &str) -> Result<Self, Reason> {
        let text = with_ranges_spelled_out(text);
        let groups = text.split("||").map(group).collect::<Result<_, _>>()?;
        Ok(Self { groups })
    }

    /// Whether a version satisfies it. Prereleases count only where a condition of a group names one.
    pub(crate) fn holds(&self, version: &Version) -> bool {
        self.groups.iter().any(|group| {
            let takes_prereleases = group.iter().any(|c| !c.version.prerelease.is_empty());
            (takes_prereleases || version.prerelease.is_empty())
                && group.iter().all(|condition| condition.holds(version))
        })
    }
}

/// `1.2 - 2.0` is `>= 1.2, <= 2.0`.
fn with_ranges_spelled_out(text: &str) -> String {
    let mut out = String::new();
    let mut left = text;
    while let Some(c) = left.chars().next() {
        if let Some((from, to, rest)) = range(left) {
            out.push_str(&format!(">= {from}, <= {to} "));
            left = rest;
        } else {
            out.push(c);
            left = left.get(c.len_utf8()..).unwrap_or_default();
        }
    }
    out
}

fn range(text: &str) -> Option<(&str, &str, &str)> {
    let text = text.trim_start_matches(is_blank);
    let (from, rest) = bound(text)?;
    let rest = after_blanks(rest)?.strip_prefix('-')?;
    let (to, rest) = bound(after_blanks(rest)?)?;
    Some((from, to, rest.trim_start_matches(is_blank)))
}

fn bound(text: &str) -> Option<(&str, &str)> {
    let rest = Pattern::read(text, is_wild_digit)?.rest;
    text.split_at_checked(text.len() - rest.len())
}

/// After at least one blank.
fn after_blanks(text: &str) -> Option<&str> {
    let rest = text.trim_start_matches(is_blank);
    (rest.len() < text.len()).then_some(rest)
}

fn group(text: &str) -> Result<Vec<Condition>, Reason> {
    let mut conditions = Vec::new();
    let mut left = text.trim_start_matches(is_blank);
    loop {
        let (condition, rest) = Condition::read(left)?;
        conditions.push(condition);
        let after = rest.trim_start_matches(is_blank);
        if after.is_empty() {
            return Ok(conditions);
        }
        left = match after.strip_prefix(',') {
            Some(after) => after.trim_start_matches(is_blank),
            None if after.len() < rest.len() => after,
            None => return Err(NO_CONSTRAINT),
        };
    }
}

impl Condition {
    fn read(text: &str) -> Result<(Self, &str), Reason> {
        let find =
            |(mark, operator): &(&str, Operator)| Some((text.strip_prefix(mark)?, *operator));
        let (rest, operator) = OPERATORS.iter().find_map(find).ok_or(NO_CONSTRAINT)?;
        let rest = rest.trim_start_matches(is_blank);
        let pattern = Pattern::read(rest, is_wild_digit).ok_or(NO_CONSTRAINT)?;
        let is_wild = |number: &str| matches!(number, "" | "x" | "X" | "*");
        let [major, minor, patch] = pattern.numbers;
        let (wild, numbers) = if is_wild(major) {
            (Wild::All, "0.0.0".to_owned())
        } else if is_wild(minor) {
            (Wild::Minor, format!("{major}.0.0"))
        } else if is_wild(patch) {
            (Wild::Patch, format!("{major}.{minor}.0"))
        } else {
            (Wild::No, format!("{major}.{minor}.{patch}"))
        };
        let dash = if pattern.prerelease.is_empty() { "" } else { "-" };
        let version = Version::parse(&format!("{numbers}{dash}{}", pattern.prerelease));
        Ok((Self { operator, version: version?, wild }, pattern.rest))
    }

    fn holds(&self, version: &Version) -> bool {
        let order = version.order(&self.version);
        let own = &self.version;
        match self.operator {
            Operator::Caret => order.is_ge() && self.is_compatible(version),
            Operator::Equal if self.wild == Wild::No => order.is_eq(),
            Operator::Equal | Operator::Tilde => order.is_ge() && self.is_near(version),
            Operator::Greater => match self.wild {
                Wild::No | Wild::All => order.is_gt(),
                Wild::Minor => version.major > own.major,
                Wild::Patch => (version.major, version.minor) > (own.major, own.minor),
            },
            Operator::GreaterOrEqual => order.is_ge(),
            Operator::Less => order.is_lt(),
            Operator::LessOrEqual => match self.wild {
                Wild::No => order.is_le(),
                Wild::Minor => version.major <= own.major,
                Wild::Patch | Wild::All => (version.major, version.minor) <= (own.major, own.minor),
            },
            Operator::NotEqual => self.differs(version),
        }
    }

    /// `~1.2.3`: up to the next minor version, `~1` to the next major one, `~0.0.0` without an end.
    fn is_near(&self, version: &Version) -> bool {
        let own = &self.version;
        let is_any = matches!(self.wild, Wild::No | Wild::All)
            && (own.major, own.minor, own.patch) == (0, 0, 0);
        is_any
            || (version.major == own.major
                && (self.wild == Wild::Minor || version.minor == own.minor))
    }

    /// `^1.2.3`: the first number that is not zero stays.
    fn is_compatible(&self, version: &Version) -> bool {
        let own = &self.version;
        if own.major > 0 || self.wild == Wild::Minor || version.major > 0 {
            return version.major == own.major;
        }
        if own.minor > 0 || self.wild == Wild::Patch || version.minor > 0 {
            return version.minor == own.minor;
        }
        version.patch == own.patch
    }

    fn differs(&self, version: &Version) -> bool {
        let own = &self.version;
        if self.wild == Wild::No {
            return version.order(own).is_ne();
        }
        if version.major != own.major {
            return true;
        }
        match self.wild {
            Wild::Minor => false,
            _ if version.minor != own.minor => true,
            Wild::Patch => {
                let one_is_pre = !(version.prerelease.is_empty() && own.prerelease.is_empty());
                one_is_pre && version.prerelease != own.prerelease
            }
            Wild::All | Wild::No => version.patch != own.patch || version.order(own).is_ne(),
        }
    }
}
