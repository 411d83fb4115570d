//! DATE, DATETIME, TIMESTAMP, TIME.

use testkit::{CellRule, Flavor};

use crate::case::{Case, Place, Weight, text};
use crate::random::Random;

pub(crate) fn cases(flavor: Flavor, random: &mut Random) -> Vec<Case> {
    let mut cases = vec![date(random)];
    for digits in 0..=6 {
        let weight = match digits {
            0 | 3 | 6 => Weight::Major,
            _ => Weight::Minor,
        };
        cases.push(datetime(digits, random).weight(weight));
        cases.push(timestamp(flavor, digits, random).weight(weight));
        cases.push(time(digits, random).weight(weight));
    }
    cases.extend(zero_dates());
    cases
}

fn date(random: &mut Random) -> Case {
    let edges = [
        "0001-01-01",
        "1000-01-01",
        "1582-10-10",
        "1970-01-01",
        "2024-02-29",
    ]
    .map(text)
    .to_vec();
    let random = (0..10).map(|_| text(&random_date(random)));
    Case::new("DATE", "date", Place::new("date"))
        .values(edges)
        .values([text("9999-12-31")])
        .values(random)
        .accepts(Place::new("varchar(10)").label("varchar"))
        .accepts(Place::new("text"))
}

fn random_date(random: &mut Random) -> String {
    format!(
        "{:04}-{:02}-{:02}",
        1 + random.below(9999),
        1 + random.below(12),
        1 + random.below(28)
    )
}

fn random_clock(digits: u32, random: &mut Random) -> String {
    let clock = format!(
        "{:02}:{:02}:{:02}",
        random.below(24),
        random.below(60),
        random.below(60)
    );
    clock + &fraction(digits, &random.digits(6))
}

/// `.123` of `123456`.
fn fraction(digits: u32, all: &str) -> String {
    let kept: String = all.chars().take(usize::try_from(digits).unwrap()).collect();
    if kept.is_empty() {
        kept
    } else {
        format!(".{kept}")
    }
}

fn datetime(digits: u32, random: &mut Random) -> Case {
    let mut values = vec![
        format!("0001-01-01 00:00:00{}", fraction(digits, "000001")),
        format!("1000-01-01 00:00:00{}", fraction(digits, "000000")),
        format!("1969-12-31 23:59:59{}", fraction(digits, "999999")),
        format!("2024-02-29 12:34:56{}", fraction(digits, "100000")),
        format!("2024-03-31 02:30:00{}", fraction(digits, "123456")),
        format!("9999-12-31 23:59:59{}", fraction(digits, "999999")),
    ];
    for _ in 0..8 {
        values.push(format!(
            "{} {}",
            random_date(random),
            random_clock(digits, random)
        ));
    }
    let target = Place::new(format!("timestamp({digits})")).label("timestamp(f)");
    Case::new("DATETIME(f)", format!("datetime({digits})"), target)
        .values(values.iter().map(|value| text(value)))
        .accepts(Place::new("timestamp").label("wider timestamp"))
        .accepts(Place::new("text"))
}

fn timestamp(flavor: Flavor, digits: u32, random: &mut Random) -> Case {
    let mut values = vec![
        format!("1970-01-01 00:00:01{}", fraction(digits, "000001")),
        format!("2024-10-27 01:30:00{}", fraction(digits, "500000")),
        format!("2038-01-19 03:14:07{}", fraction(digits, "999999")),
    ];
    let late = flavor == Flavor::MariaDb118;
    if late {
        values.push(format!("2038-01-19 03:14:08{}", fraction(digits, "000000")));
        values.push(format!("2106-02-07 06:28:15{}", fraction(digits, "999999")));
    }
    let years = if late { 136 } else { 68 };
    for _ in 0..8 {
        values.push(format!(
            "{:04}-{:02}-{:02} {}",
            1970 + random.below(years),
            1 + random.below(12),
            2 + random.below(27),
            random_clock(digits, random)
        ));
    }
    let target = Place::new(format!("timestamptz({digits})")).label("timestamptz(f)");
    Case::new("TIMESTAMP(f)", format!("timestamp({digits})"), target)
        .values(values.iter().map(|value| text(value)))
        .accepts(Place::new("timestamptz").label("wider timestamptz"))
        .accepts(Place::new(format!("timestamp({digits})")).label("timestamp (in `time_zone`)"))
        .accepts(Place::new("text").read("concat(cast({} as char), '+00')", "{}"))
}

