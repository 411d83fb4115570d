//! Values whose bytes have a structure: GEOMETRY, VECTOR, INET4, INET6, UUID.

use super::copy_text::{CopyText, MAX_TEXT_BYTES, hex_pair};
use super::error::CellError;
use super::number::push_display;

/// Appends a GEOMETRY as EWKB in hexadecimal, as bytea and PostGIS read it.
///
/// Stored are the SRID (4 bytes little-endian) and WKB. EWKB (PostGIS manual, "OpenGIS
/// WKB and WKT") puts the SRID behind the first type code, which gets a flag; without an
/// SRID it is plain WKB. Coordinates are in x, y order in both, whatever the SRS.
pub(super) fn push_geometry(value: &[u8], out: &mut CopyText) -> Result<(), CellError> {
    const SRID_FLAG: u32 = 0x2000_0000;
    const LITTLE_ENDIAN: u8 = 1;
    const GEOMETRY: CellError = CellError::range("geometry header");
    let (srid, wkb) = value.split_first_chunk::<4>().ok_or(GEOMETRY)?;
    if *srid == [0; 4] {
        return out.push_bytea(wkb);
    }
    let (order, rest) = wkb.split_first().ok_or(GEOMETRY)?;
    let (kind, rest) = rest.split_first_chunk::<4>().ok_or(GEOMETRY)?;
    // The servers store little-endian WKB only.
    if *order != LITTLE_ENDIAN {
        return Err(GEOMETRY);
    }
    if rest.len().saturating_mul(2) > MAX_TEXT_BYTES {
        return Err(CellError::Oversized { bytes: value.len() });
    }
    let kind = u32::from_le_bytes(*kind) | SRID_FLAG;
    out.push_plain(b"\\\\x");
    out.push_hex(&[*order]);
    out.push_hex(&kind.to_le_bytes());
    out.push_hex(srid);
    out.push_hex(rest);
    Ok(())
}

/// Appends a VECTOR, 32-bit floats little-endian, as `[1,2.5,-3e-5]`.
pub(super) fn push_vector(value: &[u8], out: &mut CopyText) -> Result<(), CellError> {
    let (floats, rest) = value.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(CellError::range("vector length"));
    }
    out.push_plain(b"[");
    for (i, float) in floats.iter().enumerate() {
        if i > 0 {
            out.push_plain(b",");
        }
        super::number::push_float(&mut &float[..], out)?;
    }
    out.push_plain(b"]");
    Ok(())
}

/// The value with the 0x00 at its end that the row image leaves out.
pub(super) fn padded<const N: usize>(value: &[u8]) -> Result<[u8; N], CellError> {
    let mut whole = [0; N];
    whole
        .get_mut(..value.len())
        .ok_or(CellError::TooLong { bytes: value.len() })?
        .copy_from_slice(value);
    Ok(whole)
}

/// Appends an INET4.
pub(super) fn push_inet4(value: &[u8], out: &mut CopyText) -> Result<(), CellError> {
    push_dotted(padded(value)?, out);
    Ok(())
}

fn push_dotted(bytes: [u8; 4], out: &mut CopyText) {
    for (i, byte) in bytes.into_iter().enumerate() {
        if i > 0 {
            out.push_plain(b".");
        }
        push_display(byte, out);
    }
}

/// Appends an INET6 as MariaDB prints it: groups without leading zeros, the first of the
/// longest runs of zero groups as `::` (a single one too), addresses that embed an IPv4 one
/// (`::a.b.c.d`, `::ffff:a.b.c.d`) with dots.
pub(super) fn push_inet6(value: &[u8], out: &mut CopyText) -> Result<(), CellError> {
    let bytes: [u8; 16] = padded(value)?;
    let mut groups = [0_u16; 8];
    for (group, pair) in groups.iter_mut().zip(bytes.as_chunks::<2>().0) {
        *group = u16::from_be_bytes(*pair);
    }
    let gap = longest_zeros(&groups);
    let [.., a, b, c, d] = bytes;
    let embeds_ipv4 = match groups {
        [0, 0, 0, 0, 0, 0, high, _] => high != 0,
        [0, 0, 0, 0, 0, 0xffff, _, _] => true,
        _ => false,
    };
    let shown = if embeds_ipv4 { 6 } else { 8 };
    let mut at_start = true;
    for (i, group) in groups.iter().enumerate().take(shown) {
        if gap.contains(&i) {
            if i == gap.start {
                out.push_plain(b"::");
                at_start = true;
            }
            continue;
        }
        if !at_start {
            out.push_plain(b":");
        }
        push_group(*group, out);
        at_start = false;
    }
    if embeds_ipv4 {
        if !at_start {
            out.push_plain(b":");
        }
        push_dotted([a, b, c, d], out);
    }
    Ok(())
}

/// The first of the longest runs of zero groups, or an empty range.
fn longest_zeros(groups: &[u16; 8]) -> std::ops::Range<usize> {
    let mut longest = 0..0;
    let mut start = 0;
    for (i, group) in groups.iter().enumerate() {
        if *group != 0 {
            start = i + 1;
        } else if i + 1 - start > longest.len() {
            longest = start..i + 1;
        }
    }
    longest
}

