//! JSON, GEOMETRY, VECTOR.

use testkit::{CellRule, Flavor};

use crate::case::{Case, Place, text};
use crate::random::Random;

pub(crate) fn cases(flavor: Flavor, random: &mut Random) -> Vec<Case> {
    let mut cases = vec![json(flavor, random)];
    cases.extend(geometries(flavor));
    match flavor {
        Flavor::MariaDb118 => cases.push(vector("vec_fromtext", random)),
        Flavor::Mysql97 => cases.push(vector("string_to_vector", random)),
        Flavor::MariaDb1011 | Flavor::Mysql57 => {}
    }
    cases
}

/// Documents as text, which every server takes.
const DOCUMENTS: [&str; 36] = [
    "null",
    "true",
    "false",
    "0",
    "-1",
    "32767",
    "-32768",
    "32768",
    "2147483647",
    "-2147483648",
    "2147483648",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "1.5",
    "1.0",
    "1e100",
    "-0.0",
    "1e-7",
    "123456789012345678901234567890",
    "0.1",
    r#""""#,
    r#""abc""#,
    r#""q\"b\\s/t\tn\nr\rb\bf\fu\u0001é😀""#,
    "[]",
    "{}",
    r#"[1, [2, [3, {}]], "x", null, true]"#,
    r#"{"b": 1, "a": 2, "long key": [], "": {"x": {"y": {"z": [1.25]}}}}"#,
    r#""</script>\u001f\u007f""#,
    "[1e300, -1e-300, 5e-324, 1.7976931348623157e308]",
    r#"{"a": 1.0e0, "b": 1e20, "c": 1e21, "d": 123456.789e3, "e": 1e-5, "f": 0.0001}"#,
    r#"{"ключ": "значение", "\\N": "\\.", "tab\t": "\\t"}"#,
    "[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]",
    r#""\ud83d\ude00""#,
    "[1.10, 1.100, 100, 1e2]",
    r#"{"a": "x'y", "k'": []}"#,
];

/// Values that only MySQL's binary form has.
const OPAQUE: [&str; 17] = [
    "cast(cast('2024-01-02' as date) as json)",
    "cast(cast('2024-01-02 03:04:05.123456' as datetime(6)) as json)",
    "cast(cast('2024-01-02' as datetime) as json)",
    "cast(cast('-12:34:56.5' as time(6)) as json)",
    "cast(cast('838:59:59' as time) as json)",
    "cast(cast('0000-00-00' as date) as json)",
    "cast(cast(12345.6789 as decimal(20,10)) as json)",
    "cast(cast(-0.5 as decimal(5,3)) as json)",
    "cast(cast(12.50 as decimal(10,2)) as json)",
    "cast(cast(99999999999999999999999999999999999 as decimal(65,0)) as json)",
    "json_array(cast('2024-01-02 03:04:05' as datetime), cast(1.10 as decimal(5,2)), 1, 'x')",
    "cast(x'0001ff' as json)",
    "cast(b'101' as json)",
    "cast(st_geomfromtext('POINT(1 2)') as json)",
    "json_object('a', repeat('x', 70000), 'b', repeat('y', 200), 'c', 1)",
    "cast(concat('[', repeat('1000000,', 10000), '1]') as json)",
    "cast(concat(repeat('[', 90), '1', repeat(']', 90)) as json)",
];

fn json(flavor: Flavor, random: &mut Random) -> Case {
    let mut values: Vec<String> = DOCUMENTS.iter().map(|value| text(value)).collect();
    values.extend((0..30).map(|_| text(&document(random, 4))));
    let (row, target) = if flavor.is_mariadb() {
        ("JSON (MariaDB's: a LONGTEXT)", Place::new("text"))
    } else {
        values.extend(OPAQUE.map(str::to_owned));
        ("JSON", Place::new("jsonb"))
    };
    let other = if flavor.is_mariadb() { "jsonb" } else { "text" };
    let place = |sql: &str| Place::new(sql).read_as("cast({} as char)", "{}::text", CellRule::Json);
    Case::new(row, "json", target)
        .values(values)
        .accepts(place("json"))
        .accepts(place(other))
        .no_key()
}

