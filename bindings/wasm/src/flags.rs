//! Flag sets, and keys by themselves: what needs no reader.

use flagbearer::claim::write_string;
use flagbearer::document;
use flagbearer::error::Error;
use flagbearer::flag_set::FlagSet;
use flagbearer::testing;
use flagbearer::token::KeySet;

use super::{answer, outcome, refuse, taken, taken_text, taken_texts};

/// The flag set of flags by key, in a JSON document. A refusal's message is its pointer, a line break, and the message.
#[unsafe(no_mangle)]
pub extern "C" fn flag_set_of() -> f64 {
    let set = document::parse(&taken()).and_then(|flags| testing::flag_set(&flags));
    outcome(set.map(|set| set.tables()).map_err(|mut error| {
        error.message.insert_str(0, &format!("{}\n", error.pointer));
        error
    }))
}

/// The flag set of a `feature_flags` claim.
#[unsafe(no_mangle)]
pub extern "C" fn flag_set_of_claim() -> f64 {
    outcome(FlagSet::of_claim(&taken_text()).map(|set| set.tables()))
}

/// The flag set of a token's claims.
#[unsafe(no_mangle)]
pub extern "C" fn flag_set_of_claims() -> f64 {
    outcome(FlagSet::of_claims(&taken_text()).map(|set| set.tables()))
}

/// The keys whose flags differ between two sets, each given as its claims: a JSON array.
#[unsafe(no_mangle)]
pub extern "C" fn changed_from() -> f64 {
    let compared = || -> Result<String, Error> {
        let [newer, older] = taken_texts();
        let (newer, older) = (FlagSet::of_claims(&newer)?, FlagSet::of_claims(&older)?);
        let mut changed = String::new();
        for key in newer.changed_from(&older) {
            changed.push(if changed.is_empty() { '[' } else { ',' });
            write_string(key, &mut changed);
        }
        changed.push_str(if changed.is_empty() { "[]" } else { "]" });
        Ok(changed)
    };
    outcome(compared())
}

/// The usable keys of a JWK set, as a JWK set.
#[unsafe(no_mangle)]
pub extern "C" fn usable_keys() -> f64 {
    match KeySet::parse(&taken()) {
        Ok(set) => answer(set.to_json()),
        Err(error) => refuse(error),
    }
}
