//! Stand-in model server.
fn main() {}
