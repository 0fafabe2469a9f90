//! Reads parquet files: each row becomes the JSON object that a `.jsonl` file would hold.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use parquet::basic::{LogicalType, TimeUnit};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use parquet::record::reader::RowIter;
use parquet::schema::types::SchemaDescriptor;
use serde_json::{Map, Number, Value};
use time::format_description::well_known::Rfc3339;
use time::{Date, Duration, OffsetDateTime};

/// Why a parquet file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ParquetFault {
    /// Not a parquet file, or one that is cut or damaged.
    #[error("the file is damaged or is no parquet file")]
    File(#[source] ParquetError),
    /// The data of a row cannot be decoded.
    #[error("row {0} cannot be decoded")]
    Row(usize, #[source] ParquetError),
    /// Data that the decoder does not survive.
    #[error("the data behind row {0} is damaged")]
    Decoder(usize),
}

/// All rows of a file, in its order.
///
/// # Errors
/// [`ParquetFault`]; rows count from 1.
pub(super) fn rows(bytes: &[u8]) -> Result<Vec<Value>, ParquetFault> {
    let mut rows = Vec::new();
    // The decoder checks much and not all: damaged pages make it index out of bounds.
    let read = catch_unwind(AssertUnwindSafe(|| read(bytes, &mut rows)));
    match read {
        Ok(done) => done.map(|()| rows),
        Err(_) => Err(ParquetFault::Decoder(rows.len())),
    }
}

/// Number of rows that the file says it has.
pub(super) fn count(bytes: &[u8]) -> Result<usize, ParquetFault> {
    let reader = open(bytes)?;
    Ok(usize::try_from(reader.metadata().file_metadata().num_rows()).unwrap_or_default())
}

fn open(bytes: &[u8]) -> Result<SerializedFileReader<Bytes>, ParquetFault> {
    SerializedFileReader::new(Bytes::copy_from_slice(bytes)).map_err(ParquetFault::File)
}

fn read(bytes: &[u8], rows: &mut Vec<Value>) -> Result<(), ParquetFault> {
    let reader = open(bytes)?;
    let nanoseconds = nanosecond_columns(reader.metadata().file_metadata().schema_descr());
    for group in 0..reader.num_row_groups() {
        let at = |rows: &Vec<Value>| rows.len() + 1;
        let group = reader.get_row_group(group).map_err(|e| ParquetFault::Row(at(rows), e))?;
        let iter = RowIter::from_row_group(None, group.as_ref())
            .map_err(|error| ParquetFault::Row(at(rows), error))?;
        for row in iter {
            let row = row.map_err(|error| ParquetFault::Row(at(rows), error))?;
            let fields = row.into_columns().into_iter().map(|(name, field)| {
                let value = match field {
                    Field::Long(nanos) if nanoseconds.contains(&name) => {
                        timestamp(i128::from(nanos))
                    }
                    other => value(&other),
                };
                (name, value)
            });
            rows.push(Value::Object(fields.collect::<Map<_, _>>()));
        }
    }
    Ok(())
}

/// Columns of times in nanoseconds: the row reader gives them as plain numbers.
fn nanosecond_columns(schema: &SchemaDescriptor) -> HashSet<String> {
    let is_nanos = |kind: Option<&LogicalType>| matches!(kind, Some(LogicalType::Timestamp(timestamp)) if timestamp.unit == TimeUnit::NANOS);
    let columns = schema.columns().iter().filter(|column| column.path().parts().len() == 1);
    columns
        .filter(|column| is_nanos(column.logical_type_ref()))
        .map(|column| column.name().to_owned())
        .collect()
}

fn value(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(value) => Value::Bool(*value),
        Field::Byte(value) => Value::from(*value),
        Field::Short(value) => Value::from(*value),
        Field::Int(value) => Value::from(*value),
        Field::Long(value) => Value::from(*value),
        Field::UByte(value) => Value::from(*value),
        Field::UShort(value) => Value::from(*value),
        Field::UInt(value) => Value::from(*value),
        Field::ULong(value) => Value::from(*value),
        Field::Float(value) => Number::from_f64(f64::from(*value)).map_or(Value::Null, Value::from),
        Field::Double(value) => Number::from_f64(*value).map_or(Value::Null, Value::from),
        Field::Str(text) => Value::String(text.clone()),
        // Some writers leave out that a column of bytes holds text.
        Field::Bytes(bytes) => Value::String(String::from_utf8_lossy(bytes.data()).into_owned()),
        Field::Date(days) => date(*days),
        Field::TimestampMillis(millis) => timestamp(i128::from(*millis) * 1_000_000),
        Field::TimestampMicros(micros) => timestamp(i128::from(*micros) * 1_000),
        Field::Group(row) => Value::Object(
            row.get_column_iter().map(|(name, field)| (name.clone(), value(field))).collect(),
        ),
        Field::ListInternal(list) => Value::Array(list.elements().iter().map(value).collect()),
        other @ (Field::MapInternal(_)
        | Field::Decimal(_)
        | Field::Float16(_)
        | Field::TimeMillis(_)
        | Field::TimeMicros(_)) => Value::String(other.to_string()),
    }
}

