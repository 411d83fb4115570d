//! Tables that are not about one type: charsets, order of columns, generated and invisible
//! columns, names, large values.

use testkit::{CellRule, Flavor, MysqlServer};

use crate::case::{Read, bytes, text};
use crate::random::Random;
use crate::table::{Column, Kind, Shape, Table};

/// Charsets without a decoder: refused by name.
pub(crate) const REFUSED_CHARSETS: [&str; 1] = ["swe7"];

/// The server's charsets, without `binary` and those that are refused.
pub(crate) fn charsets(source: &MysqlServer) -> Vec<String> {
    source
        .query("select character_set_name from information_schema.character_sets order by 1")
        .into_iter()
        .filter_map(|row| row.into_iter().next().flatten())
        .filter(|name| name != "binary" && !REFUSED_CHARSETS.contains(&name.as_str()))
        .collect()
}

/// Characters of all families; what a charset lacks becomes `?` on the source.
const FAMILIES: [&str; 14] = [
    "plain ASCII ~",
    "àéîõüßÿ€œ",
    "ąćęłńśźżčřšž",
    "Ελληνικά άώ",
    "Привет Ґїѓ",
    "שלום",
    "مرحبا",
    "สวัสดี",
    "中文字漢",
    "日本語ソ能カナｶﾅ①",
    "한국어",
    "Հայ",
    "ქართ",
    "😀𠀀",
];

/// One column per charset.
pub(crate) fn charset_tables(
    database: &'static str,
    charsets: &[String],
    random: &mut Random,
) -> Vec<Table> {
    let all: Vec<char> = FAMILIES.iter().flat_map(|family| family.chars()).collect();
    let mut values: Vec<String> = FAMILIES.iter().map(|family| text(family)).collect();
    values.extend(["", "\\N", "tab\tend", "a\\b\n"].map(text));
    for _ in 0..12 {
        let value: String = (0..random.below(10)).map(|_| *random.pick(&all)).collect();
        values.push(text(&value));
    }
    let table = |name: &str, source: &str, target: &str, row| {
        let column = |charset: &String| {
            Column::new(
                &format!("c_{charset}"),
                &format!("{source} character set {charset} null"),
                target,
            )
            .claims(
                row,
                Kind::Default,
                if target == "text" {
                    "text"
                } else {
                    "varchar(n)"
                },
            )
        };
        Table {
            database,
            name: format!("charsets_{name}"),
            shape: Shape::Numbered,
            columns: charsets.iter().map(column).collect(),
            rows: values
                .iter()
                .map(|value| vec![value.clone(); charsets.len()])
                .collect(),
        }
    };
    vec![
        table("varchar", "varchar(20)", "varchar(20)", "VARCHAR(n)"),
        table("char", "char(14)", "varchar(14)", "CHAR(n)"),
        table("text", "text", "text", "TINYTEXT to LONGTEXT"),
    ]
}

