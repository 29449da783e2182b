//! Received webhooks, with what came of them.

use loggia_types::{DeliveryId, DeploymentId, ProjectId};

use super::{DbError, GenericClient, statements};

statements! {
    /// Zero rows: the forge sent this delivery before.
    INSERT = "
        insert into webhook_deliveries (delivery_id, project_id, provider, provider_delivery_id, event, outcome)
        values ($1, $2, $3, $4, $5, $6)
        on conflict on constraint webhook_deliveries_once do nothing";

    SET_OUTCOME = "update webhook_deliveries set outcome = $2, deployment_id = $3 where delivery_id = $1";
}

/// False when this delivery was received before.
pub(crate) async fn insert(
    db: &impl GenericClient,
    id: DeliveryId,
    project_id: ProjectId,
    provider: &str,
    provider_delivery_id: &str,
    event: &str,
) -> Result<bool, DbError> {
    let statement = db.prepare_cached(INSERT).await?;
    let inserted = db
        .execute(
            &statement,
            &[&id.as_str(), &project_id.as_str(), &provider, &provider_delivery_id, &event, &"received"],
        )
        .await?;
    Ok(inserted == 1)
}

pub(crate) async fn set_outcome(
    db: &impl GenericClient,
    id: DeliveryId,
    outcome: &str,
    deployment_id: Option<DeploymentId>,
) -> Result<(), DbError> {
    let deployment = deployment_id.as_ref().map(DeploymentId::as_str);
    db.execute(&db.prepare_cached(SET_OUTCOME).await?, &[&id.as_str(), &outcome, &deployment]).await?;
    Ok(())
}
