//! Whether every column of a definition can be decoded, before any row of it is met.

use common::table::{ColumnType, TableDefinition};

use super::error::DecodeError;
use super::plan::{Fault, supported_charset};

/// Refuses a definition with a column of a charset that is not carried. Other types that are
/// not carried have no definition in the first place.
///
/// # Errors
/// [`DecodeError::UnsupportedColumn`] names the first such column.
pub fn check_supported(definition: &TableDefinition) -> Result<(), DecodeError> {
    for column in &definition.columns {
        let (ColumnType::Char { charset, .. }
        | ColumnType::Varchar { charset, .. }
        | ColumnType::Text { charset }) = &column.column_type
        else {
            continue;
        };
        if let Err(Fault::Unsupported(type_name)) = supported_charset(charset) {
            return Err(DecodeError::UnsupportedColumn {
                table: Box::new(definition.name.clone()),
                column: column.name.clone(),
                type_name,
            });
        }
    }
    Ok(())
}
