//! The only source of chance: the kernel's.

use std::fmt::Write as _;
use std::io;

use ring::rand::{SecureRandom, SystemRandom};

use crate::base::time::Spread;
use crate::domain::template::Seed;

/// A number from 0 to 1 for the jitter of waits. Without entropy it is the middle: a wait needs no secret.
pub(crate) fn spread() -> Spread {
    let mut bytes = [0; 8];
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => Spread::of_bits(u64::from_ne_bytes(bytes)),
        Err(_unspecified) => Spread::MIDDLE,
    }
}

/// What templates draw from.
pub(crate) fn seed() -> io::Result<Seed> {
    bytes().map(Seed::new)
}

fn bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_unspecified| io::Error::other("the kernel gives no random bytes (getrandom)"))?;
    Ok(bytes)
}

/// Sixteen hexadecimal digits that nobody can foretell.
pub(crate) fn hex() -> io::Result<String> {
    let bytes: [u8; 8] = bytes()?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _infallible = write!(text, "{byte:02x}");
        text
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_differ() {
        assert_ne!(hex().unwrap(), hex().unwrap());
        assert_eq!(hex().unwrap().len(), 16);
        assert_ne!(spread(), spread());
    }
}