fn time(digits: u32, random: &mut Random) -> Case {
    let mut values = vec![
        "838:59:59".to_owned(),
        "-838:59:59".to_owned(),
        format!("838:59:58{}", fraction(digits, "999999")),
        format!("-838:59:58{}", fraction(digits, "999999")),
        format!("-00:00:00{}", fraction(digits, "999999")),
        format!("-00:00:01{}", fraction(digits, "000001")),
        format!("-00:59:59{}", fraction(digits, "100000")),
        "00:00:00".to_owned(),
        "24:00:00".to_owned(),
        format!("23:59:59{}", fraction(digits, "999999")),
        "-24:00:00".to_owned(),
    ];
    for _ in 0..8 {
        let sign = random.pick(&["", "-"]);
        let clock = format!(
            "{:02}:{:02}:{:02}",
            random.below(838),
            random.below(60),
            random.below(60)
        );
        values.push(format!(
            "{sign}{clock}{}",
            fraction(digits, &random.digits(6))
        ));
        values.push(random_clock(digits, random));
    }
    let values: Vec<String> = values.iter().map(|value| text(value)).collect();
    let of_day = |value: &str| match value.get(1..4) {
        Some(hours) => (hours.ends_with(':') && hours < "24:") || value.starts_with("'24:00:00'"),
        None => false,
    };
    Case::new("TIME(f)", format!("time({digits})"), Place::new("interval"))
        .values(&values)
        .accepts(Place::new(format!("interval({digits})")).label("interval(f)"))
        .accepts(
            Place::new(format!("time({digits})"))
                .only(&values, of_day)
                .label("time (of 0 to 24 h)"),
        )
        .accepts(Place::new("text").read("cast({} as char)", "{}"))
}

/// Where a date is whole; NULL else, as `zero_date = null` makes it.
pub(crate) fn whole(expression: &str) -> String {
    format!("if(year({{}}) = 0 or month({{}}) = 0 or dayofmonth({{}}) = 0, null, {expression})")
}

pub(crate) const ZERO_DATES: [&str; 6] = [
    "'0000-00-00'",
    "'2024-00-00'",
    "'2024-02-00'",
    "'2024-00-10'",
    "'0000-05-05'",
    "'2024-05-10'",
];

pub(crate) const ZERO_DATETIMES: [&str; 6] = [
    "'0000-00-00 00:00:00'",
    "'2024-00-00 00:00:00.125'",
    "'2024-02-00 01:02:03'",
    "'0000-05-05 12:34:56.5'",
    "'0000-00-00 12:34:56'",
    "'2024-05-10 23:59:59.999'",
];

pub(crate) const ZERO_TIMESTAMPS: [&str; 3] = [
    "'0000-00-00 00:00:00'",
    "'1970-01-01 00:00:01'",
    "'2024-05-10 23:59:59.999'",
];

const ROW: &str = "zero and partial dates";

fn zero_dates() -> Vec<Case> {
    let microseconds = "date_format({}, '%Y-%m-%d %H:%i:%s.%f')";
    let to_char = "to_char({}, 'YYYY-MM-DD HH24:MI:SS.US')";
    let verbatim = || Place::new("text").label("text (verbatim)");
    vec![
        Case::new(
            ROW,
            "date",
            Place::new("date")
                .label("by `zero_date`: null, error, stand-in")
                .read(&whole("cast({} as char)"), "{}::text"),
        )
        .name("zero_date")
        .values(ZERO_DATES)
        .accepts(verbatim().read("cast({} as char)", "{}"))
        .no_key(),
        Case::new(
            ROW,
            "datetime(3)",
            Place::new("timestamp(3)")
                .label("by `zero_date`: null, error, stand-in")
                .read(&whole(microseconds), to_char),
        )
        .name("zero_datetime")
        .values(ZERO_DATETIMES)
        .accepts(verbatim().read("cast({} as char)", "{}"))
        .no_key(),
        Case::new(
            ROW,
            "timestamp(3)",
            Place::new("timestamptz(3)")
                .label("by `zero_date`: null, error, stand-in")
                .read_as(&whole(microseconds), to_char, CellRule::Text),
        )
        .name("zero_timestamp")
        .values(ZERO_TIMESTAMPS)
        .accepts(verbatim().read(
            "if({} = 0, cast({} as char), concat(cast({} as char), '+00'))",
            "{}",
        ))
        .no_key(),
        Case::new(
            "days that no calendar has",
            "date",
            Place::new("text").read("cast({} as char)", "{}"),
        )
        .name("invalid_date")
        .values([
            "'2023-02-29'",
            "'2024-02-30'",
            "'2024-02-31'",
            "'2024-02-29'",
        ])
        .no_key(),
    ]
}
