//! Why something failed, in words that are there.

use std::fmt;
use std::sync::Arc;

/// A reason for people: never blank, so that nothing is retried or given up without one. Cheap to copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(Arc<str>);

/// Of a failure that came without words.
const UNKNOWN: &str = "no reason was given";

impl Reason {
    /// Of these words.
    pub fn new(words: impl fmt::Display) -> Self {
        let words = words.to_string();
        let is_blank = words.chars().all(|c| c.is_whitespace() || c.is_control());
        Self(if is_blank { UNKNOWN.into() } else { words.into() })
    }

    /// The words.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_never_blank() {
        for words in ["", " ", "\n\t", "\u{0}"] {
            assert_eq!(Reason::new(words).text(), UNKNOWN, "{words:?}");
        }
        assert_eq!(Reason::new("it rains").to_string(), "it rains");
    }
}
