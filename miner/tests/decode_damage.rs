//! Damaged events end in an error or in other values, never in a panic, a hang or a
//! huge allocation.
//!
//! In operation the CRC32 finds such damage first; here it meets the decoder directly.
//! The damage is done to the golden files, so every kind of event and type is hit.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::HashMap;
use std::fs;

use common::table::TableDefinition;
use miner::decode::{
    Event, EventHeader, EventParser, NulBytePolicy, RowDecoder, RowImage, RowsEvent, TableMap,
    check_fit, from_metadata,
};
use proptest::prelude::*;

use crate::decode_golden::{catalog, data, events};

const FILES: [&str; 11] = [
    "mariadb1011_old_temporals",
    "mariadb1011",
    "mariadb118",
    "mysql57",
    "mysql97",
    "mariadb1011_compressed",
    "mysql97_compressed",
    "mysql57_events",
    "mysql97_events",
    "mariadb1011_events",
    "mariadb118_events",
];

/// Text may be longer than its bytes: hexadecimal, padding, labels, compression. This is
/// more than any of it; what it rules out is growth without bound.
const MAX_TEXT_BYTES: usize = 64 << 20;

/// A golden file in memory.
struct Golden {
    bytes: Vec<u8>,
    catalog: HashMap<String, TableDefinition>,
}

impl Golden {
    fn read(name: &str) -> Self {
        Self {
            bytes: fs::read(data(&format!("{name}.binlog"))).unwrap(),
            catalog: catalog(name),
        }
    }

    /// A parser that knows the file's format, and the table map before each event.
    fn context(&self) -> (EventParser, Vec<Context<'_>>) {
        let mut parser = EventParser::new();
        let mut last_map = None;
        let mut contexts = Vec::new();
        for (header, body) in events(&self.bytes) {
            let event = parser.parse(&header, body).unwrap();
            if let Event::TableMap(map) = &event {
                last_map = Some(TableMap::clone(map));
            }
            contexts.push(Context {
                header,
                body,
                map: last_map.clone(),
            });
        }
        (parser, contexts)
    }

    /// Decodes a damaged body as far as it goes.
    fn survive(&self, parser: &mut EventParser, context: &Context<'_>, body: &[u8]) {
        let header = EventHeader {
            event_size: u32::try_from(EventHeader::LEN + body.len() + 4).unwrap(),
            ..context.header
        };
        match parser.parse(&header, body) {
            Ok(Event::TableMap(map)) => {
                if let Some(definition) = self.catalog.get(&map.name.table) {
                    let _ = check_fit(&map, definition);
                    let _ = from_metadata(&map, Some(definition));
                }
                let _ = from_metadata(&map, None);
            }
            Ok(Event::Rows(rows)) => {
                if let Some(map) = &context.map {
                    self.decode(map, &rows);
                }
            }
            Ok(Event::TransactionPayload(payload)) => {
                let mut inner = EventParser::new();
                if let Ok(mut events) = payload.events(1 << 24) {
                    while let Ok(Some((header, body))) = events.next_event() {
                        let _ = inner.parse(&header, body);
                    }
                }
            }
            Ok(_) | Err(_) => {}
        }
    }

    fn decode(&self, map: &TableMap, rows: &RowsEvent<'_>) {
        let cataloged = self.catalog.get(&map.name.table);
        let own = from_metadata(map, cataloged).ok();
        // A table that the file drops later has no definition where the event brings none.
        let Some(definition) = own.or_else(|| cataloged.cloned()) else {
            return;
        };
        let Ok(decoder) = RowDecoder::new(map, &definition, NulBytePolicy::Replace) else {
            return;
        };
        let mut image = RowImage::new();
        let mut input: &[u8] = &rows.rows;
        while !input.is_empty() {
            let left = input.len();
            for present in [rows.before, rows.after].into_iter().flatten() {
                if decoder.decode(&mut input, present, &mut image).is_err() {
                    return;
                }
            }
            assert!(input.len() < left, "no progress");
            assert!(image.text().len() < MAX_TEXT_BYTES, "text grows");
            assert!(std::str::from_utf8(image.text()).is_ok());
            image.clear();
        }
    }
}

/// An event and what came before it.
struct Context<'a> {
    header: EventHeader,
    body: &'a [u8],
    map: Option<TableMap>,
}

#[test]
fn events_cut_at_every_byte_are_survived() {
    const WHOLE_BYTES: usize = 600;
    let mut cuts = 0;
    for name in FILES {
        let golden = Golden::read(name);
        let (mut parser, contexts) = golden.context();
        for context in &contexts {
            let len = context.body.len();
            // Long events: every byte of the head, then steps.
            let head = 0..len.min(WHOLE_BYTES);
            let steps = (WHOLE_BYTES..len).step_by(1 + len / 200);
            for cut in head.chain(steps) {
                golden.survive(&mut parser, context, &context.body[..cut]);
                cuts += 1;
            }
        }
    }
    assert!(cuts > 50_000, "{cuts} cuts");
}

proptest! {
    #[test]
    fn flipped_bytes_are_survived(
        file in 0..FILES.len(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        heads in any::<bool>(),
    ) {
        let golden = Golden::read(FILES[file]);
        let (mut parser, contexts) = golden.context();
        for context in contexts.iter().filter(|context| !context.body.is_empty()) {
            let mut body = context.body.to_vec();
            // Half of the runs damage the first bytes, where the structure is.
            let reach = if heads { body.len().min(64) } else { body.len() };
            for (index, value) in &flips {
                let at = index.index(reach);
                body[at] ^= value;
            }
            golden.survive(&mut parser, context, &body);
        }
    }
}
