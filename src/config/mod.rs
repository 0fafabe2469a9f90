//! Settings, their layers and their origin.
