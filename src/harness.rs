//! One subject tested in one session.
