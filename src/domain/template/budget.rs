//! What one render may use up, and the meter that counts it.

use super::error::{Fault, Result};

/// Bounds of one render. A hostile template ends in an error, never in a hang or an overflow.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Evaluation steps: nodes visited, plus one per element or per 16 bytes that a function works on.
    pub steps: u64,
    /// Nesting of actions, parentheses and template calls, in the parser and in the evaluator.
    pub depth: usize,
    /// Bytes of output, and of any single intermediate text. All values of one render together, the
    /// output among them, may take four times as much.
    pub output_bytes: usize,
}

/// Bytes that one step of work on a text covers.
const BYTES_PER_STEP: usize = 16;

/// Bytes that one element of a list or map counts for: its value, its key and the tree around them.
const BYTES_PER_ELEMENT: usize = 96;

/// What a text takes beside its bytes: two counters and what the allocator adds.
const BYTES_PER_TEXT: usize = 48;

/// The same for a map by itself: its tree begins with room for eleven entries.
const BYTES_PER_MAP: usize = 768;

/// How much larger than the output all values together may be.
const VALUES_PER_OUTPUT: usize = 4;

/// Counts down what is left. Once something is used up nothing is left at all, so that what goes on after
/// an error ends soon.
pub(crate) struct Meter {
    steps_left: u64,
    bytes_left: usize,
    text_bytes_max: usize,
}

impl Meter {
    pub(crate) fn new(budget: Budget) -> Self {
        Self {
            steps_left: budget.steps,
            bytes_left: budget.output_bytes.saturating_mul(VALUES_PER_OUTPUT),
            text_bytes_max: budget.output_bytes,
        }
    }

    pub(crate) fn step(&mut self) -> Result<()> {
        self.steps(1)
    }

    pub(crate) fn steps(&mut self, count: usize) -> Result<()> {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        let left = self.steps_left.checked_sub(count);
        self.steps_left = left.unwrap_or(0);
        left.map(drop).ok_or_else(|| Fault::new("the template takes too many steps"))
    }

    /// Before a text of `bytes` is read through.
    pub(crate) fn read(&mut self, bytes: usize) -> Result<()> {
        self.steps(bytes / BYTES_PER_STEP)
    }

    /// Before a text of `bytes` is made.
    pub(crate) fn text(&mut self, bytes: usize) -> Result<()> {
        if bytes > self.text_bytes_max {
            return Err(Fault::new(format!(
                "a text of more than {} bytes is too long",
                self.text_bytes_max
            )));
        }
        self.read(bytes)?;
        self.hold(bytes.saturating_add(BYTES_PER_TEXT))
    }

    /// Before `bytes` are added to a text that is checked for its length by itself.
    pub(crate) fn output(&mut self, bytes: usize) -> Result<()> {
        self.read(bytes)?;
        self.hold(bytes)
    }

    /// Before a list of `count` elements is made, or so many are added to something.
    pub(crate) fn elements(&mut self, count: usize) -> Result<()> {
        self.steps(count)?;
        self.hold(count.saturating_mul(BYTES_PER_ELEMENT))
    }

    /// After `count` elements have gone again.
    pub(crate) fn forget(&mut self, count: usize) {
        if self.bytes_left > 0 {
            let bytes = count.saturating_mul(BYTES_PER_ELEMENT);
            self.bytes_left = self.bytes_left.saturating_add(bytes);
        }
    }

    /// Before `count` maps are made; their entries count as elements.
    pub(crate) fn maps(&mut self, count: usize) -> Result<()> {
        self.steps(count)?;
        self.hold(count.saturating_mul(BYTES_PER_MAP))
    }

    pub(crate) fn text_bytes_max(&self) -> usize {
        self.text_bytes_max
    }

    /// Bytes of a text that there are steps and room for.
    pub(crate) fn affordable(&self) -> usize {
        let steps = usize::try_from(self.steps_left).unwrap_or(usize::MAX);
        let read = steps.saturating_add(1).saturating_mul(BYTES_PER_STEP);
        self.text_bytes_max.min(self.bytes_left).min(read)
    }

    fn hold(&mut self, bytes: usize) -> Result<()> {
        let left = self.bytes_left.checked_sub(bytes);
        self.bytes_left = left.unwrap_or(0);
        left.map(drop).ok_or_else(|| Fault::new("the values of the template take too much memory"))
    }
}
