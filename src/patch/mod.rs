//! SEARCH/REPLACE answers, diffs in git's format, and when two of them are the same change.
