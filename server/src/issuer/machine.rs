//! Machines: an application's own token (RFC 6749 §4.4).

use super::{Issuer, MachineMinting, Refused, Tokens};
use crate::store::{Application, Standpoint};

/// What a machine asks for.
#[derive(Debug, Clone, Copy, Default)]
pub struct MachineGrant<'a> {
    pub audience: Option<&'a str>,
    pub scope: Option<&'a str>,
    /// Whose overrides and rules apply.
    pub organization: Option<&'a str>,
}

impl Issuer {
    /// The audience of tokens for the management API of an environment.
    pub fn management_audience(&self, environment: &str) -> String {
        format!("{}/api", self.url(environment))
    }

    /// Issues to an application that has shown its secret.
    pub async fn machine(&self, application: &Application, grant: &MachineGrant<'_>) -> Result<Tokens, Refused> {
        if application.public {
            return Err(Refused::Public);
        }
        let environment = application.environment.as_str();
        self.hold(environment).await?;
        let management = self.management_audience(environment);
        let known = [application.audience.as_deref(), Some(management.as_str())];
        if grant.audience.is_some() && !known.contains(&grant.audience) {
            return Err(Refused::Audience);
        }
        let now = self.store.now();
        let standpoint = Standpoint { environment, user: None, organization: grant.organization };
        let snapshot = self.store.snapshot_in(&mut self.store.read().await?, standpoint).await?;
        if grant.organization.is_some() && snapshot.facts.organization_name.is_none() {
            return Err(Refused::Organization);
        }
        let MachineGrant { audience, scope, .. } = *grant;
        Ok(self.issue_to_machine(&MachineMinting { application, audience, scope, snapshot: &snapshot, now })?)
    }
}
