//! The README's tables of types, made from what has been proven.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use testkit::Flavor;

use crate::refused::REFUSED;
use crate::servers::{Proof, proof};
use crate::table::Kind;

const BEGIN: &str =
    "<!-- begin: written by MYSQL2GP_BLESS=1 cargo test -p testkit --test differential -->";
const END: &str = "<!-- end -->";

/// The rows in their order, with what a reader should know.
const ROWS: [(&str, &str); 44] = [
    ("TINYINT", ""),
    ("TINYINT UNSIGNED", ""),
    ("TINYINT(1)", "boolean: 0 and 1, other numbers are refused"),
    ("SMALLINT", ""),
    ("SMALLINT UNSIGNED", ""),
    ("MEDIUMINT", ""),
    ("MEDIUMINT UNSIGNED", ""),
    ("INT", ""),
    ("INT UNSIGNED", ""),
    ("BIGINT", ""),
    ("BIGINT UNSIGNED", ""),
    ("DECIMAL(p,s)", "to (65,30)"),
    ("FLOAT", "numeric has no -0"),
    ("DOUBLE", "numeric has no -0"),
    ("BIT(n)", ""),
    ("YEAR", "0 stays 0"),
    ("DATE", ""),
    ("DATETIME(f)", "never shifted"),
    ("TIMESTAMP(f)", "to 2038; MariaDB 11.8 to 2106"),
    ("TIME(f)", "to 838:59:59 and back"),
    ("zero and partial dates", "refused in keys"),
    (
        "days that no calendar has",
        "`ALLOW_INVALID_DATES`; date and timestamp refuse them",
    ),
    ("temporal types with `mysql56_temporal_format = OFF`", ""),
    ("CHAR(n)", "every charset but swe7"),
    ("VARCHAR(n)", "every charset but swe7"),
    ("TINYTEXT to LONGTEXT", "every charset but swe7"),
    ("BINARY(n)", "padded to n"),
    ("VARBINARY(n)", ""),
    ("TINYBLOB to LONGBLOB", ""),
    ("ENUM", "index 0 is the empty string"),
    ("SET", ""),
    ("JSON", "jsonb has no -0"),
    (
        "JSON (MariaDB's: a LONGTEXT)",
        "jsonb keeps one of equal keys, and no -0",
    ),
    ("GEOMETRY and its kinds", "with SRID; longitude first"),
    ("VECTOR(n)", "bytea: as stored"),
    ("INET4", ""),
    ("INET6", ""),
    ("UUID", ""),
    ("COMPRESSED columns", ""),
    (
        "generated columns",
        "virtual and stored; MariaDB 11.8 leaves them out of updates and deletes: there they must be the target's own",
    ),
    ("invisible columns", ""),
    ("values of 17 MiB", ""),
    ("values of 64 MiB", "tried on the newest of each product"),
    ("names with capitals, quotes, spaces, any script", ""),
];

fn servers() -> [(Flavor, &'static str); 4] {
    [
        (Flavor::Mysql57, "MySQL 5.7"),
        (Flavor::Mysql97, "MySQL 9.7"),
        (Flavor::MariaDb1011, "MariaDB 10.11"),
        (Flavor::MariaDb118, "MariaDB 11.8"),
    ]
}

fn table(proofs: &[&Proof]) -> String {
    let mut out = "| source | target by default | also accepted | notes |".to_owned();
    for (_, server) in servers() {
        let _ = write!(out, " {server} |");
    }
    out += "\n| --- | --- | --- | --- | --- | --- | --- | --- |\n";
    for (row, note) in ROWS {
        let targets = |kind: Kind| {
            let mut labels: Vec<&str> = Vec::new();
            for claim in proofs.iter().flat_map(|proof| &proof.claims) {
                let fits = claim.row == row && claim.kind == kind;
                if fits && !labels.contains(&claim.label.as_str()) {
                    labels.push(&claim.label);
                }
            }
            labels.join(", ")
        };
        let proven = |flavor: Flavor| {
            let found = proofs
                .iter()
                .filter(|proof| proof.flavor == flavor)
                .any(|proof| proof.claims.iter().any(|claim| claim.row == row));
            if found { "yes" } else { "" }
        };
        if servers()
            .iter()
            .all(|(flavor, _)| proven(*flavor).is_empty())
        {
            continue;
        }
        let _ = write!(
            out,
            "| {row} | {} | {} | {note} |",
            targets(Kind::Default),
            targets(Kind::Accepted)
        );
        for (flavor, _) in servers() {
            let _ = write!(out, " {} |", proven(flavor));
        }
        out.push('\n');
    }
    out
}

/// Rows that no README row shows.
fn unknown_rows(proofs: &[&Proof]) -> Vec<&'static str> {
    proofs
        .iter()
        .flat_map(|proof| &proof.claims)
        .map(|claim| claim.row)
        .filter(|row| ROWS.iter().all(|(known, _)| known != row))
        .collect()
}

fn refusals() -> String {
    let mut by_source: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (source, _, target) in REFUSED {
        by_source
            .entry(source.to_uppercase())
            .or_default()
            .push(target);
    }
    let pairs: Vec<String> = by_source
        .into_iter()
        .map(|(source, targets)| format!("{source} into {}", targets.join(", ")))
        .collect();
    format!("Refused, for example: {}.\n", pairs.join("; "))
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")
}

#[test]
fn the_readme_shows_what_is_proven() {
    // From the last on, while the tests of the servers begin with the first.
    let mut proofs: Vec<&Proof> = Flavor::ALL.into_iter().rev().map(proof).collect();
    proofs.reverse();
    assert_eq!(unknown_rows(&proofs), Vec::<&str>::new());
    let readme = std::fs::read_to_string(path()).unwrap();
    let (head, rest) = readme.split_once(BEGIN).expect("the README has the marker");
    let (_, tail) = rest.split_once(END).expect("the README has the end marker");
    let expected = format!(
        "{head}{BEGIN}\n{}\n{}{END}{tail}",
        table(&proofs),
        refusals()
    );
    if std::env::var_os("MYSQL2GP_BLESS").is_some() {
        std::fs::write(path(), &expected).unwrap();
    }
    assert!(
        readme == expected || std::env::var_os("MYSQL2GP_BLESS").is_some(),
        "README.md differs from what the servers have shown: run with MYSQL2GP_BLESS=1"
    );
}
