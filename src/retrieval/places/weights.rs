//! Fitted weights: logistic regression over the blocks of changed files, printed by
//! `evaluation/localization/fit_places.py` for the development rows, in the order of `FEATURES`.

use crate::retrieval::places::features::FEATURES;

/// Each feature's weight.
pub(super) const WEIGHTS: [f64; FEATURES.len()] = [
    -5.348, // constant
    0.193,  // size
    -0.583, // function
    -2.220, // class
    1.461,  // imports
    1.858,  // issue
    0.600,  // title
    0.913,  // code
    0.659,  // rank
    3.152,  // share
    0.990,  // message
    0.050,  // name
    0.635,  // name in title
    0.834,  // owner named
    0.589,  // frame
    1.260,  // last frame
    1.260,  // linked: no development row links to lines of a changed file; as the last frame
    0.378,  // quoted
];
