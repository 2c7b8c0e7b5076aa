//! Evaluating allocates for the context, never for a flag.

mod counting;
mod fixture;

use counting::allocations;
use fixture::Fixture;

fn allocations_of_one_evaluation(copies: usize) -> usize {
    let mut fixture = Fixture::load(copies);
    // Two overrides, however many flags.
    fixture.overrides.user.truncate(1);
    fixture.overrides.organization.truncate(1);
    let mut out = Vec::new();
    let context = fixture.context();
    fixture.ruleset.evaluate_all(&fixture.overrides, &context, fixture.now, &mut out);
    let before = allocations();
    fixture.ruleset.evaluate_all(&fixture.overrides, &context, fixture.now, &mut out);
    let allocations = allocations() - before;
    assert_eq!(out.len(), 30 * copies);
    allocations
}

#[test]
fn evaluating_a_thousand_flags_allocates_as_often_as_evaluating_thirty() {
    let thirty = allocations_of_one_evaluation(1);
    let thousand = allocations_of_one_evaluation(34);
    println!("{thirty} allocations for 30 flags, {thousand} for 1 020");
    assert_eq!(thirty, thousand);
    assert!(thirty <= 3, "{thirty}");
}