/// Every type in front of a signed and an unsigned number, a text and labels: what is told
/// apart only by counting the columns of a kind shows a miscount.
pub(crate) fn order_of_columns(database: &'static str) -> Table {
    let columns = [
        ("y", "year null", "smallint"),
        ("n1", "tinyint unsigned null", "smallint"),
        ("bt", "bit(3) null", "bit(3)"),
        ("n2", "int null", "integer"),
        ("d", "date null", "date"),
        ("n3", "smallint unsigned null", "integer"),
        ("dt", "datetime(3) null", "timestamp(3)"),
        ("n4", "tinyint null", "smallint"),
        ("ti", "time null", "interval"),
        ("n5", "mediumint unsigned null", "integer"),
        ("ts", "timestamp null", "timestamptz(0)"),
        ("n6", "decimal(5,2) unsigned null", "numeric(5,2)"),
        ("f", "float null", "real"),
        ("n7", "bigint unsigned null", "numeric(20)"),
        ("g", "geometry null", "bytea"),
        ("c1", "char(3) character set latin1 null", "varchar(3)"),
        ("n8", "int null", "integer"),
        ("b", "blob null", "bytea"),
        ("c2", "varchar(3) character set utf8mb4 null", "varchar(3)"),
        ("e1", "enum('x') character set latin1 null", "text"),
        ("vb", "varbinary(3) null", "bytea"),
        ("c3", "tinytext character set ascii null", "text"),
        ("s1", "set('é') character set utf8mb4 null", "text"),
        ("bi", "binary(2) null", "bytea"),
        ("c4", "text character set utf8 null", "text"),
        ("e2", "enum('ü') character set latin1 null", "text"),
        ("j", "json null", "jsonb"),
        ("n9", "bigint unsigned null", "numeric(20)"),
        ("lb", "longblob null", "bytea"),
        ("c5", "char(2) character set utf8mb4 null", "varchar(2)"),
    ];
    let values = [
        "2024",
        "200",
        "b'101'",
        "-1",
        "'2024-01-02'",
        "65535",
        "'2024-01-02 03:04:05.678'",
        "-2",
        "'01:02:03'",
        "16777215",
        "'2024-01-02 03:04:05'",
        "999.99",
        "1.5",
        "18446744073709551615",
        "st_geomfromtext('POINT(1 2)')",
        "'é'",
        "-3",
        "x'01'",
        "'😀'",
        "'x'",
        "x'02'",
        "'a'",
        "'é'",
        "x'03'",
        "'é'",
        "'ü'",
        "'{\"a\": 1}'",
        "18446744073709551615",
        "x'04'",
        "'ü'",
    ];
    Table {
        database,
        name: "order_of_columns".to_owned(),
        shape: Shape::Numbered,
        columns: columns
            .into_iter()
            .map(|(name, source, target)| Column::new(name, source, target))
            .collect(),
        rows: vec![
            values.map(str::to_owned).to_vec(),
            values.map(|_| "null".to_owned()).to_vec(),
        ],
    }
}

/// Generated columns that go into plain ones, and such that the target computes itself, with
/// a key and without.
pub(crate) fn generated_columns(database: &'static str) -> Vec<Table> {
    const ROW: &str = "generated columns";
    let (double, name) = ("as (a * 2)", "as (concat('s', coalesce(a, ''), b))");
    let text = "varchar(40) character set utf8mb4";
    let table = |suffix: &str, shape, targets: [&str; 2], claim: &str| {
        let column = |label: &str, source: String, target: &str| {
            Column::new(label, &source, target)
                .generated()
                .claims(ROW, Kind::Default, claim)
        };
        let [double_target, name_target] = targets;
        Table {
            database,
            name: format!("generated_{suffix}"),
            shape,
            columns: vec![
                Column::new("a", "int null", "integer"),
                column("v", format!("int {double} virtual"), double_target),
                Column::new("b", "varchar(20) character set utf8mb4 null", "varchar(20)"),
                column("s", format!("{text} {name} stored"), name_target),
                Column::new("z", "int null", "integer"),
            ],
            rows: [
                ["10", "'x'", "1"],
                ["null", "'ü\\t'", "2"],
                ["-5", "null", "null"],
            ]
            .map(|row| row.map(str::to_owned).to_vec())
            .to_vec(),
        }
    };
    let own = [
        "integer generated always as (a * 2) stored",
        "varchar(40) generated always as ('s' || coalesce(a::text, '') || b) stored",
    ];
    let own_claim = "left to the target's own";
    vec![
        table(
            "carried",
            Shape::Numbered,
            ["integer", "varchar(40)"],
            "carried into a plain column",
        ),
        table("own", Shape::Numbered, own, own_claim),
        table("keyless", Shape::Keyless, own, own_claim),
    ]
}

pub(crate) fn invisible_columns(database: &'static str) -> Table {
    Table {
        database,
        name: "invisible_columns".to_owned(),
        shape: Shape::Numbered,
        columns: vec![
            Column::new("a", "int null invisible", "integer").claims(
                "invisible columns",
                Kind::Default,
                "as visible ones",
            ),
            Column::new("b", "varchar(10) null", "varchar(10)"),
            Column::new("c", "bigint unsigned null invisible", "numeric(20)"),
        ],
        rows: [
            ["1", "'x'", "18446744073709551615"],
            ["null", "null", "null"],
        ]
        .map(|row| row.map(str::to_owned).to_vec())
        .to_vec(),
    }
}

