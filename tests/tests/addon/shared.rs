//! The installation that tests share: made by the first that asks, removed with the last that has it.
//!
//! A test asks for it before it waits for its turn, so with several tests at a time it is made once.

use std::{
    ops::Deref,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use e2e::Addon;
use serde_json::json;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

static ADDON: Mutex<Weak<Addon>> = Mutex::new(Weak::new());
/// Held by tests for as long as they run, alone by those that disturb others.
static TURN: RwLock<()> = RwLock::const_new(());
/// Held by tests that only mind the node and the API server, and alone by those that take these away.
static APART: RwLock<()> = RwLock::const_new(());

/// Pods of the first tenant's pool that wait, and that there may be.
pub(crate) const WARM: usize = 4;
pub(crate) const MOST: usize = 8;

/// The installation, and the right to use it.
pub(crate) struct Shared {
    addon: Arc<Addon>,
    _turn: Turn,
}

#[expect(dead_code, reason = "what is held is what counts")]
enum Turn {
    Together(RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
    Apart(RwLockReadGuard<'static, ()>),
    NobodyElse(RwLockWriteGuard<'static, ()>, RwLockWriteGuard<'static, ()>),
}

impl Deref for Shared {
    type Target = Addon;

    fn deref(&self) -> &Addon {
        &self.addon
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The last one's installation does so itself.
        if std::thread::panicking() && Arc::strong_count(&self.addon) > 1 {
            self.addon.dump();
        }
    }
}

/// For tests that mind their own objects.
pub(crate) async fn together() -> Shared {
    let addon = addon();
    let turn = Turn::Together(TURN.read().await);
    Shared { addon, _turn: turn }
}

/// For tests that stop parts of it, or count what there is.
pub(crate) async fn alone() -> Shared {
    let addon = addon();
    let turn = Turn::Alone(TURN.write().await);
    addon.await_pools();
    Shared { addon, _turn: turn }
}

/// For tests with an installation of their own, which the shared one only lends its definitions, or that do not mind
/// what is stopped of it.
pub(crate) async fn apart() -> Shared {
    let addon = addon();
    let turn = Turn::Apart(APART.read().await);
    Shared { addon, _turn: turn }
}

/// For tests that disturb all installations.
pub(crate) async fn nobody_else() -> Shared {
    let addon = addon();
    let apart = APART.write().await;
    let turn = Turn::NobodyElse(apart, TURN.write().await);
    addon.await_pools();
    Shared { addon, _turn: turn }
}

fn addon() -> Arc<Addon> {
    let mut shared = ADDON.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let addon = Arc::new(install());
        *shared = Arc::downgrade(&addon);
        addon
    })
}

/// Two of each component, a tenant for HTTP, a second one, and one with hardly any room.
fn install() -> Addon {
    let values = json!({
        "operator": {"replicas": 2, "userNamespaces": true},
        "shim": {"replicas": 2},
        "store": {"accessMode": "ReadWriteMany"},
    });
    let pool = |replicas: usize, most: usize| json!({"replicas": replicas, "maxPods": most});
    let tenants = [
        json!({"name": "a", "pool": pool(WARM, MOST)}),
        json!({"name": "b", "pool": pool(1, 4)}),
        json!({"name": "small", "pool": pool(2, 6), "quota": {"pods": "2"}}),
    ];
    let addon = Addon::prepare(&values, &tenants);
    addon.install();
    addon
}
