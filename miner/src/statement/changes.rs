//! What an ALTER TABLE does, where every part of it is understood.
//!
//! Only what leaves the values of the rows that are there as they were, or NULL in a new
//! column, is told; anything else, and anything that is not understood, makes the whole
//! statement one that waits for a person. What changes neither columns nor rows (indexes,
//! defaults, comments) adds nothing to the list.

use common::table::{Column, ColumnType, IntegerWidth, Sign, TableDefinition};
use common::table_change::TableChange;

use super::tokens::{Backslash, Token, Tokens};
use super::{name, table};

/// Type names after which a column's attributes come.
const TYPES: [&str; 52] = [
    "TINYINT",
    "SMALLINT",
    "MEDIUMINT",
    "INT",
    "INTEGER",
    "BIGINT",
    "DECIMAL",
    "DEC",
    "NUMERIC",
    "FIXED",
    "FLOAT",
    "DOUBLE",
    "REAL",
    "BIT",
    "BOOL",
    "BOOLEAN",
    "YEAR",
    "DATE",
    "DATETIME",
    "TIMESTAMP",
    "TIME",
    "CHAR",
    "VARCHAR",
    "TINYTEXT",
    "TEXT",
    "MEDIUMTEXT",
    "LONGTEXT",
    "BINARY",
    "VARBINARY",
    "TINYBLOB",
    "BLOB",
    "MEDIUMBLOB",
    "LONGBLOB",
    "ENUM",
    "SET",
    "JSON",
    "GEOMETRY",
    "POINT",
    "LINESTRING",
    "POLYGON",
    "MULTIPOINT",
    "MULTILINESTRING",
    "MULTIPOLYGON",
    "GEOMETRYCOLLECTION",
    "GEOMCOLLECTION",
    "VECTOR",
    "INET4",
    "INET6",
    "UUID",
    "NVARCHAR",
    "NCHAR",
    "CHARACTER",
];

/// Reads an ALTER TABLE of one table; `known` is the table's definition before it.
pub fn changes(
    text: &str,
    backslash: Backslash,
    known: Option<&TableDefinition>,
) -> Option<Vec<TableChange>> {
    // What an executable comment holds may have been skipped, and where a string with a
    // backslash ends depends on the session.
    if ["/*!", "/*M!", "\\"].iter().any(|odd| text.contains(odd)) {
        return None;
    }
    let mut tokens = Tokens::new(text, backslash);
    expect(&mut tokens, "ALTER")?;
    tokens.skip_keywords(&["ONLINE"]);
    expect(&mut tokens, "TABLE")?;
    tokens.skip_keywords(&["IF", "EXISTS"]);
    table(&mut tokens, "")?;
    let mut changes = Vec::new();
    loop {
        changes.extend(action(&mut tokens, known)?);
        match tokens.next() {
            None => return Some(changes),
            Some(Token::Punctuation(',')) => {}
            Some(_) => return None,
        }
    }
}

/// Reads one action, up to the comma behind it.
fn action(tokens: &mut Tokens<'_>, known: Option<&TableDefinition>) -> Option<Vec<TableChange>> {
    match tokens.keyword()?.as_str() {
        "ADD" => add(tokens),
        "DROP" => drop_action(tokens, known),
        "MODIFY" => {
            let column = column_name(tokens)?;
            modify(tokens, &column, known)
        }
        "CHANGE" => {
            let column = column_name(tokens)?;
            let same = name(tokens)? == column;
            same.then(|| modify(tokens, &column, known))?
        }
        "ALTER" => alter(tokens),
        "RENAME" => match tokens.keyword()?.as_str() {
            "INDEX" | "KEY" => skip_action(tokens),
            _ => None,
        },
        "ENABLE" | "DISABLE" => expect(tokens, "KEYS").map(|()| Vec::new()),
        "FORCE" => Some(Vec::new()),
        "ALGORITHM" | "LOCK" | "COMMENT" | "AUTO_INCREMENT" => {
            tokens.skip_punctuation('=');
            tokens.next()?;
            Some(Vec::new())
        }
        // Other engines may not keep every row.
        "ENGINE" => {
            tokens.skip_punctuation('=');
            expect(tokens, "INNODB").map(|()| Vec::new())
        }
        _ => None,
    }
}

fn add(tokens: &mut Tokens<'_>) -> Option<Vec<TableChange>> {
    let mut ahead = tokens.clone();
    if let Some("INDEX" | "KEY" | "UNIQUE" | "FULLTEXT" | "SPATIAL") = ahead.keyword().as_deref() {
        return skip_action(tokens);
    }
    let column = column_name(tokens)?;
    let found = ColumnText::read(tokens)?;
    // Without NULL, a TIMESTAMP may mean NOT NULL with a default.
    let null = match found.nulls {
        Nulls::Allowed => true,
        Nulls::Unsaid => found.type_name != "TIMESTAMP",
        Nulls::Forbidden => false,
    };
    (null && found.default != DefaultValue::Other).then(|| vec![TableChange::AddNull { column }])
}

