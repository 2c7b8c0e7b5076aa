//! Applications.

use serde_json::Value;

use super::effects::{self, Outcome};
use super::{Answer, Call, Control, budget};
use crate::error::Result;
use crate::secret::{Secret, random_alphanumeric};
use crate::store::{Application, StoredApplication};

fn answer(stored: &StoredApplication) -> Value {
    let mut document = stored.application.document();
    document["revision"] = stored.revision.into();
    document
}

impl Control {
    /// Creates an application; its secret is in this answer and nowhere else.
    pub async fn create_application(&self, call: &Call) -> Result<Answer> {
        call.only(&[])?;
        call.may_administer()?;
        let application = Application::create(&call.body, &format!("app_{}", random_alphanumeric(22)?))?;
        let secret = if application.public { None } else { Some(Secret::new(random_alphanumeric(50)?)) };
        let mut write = self.open(call).await?;
        write.environment(&application.environment).await?;
        write.insert_application(&application, secret.as_ref().map(Secret::hash).as_deref()).await?;
        let revision = write.revision;
        let mut body = answer(&StoredApplication { application, revision });
        if let Some(secret) = &secret {
            body["client_secret"] = secret.expose().into();
        }
        self.conclude(write, call, Outcome::default(), Answer::created(body, revision)).await
    }

    pub async fn applications(&self, call: &Call) -> Result<Answer> {
        call.only(&["environment", "cursor", "limit"])?;
        let environment = call.parameter("environment").or(call.actor.environment.as_deref());
        if let Some(environment) = environment {
            call.may_read(environment)?;
        }
        let limit = call.limit()?;
        let mut connection = self.store.read().await?;
        if let Some(environment) = environment {
            connection.environment(environment).await?;
        }
        let applications = connection.applications(environment, call.cursor(), limit).await?;
        let data = applications.iter().map(answer).collect();
        Ok(Answer::page(data, limit, |last| last["client_id"].as_str().unwrap_or_default().to_owned()))
    }

    /// An application, and how large its claim is and could become.
    pub async fn application(&self, call: &Call, client_id: &str) -> Result<Answer> {
        call.only(&[])?;
        let mut connection = self.store.read().await?;
        let stored = connection.application(client_id).await?;
        let application = &stored.application;
        call.may_read(&application.environment)?;
        let worst = budget::worst_case(application, &connection.weighed(&application.environment).await?);
        let mut body = answer(&stored);
        body["worst_case"] = worst.bytes.into();
        body["largest_flags"] = budget::largest(&worst);
        body["issued_over_budget"] = self.issuer.over_budget.count(client_id).into();
        Ok(Answer::done(body).at(stored.revision))
    }

    pub async fn patch_application(&self, call: &Call, client_id: &str) -> Result<Answer> {
        call.only(&[])?;
        call.may_administer()?;
        let mut write = self.open(call).await?;
        let before = write.application(client_id).await?;
        call.check_match(before.revision)?;
        let after = before.application.patched(&call.body)?;
        let outcome = effects::of_projection(&mut write, &before.application, &after).await?;
        write.update_application(&before.application, &after).await?;
        let revision = write.revision;
        let stored = StoredApplication { application: after, revision };
        let answer = Answer::done(answer(&stored)).at(revision);
        self.conclude(write, call, outcome, answer).await
    }

    /// Deletes an application; its sessions end.
    pub async fn delete_application(&self, call: &Call, client_id: &str) -> Result<Answer> {
        call.only(&[])?;
        call.may_administer()?;
        let mut write = self.open(call).await?;
        let before = write.application(client_id).await?;
        call.check_match(before.revision)?;
        write.delete_application(&before.application).await?;
        self.conclude(write, call, Outcome::default(), Answer::done(Value::Null)).await
    }
}
