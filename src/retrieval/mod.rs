//! Which files look like an issue, without a model.
