//! CHAR, VARCHAR, TEXT, ENUM, SET, BINARY, BLOB, INET, UUID, compressed columns.

use testkit::{CellRule, Flavor};

use crate::case::{Case, Place, bytes, text};
use crate::random::Random;

pub(crate) fn cases(flavor: Flavor, random: &mut Random) -> Vec<Case> {
    let mut cases = texts(random);
    cases.extend(binaries(random));
    cases.extend(labels());
    if flavor.is_mariadb() {
        cases.extend(addresses(random));
        cases.extend(compressed(random));
    }
    cases
}

/// What COPY, arrays and clients give a meaning to.
pub(crate) const SPECIAL: [&str; 22] = [
    "",
    " ",
    "\t",
    "tab\tend",
    "line\nfeed",
    "cr\rcr",
    "crlf\r\n",
    "back\\slash",
    "\\",
    "\\\\",
    "\\N",
    "\\.",
    "NULL",
    "quo'te \"s\"",
    "{a,b}",
    "\u{8}\u{b}\u{c}\u{1}\u{1f}\u{7f}",
    "\\x41\\t",
    "  lead",
    "é€ß",
    "中文 日本語 한국어",
    "😀🏳",
    "%s $1 \\012",
];

fn random_text(random: &mut Random, longest: u64) -> String {
    (0..random.below(longest + 1))
        .map(|_| {
            loop {
                let bits = random.bits();
                let range = *random.pick(&[0x5f, 0x5f, 0x1ff, 0xffff, 0x10_ffff_u64]);
                let code = u32::try_from(0x20 + bits % (range - 0x1f)).unwrap();
                if let Some(c) = char::from_u32(code) {
                    break c;
                }
            }
        })
        .collect()
}

fn some_texts(random: &mut Random, longest: u64) -> Vec<String> {
    let mut values: Vec<String> = SPECIAL.iter().map(|value| text(value)).collect();
    values.extend((0..12).map(|_| text(&random_text(random, longest))));
    values
}

const DOCUMENTS: [&str; 4] = [
    r#"'{"a": [1, 2.50, "x\\ty"], "b": null}'"#,
    "'[]'",
    r#"'"\\u00e9"'"#,
    "'12345678901234567890123'",
];

const UUIDS: [&str; 3] = [
    "'00112233-4455-6677-8899-aabbccddeeff'",
    "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",
    "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
];

fn texts(random: &mut Random) -> Vec<Case> {
    const UTF8: &str = "character set utf8mb4 collate utf8mb4_bin";
    let uuid = || {
        Place::new("uuid")
            .values(&UUIDS)
            .read("lower({})", "{}::text")
    };
    let document = |sql: &str| {
        Place::new(sql).values(&DOCUMENTS).read_as(
            "convert({} using utf8mb4)",
            "{}::text",
            CellRule::Json,
        )
    };
    let full = |c: &str, count: usize| text(&c.repeat(count));
    vec![
        Case::new(
            "VARCHAR(n)",
            format!("varchar(40) {UTF8}"),
            Place::new("varchar(40)").label("varchar(n)"),
        )
        .name("varchar_40")
        .values(some_texts(random, 40))
        .values([full("😀", 40)])
        .accepts(Place::new("varchar(41)").label("wider varchar"))
        .accepts(Place::new("varchar"))
        .accepts(Place::new("text"))
        .accepts(document("json"))
        .accepts(document("jsonb"))
        .accepts(uuid()),
        Case::new(
            "VARCHAR(n)",
            "varchar(300) character set utf8",
            Place::new("varchar(300)").label("varchar(n)"),
        )
        .name("varchar_300")
        .values([full("ü", 300), text("a"), text("A"), text("a "), text("")]),
        Case::new(
            "CHAR(n)",
            format!("char(12) {UTF8}"),
            Place::new("varchar(12)").label("varchar(n)"),
        )
        .name("char_12")
        .values(some_texts(random, 12))
        .accepts(Place::new("char(12)").label("char(n)"))
        .accepts(Place::new("varchar(20)").label("wider varchar"))
        .accepts(Place::new("text")),
        Case::new(
            "CHAR(n)",
            format!("char(255) {UTF8}"),
            Place::new("varchar(255)").label("varchar(n)"),
        )
        .name("char_255")
        .values([
            full("a", 255),
            full("é", 255),
            full("😀", 255),
            text(""),
            text("x"),
        ]),
        Case::new(
            "CHAR(n)",
            format!("char(36) {UTF8}"),
            Place::new("varchar(36)").label("varchar(n)"),
        )
        .name("char_36")
        .values(UUIDS)
        .accepts(uuid()),
        Case::new(
            "CHAR(n)",
            "char(0)",
            Place::new("varchar(1)").label("varchar(n)"),
        )
        .values(["''"])
        .accepts(Place::new("text"))
        .no_key(),
        long_text("tinytext", random),
        long_text("text", random)
            .accepts(document("json"))
            .accepts(document("jsonb")),
        long_text("mediumtext", random),
        long_text("longtext", random)
            .values([format!("repeat('{}', 40000)", "é\t\\\\")])
            .accepts(document("json")),
    ]
}

