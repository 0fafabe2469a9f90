//! The dataset `packages`: pairs of source releases whose difference is a documented fix become
//! instances. The older release is the base; patches and test lists are computed here, from what
//! the package index serves, and kept in the cache only.

mod build;
mod cache;
mod measure;
mod sources;
mod split;
mod table;

pub use build::{
    PackageBuilt, PackageError, PackageReport, PackagesError, PackagesRequest, build_all,
};
pub use split::SplitError;
pub use table::{Package, TableError, table};
