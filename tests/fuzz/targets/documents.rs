#![no_main]

use vault_injector_fuzz::documents;

libfuzzer_sys::fuzz_target!(|input: &[u8]| documents::check(input));