fn long_text(source: &str, random: &mut Random) -> Case {
    Case::new(
        "TINYTEXT to LONGTEXT",
        format!("{source} character set utf8mb4"),
        Place::new("text"),
    )
    .name(source)
    .values(some_texts(random, 60))
    .no_key()
}

fn binaries(random: &mut Random) -> Vec<Case> {
    let mut short: Vec<String> = [
        "", "00", "0000", "61", "6100", "20", "2000", "5c4e", "5c2e", "09", "0a",
    ]
    .map(|hex| format!("x'{hex}'"))
    .to_vec();
    short.push(bytes(&[0xff, 0x80, 0xc3, 0x28]));
    let mut long = short.clone();
    for _ in 0..8 {
        let count = random.below(250);
        long.push(bytes(&random.bytes(count)));
    }
    long.push(bytes(&(0..=255).collect::<Vec<u8>>()));
    let sixteen: Vec<String> = (0..4).map(|_| bytes(&random.bytes(16))).collect();
    let uuid = |values: &[String]| {
        Place::new("uuid")
            .label("uuid (16 bytes)")
            .only(values, |value| value.len() == 35)
    };
    let case = |row, source: &str, values: &[String]| {
        Case::new(row, source, Place::new("bytea")).values(values)
    };
    let fixed: Vec<String> = [&short[..], &sixteen[..]].concat();
    vec![
        case("BINARY(n)", "binary(4)", &short),
        case("BINARY(n)", "binary(16)", &fixed)
            .accepts(Place::new("uuid").label("uuid (16 bytes)")),
        case("BINARY(n)", "binary(255)", &short),
        case("BINARY(n)", "char(4) character set binary", &short),
        case("VARBINARY(n)", "varbinary(300)", &long),
        case("VARBINARY(n)", "varbinary(16)", &fixed).accepts(uuid(&fixed)),
        case("TINYBLOB to LONGBLOB", "tinyblob", &short).no_key(),
        case("TINYBLOB to LONGBLOB", "blob", &long).no_key(),
        case("TINYBLOB to LONGBLOB", "mediumblob", &long).no_key(),
        case("TINYBLOB to LONGBLOB", "longblob", &long)
            .values(["repeat(x'00ff5c', 50000)"])
            .no_key(),
    ]
}

fn enumeration(labels: &[&str]) -> String {
    let labels: Vec<String> = labels.iter().map(|label| text(label)).collect();
    format!("({})", labels.join(", "))
}

/// A column of labels: the values are the labels, a wrong one (index 0), and for SET all
/// labels at once.
fn labelled(kind: &str, name: &str, charset: &str, labels: &[&str]) -> Case {
    let (row, all) = if kind == "enum" {
        ("ENUM", None)
    } else {
        ("SET", Some(text(&labels.join(","))))
    };
    let mut case = Case::new(
        row,
        format!("{kind}{} character set {charset}", enumeration(labels)),
        Place::new("text"),
    )
    .name(name)
    .values(labels.iter().map(|label| text(label)))
    .values([text("no such label")])
    .values(all);
    if kind == "enum" {
        let mut place = Place::new(format!("{name}_type")).label("enum type");
        let with_index_zero = labels.iter().chain(&[""]).map(|label| (*label).to_owned());
        let mut seen = Vec::new();
        for label in with_index_zero {
            if !seen.contains(&label) {
                seen.push(label);
            }
        }
        place.enum_labels = Some(seen);
        let longest = labels.iter().map(|label| label.chars().count()).max();
        case = case.accepts(place).accepts(
            Place::new(format!("varchar({})", longest.unwrap_or(1).max(1))).label("varchar"),
        );
    } else {
        let length: usize = labels.iter().map(|label| label.chars().count() + 1).sum();
        case = case
            .accepts(Place::new("text[]"))
            .accepts(Place::new(format!("varchar({length})")).label("varchar"));
    }
    case
}

