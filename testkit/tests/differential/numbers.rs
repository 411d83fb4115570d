//! Integers, DECIMAL, FLOAT, DOUBLE, BIT, YEAR.

use testkit::CellRule;

use crate::case::{Case, Place, Weight};
use crate::random::Random;

pub(crate) fn cases(random: &mut Random) -> Vec<Case> {
    let mut cases = integers(random);
    cases.extend(decimals(random));
    cases.extend(floats(random));
    cases.extend(bits(random));
    cases.push(
        Case::new("YEAR", "year", Place::new("smallint"))
            .values([0, 1901, 1970, 2000, 2024, 2155])
            .accepts(Place::new("integer"))
            .accepts(Place::new("bigint"))
            .accepts(Place::new("numeric(4)").label("numeric"))
            .accepts(Place::new("text")),
    );
    cases
}

const WIDTHS: [(&str, u32); 5] = [
    ("tinyint", 8),
    ("smallint", 16),
    ("mediumint", 24),
    ("int", 32),
    ("bigint", 64),
];

fn integers(random: &mut Random) -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, width) in WIDTHS {
        let signed = match name {
            "tinyint" => "TINYINT",
            "smallint" => "SMALLINT",
            "mediumint" => "MEDIUMINT",
            "int" => "INT",
            _ => "BIGINT",
        };
        cases.push(integer(signed, name, width - 1, true, random));
        let unsigned = match name {
            "tinyint" => "TINYINT UNSIGNED",
            "smallint" => "SMALLINT UNSIGNED",
            "mediumint" => "MEDIUMINT UNSIGNED",
            "int" => "INT UNSIGNED",
            _ => "BIGINT UNSIGNED",
        };
        let source = format!("{name} unsigned");
        cases.push(integer(unsigned, &source, width, false, random));
    }
    cases.push(integer(
        "MEDIUMINT UNSIGNED",
        "mediumint(8) unsigned zerofill",
        24,
        false,
        random,
    ));
    cases.push(
        Case::new("TINYINT(1)", "tinyint(1)", Place::new("smallint"))
            .values([-128, 0, 1, 2, 127])
            .accepts(Place::new("boolean").values(&["0", "1"])),
    );
    cases
}

fn integer(row: &'static str, source: &str, bits: u32, signed: bool, random: &mut Random) -> Case {
    let max = (1_i128 << bits) - 1;
    let min = if signed { -max - 1 } else { 0 };
    let mut values = vec![min, min + 1, 0, 1, max / 2, max / 2 + 1, max - 1, max];
    if signed {
        values.push(-1);
    }
    for _ in 0..16 {
        let magnitude = i128::from(random.bits() >> random.below(u64::from(bits))) & max;
        let negative = signed && random.below(2) == 1;
        values.push(if negative { -magnitude } else { magnitude });
    }
    let places = [
        ("smallint", 15),
        ("integer", 31),
        ("bigint", 63),
        ("numeric(20)", 64),
    ];
    let mut fitting = places
        .into_iter()
        .filter(|(_, room)| bits <= *room)
        .map(|(place, _)| place);
    let target = fitting.next().expect("numeric(20) takes all");
    let digits = max.to_string().len();
    let mut case = Case::new(row, source, Place::new(target)).values(values);
    for place in fitting {
        case = case.accepts(Place::new(place).label(place.trim_end_matches("(20)")));
    }
    if bits <= 24 {
        case = case.accepts(Place::new("real"));
    }
    if bits <= 53 {
        case = case.accepts(Place::new("double precision"));
    }
    case.accepts(Place::new("numeric"))
        .accepts(Place::new(format!("numeric({digits})")).label("numeric"))
        .accepts(Place::new(format!("varchar({})", digits + 1)).label("varchar"))
        .accepts(Place::new("text"))
}

fn decimals(random: &mut Random) -> Vec<Case> {
    let shapes = [
        (1, 0, ""),
        (5, 5, ""),
        (9, 0, ""),
        (10, 2, " unsigned"),
        (10, 3, " unsigned zerofill"),
        (18, 0, ""),
        (18, 9, ""),
        (20, 11, ""),
        (30, 30, ""),
        (65, 0, ""),
        (65, 30, ""),
    ];
    shapes
        .into_iter()
        .map(|(precision, scale, sign)| {
            decimal(precision, scale, sign, random).weight(match precision {
                10 | 65 => Weight::Major,
                _ => Weight::Minor,
            })
        })
        .collect()
}

