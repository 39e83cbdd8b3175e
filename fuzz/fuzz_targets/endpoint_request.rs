#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| firecamp_fuzz_bodies::endpoint_request(input));
