//! What Kubernetes lets be a name. What is none is in no review of an API server, and so in no log line and no metric.

use super::ReviewError;

/// Bytes of a namespace (RFC 1123, a label).
pub(crate) const LABEL_BYTES_MAX: usize = 63;
/// Bytes of the name of an object (RFC 1123, a subdomain).
const NAME_BYTES_MAX: usize = 253;
/// Bytes of a review's `uid`. API servers write a UUID, which has 36.
const UID_BYTES_MAX: usize = 128;

/// Whether this can be a namespace; a request about an object of the cluster has none.
pub(crate) fn namespace(text: &str) -> Result<(), ReviewError> {
    let fits = text.is_empty() || is_label(text);
    expect(fits, "request.namespace", "an RFC 1123 label of at most 63 characters")
}

/// Whether this can be the name of an object. `generated` is for what a name begins with, which may end with hyphens.
pub(crate) fn object(text: &str, generated: bool) -> Result<(), ReviewError> {
    let stem = if generated { text.trim_end_matches('-') } else { text };
    let fits = text.is_empty() || (text.len() <= NAME_BYTES_MAX && is_dotted(stem));
    let place = if generated { "metadata.generateName" } else { "metadata.name" };
    expect(fits, place, "an RFC 1123 name of at most 253 characters")
}

/// Whether this can be the `uid` of a review.
pub(crate) fn uid(text: &str) -> Result<(), ReviewError> {
    let fits = text.len() <= UID_BYTES_MAX && text.bytes().all(|byte| byte.is_ascii_graphic());
    expect(fits, "request.uid", "at most 128 characters of ASCII without blanks")
}

/// The value is not shown: it may be megabytes, or somebody else's.
fn expect(fits: bool, place: &str, wanted: &str) -> Result<(), ReviewError> {
    let message = || format!("{place} is not {wanted}: no API server sends that");
    if fits { Ok(()) } else { Err(ReviewError { message: message() }) }
}

/// Whether Kubernetes takes this as the name of a container or a namespace (RFC 1123, a label).
pub(crate) fn is_label(text: &str) -> bool {
    text.len() <= LABEL_BYTES_MAX && is_part(text)
}

/// Whether Kubernetes takes this as the name of an object (RFC 1123, a subdomain).
pub(crate) fn is_subdomain(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX && is_dotted(text)
}

fn is_dotted(text: &str) -> bool {
    text.split('.').all(is_part)
}

/// Small letters, digits and hyphens, with a letter or digit at both ends.
fn is_part(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends =
        text.bytes().next().is_some_and(inner) && text.bytes().next_back().is_some_and(inner);
    ends && text.bytes().all(|byte| inner(byte) || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_kubernetes() {
        let [longest, long] = [63, 64].map(|bytes| "a".repeat(bytes));
        for (text, is) in [
            ("", true),
            ("a", true),
            ("kube-system", true),
            ("9-z", true),
            (&longest, true),
            (&long, false),
            ("A", false),
            ("a_b", false),
            ("a.b", false),
            ("-a", false),
            ("a-", false),
            ("é", false),
            ("a\n", false),
            ("a\"} 1", false),
        ] {
            assert_eq!(namespace(text).is_ok(), is, "{text:?}");
        }
        let [longest, long] = [253, 254].map(|bytes| "a".repeat(bytes));
        for (text, is) in
            [("", true), ("a.b-c.9", true), (&longest, true), (&long, false), ("a..b", false)]
        {
            assert_eq!(object(text, false).is_ok(), is, "{text:?}");
        }
        for (text, is) in [("web-", true), ("web--", true), ("-", false), ("A-", false)] {
            assert_eq!(object(text, true).is_ok(), is, "{text:?}");
            assert!(object(text, false).is_err(), "{text:?}");
        }
        let long = "a".repeat(129);
        for (text, is) in [("", true), ("705ab4f5-6393", true), (&long, false), ("a b", false)] {
            assert_eq!(uid(text).is_ok(), is, "{text:?}");
        }
    }
}
