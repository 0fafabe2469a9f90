//! Many instances side by side.
