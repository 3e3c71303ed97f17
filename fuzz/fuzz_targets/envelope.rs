//! Whatever stands in the bucket: reading it does not panic, takes little memory whatever lengths it declares, and what
//! refers to code is refused.

#![no_main]

use std::alloc::System;

use cap::Cap;
use covalent_awsbatch_plugin::envelope::Envelope;
use covalent_awsbatch_plugin::pickle;
use libfuzzer_sys::fuzz_target;

/// More than this at once ends the run as a failure. The fuzzer's inputs have 4 KiB, and its own memory does not count.
const ENOUGH: usize = 64 * 1024 * 1024;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, ENOUGH);

fuzz_target!(|data: &[u8]| {
    let decoded = Envelope::decode(data);
    assert!(pickle::objection(data).is_none() || decoded.is_err());
});
