//! What one render may use up, and the meter that counts it.

use super::error::{Fault, Result};
use super::live;
use super::value::Value;

/// Bounds of one render. A hostile template ends in an error, never in a hang or an overflow.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Evaluation steps: nodes visited, plus one per element or per 16 bytes that a function works on.
    pub steps: u64,
    /// Nesting of actions and parentheses in the parser, of those and of `executeTemplate` in the evaluator:
    /// what takes the stack of the process. Templates that call each other, and the conditions and ranges
    /// around the calls, stand elsewhere and may be four hundred times as deep.
    pub depth: usize,
    /// Bytes of output, and of any single intermediate text. All values that a render holds at one time, the
    /// output among them, may take four times as much.
    pub output_bytes: usize,
}

/// Bytes that one step of work on a text covers.
const BYTES_PER_STEP: usize = 16;

/// Bytes that are copied in the time of one step.
const BYTES_COPIED_PER_STEP: usize = 256;

/// Elements that are copied or compared in the time of one step.
const ELEMENTS_PER_STEP: usize = 16;

/// Bytes that one element of a list or map counts for while it is made: its value, its key, and the room
/// that a list which grows has to spare.
const BYTES_PER_ELEMENT: usize = 64;

/// A part of a text in a list.
const BYTES_PER_PIECE: usize = 32;

/// What a text or a map takes beside what is in it, while it is made.
const BYTES_BESIDE: usize = 112;

/// How much larger than the output all values together may be.
const VALUES_PER_OUTPUT: usize = 4;

/// Counts down the steps, and holds what is in memory below its bound. Once something is used up nothing is
/// left at all, so that what goes on after an error ends soon.
///
/// Memory is what is there, not what was ever made: values count themselves from when they are made until
/// they are dropped (`live`). Before they are made a function holds a place for them, which ends with
/// the call of the function; what stays behind without being a value is kept.
pub(crate) struct Meter {
    steps_left: u64,
    is_spent: bool,
    /// What values of other renders on this thread hold.
    others: usize,
    /// For values that are being made.
    places: usize,
    /// For what is no value: the output, variables, what was asked for.
    kept: usize,
    bytes_max: usize,
    text_bytes_max: usize,
}

/// How much was held when a call began.
pub(crate) struct Mark(usize);

impl Meter {
    pub(crate) fn new(budget: Budget) -> Self {
        Self {
            steps_left: budget.steps,
            is_spent: false,
            others: live::bytes(),
            places: 0,
            kept: 0,
            bytes_max: budget.output_bytes.saturating_mul(VALUES_PER_OUTPUT),
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

    /// Before `bytes` are copied as they are.
    pub(crate) fn copy(&mut self, bytes: usize) -> Result<()> {
        self.steps(bytes / BYTES_COPIED_PER_STEP)
    }

    /// Before `count` elements are passed over, each in the time of a comparison.
    pub(crate) fn look(&mut self, count: usize) -> Result<()> {
        self.steps(count / ELEMENTS_PER_STEP)
    }

    /// Before a text of `bytes` is made.
    pub(crate) fn text(&mut self, bytes: usize) -> Result<()> {
        self.fits_text(bytes)?;
        self.read(bytes)?;
        self.hold(bytes.saturating_add(BYTES_BESIDE))
    }

    /// Before a text of `bytes` is made of others as they are.
    pub(crate) fn copied(&mut self, bytes: usize) -> Result<()> {
        self.fits_text(bytes)?;
        self.copy(bytes)?;
        self.hold(bytes.saturating_add(BYTES_BESIDE))
    }

    /// Whether a text of `bytes` is not too long.
    pub(crate) fn fits_text(&self, bytes: usize) -> Result<()> {
        if bytes > self.text_bytes_max {
            let max = self.text_bytes_max;
            return Err(Fault::new(format!("a text of more than {max} bytes is too long")));
        }
        Ok(())
    }

    /// Before a text of `bytes` is made that counts by itself at once.
    pub(crate) fn room(&mut self, bytes: usize) -> Result<()> {
        self.copy(bytes)?;
        self.fits(bytes)
    }

    /// Before `bytes` are put into something that is no value and stays.
    pub(crate) fn keep(&mut self, bytes: usize) -> Result<()> {
        self.copy(bytes)?;
        self.fits(bytes)?;
        self.kept = self.kept.saturating_add(bytes);
        Ok(())
    }

    /// After `bytes` that were kept have gone.
    pub(crate) fn release(&mut self, bytes: usize) {
        self.kept = self.kept.saturating_sub(bytes);
    }

    /// Before `bytes` of something that is not there any more when the call ends.
    pub(crate) fn places(&mut self, bytes: usize) -> Result<()> {
        self.hold(bytes)
    }

    /// Before a list of `count` elements is made, or so many are added to something.
    pub(crate) fn elements(&mut self, count: usize) -> Result<()> {
        self.steps(count)?;
        self.hold(count.saturating_mul(BYTES_PER_ELEMENT))
    }

    /// Before a list of `count` elements is made of those of others.
    pub(crate) fn copies(&mut self, count: usize) -> Result<()> {
        self.look(count)?;
        self.hold(count.saturating_mul(size_of::<Value<'_>>()))
    }

    /// Before a piece of a text is put into a list.
    pub(crate) fn piece(&mut self) -> Result<()> {
        self.step()?;
        self.hold(BYTES_PER_PIECE)
    }

    /// Before `count` maps are made; their entries count as elements.
    pub(crate) fn maps(&mut self, count: usize) -> Result<()> {
        self.steps(count)?;
        self.hold(count.saturating_mul(BYTES_BESIDE))
    }

    pub(crate) fn text_bytes_max(&self) -> usize {
        self.text_bytes_max
    }

    /// Bytes of a text that there are steps and room for.
    pub(crate) fn affordable(&self) -> usize {
        let steps = usize::try_from(self.steps_left).unwrap_or(usize::MAX);
        let read = steps.saturating_add(1).saturating_mul(BYTES_PER_STEP);
        self.text_bytes_max.min(self.bytes_max.saturating_sub(self.held())).min(read)
    }

    /// Before a call, or a part of one, that holds places for what it makes.
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.places)
    }

    /// What was made since then counts by itself now, or is gone.
    pub(crate) fn settle(&mut self, mark: &Mark) {
        self.places = self.places.min(mark.0);
    }

    fn held(&self) -> usize {
        let values = live::bytes().saturating_sub(self.others);
        values.saturating_add(self.places).saturating_add(self.kept)
    }

    fn hold(&mut self, bytes: usize) -> Result<()> {
        self.fits(bytes)?;
        self.places = self.places.saturating_add(bytes);
        Ok(())
    }

    fn fits(&mut self, bytes: usize) -> Result<()> {
        self.is_spent |= self.held().saturating_add(bytes) > self.bytes_max;
        if self.is_spent {
            return Err(Fault::new("the values of the template take too much memory at one time"));
        }
        Ok(())
    }
}
