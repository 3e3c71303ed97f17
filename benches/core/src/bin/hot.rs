//! `hot PATH TIMES`: runs one of the core's hot paths, for callgrind. `hot copy put|get URL KEY BYTES`: copies with the
//! SDK alone to or from a stand-in, and prints the seconds that it took.

use std::env;
use std::process::ExitCode;

use core_benches::{Settings, Sweep, classify, copy, decode, envelope, failures};

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["copy", direction, url, key, bytes] => {
            println!("{:.4}", copy::seconds(direction == "put", url, key, bytes.parse().expect("a number of bytes")));
        }
        [path, times] => {
            let sum: usize = run(path, times.parse().expect("a number"));
            eprintln!("{path}: {sum}");
        }
        _ => {
            eprintln!("hot settings|classify|decode|sweep TIMES, or hot copy put|get URL KEY BYTES");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Runs a path so often; what it returns depends on all of it.
fn run(path: &str, times: usize) -> usize {
    let range = 0..times;
    match path {
        "settings" => {
            let settings = Settings::default();
            range.map(|_| settings.hash().len()).sum()
        }
        "classify" => {
            let jobs = failures();
            range.map(|_| classify(&jobs)).sum()
        }
        "decode" => {
            let pickle = envelope(64 * 1024);
            range.map(|_| decode(&pickle)).sum()
        }
        // Each its own, because of the limiter.
        "sweep" => range.map(|_| Sweep::default().sweep()).sum(),
        _ => panic!("no such path: {path}"),
    }
}
