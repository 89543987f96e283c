//! How an error and its causes become one line.

use std::error::Error;
use std::fmt;

/// Prints an error and all its causes on one line, joined by `: `.
///
/// An error's own `Display` says only its own clause; its cause is in `source()`.
pub struct OneLine<'a>(pub &'a dyn Error);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut error = self.0;
        write!(f, "{error}")?;
        while let Some(cause) = error.source() {
            write!(f, ": {cause}")?;
            error = cause;
        }
        Ok(())
    }
}
