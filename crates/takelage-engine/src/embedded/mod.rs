//! The embedded engine: containers and images without a daemon.

#[cfg_attr(not(test), expect(dead_code, reason = "the embedded engine is made of it, and comes after it"))]
pub(crate) mod store;
