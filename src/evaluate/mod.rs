//! Predictions against gold tests.
