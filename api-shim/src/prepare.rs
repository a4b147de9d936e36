//! From a body to a draft: validation first, then the inputs, in the order of the contract. The two
//! execute routes share it.

use std::{sync::Arc, time::Instant};

use chrono::{DateTime, Utc};
use crds::{CodeExecutionSpec, limits, size::encoded_bytes};

use crate::{
    auth::Identity,
    convert::{bee_spec, onyx_spec},
    dialect::{
        bee::{self, BeeRefusal, BeeRequest},
        onyx::{self, OnyxRefusal, OnyxRequest},
    },
    draft::{Draft, InputName},
    error::ShimError,
    executions::Origin,
    gate::Admitted,
    inputs::{Owner, onyx_sources},
    json::Value,
    state::AppState,
    tenant::Tenant,
    validate::{Place, Problems},
};

/// Room for what is neither source nor stdin: the budget of a spec less the two texts that may stay in it.
const REST_BYTES: usize = limits::SPEC_BYTES / 2 - 8 * 1024;

/// Who asks, and when.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Who.
    pub identity: Identity,
    /// Where it runs.
    pub tenant: Arc<Tenant>,
    /// In which request.
    pub origin: Origin,
    /// The present.
    pub now: DateTime<Utc>,
    /// The same, to measure from.
    pub since: Instant,
}

impl Asked {
    /// By whoever was let in, now.
    #[must_use]
    pub fn now(Admitted { identity, tenant }: Admitted, origin: Origin) -> Self {
        Self { identity, tenant, origin, now: Utc::now(), since: Instant::now() }
    }
}

/// Bytes of each stream in an answer.
#[must_use]
pub fn output_limit(app: &AppState) -> usize {
    usize::try_from(app.config.spec.output_bytes).unwrap_or(usize::MAX)
}

/// Checks a bee/tgpt body.
pub fn bee_request(app: &AppState, body: &Value, asked: &Asked) -> Result<BeeRequest, ShimError> {
    bee::read_request(body, app.config.bee, asked.now).map_err(|refusal| match refusal {
        BeeRefusal::Problems(problems) => ShimError::Problems(problems),
        BeeRefusal::ChatIdMissing => ShimError::ChatIdMissing,
    })
}

/// Checks an onyx body.
pub fn onyx_request(app: &AppState, body: &Value) -> Result<OnyxRequest, ShimError> {
    onyx::read_request(body, app.config.onyx_max_timeout_milliseconds).map_err(|refusal| match refusal {
        OnyxRefusal::Problems(problems) => ShimError::Problems(problems),
        OnyxRefusal::TimeoutTooLong(most) => ShimError::TimeoutTooLong(most),
    })
}

/// A bee/tgpt request with its inputs found.
pub async fn bee_draft(request: &BeeRequest, asked: &Asked) -> Result<Draft, ShimError> {
    let scope = asked.identity.scope.as_deref();
    let owner = Owner { scope, chat: Some(&request.chat_id), now: asked.now };
    let files = asked.tenant.inputs.by_hash(&request.files, owner).await?;
    let inputs = request.files.iter().map(|input| InputName::Bee(input.key.clone())).collect();
    let spec = bee_spec(request, files, scope, &asked.tenant.spec);
    fitting(spec, inputs, asked)
}

/// An onyx request with its inputs found: every id first, then every path.
pub async fn onyx_draft(request: &OnyxRequest, asked: &Asked) -> Result<Draft, ShimError> {
    let scope = asked.identity.scope.as_deref();
    asked.tenant.inputs.by_id(&request.files, Owner { scope, chat: None, now: asked.now }).await?;
    let targets = onyx::targets(&request.files).map_err(ShimError::OnyxPath)?;
    let name = |(path, id): &(String, String)| InputName::Onyx { id: id.clone(), path: path.clone() };
    let inputs = targets.iter().map(name).collect();
    fitting(onyx_spec(request, onyx_sources(targets), scope, &asked.tenant.spec), inputs, asked)
}

/// Files and environment have no other way than the object, so they must fit into it. That also keeps the
/// environment far below the two mebibytes that a new program's arguments and environment may take together.
fn fitting(spec: CodeExecutionSpec, inputs: Vec<InputName>, asked: &Asked) -> Result<Draft, ShimError> {
    let (files, env) = (encoded_bytes(&spec.files), encoded_bytes(&spec.env));
    if files + env > REST_BYTES {
        let (field, text) = if env > REST_BYTES {
            ("env", "the environment variables are too large together")
        } else {
            ("files", "the files and environment variables are too large together")
        };
        let mut problems = Problems::default();
        problems.add_own(&Place::body().key(field), &Value::Null, text);
        return Err(ShimError::Problems(problems));
    }
    Ok(Draft { spec, origin: asked.origin.clone(), inputs, held: None })
}
