//! The admin API's handlers: take the path apart, call, answer. Who calls, and with what, was read at the door.

use axum::extract::{Path, State};
use flagbearer::subject::SubjectKind::{Organization, User};

use super::App;
use super::call::Caller;
use crate::control::{Answer, Whose};
use crate::error::Result;

type One = Path<String>;
type Two = Path<(String, String)>;
type Three = Path<(String, String, String)>;

/// Handlers that hand the parts of their path on to the operation of the same name.
macro_rules! handlers {
    (none: $($name:ident)*) => {
        $(pub async fn $name(State(app): State<App>, call: Caller) -> Result<Answer> {
            app.control.$name(&call).await
        })*
    };
    (one: $($name:ident)*) => {
        $(pub async fn $name(State(app): State<App>, Path(one): One, call: Caller) -> Result<Answer> {
            app.control.$name(&call, &one).await
        })*
    };
    (two: $($name:ident)*) => {
        $(pub async fn $name(State(app): State<App>, Path((one, two)): Two, call: Caller) -> Result<Answer> {
            app.control.$name(&call, &one, &two).await
        })*
    };
}

handlers!(
    none:
    create_flag flags create_segment segments create_environment environments create_organization
    organizations create_user users create_application applications create_api_key api_keys
    create_identity_provider identity_providers changes evaluate explain start_session sessions end_sessions
    signing_keys rotate_signing_keys create_webhook webhooks pending_changes
);
handlers!(
    one:
    flag patch_flag delete_flag settings overrides delete_overrides segment patch_segment delete_segment
    environment patch_environment delete_environment organization patch_organization delete_organization
    members user patch_user delete_user application patch_application delete_application api_key patch_api_key
    delete_api_key identity_provider patch_identity_provider delete_identity_provider change comment_on_change
    revert_change session end_session organization_flags user_flags left_out_flags create_password_reset
    raise_min_revision webhook patch_webhook delete_webhook rotate_webhook_secret test_webhook deliveries
    comment_on_pending_change reject_pending_change withdraw_pending_change
);
handlers!(
    two:
    setting put_setting promote_setting put_targeting member put_member delete_member kill_flag revive_flag
    delivery redeliver
);

pub async fn archive_flag(State(app): State<App>, Path(flag): One, call: Caller) -> Result<Answer> {
    app.control.archive_flag(&call, &flag, true).await
}

pub async fn restore_flag(State(app): State<App>, Path(flag): One, call: Caller) -> Result<Answer> {
    app.control.archive_flag(&call, &flag, false).await
}

pub async fn add_target_user(State(app): State<App>, Path((flag, place, id)): Three, call: Caller) -> Result<Answer> {
    app.control.add_target(&call, &flag, &place, User, &id).await
}

pub async fn remove_target_user(State(app): State<App>, Path((flag, place, id)): Three, call: Caller) -> Result<Answer> {
    app.control.remove_target(&call, &flag, &place, User, &id).await
}

pub async fn add_target_organization(
    State(app): State<App>,
    Path((flag, place, id)): Three,
    call: Caller,
) -> Result<Answer> {
    app.control.add_target(&call, &flag, &place, Organization, &id).await
}

pub async fn remove_target_organization(
    State(app): State<App>,
    Path((flag, place, id)): Three,
    call: Caller,
) -> Result<Answer> {
    app.control.remove_target(&call, &flag, &place, Organization, &id).await
}

pub async fn put_user_override(State(app): State<App>, Path((flag, id)): Two, call: Caller) -> Result<Answer> {
    app.control.put_override(&call, &flag, Whose::User(&id)).await
}

pub async fn delete_user_override(State(app): State<App>, Path((flag, id)): Two, call: Caller) -> Result<Answer> {
    app.control.delete_override(&call, &flag, Whose::User(&id)).await
}

pub async fn put_organization_override(State(app): State<App>, Path((flag, id)): Two, call: Caller) -> Result<Answer> {
    app.control.put_override(&call, &flag, Whose::Organization(&id)).await
}

pub async fn delete_organization_override(State(app): State<App>, Path((flag, id)): Two, call: Caller) -> Result<Answer> {
    app.control.delete_override(&call, &flag, Whose::Organization(&id)).await
}

pub async fn add_segment_user(State(app): State<App>, Path((key, id)): Two, call: Caller) -> Result<Answer> {
    app.control.add_to_segment(&call, &key, User, &id).await
}

pub async fn remove_segment_user(State(app): State<App>, Path((key, id)): Two, call: Caller) -> Result<Answer> {
    app.control.remove_from_segment(&call, &key, User, &id).await
}

pub async fn add_segment_organization(State(app): State<App>, Path((key, id)): Two, call: Caller) -> Result<Answer> {
    app.control.add_to_segment(&call, &key, Organization, &id).await
}

pub async fn remove_segment_organization(State(app): State<App>, Path((key, id)): Two, call: Caller) -> Result<Answer> {
    app.control.remove_from_segment(&call, &key, Organization, &id).await
}