/// As SWE-bench writes times: `2020-01-31T23:59:59Z`.
fn timestamp(nanos: i128) -> Value {
    OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .map_or(Value::Null, Value::String)
}

fn date(days: i32) -> Value {
    const EPOCH: Date = time::macros::date!(1970 - 01 - 01);
    EPOCH
        .checked_add(Duration::days(days.into()))
        .map_or(Value::Null, |date| Value::String(date.to_string()))
}

#[cfg(test)]
mod tests {
    use ::parquet::basic::{Compression, GzipLevel, ZstdLevel};
    use serde_json::json;

    use super::*;
    use crate::dataset::test_parquet::{Column, parquet};

    fn columns() -> Vec<(&'static str, Column)> {
        let lists = vec![vec!["t::a".into(), "t::b[x y]".into()], Vec::new()];
        vec![
            ("instance_id", Column::text(["a__a-1", "a__a-2"])),
            ("hints_text", Column::Text(vec![None, Some("é\u{2028}".into())])),
            ("FAIL_TO_PASS", Column::List(lists)),
            ("created_at", Column::Time(vec![1_580_515_199_000_000, 0])),
            ("seen_at", Column::Nanos(vec![1_580_515_199_000_000_000, 0])),
            ("count", Column::Number(vec![7, 1_580_515_199_000_000_000])),
        ]
    }

    #[test]
    fn rows_are_the_objects_that_json_lines_would_hold() {
        let codecs = [
            Compression::UNCOMPRESSED,
            Compression::SNAPPY,
            Compression::GZIP(GzipLevel::default()),
            Compression::ZSTD(ZstdLevel::default()),
            Compression::LZ4_RAW,
        ];
        for codec in codecs {
            let bytes = parquet(&columns(), codec);
            assert_eq!(count(&bytes).unwrap(), 2);
            assert_eq!(
                rows(&bytes).unwrap(),
                [
                    json!({
                        "instance_id": "a__a-1", "hints_text": null,
                        "FAIL_TO_PASS": ["t::a", "t::b[x y]"],
                        "created_at": "2020-01-31T23:59:59Z", "seen_at": "2020-01-31T23:59:59Z",
                        "count": 7,
                    }),
                    json!({
                        "instance_id": "a__a-2", "hints_text": "é\u{2028}", "FAIL_TO_PASS": [],
                        "created_at": "1970-01-01T00:00:00Z", "seen_at": "1970-01-01T00:00:00Z",
                        "count": 1_580_515_199_000_000_000_i64,
                    }),
                ],
                "{codec}"
            );
        }
    }

    #[test]
    fn damaged_files_are_errors_wherever_the_damage_is() {
        let good = parquet(&columns(), Compression::SNAPPY);
        assert!(matches!(rows(b"PAR1"), Err(ParquetFault::File(_))));
        assert!(matches!(rows(&good[..good.len() - 9]), Err(ParquetFault::File(_))));
        let mut failed = 0;
        for at in (0..good.len()).step_by(7) {
            let mut bad = good.clone();
            bad[at] ^= 0x55;
            // Damage in a value may go unseen; what counts is that nothing ends the process.
            failed += usize::from(rows(&bad).is_err());
        }
        assert!(failed > good.len() / 28, "{failed} of {}", good.len());
    }
}
