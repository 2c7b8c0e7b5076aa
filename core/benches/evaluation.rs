//! What evaluating costs: the thirty flags of the fixture, and a thousand. `cargo bench -p flagbearer --bench evaluation`.
//! Every round is timed alone and the median is printed: on a shared machine it is disturbed least.

// The core has no clock; measuring it needs one.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

#[path = "../tests/counting/mod.rs"]
mod counting;
#[path = "../tests/fixture/mod.rs"]
mod fixture;

use std::hint::black_box;
use std::time::Instant;

use fixture::Fixture;

const ROUNDS: usize = 501;

/// Nanoseconds and allocations for one evaluation of all flags.
fn measure(copies: usize) -> (f64, usize) {
    let fixture = Fixture::load(copies);
    let context = fixture.context();
    let mut out = Vec::new();
    let repeats = 2_000 / copies.min(100);
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..repeats {
                fixture.ruleset.evaluate_all(black_box(&fixture.overrides), black_box(&context), fixture.now, &mut out);
                black_box(&out);
            }
            start.elapsed().as_nanos() as f64 / repeats as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    let before = counting::allocations();
    fixture.ruleset.evaluate_all(&fixture.overrides, &context, fixture.now, &mut out);
    (rounds[ROUNDS / 2], counting::allocations() - before)
}

fn main() {
    // `cargo test` builds and starts benchmarks too; there is nothing to measure then.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let (thirty, allocations) = measure(1);
    println!("evaluate 30 flags     {thirty:9.0} ns  {:6.1} ns a flag, {allocations} allocations", thirty / 30.0);
    let (all, allocations) = measure(34);
    let thousand = all * 1_000.0 / 1_020.0;
    println!("evaluate 1 000 flags  {thousand:9.0} ns  {:6.1} ns a flag, {allocations} allocations", thousand / 1_000.0);
    println!("ratio of the cost of a flag, 1 000 to 30: {:.2}", thousand / 1_000.0 / (thirty / 30.0));
}