fn decimal(precision: usize, scale: usize, sign: &str, random: &mut Random) -> Case {
    let place_point = |digits: &str| {
        let digits = format!("{digits:0>precision$}");
        let (whole, fraction) = digits.split_at(precision - scale);
        let whole = if whole.is_empty() { "0" } else { whole };
        format!("{whole}.{fraction}")
            .trim_end_matches('.')
            .to_owned()
    };
    let mut magnitudes = vec!["0".to_owned(), "1".to_owned(), "9".repeat(precision)];
    magnitudes.push(format!("1{}", "0".repeat(precision - 1)));
    for _ in 0..10 {
        let count = 1 + random.below(u64::try_from(precision).unwrap());
        magnitudes.push(random.digits(count));
    }
    let mut values: Vec<String> = magnitudes
        .iter()
        .map(|digits| place_point(digits))
        .collect();
    if sign.is_empty() {
        let negative: Vec<String> = values.iter().map(|value| format!("-{value}")).collect();
        values.extend(negative);
    }
    let source = format!("decimal({precision},{scale}){sign}");
    let target = Place::new(format!("numeric({precision},{scale})")).label("numeric(p,s)");
    let wider = format!("decimal({},{})", precision + 3, scale + 2);
    let mut case = Case::new("DECIMAL(p,s)", source, target)
        .values(values)
        .accepts(Place::new("numeric").label("wider numeric"))
        .accepts(Place::new("text"))
        .accepts(Place::new(format!("varchar({})", precision + 3)).label("varchar"));
    if precision + 3 <= 65 && scale + 2 <= 30 {
        case = case.accepts(
            Place::new(format!("numeric({},{})", precision + 3, scale + 2))
                .label("wider numeric")
                .read(&format!("cast(cast({{}} as {wider}) as char)"), "{}::text"),
        );
    }
    if scale == 0 && precision <= 18 {
        case = case.accepts(Place::new("bigint").label("bigint (s = 0, p <= 18)"));
    }
    case
}

fn floats(random: &mut Random) -> Vec<Case> {
    let mut singles: Vec<String> = [
        "0",
        "-0e0",
        "1",
        "-1",
        "0.1",
        "0.333333343",
        "16777216",
        "16777217",
        "1e10",
        "3.4028234663852886e38",
        "-3.4028234663852886e38",
        "1.1754943508222875e-38",
        "1.401298464324817e-45",
        "-1.1754942106924411e-38",
        "1e15",
        "123456.789",
    ]
    .map(str::to_owned)
    .to_vec();
    let mut doubles: Vec<String> = [
        "0",
        "-0e0",
        "1",
        "-1",
        "0.1",
        "0.3333333333333333",
        "1e15",
        "1e16",
        "1e21",
        "1e22",
        "123456789012345680",
        "9007199254740993",
        "1.7976931348623157e308",
        "-1.7976931348623157e308",
        "2.2250738585072014e-308",
        "5e-324",
        "-2.225073858507201e-308",
        "4.35",
        "1e-5",
        "0.0001",
    ]
    .map(str::to_owned)
    .to_vec();
    while singles.len() < 40 {
        let bits = u32::try_from(random.bits() >> 32).unwrap();
        let number = f32::from_bits(bits);
        if number.is_finite() {
            singles.push(format!("{:e}", f64::from(number)));
        }
    }
    while doubles.len() < 44 {
        let number = f64::from_bits(random.bits());
        if number.is_finite() {
            doubles.push(format!("{number:e}"));
        }
    }
    // PostgreSQL's numeric has no negative zero.
    let no_negative_zero = |value: &str| value != "-0e0";
    let case = |row, source: &str, target: &str, values: &[String], rule| {
        Case::new(row, source, Place::new(target))
            .values(values)
            .accepts(
                Place::new("numeric")
                    .only(values, no_negative_zero)
                    .read_as("{}", "{}::text", rule),
            )
            .accepts(Place::new("text").read_as("{}", "{}", rule))
    };
    let wide = |case: Case| case.accepts(Place::new("double precision"));
    let unsigned = |values: &[String]| -> Vec<String> {
        values
            .iter()
            .filter(|value| !value.starts_with('-'))
            .cloned()
            .collect()
    };
    let fixed: Vec<String> = ["0", "-0.01", "12345.67", "99999.99", "0.1"]
        .map(str::to_owned)
        .to_vec();
    let (single, double) = (CellRule::Float, CellRule::Double);
    vec![
        wide(case("FLOAT", "float", "real", &singles, single)),
        wide(case(
            "FLOAT",
            "float unsigned",
            "real",
            &unsigned(&singles),
            single,
        )),
        wide(case("FLOAT", "float(7,2)", "real", &fixed, single)),
        case("DOUBLE", "double", "double precision", &doubles, double),
        case("DOUBLE", "double(12,3)", "double precision", &fixed, double),
    ]
}

fn bits(random: &mut Random) -> Vec<Case> {
    [1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64]
        .into_iter()
        .map(|count| {
            bit(count, random).weight(match count {
                1 | 9 | 64 => Weight::Major,
                _ => Weight::Minor,
            })
        })
        .collect()
}

fn bit(count: u32, random: &mut Random) -> Case {
    let mask = u64::MAX >> (64 - count);
    let mut values = vec![0, 1, mask, mask - mask / 2, mask / 3];
    values.extend((0..8).map(|_| random.bits() & mask));
    values.sort_unstable();
    values.dedup();
    let source = format!("bit({count})");
    let mut case = Case::new("BIT(n)", &source, Place::new(&source).label("bit(n)")).values(values);
    if count == 1 {
        case = case.accepts(Place::new("boolean").label("boolean (n = 1)"));
    }
    for (place, room) in [("smallint", 15), ("integer", 31), ("bigint", 63)] {
        if count <= room {
            case = case.accepts(Place::new(place).label(&format!("{place} (n <= {room})")));
        }
    }
    case.accepts(Place::new("numeric(20)").read("cast({} + 0 as char)", "{}::text"))
        .accepts(Place::new("bytea"))
        .accepts(Place::new("varbit"))
        .accepts(Place::new("text"))
}
