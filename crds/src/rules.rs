//! The CEL rules of our schemas, built by name so that each reads the same and each names its remedy.

use kube::core::{Reason, Rule};

/// `field` may neither change nor come nor go; `remedy` says what to do instead.
pub(crate) fn immutable(field: &str, remedy: &str) -> Rule {
    Rule::new(format!(
        "has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})"
    ))
    .message(format!("{field} is immutable: {remedy}").as_str())
    .reason(Reason::FieldValueForbidden)
}

/// Exactly one of `fields` is set.
pub(crate) fn exactly_one(fields: &[&str]) -> Rule {
    let count: Vec<String> = fields.iter().map(|f| format!("(has(self.{f}) ? 1 : 0)")).collect();
    Rule::new(format!("{} == 1", count.join(" + ")))
        .message(format!("exactly one of {} must be set", fields.join(", ")).as_str())
}

/// Once the old phase is terminal, none of `fields` of the status changes.
pub(crate) fn final_status(fields: &[&str]) -> Rule {
    let unchanged: Vec<String> = fields
        .iter()
        .map(|field| {
            format!(
                "has(self.status.{field}) == has(oldSelf.status.{field}) && \
                 (!has(self.status.{field}) || self.status.{field} == oldSelf.status.{field})"
            )
        })
        .collect();
    Rule::new(format!(
        "!has(oldSelf.status) || !has(oldSelf.status.phase) || !(oldSelf.status.phase in ['Succeeded', 'Failed']) || \
         (has(self.status) && {})",
        unchanged.join(" && ")
    ))
    .message("the outcome in status is final: the execution has finished; create a new object to run again")
    .reason(Reason::FieldValueForbidden)
}
