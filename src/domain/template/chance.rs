//! What templates draw: bytes made from a seed that is an argument.
//!
//! The same seed, template and arguments give the same bytes, so that rendering a file again, because one
//! of its secrets changed, does not change the salts and keys that have nothing to do with it.

use std::convert::Infallible;

use ring::hmac;
use rsa::rand_core::{TryCryptoRng, TryRng};
use zeroize::Zeroizing;

use super::error::{Fault, Result};

/// 32 bytes that nobody can foretell: what everything is made from that templates draw. As secret as that.
#[derive(Clone)]
pub struct Seed(Zeroizing<[u8; 32]>);

impl Seed {
    /// Of bytes from the kernel.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// What the draw number `draw` of the file `destination` yields for these arguments.
    pub(crate) fn stream(&self, destination: &str, draw: u64, arguments: &[&[u8]]) -> Stream {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &*self.0));
        context.update(&draw.to_be_bytes());
        for part in [destination.as_bytes()].iter().chain(arguments) {
            context.update(&part.len().to_be_bytes());
            context.update(part);
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, context.sign().as_ref());
        Stream { key, block: 0, rest: Zeroizing::new(Vec::new()) }
    }
}

/// Bytes without end: HMAC-SHA256 in counter mode.
pub(crate) struct Stream {
    key: hmac::Key,
    block: u64,
    rest: Zeroizing<Vec<u8>>,
}

impl Stream {
    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            if self.rest.is_empty() {
                let block = hmac::sign(&self.key, &self.block.to_be_bytes());
                self.block += 1;
                self.rest.extend_from_slice(block.as_ref());
            }
            *byte = self.rest.pop().unwrap_or_default();
        }
    }

    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// A number below `end`, each as likely as the others.
    pub(crate) fn below(&mut self, end: u64) -> Result<u64> {
        let end = end.max(1);
        let fair = u64::MAX - u64::MAX % end;
        // Each try is fair with a chance of more than one half.
        for _ in 0..256 {
            let drawn = u64::from_be_bytes(self.array());
            if drawn < fair {
                return Ok(drawn % end);
            }
        }
        Err(Fault::new("no fair draw"))
    }
}

impl TryRng for Stream {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> std::result::Result<u32, Infallible> {
        Ok(u32::from_be_bytes(self.array()))
    }

    fn try_next_u64(&mut self) -> std::result::Result<u64, Infallible> {
        Ok(u64::from_be_bytes(self.array()))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> std::result::Result<(), Infallible> {
        self.fill(bytes);
        Ok(())
    }
}

impl TryCryptoRng for Stream {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_depends_on_everything_it_is_made_from() {
        let seed = Seed::new([7; 32]);
        let draw = |seed: &Seed, file, n, arguments: &[&[u8]]| {
            seed.stream(file, n, arguments).array::<40>()
        };
        let first = draw(&seed, "/a", 0, &[b"x", b"yz"]);
        assert_eq!(first, draw(&seed, "/a", 0, &[b"x", b"yz"]));
        assert_ne!(first, draw(&Seed::new([8; 32]), "/a", 0, &[b"x", b"yz"]));
        assert_ne!(first, draw(&seed, "/b", 0, &[b"x", b"yz"]));
        assert_ne!(first, draw(&seed, "/a", 1, &[b"x", b"yz"]));
        assert_ne!(first, draw(&seed, "/a", 0, &[b"xy", b"z"]));
        assert_ne!(first[..8], first[32..], "blocks differ");
    }

    #[test]
    fn numbers_stay_below_their_end_and_reach_it() {
        let mut stream = Seed::new([1; 32]).stream("", 0, &[]);
        let mut seen = [0; 5];
        for _ in 0..1000 {
            seen[usize::try_from(stream.below(5).unwrap_or(9)).unwrap()] += 1;
        }
        assert!(seen.iter().all(|count| *count > 120), "{seen:?}");
    }
}
