//! One instance through the five stages.
