//! Benchmark rows in: instances, and apart from them the gold data.
