//! What can go wrong before frames of a run can be read, and the ends that follow from it.

use crds::Reason;

use super::super::{
    inputs,
    status::{self, Ending},
};
use crate::executor_client::CallError;

/// Why there is no connection to read from.
pub(super) enum Trouble {
    Inputs(inputs::InputsError),
    Call(CallError),
    /// Nothing was sent, and will not be.
    Unsent(&'static str),
    /// It was cancelled before anything was sent to any pod that may have it.
    Cancelled,
    /// The request may have arrived, and no answer comes.
    Silent,
}

impl From<inputs::InputsError> for Trouble {
    fn from(error: inputs::InputsError) -> Self {
        Self::Inputs(error)
    }
}

impl From<CallError> for Trouble {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

/// It ended before anybody started it, as was wanted.
pub(super) fn cancelled() -> Ending {
    Ending::without_run(Reason::Cancelled, status::failure(None, "cancelled before it started"))
}

/// The executor will not run it, whichever is asked.
pub(super) fn invalid(error: CallError) -> Ending {
    let failure = match error {
        CallError::Refused(body) => status::renamed(status::failure(body.field.clone(), &body.message)),
        other => status::failure(None, &other.to_string()),
    };
    Ending::without_run(Reason::Invalid, failure)
}
