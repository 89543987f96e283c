//! What else a misspelt name may have meant.

/// Names that are offered.
const NAMES_MAX: usize = 3;
/// From so many characters on, the start of a name is one.
const PREFIX_MIN: usize = 3;
/// Wrong characters of a name that is still taken for another.
const DISTANCE_MAX: usize = 2;
/// Longer texts are not compared.
const CHARS_MAX: usize = 128;

/// The nearest names of `known`, quoted and joined, best first; `None` when nothing is near.
#[expect(single_use_lifetimes, reason = "impl Trait takes no anonymous ones yet")]
pub(crate) fn near<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<String> {
    let mut found: Vec<(usize, &str)> =
        known.filter_map(|other| Some((distance(name, other)?, other))).collect();
    found.sort_unstable();
    found.dedup();
    // Who wrote the right letters in the wrong case meant nothing else.
    if found.first().is_some_and(|(distance, _)| *distance == 0) {
        found.retain(|(distance, _)| *distance == 0);
    }
    let quoted: Vec<String> =
        found.iter().take(NAMES_MAX).map(|(_, other)| format!("{other:?}")).collect();
    let (last, before) = quoted.split_last()?;
    Some(if before.is_empty() { last.clone() } else { format!("{} or {last}", before.join(", ")) })
}

/// How far a name is from another; `None` for too far.
fn distance(name: &str, other: &str) -> Option<usize> {
    let (lower, other_lower) = (name.to_lowercase(), other.to_lowercase());
    let bare = |name: &str| {
        let name = name.strip_prefix("sprig_").unwrap_or(name);
        // The API's way to a secret of KV version 2 is not that of a template, nor the other way round.
        name.replacen("/data/", "/", 1)
    };
    if bare(&lower) == bare(&other_lower) {
        return Some(0);
    }
    let (a, b): (Vec<char>, Vec<char>) = (lower.chars().collect(), other_lower.chars().collect());
    if a.len().max(b.len()) > CHARS_MAX {
        return None;
    }
    let most = DISTANCE_MAX.min(a.len().min(b.len()) / 3);
    // As many edits as one is longer are needed at least.
    if a.len().abs_diff(b.len()) <= most {
        let edits = edits(&a, &b);
        if edits <= most {
            return Some(edits);
        }
    }
    let is_start = a.len() >= PREFIX_MIN && other_lower.starts_with(&lower);
    is_start.then(|| DISTANCE_MAX + b.len() - a.len())
}

/// Insertions, deletions, exchanges and swaps of neighbours that make `b` of `a`.
fn edits(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let cell = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX / 2);
            let mut best = (cell(&last, j) + usize::from(x != y))
                .min(cell(&last, j + 1) + 1)
                .min(cell(&row, j) + 1);
            if i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x) {
                best = best.min(cell(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_hand_are_understood() {
        let known =
            ["toJSON", "toYAML", "sprig_upper", "toUpper", "trimSpace", "secret", "in", "env"];
        for (name, want) in [
            ("tojson", Some("\"toJSON\"")),
            ("upper", Some("\"sprig_upper\"")),
            ("trim_space", Some("\"trimSpace\"")),
            ("secert", Some("\"secret\"")),
            ("secrets", Some("\"secret\"")),
            ("tri", Some("\"trimSpace\"")),
            ("x", None),
            ("nothing", None),
        ] {
            assert_eq!(near(name, known.into_iter()).as_deref(), want, "{name}");
        }
        let paths = ["secret/data/db", "pki/issue/web"];
        assert_eq!(near("secret/db", paths.into_iter()).as_deref(), Some("\"secret/data/db\""));
    }
}
