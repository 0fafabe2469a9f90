//! parse_diff
