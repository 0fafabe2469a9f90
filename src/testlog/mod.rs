//! Test-runner output to a status for each test.
