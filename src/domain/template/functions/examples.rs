//! Examples of functions. A test renders each and compares.

pub(super) const EXAMPLES: &[(&str, &str, &str)] = &[];
