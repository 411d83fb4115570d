//! Collation ids to character sets.
//!
//! Ids are those of `information_schema.collations` on MySQL 5.7, 9.7 and MariaDB 10.11.
//! MariaDB's NO PAD variants are the base id plus 1024; its UCA 14.0.0 collations take
//! 256 ids per charset from 2048 (`information_schema.
//! collation_character_set_applicability`).

/// First and last id, charset; ascending.
const RANGES: &[(u64, u64, &str)] = &[
    (1, 1, "big5"),
    (2, 2, "latin2"),
    (3, 3, "dec8"),
    (4, 4, "cp850"),
    (5, 5, "latin1"),
    (6, 6, "hp8"),
    (7, 7, "koi8r"),
    (8, 8, "latin1"),
    (9, 9, "latin2"),
    (10, 10, "swe7"),
    (11, 11, "ascii"),
    (12, 12, "ujis"),
    (13, 13, "sjis"),
    (14, 14, "cp1251"),
    (15, 15, "latin1"),
    (16, 16, "hebrew"),
    (18, 18, "tis620"),
    (19, 19, "euckr"),
    (20, 20, "latin7"),
    (21, 21, "latin2"),
    (22, 22, "koi8u"),
    (23, 23, "cp1251"),
    (24, 24, "gb2312"),
    (25, 25, "greek"),
    (26, 26, "cp1250"),
    (27, 27, "latin2"),
    (28, 28, "gbk"),
    (29, 29, "cp1257"),
    (30, 30, "latin5"),
    (31, 31, "latin1"),
    (32, 32, "armscii8"),
    (33, 33, "utf8mb3"),
    (34, 34, "cp1250"),
    (35, 35, "ucs2"),
    (36, 36, "cp866"),
    (37, 37, "keybcs2"),
    (38, 38, "macce"),
    (39, 39, "macroman"),
    (40, 40, "cp852"),
    (41, 42, "latin7"),
    (43, 43, "macce"),
    (44, 44, "cp1250"),
    (45, 46, "utf8mb4"),
    (47, 49, "latin1"),
    (50, 52, "cp1251"),
    (53, 53, "macroman"),
    (54, 55, "utf16"),
    (56, 56, "utf16le"),
    (57, 57, "cp1256"),
    (58, 59, "cp1257"),
    (60, 61, "utf32"),
    (62, 62, "utf16le"),
    (63, 63, "binary"),
    (64, 64, "armscii8"),
    (65, 65, "ascii"),
    (66, 66, "cp1250"),
    (67, 67, "cp1256"),
    (68, 68, "cp866"),
    (69, 69, "dec8"),
    (70, 70, "greek"),
    (71, 71, "hebrew"),
    (72, 72, "hp8"),
    (73, 73, "keybcs2"),
    (74, 74, "koi8r"),
    (75, 75, "koi8u"),
    (76, 76, "utf8mb3"),
    (77, 77, "latin2"),
    (78, 78, "latin5"),
    (79, 79, "latin7"),
    (80, 80, "cp850"),
    (81, 81, "cp852"),
    (82, 82, "swe7"),
    (83, 83, "utf8mb3"),
    (84, 84, "big5"),
    (85, 85, "euckr"),
    (86, 86, "gb2312"),
    (87, 87, "gbk"),
    (88, 88, "sjis"),
    (89, 89, "tis620"),
    (90, 90, "ucs2"),
    (91, 91, "ujis"),
    (92, 93, "geostd8"),
    (94, 94, "latin1"),
    (95, 96, "cp932"),
    (97, 98, "eucjpms"),
    (99, 99, "cp1250"),
    (101, 124, "utf16"),
    (128, 151, "ucs2"),
    (159, 159, "ucs2"),
    (160, 183, "utf32"),
    (192, 215, "utf8mb3"),
    (223, 223, "utf8mb3"),
    (224, 247, "utf8mb4"),
    (248, 250, "gb18030"),
    (255, 271, "utf8mb4"),
    (273, 275, "utf8mb4"),
    (277, 294, "utf8mb4"),
    (296, 298, "utf8mb4"),
    (300, 300, "utf8mb4"),
    (303, 323, "utf8mb4"),
    (576, 578, "utf8mb3"),
    (608, 610, "utf8mb4"),
    (640, 642, "ucs2"),
    (672, 674, "utf16"),
    (736, 738, "utf32"),
];

/// First id of MariaDB's UCA 14.0.0 collations, and how many each charset has.
const UCA1400_FIRST: u64 = 2048;
const UCA1400_IDS: u64 = 256;

/// Distance of MariaDB's NO PAD collations to their PAD SPACE twins.
const NOPAD: u64 = 1024;

/// The charset of a collation id, by MySQL's name; `None` if the id is not known.
pub(super) fn charset_of(collation: u64) -> Option<&'static str> {
    if collation >= UCA1400_FIRST {
        return match (collation - UCA1400_FIRST) / UCA1400_IDS {
            0 => Some("utf8mb3"),
            1 => Some("utf8mb4"),
            2 => Some("ucs2"),
            3 => Some("utf16"),
            4 => Some("utf32"),
            _ => None,
        };
    }
    let id = if collation >= NOPAD {
        collation - NOPAD
    } else {
        collation
    };
    let index = RANGES.partition_point(|(_, last, _)| *last < id);
    RANGES
        .get(index)
        .filter(|(first, _, _)| *first <= id)
        .map(|(_, _, charset)| *charset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_all_servers_name_their_charset() {
        for (id, charset) in [
            (8, "latin1"),
            (33, "utf8mb3"),
            (45, "utf8mb4"),
            (63, "binary"),
            (255, "utf8mb4"),
            (323, "utf8mb4"),
            (1032, "latin1"),
            (1047 + 22, "utf8mb4"),
            (2048, "utf8mb3"),
            (2304, "utf8mb4"),
            (3271, "utf32"),
        ] {
            assert_eq!(charset_of(id), Some(charset), "{id}");
        }
    }

    #[test]
    fn ids_in_gaps_are_unknown() {
        for id in [0, 17, 100, 500, 1024, 4000, u64::MAX] {
            assert_eq!(charset_of(id), None, "{id}");
        }
    }

    #[test]
    fn ranges_ascend_without_overlap() {
        assert!(RANGES.iter().all(|(first, last, _)| first <= last));
        assert!(RANGES.windows(2).all(|pair| pair[0].1 < pair[1].0));
    }
}
