//! Reads files of rows: which of them make a dataset, and what a row is in each kind.

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::dataset::fields::{Fields, kind};
use crate::dataset::hub::{parquet_below, split};
use crate::dataset::{DatasetError, ImageNaming, Place, Row, parquet, row};

/// How a file holds rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// One JSON object a line.
    Lines,
    /// One JSON document.
    Document,
    Parquet,
}

/// How a file is compressed as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    Plain,
    Gzip,
    Zstd,
}

/// Whether a path's name is one of a file with rows.
pub(super) fn is_named_so(path: &Path) -> bool {
    format(path).is_some()
}

fn format(path: &Path) -> Option<(Format, Packing)> {
    let extension = |path: &Path| path.extension().and_then(OsStr::to_str).map(str::to_lowercase);
    let packing = match extension(path)?.as_str() {
        "gz" => Packing::Gzip,
        "zst" => Packing::Zstd,
        _ => Packing::Plain,
    };
    let inner = if packing == Packing::Plain { path.to_owned() } else { path.with_extension("") };
    let format = match extension(&inner)?.as_str() {
        "jsonl" | "ndjson" => Format::Lines,
        "json" => Format::Document,
        "parquet" if packing == Packing::Plain => Format::Parquet,
        _ => return None,
    };
    Some((format, packing))
}

/// The files of a dataset at a path: itself, or of a folder the parquet files of the split `test`,
/// or all where none is named after a split.
pub(super) fn of(path: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let names = parquet_below(path);
    let chosen = match split::select(&names, "test") {
        Ok(chosen) => chosen,
        Err(split::NoFiles::NoParquet) => {
            let found = "a folder without parquet files";
            return Err(DatasetError::Kind { path: path.to_owned(), found });
        }
        Err(split::NoFiles::NoSplit(found)) if !found.iter().any(|name| split::is_usual(name)) => {
            names
        }
        Err(why) => {
            return Err(DatasetError::Split { path: path.to_owned(), why: why.to_string() });
        }
    };
    Ok(chosen.into_iter().map(|name| path.join(name)).collect())
}

/// The rows of a file, each with its place.
pub(super) fn rows(
    path: &Path,
    bytes: &[u8],
    naming: &ImageNaming,
) -> Result<Vec<(Place, Row)>, DatasetError> {
    let (format, packing) = format(path).ok_or_else(|| DatasetError::Kind {
        path: path.to_owned(),
        found: "a file of another kind",
    })?;
    let unpacked = unpack(packing, bytes)
        .map_err(|source| DatasetError::Unpack { path: path.to_owned(), source })?;
    let bytes = unpacked.as_deref().unwrap_or(bytes);
    let body = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match format {
        Format::Parquet => read_parquet(path, bytes, naming),
        // `to_json` of Python's `datasets` writes lines also into files that are called `.json`.
        Format::Document if !is_lines(body) => read_document(path, body, naming),
        Format::Document | Format::Lines => read_lines(path, body, naming),
    }
}

fn unpack(packing: Packing, bytes: &[u8]) -> std::io::Result<Option<Vec<u8>>> {
    let mut unpacked = Vec::new();
    match packing {
        Packing::Plain => return Ok(None),
        Packing::Gzip => flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut unpacked)?,
        Packing::Zstd => zstd::Decoder::new(bytes)?.read_to_end(&mut unpacked)?,
    };
    Ok(Some(unpacked))
}

/// Whether the first line is a row of its own.
fn is_lines(body: &[u8]) -> bool {
    let mut lines = body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let row = lines.next().and_then(|line| serde_json::from_slice::<Map<_, _>>(line).ok());
    row.is_some_and(|row: Map<String, Value>| row.contains_key("instance_id"))
}

fn read_parquet(
    path: &Path,
    bytes: &[u8],
    naming: &ImageNaming,
) -> Result<Vec<(Place, Row)>, DatasetError> {
    let rows = parquet::rows(bytes)
        .map_err(|source| DatasetError::Parquet { path: path.to_owned(), source })?;
    rows.iter()
        .enumerate()
        .map(|(index, value)| {
            let place = Place::Row(index + 1);
            Ok((place, read_row(path, place, value, naming)?))
        })
        .collect()
}

fn read_lines(
    path: &Path,
    body: &[u8],
    naming: &ImageNaming,
) -> Result<Vec<(Place, Row)>, DatasetError> {
    let mut rows = Vec::new();
    for (index, line) in body.split(|byte| *byte == b'\n').enumerate() {
        let place = Place::Line(index + 1);
        let text = std::str::from_utf8(line)
            .map_err(|_| DatasetError::Encoding { path: path.to_owned(), place })?
            .trim();
        if text.is_empty() {
            continue;
        }
        let value: Value = serde_json::from_str(text).map_err(|source| DatasetError::Json {
            path: path.to_owned(),
            place,
            source,
        })?;
        rows.push((place, read_row(path, place, &value, naming)?));
    }
    Ok(rows)
}

fn read_document(
    path: &Path,
    body: &[u8],
    naming: &ImageNaming,
) -> Result<Vec<(Place, Row)>, DatasetError> {
    let document: Value = serde_json::from_slice(body)
        .map_err(|source| DatasetError::JsonFile { path: path.to_owned(), source })?;
    let rows: Vec<Value> = match document {
        Value::Array(rows) => rows,
        Value::Object(map) if map.values().all(Value::is_object) => keyed_rows(path, map)?,
        Value::Object(map) if map.contains_key("instance_id") => {
            let found = "a single row (put it in a list)";
            return Err(DatasetError::Shape { path: path.to_owned(), found });
        }
        other => {
            return Err(DatasetError::Shape { path: path.to_owned(), found: kind(&other) });
        }
    };
    rows.iter()
        .enumerate()
        .map(|(index, value)| {
            let place = Place::Entry(index + 1);
            Ok((place, read_row(path, place, value, naming)?))
        })
        .collect()
}

/// Rows of an object keyed by id. The key counts as the id where the row itself has none.
fn keyed_rows(path: &Path, map: Map<String, Value>) -> Result<Vec<Value>, DatasetError> {
    map.into_iter()
        .enumerate()
        .map(|(index, (key, mut row))| {
            if let Some(fields) = row.as_object_mut() {
                let inner = fields.entry("instance_id").or_insert_with(|| key.clone().into());
                if *inner != key {
                    return Err(DatasetError::Field {
                        path: path.to_owned(),
                        place: Place::Entry(index + 1),
                        field: "instance_id",
                        problem: format!("is {inner}, but the row's key is {key:?}"),
                    });
                }
            }
            Ok(row)
        })
        .collect()
}

fn read_row(
    path: &Path,
    place: Place,
    value: &Value,
    naming: &ImageNaming,
) -> Result<Row, DatasetError> {
    let map = value.as_object().ok_or_else(|| DatasetError::NotAnObject {
        path: path.to_owned(),
        place,
        found: kind(value),
    })?;
    row::row(&Fields { path, place, map }, naming)
}
