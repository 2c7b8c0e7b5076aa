//! Machines: an application's own token (RFC 6749 §4.4).

use flagbearer::token::Profile;

use super::keys::token_id;
use super::{Issuer, MachineMinting, Refused, Remember, Tokens};
use crate::store::{Application, Beside, Standpoint};

/// What a machine asks for.
#[derive(Debug, Clone, Copy, Default)]
pub struct MachineGrant<'a> {
    /// What the token is to be for; the application's own audience where nothing is named.
    pub targets: &'a [String],
    pub scope: Option<&'a str>,
    /// Whose overrides and rules apply. Any there is: a machine is a member of none, and acts for whom it serves.
    pub organization: Option<&'a str>,
}

/// What clients ask for as if a user were there; Kinde's SDKs do so unless told otherwise. A machine gets nothing by it.
const OF_USERS: [&str; 5] = ["openid", "profile", "email", "offline", "offline_access"];

impl Issuer {
    /// The audience of tokens for the management API of an environment.
    pub fn management_audience(&self, environment: &str) -> String {
        format!("{}/api", self.url(environment))
    }

    /// Issues to an application that has shown its secret.
    ///
    /// `Ok(None)` where the same was answered already, under the `Idempotency-Key` that `remember` is for.
    pub async fn machine(
        &self,
        application: &Application,
        grant: &MachineGrant<'_>,
        remember: Option<&Remember<'_>>,
    ) -> Result<Option<Tokens>, Refused> {
        if application.public {
            return Err(Refused::Public);
        }
        let environment = application.environment.as_str();
        self.hold(environment).await?;
        let now = self.store.now();
        let mut connection = self.store.read().await?;
        // It may be another since it has shown its secret: a token is of one snapshot, its application too.
        let (application, _) = &connection.client(&application.client_id).await?.ok_or(Refused::Client)?;
        let management = self.management_audience(environment);
        let audience = audience(application, &management, grant.targets)?;
        let permissions = permissions(application, grant.scope)?;
        // No database keeps NUL.
        let organization = match grant.organization {
            Some(organization) if organization.contains('\0') => return Err(Refused::Organization),
            organization => organization,
        };
        let standpoint = Standpoint { environment, user: None, organization };
        let snapshot = self.store.snapshot_in(&mut connection, standpoint).await?;
        drop(connection);
        if organization.is_some() && snapshot.facts.organization_name.is_none() {
            return Err(Refused::Organization);
        }
        let scope = permissions.as_ref().map(|permissions| permissions.join(" "));
        let token_id = token_id()?;
        let minting = MachineMinting {
            application,
            audience,
            scope: scope.as_deref(),
            permissions: permissions.as_deref().unwrap_or(&application.permissions),
            snapshot: &snapshot,
            token_id: &token_id,
            now,
        };
        let tokens = self.issue_to_machine(&minting)?;
        let memo = remember.map(|remember| remember(&tokens)).transpose()?;
        let issuance = self.issuance(&token_id, application, None, &snapshot, now);
        let first = self.store.write_beside(Beside { memo, issuance }, now).await?;
        Ok(first.then_some(tokens))
    }
}

/// The one audience that is named, where it is the application's to ask for. `None`: its own.
fn audience<'a>(application: &Application, management: &'a str, targets: &'a [String]) -> Result<Option<&'a str>, Refused> {
    let Some((first, more)) = targets.split_first() else { return Ok(None) };
    // A token for several would let each of them use it at the others (RFC 9068 §5).
    if more.iter().any(|target| target != first) {
        return Err(Refused::Audience);
    }
    let own = match application.profile {
        // There `aud` never names the client.
        Profile::Kinde | Profile::WorkOs => application.audience.as_deref(),
        Profile::Flagbearer => Some(application.audience.as_deref().unwrap_or(&application.client_id)),
    };
    match first.as_str() {
        target if Some(target) == own => Ok(None),
        target if target == management => Ok(Some(target)),
        _ => Err(Refused::Audience),
    }
}

/// The permissions that a scope names, all of which have to be the application's. `None` where it names none, which asks for
/// all of them.
fn permissions(application: &Application, scope: Option<&str>) -> Result<Option<Vec<String>>, Refused> {
    let words = scope.unwrap_or_default().split_ascii_whitespace();
    let named = words.filter(|word| !OF_USERS.contains(word) || application.permissions.iter().any(|own| own == word));
    let mut permissions: Vec<String> = Vec::new();
    for word in named {
        if !application.permissions.iter().any(|own| own == word) {
            return Err(Refused::Scope);
        }
        if !permissions.iter().any(|found| found == word) {
            permissions.push(word.to_owned());
        }
    }
    Ok(Some(permissions).filter(|permissions| !permissions.is_empty()))
}
