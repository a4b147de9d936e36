//! A JSON object that keeps the order of its keys.

use std::collections::HashMap;

use super::Value;

/// Keys and values in the order in which the keys first appeared.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Object(Vec<(String, Value)>);

impl Object {
    /// From the members as written: a repeated key keeps its first place and takes its last value.
    #[must_use]
    pub fn from_members(members: Vec<(String, Value)>) -> Self {
        let mut places: HashMap<String, usize> = HashMap::with_capacity(members.len());
        let mut kept: Vec<(String, Value)> = Vec::with_capacity(members.len());
        for (key, value) in members {
            let earlier = places.get(&key).and_then(|place| kept.get_mut(*place));
            if let Some(slot) = earlier {
                slot.1 = value;
            } else {
                places.insert(key.clone(), kept.len());
                kept.push((key, value));
            }
        }
        Self(kept)
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// All members in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
