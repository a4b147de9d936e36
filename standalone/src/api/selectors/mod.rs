//! Which objects a list or watch shows: label and field selectors.

mod fields;
mod label_parser;
mod labels;

use serde_json::Value;

pub(crate) use self::{fields::FieldSelector, labels::LabelSelector};
use super::{
    kinds::Kind,
    status_error::{Result, StatusError},
};

/// Both selectors of one request, and the namespace it is bound to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selector {
    pub(crate) namespace: Option<String>,
    labels: LabelSelector,
    fields: FieldSelector,
}

impl Selector {
    pub(crate) fn parse(kind: &Kind, namespace: Option<&str>, labels: &str, fields: &str) -> Result<Self> {
        let labels = LabelSelector::parse(labels).map_err(StatusError::bad_request)?;
        let fields = FieldSelector::parse(kind, fields).map_err(StatusError::bad_request)?;
        Ok(Self { namespace: namespace.map(str::to_owned), labels, fields })
    }

    /// Whether the request asked for less than everything in its namespace.
    pub(crate) fn is_narrow(&self) -> bool {
        !self.labels.is_empty() || !self.fields.is_empty()
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        let namespace = self.namespace.as_deref();
        let own = object.pointer("/metadata/namespace").and_then(Value::as_str);
        namespace.is_none_or(|wanted| own == Some(wanted))
            && (self.labels.is_empty() || self.labels.matches(object.pointer("/metadata/labels")))
            && self.fields.matches(object)
    }
}
