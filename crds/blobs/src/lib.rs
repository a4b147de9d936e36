//! Where bytes live: content-addressed objects over object_store.
