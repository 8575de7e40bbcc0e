//! Measures what validating one file costs: `cargo run -p fhir --example measure_validation -- <file>
//! [plugins]`. Prints microseconds for reading and for validating, one thread, best and mean of many.
#![allow(clippy::expect_used, reason = "a tool of developers, which stops at the first surprise")]

use std::path::Path;
use std::time::{Duration, Instant};

use fhir::validation::Change;
use fhir::vectors::plugin_definitions;
use fhir::{Format, framework, parse};

/// Runs of each kind.
const RUNS: u32 = 2000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().expect("usage: measure_validation <file> [plugins]");
    let mut validator = framework::validator();
    if let Some(plugins) = arguments.next() {
        let definitions = plugin_definitions(Path::new(&plugins)).expect("readable plugins");
        let count = definitions.len();
        let started = Instant::now();
        validator = validator.with(definitions.into_iter().map(Change::Put));
        println!("{count} definitions compiled in {:?}", started.elapsed());
    }
    let bytes = std::fs::read(&file).expect("a readable file");
    let format = if file.ends_with(".xml") { Format::Xml } else { Format::Json };
    let resource = parse(&bytes, format).expect("a resource");
    println!("accepted: {}", validator.validate(&resource).accepted());
    let measure = |name: &str, work: &dyn Fn()| {
        let mut best = Duration::MAX;
        let mut sum = Duration::ZERO;
        for _ in 0..RUNS {
            let started = Instant::now();
            work();
            let took = started.elapsed();
            best = best.min(took);
            sum += took;
        }
        println!("{name}: best {best:?}, mean {:?}", sum / RUNS);
    };
    measure("read", &|| drop(parse(&bytes, format)));
    measure("validate", &|| drop(validator.validate(&resource)));
}
