#![no_main]

use vault_injector_fuzz::annotations;

libfuzzer_sys::fuzz_target!(|input: &[u8]| annotations::check(input));
