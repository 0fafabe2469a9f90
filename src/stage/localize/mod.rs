//! Instance to localization.
