//! Fitted weights: logistic regression over the blocks of changed files, printed by
//! `evaluation/localization/fit_places.py` for the development rows, in the order of `FEATURES`.

use crate::retrieval::places::features::FEATURES;

/// Each feature's weight.
pub(super) const WEIGHTS: [f64; FEATURES.len()] = [
    -5.457, // constant
    0.170,  // size
    -0.476, // function
    -2.117, // class
    1.532,  // imports
    2.062,  // issue
    0.534,  // title
    0.904,  // code
    0.658,  // rank
    3.079,  // share
    1.064,  // message
    0.089,  // name
    0.735,  // name in title
    0.936,  // owner named
    0.599,  // frame
    1.261,  // last frame
    1.261,  // linked: no development row links to lines of a changed file; as the last frame
    0.349,  // quoted
];
