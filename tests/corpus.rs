//! Every seed of the fuzz targets goes through its decoder, so that what was found once stays found without the fuzzer.

use std::fs;
use std::path::Path;

#[path = "../fuzz/src/lib.rs"]
mod decoders;

type Decode = fn(&[u8]);

const TARGETS: [(&str, Decode); 6] = [
    ("batch", decoders::batch),
    ("ecr", decoders::ecr),
    ("inspect", decoders::inspect),
    ("parts", decoders::parts),
    ("pickled", decoders::pickled),
    ("printed", decoders::printed),
];

/// One test, since the bound on memory is one for the process.
#[test]
fn every_seed_is_decoded_or_refused_within_bounds() {
    for (name, decode) in TARGETS {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
        let seeds: Vec<_> =
            fs::read_dir(&corpus).expect("a corpus").map(|entry| entry.expect("a seed").path()).collect();
        assert!(!seeds.is_empty(), "{name} has no seeds");
        for seed in seeds {
            println!("{}", seed.display()); // shown where it fails
            decode(&fs::read(&seed).expect("a seed"));
        }
    }
}
