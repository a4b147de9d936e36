//! Who waits for a pod: first come first served within a scope, one of each scope in turn. Pure.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use super::{Scope, Ticket};

/// The line of a pool.
#[derive(Debug, Default)]
pub(super) struct FairQueue {
    scopes: HashMap<Scope, VecDeque<Ticket>>,
    turns: VecDeque<Scope>,
    members: HashSet<Arc<str>>,
}

impl FairQueue {
    pub(super) fn push(&mut self, scope: &Scope, ticket: Ticket) {
        if !self.members.insert(Arc::clone(&ticket.uid)) {
            return;
        }
        let line = self.scopes.entry(scope.clone()).or_default();
        if line.is_empty() {
            self.turns.push_back(scope.clone());
        }
        line.push_back(ticket);
    }

    /// Whose turn it is.
    pub(super) fn first(&self) -> Option<&Ticket> {
        self.scopes.get(self.turns.front()?)?.front()
    }

    pub(super) fn pop(&mut self) -> Option<Ticket> {
        let scope = self.turns.pop_front()?;
        let line = self.scopes.get_mut(&scope)?;
        let ticket = line.pop_front()?;
        if line.is_empty() {
            self.scopes.remove(&scope);
        } else {
            self.turns.push_back(scope);
        }
        self.members.remove(&ticket.uid);
        Some(ticket)
    }

    pub(super) fn remove(&mut self, execution: &str) {
        if !self.members.remove(execution) {
            return;
        }
        self.scopes.retain(|_, line| {
            line.retain(|ticket| *ticket.uid != *execution);
            !line.is_empty()
        });
        let scopes = &self.scopes;
        self.turns.retain(|scope| scopes.contains_key(scope));
    }

    pub(super) fn contains(&self, execution: &str) -> bool {
        self.members.contains(execution)
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }
}
