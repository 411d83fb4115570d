//! From binlog bytes to typed events and canonical text.
//!
//! ```text
//! header, body -> EventParser -> Event
//!                                  TableMap + TableDefinition -> RowDecoder (a plan per column)
//!                                  Rows.rows -> RowDecoder::decode -> RowImage (COPY text)
//! ```
//!
//! It stands between `source`, which reads events and checks their CRC32, and
//! `assemble`, which makes transactions of them. Definitions come from the event itself
//! ([`from_metadata`]) or from the source's catalog ([`from_catalog`]); [`check_fit`]
//! says whether one describes the rows that follow a table map.
//!
//! Invariants: no I/O, no clock, no locks; no panic on any input; no allocation per
//! value of ordinary types; memory bounded by the input, by announced sizes only where
//! the bytes are there. A value is exact or an error, and an error names table and
//! column but never holds a value. What is not supported is refused by name.
//!
//! It does not know positions, which tables are wanted, or where a transaction ends.

// Events.
mod bytes;
mod compressed;
mod error;

mod event;
mod format;
mod gtid_event;
mod metadata;
mod parser;
mod payload;
mod query;
mod remedy;

mod rows;
mod supported;
mod table_map;
mod xa;

// Definitions.
mod catalog;
mod charset;
mod collation;
mod definition;
mod labels;

// Rows.
mod binary;
mod column_compression;
mod copy_text;
mod decimal;
mod json;
mod json_number;
mod number;
mod plan;
mod row;
mod temporal;
mod temporal_old;

pub use catalog::{CatalogColumn, CatalogIndex, from_catalog};
pub use copy_text::NulBytePolicy;
pub use definition::from_metadata;
pub use error::{CellError, DecodeError, DefinitionFault, Misfit};
pub use event::{
    ARTIFICIAL_FLAG, Event, EventBytes, EventHeader, IGNORABLE_FLAG, LoadData, event_name,
};
pub use format::{ChecksumAlgorithm, Flavor, FormatDescription};
pub use gtid_event::{AlterPhase, AnonymousGtid, GtidEvent, MariaDbForm, MariaDbGtidEvent};
pub use metadata::{ColumnMetadata, FullMetadata, PrimaryKeyPart};
pub use parser::EventParser;
pub use payload::{PayloadCompression, PayloadEvents, TransactionPayload};
pub use plan::check_fit;
pub use query::{QueryEvent, StatusVariables};
pub use row::{RowDecoder, RowImage};
pub use rows::{ColumnBitmap, RowOperation, RowsEvent, StatementEnd};
pub use supported::check_supported;
pub use table_map::{TableMap, WireColumn};
pub use xa::{XaId, XaPhase, XaPrepare};
