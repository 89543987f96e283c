#![no_main]

use vault_injector_fuzz::replies;

libfuzzer_sys::fuzz_target!(|input: &[u8]| replies::check(input));
