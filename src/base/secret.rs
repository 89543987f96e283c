//! Text that must never be printed.

use std::fmt;

use zeroize::Zeroizing;

/// A secret text: a token, a rendered file, a request body.
///
/// It has no `Display`, no `Deref` and no serialisation; the one way to the text is [`Secret::expose`],
/// which a reviewer can search for. The memory is wiped when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself. Callers: a Vault request, a file writer, the environment of `exec`.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is no text at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Like [`Secret`], of any bytes: a rendered file can be a keystore.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes the bytes over.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes themselves. Callers: a file writer, standard output.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl From<&Secret> for SecretBytes {
    fn from(secret: &Secret) -> Self {
        Self::new(secret.expose().as_bytes().to_vec())
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(redacted)")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn does_not_show_in_debug_output() {
        assert_eq!(format!("{:?}", Some(Secret::new("hunter2"))), "Some(Secret(redacted))");
        let bytes = SecretBytes::from(&Secret::new("hunter2"));
        assert_eq!(format!("{bytes:?}"), "SecretBytes(redacted)");
    }
}