fn drop_action(
    tokens: &mut Tokens<'_>,
    known: Option<&TableDefinition>,
) -> Option<Vec<TableChange>> {
    let mut ahead = tokens.clone();
    match ahead.keyword().as_deref() {
        Some("INDEX" | "KEY" | "FOREIGN") => return skip_action(tokens),
        Some("PRIMARY" | "CONSTRAINT" | "CHECK" | "PARTITION" | "SYSTEM" | "PERIOD") => {
            return None;
        }
        _ => {}
    }
    let column = column_name(tokens)?;
    tokens.skip_keywords(&["RESTRICT", "CASCADE"]);
    let known = known?;
    let place = place_of(known, &column)?;
    (!known.key_columns().contains(&place)).then(|| vec![TableChange::Drop { column }])
}

/// `ALTER COLUMN c SET DEFAULT …` and the like, `ALTER INDEX i VISIBLE`.
fn alter(tokens: &mut Tokens<'_>) -> Option<Vec<TableChange>> {
    if tokens.skip_keywords(&["INDEX"]) {
        return skip_action(tokens);
    }
    column_name(tokens)?;
    match (tokens.keyword()?.as_str(), tokens.keyword()?.as_str()) {
        ("SET", "DEFAULT" | "VISIBLE" | "INVISIBLE") | ("DROP", "DEFAULT") => skip_action(tokens),
        _ => None,
    }
}

fn modify(
    tokens: &mut Tokens<'_>,
    column: &str,
    known: Option<&TableDefinition>,
) -> Option<Vec<TableChange>> {
    let found = ColumnText::read(tokens)?;
    let known = known?;
    let before = known.columns.get(place_of(known, column)?)?;
    // NOT NULL may have turned NULL into a value.
    if before.generated || (before.nullable && found.nulls == Nulls::Forbidden) {
        return None;
    }
    Some(vec![TableChange::Widen {
        column: before.name.clone(),
        to: widened(before, &found)?,
    }])
}

/// The type that the text gives the column, if every value stays what it is.
fn widened(before: &Column, found: &ColumnText) -> Option<ColumnType> {
    if let ColumnType::Integer { width, sign } = &before.column_type {
        return widened_integer((*width, *sign), found);
    }
    let ColumnType::Varchar { max_chars, charset } = &before.column_type else {
        return None;
    };
    let to_chars = found.length?;
    // The charset must be said: the table's default is not known here.
    let same_charset = found
        .charset
        .as_deref()
        .is_some_and(|found| found.eq_ignore_ascii_case(charset));
    let holds = found.type_name == "VARCHAR" && to_chars >= *max_chars && same_charset;
    holds.then(|| ColumnType::Varchar {
        max_chars: to_chars,
        charset: charset.clone(),
    })
}

fn widened_integer((width, sign): (IntegerWidth, Sign), found: &ColumnText) -> Option<ColumnType> {
    let to = integer_width(&found.type_name)?;
    let holds = match (sign, found.sign) {
        (Sign::Signed, Sign::Signed) | (Sign::Unsigned, Sign::Unsigned) => to >= width,
        (Sign::Unsigned, Sign::Signed) => to > width,
        (Sign::Signed, Sign::Unsigned) => false,
    };
    holds.then_some(ColumnType::Integer {
        width: to,
        sign: found.sign,
    })
}

fn integer_width(type_name: &str) -> Option<IntegerWidth> {
    Some(match type_name {
        "TINYINT" => IntegerWidth::Tiny,
        "SMALLINT" => IntegerWidth::Small,
        "MEDIUMINT" => IntegerWidth::Medium,
        "INT" | "INTEGER" => IntegerWidth::Int,
        "BIGINT" => IntegerWidth::Big,
        _ => return None,
    })
}

