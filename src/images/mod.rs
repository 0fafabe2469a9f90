//! Images in the SWE-bench contract, made locally.
