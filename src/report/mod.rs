//! Events made visible.
