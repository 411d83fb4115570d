//! The source: a session to ask and a stream of raw events with their positions.
//!
//! First stage of the flow. `mysql` and `mysql_common` are named here only. Every event's
//! CRC32 is checked before anything looks into it; positions are 64 bits, counted on from
//! the events' own. It does not know transactions, tables or values.

mod behind;
mod catalog;
mod connect;
mod error;
mod feed;
mod gtid;
mod half_logged;
mod questions;
mod server;
mod session;
mod stream;

pub use catalog::{Catalog, Unlogged};
pub use connect::connect;
pub use error::SourceError;
pub use gtid::GtidState;
pub use half_logged::{Cascade, SpecialTable};
pub use questions::{Granted, Questions};
pub use server::{Flavor, LogFiles, Server};
pub use session::SourceSession;
pub use stream::{EventStream, RawEvent, scan_server_id};