/// Tables and columns with names that need quotes.
pub(crate) fn names(database: &'static str) -> Vec<Table> {
    let table = |name: &str, shape, columns: &[&str]| Table {
        database,
        name: name.to_owned(),
        shape,
        columns: columns
            .iter()
            .map(|column| {
                Column::new(
                    column,
                    "varchar(20) character set utf8mb4 not null",
                    "varchar(20)",
                )
                .claims(
                    "names with capitals, quotes, spaces, any script",
                    Kind::Default,
                    "the same",
                )
            })
            .collect(),
        rows: (0..9)
            .map(|row| columns.iter().map(|_| text(&format!("v{row}"))).collect())
            .collect(),
    };
    let columns = [
        "UPPER",
        "select",
        "a b",
        "q\"uote",
        "back`tick",
        "Größe",
        "列",
        "d.o,t",
        "back\\slash",
        "it's",
        "{}",
        "$1",
        "100%",
    ];
    vec![
        table("UPPER", Shape::Numbered, &columns),
        table("Mixed Case", Shape::Keyed, &["Key"]),
        table("q\"uo`te's", Shape::Keyed, &["k\"e`y"]),
        table("dot.ted,na%me", Shape::Keyless, &["a.b"]),
        table("Größe", Shape::Numbered, &["ß"]),
        table("表", Shape::Keyed, &["列"]),
        table("select", Shape::Keyless, &["order"]),
        table("back\\slash", Shape::Keyed, &["c\\d"]),
    ]
}

/// Values of more than one packet of the client protocol, and a small row behind them. The
/// larger one on the newest server of each product: that costs seconds.
pub(crate) fn large(flavor: Flavor, database: &'static str) -> Table {
    const MIB: u32 = 1 << 20;
    let column = |name: &str, source: &str, target: &str, bytes: &str| {
        let mut column = Column::new(name, source, target);
        column.read = Some(Read {
            source: "concat(length({}), ' ', sha2({}, 256))".to_owned(),
            target: format!("octet_length({{}}) || ' ' || encode(sha256({bytes}), 'hex')"),
            rule: CellRule::Text,
        });
        column
    };
    let newest = matches!(flavor, Flavor::Mysql97 | Flavor::MariaDb118);
    let blob_mib = if newest { 64 } else { 1 };
    let blob = format!(
        "repeat({}, {})",
        bytes(&(0..=255).collect::<Vec<u8>>()),
        blob_mib * MIB / 256
    );
    let blob_column = column("b", "longblob null", "bytea", "{}");
    // Nine bytes in UTF-8, some of them escaped in COPY.
    let long_text = format!("repeat({}, {})", text("a\t\\é😀"), 17 * MIB / 9 + 1);
    Table {
        database,
        name: "large_values".to_owned(),
        shape: Shape::Large,
        columns: vec![
            column(
                "t",
                "longtext character set utf8mb4 null",
                "text",
                "convert_to({}, 'UTF8')",
            )
            .claims("values of 17 MiB", Kind::Default, "text"),
            if newest {
                blob_column.claims("values of 64 MiB", Kind::Default, "bytea")
            } else {
                blob_column
            },
            Column::new("small", "int null", "integer"),
        ],
        rows: vec![
            vec![long_text, "null".to_owned(), "1".to_owned()],
            vec!["null".to_owned(), blob, "2".to_owned()],
            vec!["'x'".to_owned(), "x'00'".to_owned(), "3".to_owned()],
        ],
    }
}

/// A collation by which `a` equals `A`, and an update from one to the other.
pub(crate) fn keys_that_differ_in_case(database: &'static str) -> Table {
    Table {
        database,
        name: "case_insensitive".to_owned(),
        shape: Shape::Keyed,
        columns: vec![Column::new(
            "v",
            "varchar(20) character set utf8mb4 collate utf8mb4_general_ci not null",
            "varchar(20)",
        )],
        // The second round updates row 2 to row 3's value, row 6 to row 7's.
        rows: [
            "'x'",
            "'a'",
            "'A'",
            "'b'",
            "'c'",
            "'straße'",
            "'STRAßE'",
            "'d'",
        ]
        .map(|value| vec![value.to_owned()])
        .to_vec(),
    }
}

/// The tables of this file that every database gets.
pub(crate) fn tables(
    flavor: Flavor,
    database: &'static str,
    charsets: &[String],
    random: &mut Random,
) -> Vec<Table> {
    let mut tables = charset_tables(database, charsets, random);
    tables.push(order_of_columns(database));
    tables.extend(generated_columns(database));
    tables.push(keys_that_differ_in_case(database));
    if flavor != Flavor::Mysql57 {
        tables.push(invisible_columns(database));
    }
    tables.extend(names(database));
    tables
}