/// Hexadecimal without leading zeros.
fn push_group(group: u16, out: &mut CopyText) {
    let [high, low] = group.to_be_bytes();
    let [a, b] = hex_pair(high);
    let [c, d] = hex_pair(low);
    let digits = [a, b, c, d];
    let zeros = digits.iter().take(3).take_while(|d| **d == b'0').count();
    out.push_plain(digits.get(zeros..).unwrap_or_default());
}

/// Appends a UUID.
///
/// MariaDB (`plugin/type_uuid/sql_type_uuid.h`) stores versions 1 to 5 with the five
/// segments in reverse order, so that time-based ones sort by node and time, and others
/// as they are. A reversed one shows its variant (high bit set) in byte 6 and its
/// version in byte 8. Columns made before MariaDB 10.11.5 have all versions reversed; of
/// these, 6 and 7 can be told (no other UUID has such bytes), 8 and above cannot.
pub(super) fn push_uuid(value: &[u8], out: &mut CopyText) -> Result<(), CellError> {
    const SEGMENTS: [usize; 5] = [4, 2, 2, 2, 6];
    let stored: [u8; 16] = padded(value)?;
    let [_, _, _, _, _, _, variant, _, version, ..] = stored;
    let reversed = variant & 0x80 != 0 && (0x01..0x80).contains(&version);
    let mut rest = stored.as_slice();
    for (i, len) in SEGMENTS.into_iter().enumerate() {
        if i > 0 {
            out.push_plain(b"-");
        }
        let (segment, left) = if reversed {
            let (left, segment) = rest.split_at_checked(rest.len() - len).unwrap_or_default();
            (segment, left)
        } else {
            rest.split_at_checked(len).unwrap_or_default()
        };
        out.push_hex(segment);
        rest = left;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(
        value: &[u8],
        push: fn(&[u8], &mut CopyText) -> Result<(), CellError>,
    ) -> Result<String, CellError> {
        let mut out = CopyText::default();
        push(value, &mut out)?;
        Ok(String::from_utf8(out.bytes).unwrap())
    }

    #[test]
    fn geometries_carry_their_srid() {
        let point = [
            &[0, 0, 0, 0, 1, 1, 0, 0, 0][..],
            &1.0_f64.to_le_bytes(),
            &2.0_f64.to_le_bytes(),
        ]
        .concat();
        let coordinates = "000000000000f03f0000000000000040";
        assert_eq!(
            text(&point, push_geometry),
            Ok(format!("\\\\x0101000000{coordinates}"))
        );
        let mut with_srid = point.clone();
        with_srid[..4].copy_from_slice(&4326_u32.to_le_bytes());
        assert_eq!(
            text(&with_srid, push_geometry),
            Ok(format!("\\\\x0101000020e6100000{coordinates}"))
        );
        assert!(text(&with_srid[..8], push_geometry).is_err());
    }

    #[test]
    fn vectors_are_lists() {
        let bytes: Vec<u8> = [1.0_f32, -0.5, 0.1]
            .iter()
            .flat_map(|f| f.to_le_bytes())
            .collect();
        assert_eq!(text(&bytes, push_vector).as_deref(), Ok("[1,-0.5,0.1]"));
        assert_eq!(text(&[], push_vector).as_deref(), Ok("[]"));
        assert!(text(&bytes[..5], push_vector).is_err());
    }

    #[test]
    fn addresses_have_their_longest_run_of_zeros_shortened() {
        for (address, expected) in [
            ("::", "::"),
            ("::1", "::1"),
            ("1::", "1::"),
            ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
            ("1:2:3:4:5:6:7:0", "1:2:3:4:5:6:7::"),
            ("1:0:3:4:5:6:7:8", "1::3:4:5:6:7:8"),
            ("0:0:3:0:0:6:7:8", "::3:0:0:6:7:8"),
            ("1:0:2:0:0:3::", "1:0:2::3:0:0"),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
            ("::192.0.2.1", "::192.0.2.1"),
        ] {
            let octets = address.parse::<std::net::Ipv6Addr>().unwrap().octets();
            assert_eq!(text(&octets, push_inet6).as_deref(), Ok(expected));
        }
        assert_eq!(text(&[10], push_inet4).as_deref(), Ok("10.0.0.0"));
    }

    #[test]
    fn uuids_of_versions_1_to_5_are_stored_in_reverse() {
        let reversed = [
            0x42, 0x66, 0x55, 0x44, 0x00, 0x00, 0xa4, 0x56, 0x12, 0xd3, 0xe8, 0x9b, 0x12, 0x3e,
            0x45, 0x67,
        ];
        assert_eq!(
            text(&reversed, push_uuid).as_deref(),
            Ok("123e4567-e89b-12d3-a456-426655440000")
        );
        let plain = [
            0x01, 0x8d, 0x3f, 0x7b, 0x1c, 0x2d, 0x7a, 0xbc, 0x8d, 0xef, 1, 2, 3, 4, 5, 6,
        ];
        assert_eq!(
            text(&plain, push_uuid).as_deref(),
            Ok("018d3f7b-1c2d-7abc-8def-010203040506")
        );
        assert_eq!(
            text(&[], push_uuid).as_deref(),
            Ok("00000000-0000-0000-0000-000000000000")
        );
    }
}
