//! What must hold for every input, however hostile. The fuzz targets call these functions with what the
//! fuzzer makes up; `tests/it/regressions.rs` replays the inputs that once broke them.

pub mod annotations;
pub mod documents;
mod patched;
pub mod replies;
pub mod review;
pub mod template;

/// Panics when something does not hold for an input.
pub type Check = fn(&[u8]);

/// Every target by name.
pub const TARGETS: &[(&str, Check)] = &[
    ("annotations", annotations::check),
    ("documents", documents::check),
    ("replies", replies::check),
    ("review", review::check),
    ("template", template::check),
];

/// Takes an input apart: what is asked for beyond its end is zero or empty.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// One of some things.
    fn of<T>(&mut self, things: &'a [T]) -> &'a T {
        let at = usize::from(self.byte()) | usize::from(self.byte()) << 8;
        &things[at % things.len()]
    }

    /// Up to 255 bytes as text.
    fn text(&mut self) -> String {
        let length = usize::from(self.byte()).min(self.0.len());
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        String::from_utf8_lossy(text).into_owned()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
