#![no_main]

#[path = "../../it/support/memory.rs"]
mod memory;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use vault_injector::base::json::Json;
use vault_injector_fuzz::review;

/// Bytes that any body may take, and those for each of its own: an object of one member in a patch takes the most.
const BYTES: usize = 256 * 1024;
const PER_BYTE: usize = 1024;
/// Bytes that the largest may take (`tests/it/bounds.rs`).
const BYTES_MAX: usize = 12 * 1024 * 1024;

fuzz_target!(|input: &[u8]| {
    let taken = memory::measure(|| review::decide_only(input));
    let most = (BYTES + PER_BYTE * input.len()).min(BYTES_MAX);
    let memory::Taken { peak, allocations } = taken;
    assert!(peak <= most, "{} bytes: {peak} at a time in {allocations} allocations", input.len());
    review::check(input);
});

// Most changes of bytes are no JSON any more, so most of ours are changes of the document.
fuzz_mutator!(|input: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let document = input.get(..size).and_then(|text| Json::parse(text).ok());
    if let Some(mut document) = document.filter(|_| seed % 8 > 0) {
        let mut dice = Dice(u64::from(seed) << 1 | 1);
        for _ in 0..=dice.below(3) {
            mutate(&mut document, &mut dice);
        }
        let text = document.to_text();
        if let Some(room) = input.get_mut(..text.len()).filter(|_| text.len() <= max_size) {
            room.copy_from_slice(text.as_bytes());
            return text.len();
        }
    }
    fuzzer_mutate(input, size, max_size)
});

struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % end.max(1)
    }
}

/// Changes one value somewhere in the document.
fn mutate(document: &mut Json, dice: &mut Dice) {
    let donor = node(document, dice).clone();
    let target = node(document, dice);
    match dice.below(8) {
        0 => *target = donor,
        1 => *target = plain(dice),
        _ => match target {
            Json::String(text) => {
                let size = text.len();
                let mut bytes = std::mem::take(text).into_bytes();
                bytes.resize(size + 32, 0);
                let size = fuzzer_mutate(&mut bytes, size, size + 32);
                bytes.truncate(size);
                *text = String::from_utf8_lossy(&bytes).into_owned();
            }
            Json::Array(items) => match dice.below(3) {
                0 => items.push(donor),
                1 => drop(items.pop()),
                _ => items.extend(items.first().cloned()),
            },
            Json::Object(members) => {
                let keys: Vec<String> = members.keys().cloned().collect();
                let key = keys.get(dice.below(keys.len())).cloned().unwrap_or_default();
                match dice.below(3) {
                    0 => drop(members.remove(&key)),
                    1 => drop(members.insert(key, donor)),
                    _ => drop(members.insert(key, plain(dice))),
                }
            }
            other => *other = plain(dice),
        },
    }
}

/// Any value of the document, deep ones as likely as shallow ones.
fn node<'a>(document: &'a mut Json, dice: &mut Dice) -> &'a mut Json {
    let steps = dice.below(12);
    let mut node = document;
    for _ in 0..steps {
        let inner = match node {
            Json::Array(items) => !items.is_empty(),
            Json::Object(members) => !members.is_empty(),
            _ => false,
        };
        if !inner {
            break;
        }
        node = match node {
            Json::Array(items) => {
                let at = dice.below(items.len());
                &mut items[at]
            }
            Json::Object(members) => {
                let at = dice.below(members.len());
                members.values_mut().nth(at).expect("below the length")
            }
            leaf => leaf,
        };
    }
    node
}

fn plain(dice: &mut Dice) -> Json {
    let texts =
        ["null", "true", "false", "0", "-1", "1e400", "\"\"", "[]", "{}", "[null]", "{\"\":0}"];
    let numbers = ["9223372036854775808", "1.5", "\"true\"", "\"injected\"", "\"app\""];
    let all: Vec<&str> = texts.into_iter().chain(numbers).collect();
    Json::parse(all[dice.below(all.len())].as_bytes()).expect("JSON")
}
