#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| dsf_fuzz::edges::proxy(data));
