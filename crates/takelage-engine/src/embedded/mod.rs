//! The embedded engine: containers and images without a daemon.

#[expect(dead_code, reason = "registries and the embedded engine use it, and come next")]
#[cfg_attr(
    not(test),
    expect(unused_imports, reason = "registries and the embedded engine use it, and come next")
)]
pub(crate) mod store;
