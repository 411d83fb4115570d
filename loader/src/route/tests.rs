//! Names, columns and rows on their way to the target.

use common::settings::{ColumnRules, EmptyString, Keys, Pattern, ZeroDate};
use common::table::{ColumnType, IntegerWidth, Key, Sign};

use super::*;
use crate::target::Dialect;

fn router(rules: Vec<Rule>) -> Router {
    Router {
        rules,
        schema: "public".into(),
        policy: ValuePolicy {
            zero_date: ZeroDate::Null,
            empty_string: EmptyString::Keep,
            time_zone_minutes: 0,
        },
    }
}

fn column(name: &str, column_type: ColumnType) -> Column {
    Column {
        name: name.into(),
        column_type,
        nullable: true,
        generated: false,
        unlogged: false,
    }
}

fn definition() -> TableDefinition {
    TableDefinition {
        name: TableName::new("shop", "Orders"),
        columns: vec![
            column(
                "Id",
                ColumnType::Integer {
                    width: IntegerWidth::Int,
                    sign: Sign::Signed,
                },
            ),
            column("day", ColumnType::Date),
            column("total", ColumnType::Double),
        ],
        key: Key::Primary(vec![0]),
    }
}

fn target_column(name: &str, type_name: &str) -> TargetColumn {
    TargetColumn {
        name: name.into(),
        type_name: type_name.into(),
        is_enum: false,
        type_modifier: -1,
        type_text: type_name.into(),
        base_type_text: type_name.into(),
        not_null: false,
        fill: Fill::Null,
        deterministic: true,
    }
}

fn target(name: &str, columns: Vec<TargetColumn>) -> TargetTable {
    TargetTable {
        oid: 1,
        schema: "public".into(),
        name: name.into(),
        kind: RelationKind::Table,
        writable: true,
        truncatable: true,
        columns,
        indexes: Vec::new(),
        hazards: Vec::new(),
        deferrable: Vec::new(),
        dialect: Dialect::PostgreSql,
        placement: None,
    }
}

#[test]
fn the_first_matching_rule_decides_where_a_table_goes() {
    let rule = |table: &str, pg_schema: Option<&str>, pg_table: Option<&str>| Rule {
        schema: Pattern::new("*"),
        table: Pattern::new(table),
        pg_schema: pg_schema.map(str::to_owned),
        pg_table: pg_table.map(str::to_owned),
        keys: Keys::OfEachTable,
        columns: ColumnRules::default(),
    };
    let router = router(vec![
        rule("o*", Some("sales"), None),
        rule("*", None, Some("other")),
    ]);
    let address = |table| router.address(&TableName::new("shop", table));
    assert_eq!(
        address("orders"),
        Address {
            schema: "sales".into(),
            table: "orders".into()
        }
    );
    assert_eq!(
        address("items"),
        Address {
            schema: "public".into(),
            table: "other".into()
        }
    );
}

#[test]
fn names_match_exactly_else_by_the_only_one_that_differs_in_case() {
    let router = router(Vec::new());
    let source = TableName::new("shop", "Orders");
    let address = router.address(&source);
    let choose = |names: &[&str]| {
        let found = names.iter().map(|name| target(name, Vec::new())).collect();
        router.choose(&source, &address, found)
    };
    assert_eq!(choose(&["Orders", "orders"]).unwrap().name, "Orders");
    assert_eq!(choose(&["orders"]).unwrap().name, "orders");
    assert!(matches!(
        choose(&["ORDERS", "orders"]),
        Err(RouteError::AmbiguousTable { .. })
    ));
    let error = choose(&[]).unwrap_err().to_string();
    assert!(error.contains("create table public.Orders"), "{error}");
}

#[test]
fn every_column_that_does_not_fit_is_named_with_its_remedy() {
    let target = target(
        "orders",
        vec![
            target_column("id", "int2"),
            target_column("total", "float4"),
        ],
    );
    let error = router(Vec::new())
        .route(&definition(), target)
        .unwrap_err()
        .to_string();
    for part in [
        "column id is int2 and would not hold every INT value: make it integer",
        "it lacks column day: alter table \"public\".\"orders\" add column \"day\" date",
        "column total is float4 and would not hold every DOUBLE value: make it double precision",
    ] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn rows_are_adapted_cell_by_cell_and_generated_columns_left_out() {
    let mut total = target_column("total", "float8");
    total.fill = Fill::Generated;
    let target = target(
        "orders",
        vec![
            target_column("note", "text"),
            target_column("day", "date"),
            total,
            target_column("id", "int4"),
        ],
    );
    let route = router(Vec::new()).route(&definition(), target).unwrap();
    let names: Vec<&str> = route
        .copy_columns()
        .map(|column| column.name.as_str())
        .collect();
    assert_eq!(names, ["id", "day"]);
    assert_eq!(route.target_only_columns(), ["note"]);
    assert_eq!(route.key_names(), ["id"]);

    let mut out = Vec::new();
    route.write_row(b"7\t0000-00-00\t1.5", &mut out).unwrap();
    assert_eq!(out, b"7\t\\N\n");
    for row in [&b"7\t2024-01-01"[..], b"7\t2024-01-01\t1\t2"] {
        assert_eq!(
            route.write_row(row, &mut Vec::new()),
            Err(RowError::CellCount)
        );
    }
}

#[test]
fn a_column_that_is_not_logged_must_be_the_targets_own() {
    let mut source = definition();
    source.columns[2].unlogged = true;
    let mut total = target_column("total", "float8");
    let columns = |total: &TargetColumn| {
        vec![
            target_column("id", "int4"),
            target_column("day", "date"),
            total.clone(),
        ]
    };
    let error = router(Vec::new())
        .route(&source, target("orders", columns(&total)))
        .unwrap_err()
        .to_string();
    for word in ["shop.Orders", "total", "generated"] {
        assert!(error.contains(word), "{error}");
    }
    total.fill = Fill::Generated;
    let route = router(Vec::new())
        .route(&source, target("orders", columns(&total)))
        .unwrap();
    let mut out = Vec::new();
    route.write_row(b"7\t2024-01-02\t\\-", &mut out).unwrap();
    assert_eq!(out, b"7\t2024-01-02\n");
}

#[test]
fn a_column_of_the_target_alone_needs_a_default_or_nulls() {
    let mut note = target_column("note", "text");
    note.not_null = true;
    let columns = |note: &TargetColumn| {
        vec![
            target_column("id", "int4"),
            target_column("day", "date"),
            target_column("total", "float8"),
            note.clone(),
        ]
    };
    let error = router(Vec::new())
        .route(&definition(), target("orders", columns(&note)))
        .unwrap_err()
        .to_string();
    assert!(error.contains("column note is not null"), "{error}");
    note.fill = Fill::Default;
    assert!(
        router(Vec::new())
            .route(&definition(), target("orders", columns(&note)))
            .is_ok()
    );
}