fn document(random: &mut Random, depth: u32) -> String {
    let kinds = if depth == 0 { 6 } else { 8 };
    let count = random.below(5);
    match random.below(kinds) {
        0 => (*random.pick(&["null", "true", "false"])).to_owned(),
        1 => {
            let shift = random.below(64);
            (random.bits() >> shift).to_string()
        }
        2 => {
            let shift = 1 + random.below(63);
            format!("-{}", random.bits() >> shift)
        }
        3 => {
            let number = f64::from_bits(random.bits());
            // MySQL refuses what overflows and PostgreSQL's numeric holds the rest.
            if number.is_finite() {
                format!("{number:e}")
            } else {
                "0.5".to_owned()
            }
        }
        4 | 5 => {
            let text: String = (0..random.below(8))
                .map(|_| {
                    *random.pick(&[
                        'a', '"', '\\', '\n', '\t', 'é', '中', '😀', '/', '\u{1}', '\'',
                    ])
                })
                .collect();
            serde_json::Value::String(text).to_string()
        }
        6 => {
            let items: Vec<String> = (0..count).map(|_| document(random, depth - 1)).collect();
            format!("[{}]", items.join(", "))
        }
        _ => {
            let items: Vec<String> = (0..count)
                .map(|number| format!("\"k{number}é\": {}", document(random, depth - 1)))
                .collect();
            format!("{{{}}}", items.join(", "))
        }
    }
}

fn geometries(flavor: Flavor) -> Vec<Case> {
    let empty = match flavor {
        Flavor::Mysql57 => "GEOMETRYCOLLECTION()",
        Flavor::Mysql97 | Flavor::MariaDb1011 | Flavor::MariaDb118 => "GEOMETRYCOLLECTION EMPTY",
    };
    let shapes = [
        "POINT(1 -2.5)",
        "POINT(0 0)",
        "LINESTRING(0 0,1 1,2 3)",
        "POLYGON((0 0,10 0,10 10,0 10,0 0),(2 2,4 2,4 4,2 4,2 2))",
        "MULTIPOINT((0 0),(1 1))",
        "MULTILINESTRING((0 0,1 1),(2 2,3 3,4 5))",
        "MULTIPOLYGON(((0 0,4 0,4 4,0 0)),((5 5,6 5,6 6,5 5)))",
        "GEOMETRYCOLLECTION(GEOMETRYCOLLECTION(POINT(1 1)),MULTIPOLYGON(((0 0,4 0,4 4,0 0))))",
        empty,
    ];
    let mut any = Vec::new();
    for shape in shapes {
        any.push(format!("st_geomfromtext('{shape}')"));
        any.push(format!("st_geomfromtext('{shape}', 3857)"));
        any.push(format!("st_geomfromtext('{shape}', 4326)"));
    }
    let only = |start: &str| -> Vec<String> {
        any.iter()
            .filter(|value| value.starts_with(&format!("st_geomfromtext('{start}(")))
            .cloned()
            .collect()
    };
    let case = |source: &str, values: Vec<String>| {
        Case::new(
            "GEOMETRY and its kinds",
            source,
            Place::new("bytea").label("bytea (EWKB)"),
        )
        .values(values)
        .no_key()
    };
    vec![
        case("point", only("POINT")),
        case("linestring", only("LINESTRING")),
        case("polygon", only("POLYGON")),
        case("multipoint", only("MULTIPOINT")),
        case("multilinestring", only("MULTILINESTRING")),
        case("multipolygon", only("MULTIPOLYGON")),
        case("geometrycollection", only("GEOMETRYCOLLECTION")),
        case("geometry", any),
    ]
}

fn vector(function: &str, random: &mut Random) -> Case {
    let mut values: Vec<String> = [
        "[1,2,3]",
        "[-0.5,0,16777216]",
        "[0.1,-0.0015,12345.678]",
        "[3.4028234e38,-3.4028234e38,1.1754944e-38]",
    ]
    .map(str::to_owned)
    .to_vec();
    for _ in 0..8 {
        let numbers: Vec<String> = (0..3)
            .map(|_| {
                let sign = random.pick(&["", "-"]);
                let (whole, exponent) = (random.below(10_000_000), random.below(20));
                format!("{sign}{whole}e{exponent}")
            })
            .collect();
        values.push(format!("[{}]", numbers.join(",")));
    }
    Case::new("VECTOR(n)", "vector(3)", Place::new("real[]"))
        .values(values.iter().map(|value| format!("{function}('{value}')")))
        .accepts(Place::new("bytea"))
        .accepts(Place::new("text"))
        .no_key()
}
