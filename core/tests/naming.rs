//! Advice on names: what is said, and of what nothing is.

use flagbearer::flag::Flag;
use flagbearer::naming::{AdviceCode, advice, prefix};
use serde_json::json;

fn flag(key: &str, flag_type: &str) -> Flag {
    let default = match flag_type {
        "boolean" => json!(false),
        "integer" => json!(1),
        _ => json!("a"),
    };
    let document = json!({ "key": key, "type": flag_type, "default_value": default, "description": "what it does" });
    Flag::create(&document, "flag_1", "salt").expect("a flag")
}

fn codes(key: &str, flag_type: &str, shared: bool) -> Vec<AdviceCode> {
    advice(&flag(key, flag_type), shared).into_iter().map(|advice| advice.code).collect()
}

#[test]
fn a_category_stands_before_the_name() {
    for key in ["ai_new_model", "ui-dark-mode", "billing.annual", "beta_voice_input", "UI_nav"] {
        assert_eq!(codes(key, "boolean", false), [], "{key}");
    }
    for key in ["new_model", "ai", "aimodel", "uiDarkMode"] {
        assert_eq!(codes(key, "boolean", false), [AdviceCode::PrefixMissing], "{key}");
    }
    assert_eq!(codes("search_fuzzy", "boolean", true), [], "others have the prefix");
    assert_eq!(prefix(&flag("search.fuzzy_match", "boolean")), Some("search."));
    assert_eq!(prefix(&flag("search", "boolean")), None);
}

#[test]
fn booleans_are_named_for_what_they_switch_on() {
    for key in ["ui_hide_banner", "hide_banner", "hideOldDashboard", "disable-ads", "no_limit", "beta_not_now", "UI.NO.ads"]
    {
        assert_eq!(codes(key, "boolean", true), [AdviceCode::NegativeName], "{key}");
    }
    for key in ["ui_show_banner", "notify_all", "nowhere_else", "country_no", "note_hidden"] {
        assert_eq!(codes(key, "boolean", true), [], "{key}");
    }
    assert_eq!(codes("ui_hide_reason", "string", true), [], "only booleans are negated");
}

#[test]
fn values_are_named_for_what_they_are_of() {
    assert_eq!(codes("model", "string", true), [AdviceCode::VagueName]);
    assert_eq!(codes("Limit", "integer", true), [AdviceCode::VagueName]);
    for (key, flag_type) in [("ai_model_name", "string"), ("ai_max_tokens_per_request", "integer"), ("model", "boolean")] {
        assert_eq!(codes(key, flag_type, true), [], "{key}");
    }
}

#[test]
fn a_flag_says_what_it_is_for() {
    let mut bare = flag("ui_nav", "boolean");
    bare.description = " ".to_owned();
    let said = advice(&bare, false);
    assert_eq!(said.len(), 1);
    assert_eq!(serde_json::to_value(&said[0]).expect("JSON")["code"], "DESCRIPTION_MISSING");
}
