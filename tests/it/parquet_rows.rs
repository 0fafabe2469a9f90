//! Writes parquet files as Python's `datasets` does: strings, lists of strings, times.

use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;

/// One column, a value for each row.
pub(crate) enum Column {
    Text(Vec<Option<String>>),
    List(Vec<Vec<String>>),
    /// Microseconds since 1970.
    Time(Vec<i64>),
    /// Nanoseconds since 1970, as pandas writes them.
    Nanos(Vec<i64>),
    Number(Vec<i64>),
}

impl Column {
    pub(crate) fn text(values: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::Text(values.into_iter().map(|value| Some(value.into())).collect())
    }

    fn schema(&self, name: &str) -> String {
        match self {
            Self::Text(_) => format!("optional binary {name} (UTF8);"),
            Self::List(_) => format!(
                "optional group {name} (LIST) {{ repeated group list {{ optional binary element (UTF8); }} }}"
            ),
            Self::Time(_) => format!("required int64 {name} (TIMESTAMP(MICROS,true));"),
            Self::Nanos(_) => format!("required int64 {name} (TIMESTAMP(NANOS,false));"),
            Self::Number(_) => format!("required int64 {name};"),
        }
    }

    fn write(&self, column: &mut SerializedColumnWriter<'_>) {
        match self {
            Self::Text(values) => {
                let levels: Vec<i16> =
                    values.iter().map(|value| i16::from(value.is_some())).collect();
                let values: Vec<ByteArray> =
                    values.iter().flatten().map(|value| value.as_str().into()).collect();
                column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).unwrap();
            }
            Self::List(rows) => {
                let (mut values, mut defined, mut repeated) = (Vec::new(), Vec::new(), Vec::new());
                for row in rows {
                    if row.is_empty() {
                        defined.push(1);
                        repeated.push(0);
                    }
                    for (index, text) in row.iter().enumerate() {
                        values.push(ByteArray::from(text.as_str()));
                        defined.push(3);
                        repeated.push(i16::from(index > 0));
                    }
                }
                column
                    .typed::<ByteArrayType>()
                    .write_batch(&values, Some(&defined), Some(&repeated))
                    .unwrap();
            }
            Self::Time(values) | Self::Nanos(values) | Self::Number(values) => {
                column.typed::<Int64Type>().write_batch(values, None, None).unwrap();
            }
        }
    }
}

/// The bytes of a file with these columns.
pub(crate) fn parquet(columns: &[(&str, Column)], compression: Compression) -> Vec<u8> {
    let fields: String = columns.iter().map(|(name, column)| column.schema(name)).collect();
    let schema = Arc::new(parse_message_type(&format!("message schema {{ {fields} }}")).unwrap());
    let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, properties).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for (_, values) in columns {
        let mut column = group.next_column().unwrap().unwrap();
        values.write(&mut column);
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.into_inner().unwrap()
}
