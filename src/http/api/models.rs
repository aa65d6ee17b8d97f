//! The cards of the models in use.

use axum::extract::{RawQuery, State};
use axum::response::Response;

use super::form::json;
use super::parameters::Parameters;
use super::problem::Problem;
use crate::http::Shared;
use crate::wire::api::ModelCard;

/// The main model, then the specialists by name.
pub(super) async fn list(
    State(shared): State<Shared>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Parameters::new(query.as_deref(), &[])?;
    let models = shared.ask(|service, _| service.models().clone()).await?;
    let specialists = models.specialists().iter().map(|model| ModelCard::new(model, false));
    let cards: Vec<ModelCard> =
        std::iter::once(ModelCard::new(models.main(), true)).chain(specialists).collect();
    Ok(json(&cards))
}
