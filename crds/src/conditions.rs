//! Conditions as Kubernetes has them, and the one function that changes a list of them.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It cannot be told.
    Unknown,
}

impl From<bool> for ConditionStatus {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// One observation of an object's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What is observed, in `CamelCase`; unique in its list.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 316))]
    pub type_: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why, as one stable word in `CamelCase`.
    #[schemars(length(max = 128))]
    pub reason: String,
    /// Why, for people; not stable.
    #[serde(default)]
    #[schemars(length(max = 4096))]
    pub message: String,
    /// When `status` last changed.
    pub last_transition_time: DateTime<Utc>,
    /// The generation of the object that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// Sets `new` in `conditions`. The transition time stays when the status does not change, so that writing the
/// same state twice gives the same bytes and no status write follows from it.
pub fn set_condition(conditions: &mut Vec<Condition>, mut new: Condition) {
    match conditions.iter_mut().find(|c| c.type_ == new.type_) {
        Some(old) => {
            if old.status == new.status {
                new.last_transition_time = old.last_transition_time;
            }
            *old = new;
        }
        None => conditions.push(new),
    }
}

/// The condition of that type.
#[must_use]
pub fn condition<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == type_)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64, status: ConditionStatus, message: &str) -> Condition {
        Condition {
            type_: "Ready".into(),
            status,
            reason: "Test".into(),
            message: message.into(),
            last_transition_time: DateTime::from_timestamp(seconds, 0).unwrap(),
            observed_generation: None,
        }
    }

    #[test]
    fn the_transition_time_moves_only_with_the_status() {
        let mut list = vec![];
        set_condition(&mut list, at(1, ConditionStatus::True, "a"));
        set_condition(&mut list, at(2, ConditionStatus::True, "b"));
        assert_eq!(list, [at(1, ConditionStatus::True, "b")]);
        set_condition(&mut list, at(3, ConditionStatus::False, "b"));
        assert_eq!(list, [at(3, ConditionStatus::False, "b")]);
    }
}
