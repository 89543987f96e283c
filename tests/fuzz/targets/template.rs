#![no_main]

use vault_injector_fuzz::template;

libfuzzer_sys::fuzz_target!(|input: &[u8]| template::check(input));