fn labels() -> Vec<Case> {
    let wide: Vec<String> = (0..260).map(|number| format!("w{number}")).collect();
    let wide: Vec<&str> = wide.iter().map(String::as_str).collect();
    let odd = [
        "a", "it's", "b\\c", "tab\tx", "q\"uote", "ü", "NULL", "{x}", "\\N", "a b",
    ];
    let many: Vec<String> = (0..64).map(|number| format!("{number:02}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    vec![
        labelled("enum", "enum_odd", "utf8mb4", &odd),
        labelled("enum", "enum_latin1", "latin1", &["x", "é", "€"]),
        labelled("enum", "enum_gbk", "gbk", &["中", "文字"]),
        labelled("enum", "enum_wide", "ascii", &wide),
        labelled("set", "set_odd", "utf8mb4", &odd),
        labelled("set", "set_cp1251", "cp1251", &["ж", "я", "x"]),
        labelled("set", "set_sjis", "sjis", &["ソ", "日本", "x"]),
        labelled("set", "set_64", "ascii", &many),
    ]
}

fn addresses(random: &mut Random) -> Vec<Case> {
    let mut six: Vec<String> = [
        "::",
        "::1",
        "1::",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "2001:db8::1",
        "::ffff:192.0.2.128",
        "::192.0.2.128",
        "fe80::1:0:0:1",
        "1:2:3:4:5:6:7:0",
        "1:0:3:4:5:6:7:8",
        "0:0:3:0:0:6:7:8",
        "1:0:2:0:0:3:0:0",
        "0:0:0:0:0:0:1:0",
        "0:2:3:4:5:6:7:8",
        "::ffff",
        "0:0:0:0:0:fffe:1:1",
    ]
    .map(text)
    .to_vec();
    let mut four: Vec<String> = ["0.0.0.0", "255.255.255.255", "192.0.2.1", "10.0.0.0"]
        .map(text)
        .to_vec();
    let mut uuids: Vec<String> = [
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "c232ab00-9414-11ec-b3c8-9f6bdeced846",
        "018d3f7b-1c2d-7abc-8def-0123456789ab",
        "00000000-0000-6000-8000-000000000000",
        "01234567-89ab-0def-0123-456789abcdef",
    ]
    .map(text)
    .to_vec();
    for _ in 0..10 {
        let groups: Vec<String> = (0..8)
            .map(|_| {
                let keep = random.below(3) > 0;
                format!("{:x}", if keep { random.below(0x1_0000) } else { 0 })
            })
            .collect();
        six.push(text(&groups.join(":")));
        let bytes = random.bytes(4);
        let parts: Vec<String> = bytes.iter().map(u8::to_string).collect();
        four.push(text(&parts.join(".")));
        let hex: String = random
            .bytes(16)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        uuids.push(text(&hex));
    }
    let case = |row, source: &str, target: &str, values: Vec<String>| {
        Case::new(row, source, Place::new(target))
            .values(values)
            .accepts(Place::new("text"))
    };
    vec![
        case("INET4", "inet4", "inet", four),
        case("INET6", "inet6", "inet", six),
        case("UUID", "uuid", "uuid", uuids),
    ]
}

fn compressed(random: &mut Random) -> Vec<Case> {
    let long = [
        format!("repeat({}, 50)", text("ab\t")),
        format!("repeat({}, 50)", text("é")),
    ];
    let texts: Vec<String> = some_texts(random, 40).into_iter().chain(long).collect();
    let blobs: Vec<String> = [
        "x''",
        "x'00ff'",
        "repeat(x'00', 250)",
        "repeat(x'00ff', 140)",
    ]
    .map(str::to_owned)
    .to_vec();
    let case = |source: &str, name: &str, target: &str, values: &[String]| {
        Case::new(
            "COMPRESSED columns",
            source,
            Place::new(target).label("as without"),
        )
        .name(name)
        .values(values)
        .no_key()
    };
    vec![
        case(
            "varchar(200) compressed character set utf8mb4",
            "compressed_varchar",
            "varchar(200)",
            &texts,
        ),
        case(
            "text compressed character set utf8mb4",
            "compressed_text",
            "text",
            &texts,
        )
        .values([format!("repeat({}, 5000)", text("😀é"))]),
        case(
            "longtext compressed character set latin1",
            "compressed_longtext",
            "text",
            &texts,
        ),
        case(
            "varbinary(300) compressed",
            "compressed_varbinary",
            "bytea",
            &blobs,
        ),
        case("blob compressed", "compressed_blob", "bytea", &blobs),
    ]
}
