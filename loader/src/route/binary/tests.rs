use super::*;

const ALL: [Encoder; 17] = [
    Encoder::Boolean,
    Encoder::SmallInt,
    Encoder::Integer,
    Encoder::BigInt,
    Encoder::Real,
    Encoder::Double,
    Encoder::Numeric,
    Encoder::Text,
    Encoder::Jsonb,
    Encoder::Bytes,
    Encoder::Date,
    Encoder::Time,
    Encoder::Timestamp,
    Encoder::TimestampTz,
    Encoder::Interval,
    Encoder::Uuid,
    Encoder::Bits,
];

fn encode(encoder: Encoder, cell: &str) -> Result<Vec<u8>, NotBinary> {
    let mut out = Vec::new();
    encoder.write(cell.as_bytes(), &mut out)?;
    let (length, value) = out.split_first_chunk().unwrap();
    assert_eq!(
        i32::from_be_bytes(*length),
        i32::try_from(value.len()).unwrap()
    );
    Ok(value.to_vec())
}

#[test]
fn null_is_a_length_whatever_the_type() {
    for encoder in ALL {
        let mut out = Vec::new();
        encoder.write(b"\\N", &mut out).unwrap();
        assert_eq!(out, [0xff; 4], "{encoder:?}");
    }
}

#[test]
fn values_are_laid_out_as_the_receive_functions_read_them() {
    for (encoder, cell, expected) in [
        (Encoder::Boolean, "t", &[1][..]),
        (Encoder::SmallInt, "-32768", &[0x80, 0]),
        (Encoder::Integer, "258", &[0, 0, 1, 2]),
        (
            Encoder::BigInt,
            "-9223372036854775808",
            &[0x80, 0, 0, 0, 0, 0, 0, 0],
        ),
        (Encoder::Real, "1", &[0x3f, 0x80, 0, 0]),
        (Encoder::Double, "-0", &[0x80, 0, 0, 0, 0, 0, 0, 0]),
        // Groups, weight, sign, scale; 12 3400.
        (
            Encoder::Numeric,
            "12.34",
            &[0, 2, 0, 0, 0, 0, 0, 2, 0, 12, 0x0d, 0x48],
        ),
        (Encoder::Numeric, "-0.00", &[0, 0, 0, 0, 0, 0, 0, 2]),
        (Encoder::Numeric, "-1e8", &[0, 1, 0, 2, 0x40, 0, 0, 0, 0, 1]),
        (
            Encoder::Numeric,
            "0.00010",
            &[0, 1, 0xff, 0xff, 0, 0, 0, 5, 0, 1],
        ),
        (Encoder::Text, "a\\\\b\\tc\\nd\\re", b"a\\b\tc\nd\re"),
        (Encoder::Jsonb, "{}", b"\x01{}"),
        (Encoder::Bytes, "\\\\x00fF", &[0, 0xff]),
        (Encoder::Bytes, "\\\\x", &[]),
        (Encoder::Date, "1999-12-31", &[0xff; 4]),
        (Encoder::Time, "00:00:00.000001", &[0, 0, 0, 0, 0, 0, 0, 1]),
        (Encoder::Timestamp, "1999-12-31 23:59:59.999999", &[0xff; 8]),
        (
            Encoder::TimestampTz,
            "2000-01-01 00:00:00.1+00",
            &[0, 0, 0, 0, 0, 1, 0x86, 0xa0],
        ),
        (Encoder::Bits, "100000001", &[0, 0, 0, 9, 0x80, 0x80]),
    ] {
        assert_eq!(
            encode(encoder, cell).unwrap(),
            expected,
            "{encoder:?} {cell}"
        );
    }
    let interval = encode(Encoder::Interval, "-00:00:00.000001").unwrap();
    assert_eq!(interval, [[0xff; 8], [0; 8]].concat());
}

#[test]
fn what_staging_does_not_write_is_left_to_text() {
    for (encoder, cells) in [
        (Encoder::Boolean, &["", "1", "true"][..]),
        (
            Encoder::SmallInt,
            &["", "-", "32768", "+1", " 1", "1.0", "1e2"],
        ),
        (Encoder::Integer, &["2147483648", "0x1"]),
        (
            Encoder::BigInt,
            &[
                "9223372036854775808",
                "-9223372036854775809",
                "99999999999999999999",
            ],
        ),
        (
            Encoder::Real,
            &[
                "", "nan", "inf", "-inf", "1e39", "1e-46", "NaN", "infinity", "1f",
            ],
        ),
        (Encoder::Double, &["1e309", "1e-400", ".5", "1_0"]),
        (
            Encoder::Numeric,
            &[
                "",
                "-",
                ".5",
                "5.",
                "1e",
                "1e+",
                "NaN",
                "1.2.3",
                "1e99999999999",
                "+1",
            ],
        ),
        (Encoder::Text, &["a\\", "\\b", "\\-", "\\x41", "\\101"]),
        (Encoder::Bytes, &["", "\\\\x0", "\\\\x0g", "\\x00", "00"]),
        (
            Encoder::Date,
            &[
                "0000-01-01",
                "2023-02-29",
                "1900-02-29",
                "2024-04-31",
                "2024-13-01",
                "2024-00-01",
                "24-01-01",
                "10000-01-01",
            ],
        ),
        (
            Encoder::Time,
            &[
                "24:00:00.000001",
                "25:00:00",
                "-00:00:01",
                "1:00:00",
                "00:60:00",
                "00:00:60",
                "00:00:00.",
                "00:00:00.1234567",
            ],
        ),
        (
            Encoder::Timestamp,
            &[
                "2024-01-01",
                "2024-01-01 24:00:00",
                "2024-01-01T00:00:00",
                "2024-02-30 00:00:00",
                "2024-01-01 00:00:00+00",
            ],
        ),
        (
            Encoder::TimestampTz,
            &["2024-01-01 00:00:00+01", "2024-01-01 00:00:00+00+00"],
        ),
        (
            Encoder::Interval,
            &[
                "--01:00:00",
                "1 day",
                "1000:00:00",
                "1:00:00",
                "00:00",
                "01:00:00 ago",
            ],
        ),
        (
            Encoder::Uuid,
            &[
                "",
                "{00112233-4455-6677-8899-aabbccddeeff}",
                "0011-22334455-6677-8899-aabbccddeeff",
                "00112233445566778899aabbccddeef",
                "00112233-4455-6677-8899-aabbccddeefg",
            ],
        ),
        (Encoder::Bits, &["2", "0b1"]),
    ] {
        for cell in cells {
            assert_eq!(encode(encoder, cell), Err(NotBinary), "{encoder:?} {cell}");
        }
    }
}

#[test]
fn no_cell_cut_or_changed_anywhere_makes_it_panic() {
    let cells = [
        "-9223372036854775808",
        "-1.2345678e-300",
        "99999999999999999999999999999.999999999999999999999999999999",
        "\\\\x00ff\\\\\\t",
        "9999-12-31 23:59:59.999999+00",
        "-838:59:59.999999",
        "00112233-4455-6677-8899-aabbccddeeff",
        "10101010101",
    ];
    for cell in cells {
        for cut in 0..=cell.len() {
            for byte in 0..=255 {
                let mut damaged = cell.as_bytes()[..cut].to_vec();
                damaged.push(byte);
                damaged.extend_from_slice(&cell.as_bytes()[cut..]);
                for encoder in ALL {
                    let mut out = Vec::new();
                    let _ = encoder.write(&damaged, &mut out);
                    let _ = encoder.write(&damaged[..cut], &mut out);
                    let _ = encoder.write(&damaged[..=cut], &mut out);
                }
            }
        }
    }
}