/// What a column's text says, as far as it matters here.
struct ColumnText {
    type_name: String,
    /// The number in parentheses.
    length: Option<u32>,
    sign: Sign,
    nulls: Nulls,
    default: DefaultValue,
    charset: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Nulls {
    /// NULL.
    Allowed,
    /// NOT NULL.
    Forbidden,
    Unsaid,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum DefaultValue {
    /// NULL, or none.
    Null,
    Other,
}

impl ColumnText {
    /// Reads a type and its attributes up to a comma or the end.
    fn read(tokens: &mut Tokens<'_>) -> Option<Self> {
        let type_name = tokens.keyword()?;
        if !TYPES.contains(&type_name.as_str()) {
            return None;
        }
        let mut found = Self {
            type_name,
            length: None,
            sign: Sign::Signed,
            nulls: Nulls::Unsaid,
            default: DefaultValue::Null,
            charset: None,
        };
        if tokens.skip_punctuation('(') {
            found.length = arguments(tokens)?;
        }
        loop {
            let mut ahead = tokens.clone();
            match ahead.next() {
                None | Some(Token::Punctuation(',')) => return Some(found),
                Some(_) => found.attribute(tokens)?,
            }
        }
    }

    fn attribute(&mut self, tokens: &mut Tokens<'_>) -> Option<()> {
        match tokens.keyword()?.as_str() {
            "UNSIGNED" => self.sign = Sign::Unsigned,
            "SIGNED" | "PRECISION" | "INVISIBLE" | "VISIBLE" | "FIRST" => {}
            "NULL" => self.nulls = Nulls::Allowed,
            "NOT" => {
                expect(tokens, "NULL")?;
                self.nulls = Nulls::Forbidden;
            }
            "DEFAULT" => self.default = default_value(tokens)?,
            "COMMENT" => match tokens.next()? {
                Token::Text | Token::Quoted(_) => {}
                Token::Word(_) | Token::Punctuation(_) => return None,
            },
            "CHARACTER" => {
                expect(tokens, "SET")?;
                self.charset = Some(name(tokens)?);
            }
            "CHARSET" => self.charset = Some(name(tokens)?),
            "COLLATE" | "AFTER" => {
                name(tokens)?;
            }
            _ => return None,
        }
        Some(())
    }
}

/// Reads to the closing parenthesis; a single number is told.
fn arguments(tokens: &mut Tokens<'_>) -> Option<Option<u32>> {
    let mut number = None;
    let mut count = 0;
    loop {
        match tokens.next()? {
            Token::Punctuation(')') => return Some(number.filter(|_| count == 1)),
            Token::Punctuation('(') => return None,
            Token::Word(word) => {
                number = word.parse().ok();
                count += 1;
            }
            Token::Text | Token::Quoted(_) | Token::Punctuation(_) => count += 1,
        }
    }
}

fn default_value(tokens: &mut Tokens<'_>) -> Option<DefaultValue> {
    tokens.skip_punctuation('-');
    match tokens.next()? {
        Token::Word(word) if word.eq_ignore_ascii_case("NULL") => Some(DefaultValue::Null),
        Token::Word(_) | Token::Text => Some(DefaultValue::Other),
        Token::Quoted(_) | Token::Punctuation(_) => None,
    }
}

/// `[COLUMN] [IF [NOT] EXISTS] name`.
fn column_name(tokens: &mut Tokens<'_>) -> Option<String> {
    tokens.skip_keywords(&["COLUMN"]);
    tokens.skip_keywords(&["IF", "NOT", "EXISTS"]);
    name(tokens)
}

fn place_of(known: &TableDefinition, column: &str) -> Option<usize> {
    let lower = column.to_lowercase();
    let mut same = known
        .columns
        .iter()
        .enumerate()
        .filter(|(_, known)| known.name.to_lowercase() == lower);
    match (same.next(), same.next()) {
        (Some((place, _)), None) => Some(place),
        _ => None,
    }
}

/// Passes over the rest of an action that changes neither columns nor rows.
fn skip_action(tokens: &mut Tokens<'_>) -> Option<Vec<TableChange>> {
    let mut depth = 0_u32;
    loop {
        let mut ahead = tokens.clone();
        match ahead.next() {
            None => return (depth == 0).then(Vec::new),
            Some(Token::Punctuation(',')) if depth == 0 => return Some(Vec::new()),
            Some(Token::Punctuation('(')) => depth += 1,
            Some(Token::Punctuation(')')) => depth = depth.checked_sub(1)?,
            // How the table is partitioned follows the last action without a comma.
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("PARTITION") => return None,
            Some(_) => {}
        }
        *tokens = ahead;
    }
}

fn expect(tokens: &mut Tokens<'_>, keyword: &str) -> Option<()> {
    (tokens.keyword()? == keyword).then_some(())
}

#[cfg(test)]
mod tests {
    use common::table::{Key, TableName};

    use super::*;

    /// `id int not null` (the key), `n int`, `u int unsigned not null`, `v varchar(10) latin1`.
    fn known() -> TableDefinition {
        let column = |name: &str, column_type, nullable| Column {
            name: name.to_owned(),
            column_type,
            nullable,
            generated: false,
            unlogged: false,
        };
        let int = |sign| ColumnType::Integer {
            width: IntegerWidth::Int,
            sign,
        };
        let latin1 = ColumnType::Varchar {
            max_chars: 10,
            charset: "latin1".to_owned(),
        };
        TableDefinition {
            name: TableName::new("d", "t"),
            columns: vec![
                column("id", int(Sign::Signed), false),
                column("n", int(Sign::Signed), true),
                column("u", int(Sign::Unsigned), false),
                column("v", latin1, true),
            ],
            key: Key::Primary(vec![0]),
        }
    }

    fn read(actions: &str) -> Option<Vec<TableChange>> {
        changes(
            &format!("alter table `d`.t {actions}"),
            Backslash::Escapes,
            Some(&known()),
        )
    }

    #[test]
    fn what_is_understood_in_full_is_told() {
        let add = |column: &str| TableChange::AddNull {
            column: column.to_owned(),
        };
        let drop = |column: &str| TableChange::Drop {
            column: column.to_owned(),
        };
        let widen = |column: &str, width, sign| TableChange::Widen {
            column: column.to_owned(),
            to: ColumnType::Integer { width, sign },
        };
        let big = IntegerWidth::Big;
        for (actions, expected) in [
            ("add c int", vec![add("c")]),
            (
                "ADD COLUMN `c d` varchar(20) character set utf8mb4 collate x null default null comment 'it''s, x' after n",
                vec![add("c d")],
            ),
            (
                "add column if not exists c enum('a','b') first, add d decimal(5,2) unsigned",
                vec![add("c"), add("d")],
            ),
            (
                "add c timestamp null, algorithm=instant, lock = none",
                vec![add("c")],
            ),
            ("drop n", vec![drop("n")]),
            (
                "drop column if exists V cascade, add x json",
                vec![drop("V"), add("x")],
            ),
            ("modify n bigint", vec![widen("n", big, Sign::Signed)]),
            (
                "modify u bigint(20) unsigned not null default -1",
                vec![widen("u", big, Sign::Unsigned)],
            ),
            (
                "change u u bigint comment 'x'",
                vec![widen("u", big, Sign::Signed)],
            ),
            (
                "modify v varchar(20) charset LATIN1",
                vec![TableChange::Widen {
                    column: "v".to_owned(),
                    to: ColumnType::Varchar {
                        max_chars: 20,
                        charset: "latin1".to_owned(),
                    },
                }],
            ),
            (
                "alter column n set default (1 + 2), alter v drop default, alter index i invisible",
                vec![],
            ),
            (
                "add index i (n, v), drop key j, add unique (u), drop foreign key f, comment 'x', auto_increment = 7",
                vec![],
            ),
            ("engine = InnoDB", vec![]),
            ("rename index i to j, disable keys", vec![]),
        ] {
            assert_eq!(read(actions), Some(expected), "{actions}");
        }
    }

    #[test]
    fn what_may_change_a_value_or_is_not_understood_is_not_told() {
        for actions in [
            "add c int not null",
            "add c int default 5",
            "add c timestamp",
            "add c timestamp null default current_timestamp",
            "add c int auto_increment unique",
            "add c int as (n * 2)",
            "add c int generated always as (n * 2) stored",
            "add c int references x (id)",
            "add c serial",
            "add (c int, d int)",
            "add c int /*!50000 not null */",
            "add c int comment 'a\\' default 5 comment 'b'",
            "add primary key (n)",
            "add constraint f foreign key (n) references x (id) on delete cascade",
            "add period for p (a, b)",
            "add system versioning",
            "add partition (partition p values less than (5))",
            "drop primary key",
            "drop id",
            "drop nothing",
            "drop partition p",
            "drop constraint c",
            "modify n smallint",
            "modify n bigint unsigned",
            "modify u int",
            "modify u bigint zerofill",
            "modify n bigint not null",
            "modify column N int not null default 5, force",
            "modify n bigint auto_increment",
            "modify n varchar(20)",
            "modify v varchar(20)",
            "modify v varchar(9) charset latin1",
            "modify v varchar(20) charset utf8mb4",
            "modify v text charset latin1",
            "modify nothing bigint",
            "change n m int",
            "rename column n to m",
            "rename to x",
            "rename x",
            "convert to character set utf8mb4",
            "default character set latin1",
            "engine = blackhole",
            "order by n",
            "remove partitioning",
            "add index i (n) partition by hash (id)",
            "discard tablespace",
            "add c int, drop partition p",
            "add c int; drop table x",
            "",
        ] {
            assert_eq!(read(actions), None, "{actions}");
        }
        let without = |text| changes(text, Backslash::Escapes, None);
        assert_eq!(without("alter table t drop n"), None);
        assert_eq!(without("alter table t modify n bigint"), None);
        assert!(without("alter table t add n bigint").is_some());
        for text in [
            "alter ignore table t add c int",
            "rename table t to u",
            "drop table t",
            "create or replace table t (a int)",
            "truncate t",
        ] {
            assert_eq!(without(text), None, "{text}");
        }
    }
}
