#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| dsf_fuzz::codecs::search(data));
