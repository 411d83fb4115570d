//! What a statement in the binlog does, as far as replication must know.
//!
//! Pure: text to [`Statement`]. Row-format logs hold statements for transaction control and
//! DDL; which tables a DDL statement names is read with a small tokenizer that knows quotes
//! and comments. It does not parse SQL: what it does not recognise is [`Statement::Other`].

mod changes;
mod tokens;

use common::table::TableName;

use tokens::{Token, Tokens};

pub use changes::changes;
pub use tokens::Backslash;

/// A statement's meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// BEGIN or START TRANSACTION.
    Begin,
    /// COMMIT.
    Commit,
    /// ROLLBACK.
    Rollback,
    /// SAVEPOINT.
    Savepoint(String),
    /// ROLLBACK TO.
    RollbackTo(String),
    /// XA START: a transaction that XA PREPARE will end.
    XaStart,
    /// XA COMMIT of a prepared transaction, by its identifier as written.
    XaCommit(String),
    /// XA ROLLBACK of a prepared transaction, by its identifier as written.
    XaRollback(String),
    /// TRUNCATE TABLE.
    Truncate(TableName),
    /// DDL that changes these tables or their rows.
    Ddl(Vec<TableName>),
    /// DDL that changes indexes only.
    IndexDdl(TableName),
    /// CREATE TABLE of a table that did not exist: changes no rows.
    CreateTable(TableName),
    /// CREATE TABLE … WITH SYSTEM VERSIONING, or CREATE SEQUENCE (MariaDB).
    CreateSpecial(TableName),
    /// DROP DATABASE.
    DropDatabase(String),
    /// Changes rows and is logged as its text; the word it starts with.
    RowChange(String),
    /// Nothing that replication must know.
    Other,
}

/// Reads a statement; `database` is the session's default.
pub fn classify(text: &str, database: &str, backslash: Backslash) -> Statement {
    let mut tokens = Tokens::new(text, backslash);
    let Some(first) = tokens.keyword() else {
        return Statement::Other;
    };
    match first.as_str() {
        "BEGIN" => Statement::Begin,
        "START" => Statement::Begin,
        "COMMIT" => Statement::Commit,
        "ROLLBACK" => rollback(tokens),
        "SAVEPOINT" => name(&mut tokens).map_or(Statement::Other, Statement::Savepoint),
        "XA" => match tokens.keyword().as_deref() {
            Some("START" | "BEGIN") => Statement::XaStart,
            Some("COMMIT") => Statement::XaCommit(tokens.rest()),
            Some("ROLLBACK") => Statement::XaRollback(tokens.rest()),
            _ => Statement::Other,
        },
        "TRUNCATE" => {
            tokens.skip_keywords(&["TABLE"]);
            table(&mut tokens, database).map_or(Statement::Other, Statement::Truncate)
        }
        "ALTER" => alter(tokens, database),
        "DROP" => drop_statement(tokens, database),
        "RENAME" => rename(tokens, database),
        "CREATE" => create(tokens, database),
        "INSERT" | "UPDATE" | "DELETE" | "REPLACE" | "LOAD" | "WITH" | "CALL" => {
            Statement::RowChange(first)
        }
        _ => Statement::Other,
    }
}

/// Whether the text names `table` anywhere: for statements that are logged as text, where
/// only "certainly not" lets one pass.
pub fn mentions(text: &str, table: &str, backslash: Backslash) -> bool {
    Tokens::new(text, backslash)
        .any(|token| matches!(token, Token::Word(name) | Token::Quoted(name) if name.eq_ignore_ascii_case(table)))
}

/// Names that a text could mean as tables.
pub fn names(text: &str, backslash: Backslash) -> Vec<String> {
    Tokens::new(text, backslash)
        .filter_map(|token| match token {
            Token::Word(name) | Token::Quoted(name) => Some(name),
            Token::Text | Token::Punctuation(_) => None,
        })
        .collect()
}

fn rollback(mut tokens: Tokens<'_>) -> Statement {
    tokens.skip_keywords(&["WORK"]);
    if tokens.keyword().as_deref() != Some("TO") {
        return Statement::Rollback;
    }
    tokens.skip_keywords(&["SAVEPOINT"]);
    name(&mut tokens).map_or(Statement::Rollback, Statement::RollbackTo)
}

fn name(tokens: &mut Tokens<'_>) -> Option<String> {
    match tokens.next()? {
        Token::Word(name) | Token::Quoted(name) => Some(name),
        Token::Text | Token::Punctuation(_) => None,
    }
}

/// `table` or `database.table`.
fn table(tokens: &mut Tokens<'_>, database: &str) -> Option<TableName> {
    let first = name(tokens)?;
    if tokens.skip_punctuation('.') {
        Some(TableName::new(first, name(tokens)?))
    } else {
        Some(TableName::new(database, first))
    }
}

fn alter(mut tokens: Tokens<'_>, database: &str) -> Statement {
    tokens.skip_keywords(&["ONLINE"]);
    // MariaDB's ALTER IGNORE deletes rows that a new unique index would refuse.
    let drops_rows = tokens.skip_keywords(&["IGNORE"]);
    if tokens.keyword().as_deref() != Some("TABLE") {
        return Statement::Other;
    }
    tokens.skip_keywords(&["IF", "EXISTS"]);
    let Some(altered) = table(&mut tokens, database) else {
        return Statement::Other;
    };
    if !drops_rows && is_index_ddl(tokens.clone()) {
        return Statement::IndexDdl(altered);
    }
    let mut tables = vec![altered];
    tables.extend(renamed_to(tokens, database));
    Statement::Ddl(tables)
}

/// Whether every action of an ALTER TABLE is about indexes that are not the primary key.
fn is_index_ddl(mut tokens: Tokens<'_>) -> bool {
    loop {
        let verb = tokens.keyword().unwrap_or_default();
        tokens.skip_keywords(&["UNIQUE", "FULLTEXT", "SPATIAL"]);
        let object = tokens.keyword().unwrap_or_default();
        let about_index = matches!(
            (verb.as_str(), object.as_str()),
            ("ADD" | "DROP" | "ALTER" | "RENAME", "INDEX" | "KEY") | ("DISABLE" | "ENABLE", "KEYS")
        );
        if !about_index {
            return false;
        }
        let mut depth = 0_u32;
        loop {
            match tokens.next() {
                None => return true,
                Some(Token::Punctuation('(')) => depth += 1,
                Some(Token::Punctuation(')')) => depth = depth.saturating_sub(1),
                Some(Token::Punctuation(',')) if depth == 0 => break,
                Some(_) => {}
            }
        }
    }
}

/// New name in `ALTER TABLE a RENAME [TO | AS] b`.
fn renamed_to(mut tokens: Tokens<'_>, database: &str) -> Option<TableName> {
    while let Some(token) = tokens.next() {
        let is_rename = matches!(&token, Token::Word(word) if word.eq_ignore_ascii_case("RENAME"));
        if !is_rename {
            continue;
        }
        let mut plain = tokens.clone();
        match tokens.keyword().as_deref() {
            Some("COLUMN" | "INDEX" | "KEY") => {}
            Some("TO" | "AS") => return table(&mut tokens, database),
            _ => return table(&mut plain, database),
        }
    }
    None
}

fn drop_statement(mut tokens: Tokens<'_>, database: &str) -> Statement {
    match tokens.keyword().as_deref() {
        Some("TABLE" | "TABLES") => {
            tokens.skip_keywords(&["IF", "EXISTS"]);
            let mut tables = Vec::new();
            while let Some(dropped) = table(&mut tokens, database) {
                tables.push(dropped);
                if !tokens.skip_punctuation(',') {
                    break;
                }
            }
            Statement::Ddl(tables)
        }
        Some("DATABASE" | "SCHEMA") => {
            tokens.skip_keywords(&["IF", "EXISTS"]);
            name(&mut tokens).map_or(Statement::Other, Statement::DropDatabase)
        }
        Some("INDEX") => {
            tokens.skip_keywords(&["IF", "EXISTS"]);
            index_on(tokens, database)
        }
        _ => Statement::Other,
    }
}

/// `… ON table …` of CREATE INDEX and DROP INDEX.
fn index_on(mut tokens: Tokens<'_>, database: &str) -> Statement {
    loop {
        match tokens.next() {
            None => return Statement::Other,
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("ON") => {
                return table(&mut tokens, database).map_or(Statement::Other, Statement::IndexDdl);
            }
            Some(_) => {}
        }
    }
}

fn rename(mut tokens: Tokens<'_>, database: &str) -> Statement {
    if !matches!(tokens.keyword().as_deref(), Some("TABLE" | "TABLES")) {
        return Statement::Other;
    }
    tokens.skip_keywords(&["IF", "EXISTS"]);
    let mut tables = Vec::new();
    while let Some(named) = table(&mut tokens, database) {
        tables.push(named);
        if !tokens.skip_punctuation(',') && !tokens.skip_keywords(&["TO"]) {
            break;
        }
    }
    Statement::Ddl(tables)
}

fn create(mut tokens: Tokens<'_>, database: &str) -> Statement {
    let replaces = tokens.skip_keywords(&["OR", "REPLACE"]);
    match tokens.keyword().as_deref() {
        Some("TABLE") => {
            tokens.skip_keywords(&["IF", "NOT", "EXISTS"]);
            match table(&mut tokens, database) {
                Some(created) if mentions_versioning(tokens) => Statement::CreateSpecial(created),
                Some(created) if replaces => Statement::Ddl(vec![created]),
                Some(created) => Statement::CreateTable(created),
                None => Statement::Other,
            }
        }
        Some("SEQUENCE") => {
            tokens.skip_keywords(&["IF", "NOT", "EXISTS"]);
            table(&mut tokens, database).map_or(Statement::Other, Statement::CreateSpecial)
        }
        Some("INDEX") => index_on(tokens, database),
        Some("UNIQUE" | "FULLTEXT" | "SPATIAL") => index_on(tokens, database),
        // TEMPORARY tables are not replicated; views, routines and users hold no rows.
        _ => Statement::Other,
    }
}

/// Whether `SYSTEM VERSIONING` follows somewhere.
fn mentions_versioning(mut tokens: Tokens<'_>) -> bool {
    while let Some(token) = tokens.next() {
        let is_system = matches!(&token, Token::Word(word) if word.eq_ignore_ascii_case("SYSTEM"));
        if is_system && tokens.clone().keyword().as_deref() == Some("VERSIONING") {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Statement {
        classify(text, "d", Backslash::Escapes)
    }

    fn name(table: &str) -> TableName {
        match table.split_once('.') {
            Some((database, table)) => TableName::new(database, table),
            None => TableName::new("d", table),
        }
    }

    #[test]
    fn transaction_control_is_recognised() {
        assert_eq!(read("BEGIN"), Statement::Begin);
        assert_eq!(read("COMMIT"), Statement::Commit);
        assert_eq!(read("ROLLBACK"), Statement::Rollback);
        assert_eq!(read("ROLLBACK /* added by mysqld */"), Statement::Rollback);
        assert_eq!(read("SAVEPOINT `s 1`"), Statement::Savepoint("s 1".into()));
        assert_eq!(
            read("ROLLBACK TO `s 1`"),
            Statement::RollbackTo("s 1".into())
        );
        assert_eq!(
            read("rollback to savepoint a"),
            Statement::RollbackTo("a".into())
        );
        assert_eq!(read("XA START X'61',X'',1"), Statement::XaStart);
        assert_eq!(
            read("XA COMMIT X'61',X'',1"),
            Statement::XaCommit("X'61',X'',1".into())
        );
    }

    #[test]
    fn ddl_names_its_tables() {
        for (text, tables) in [
            ("alter table t add c int", &["t"][..]),
            ("ALTER TABLE `a``b`.`t` RENAME TO u", &["a`b.t", "u"]),
            ("alter table t rename column a to b", &["t"]),
            ("alter table t rename u", &["t", "u"]),
            (
                "/* c */ DROP TABLE IF EXISTS `t`,x.u /* generated by server */",
                &["t", "x.u"],
            ),
            ("rename table a to b, x.c to x.d", &["a", "b", "x.c", "x.d"]),
            ("create or replace table t (a int)", &["t"]),
            ("alter table t add primary key (a)", &["t"]),
            ("alter table t add index i (a), drop column b", &["t"]),
            ("alter ignore table t add unique (a)", &["t"]),
            ("/*!50000 alter*/ table t engine=innodb -- x", &["t"]),
        ] {
            let tables = tables.iter().map(|table| name(table)).collect();
            assert_eq!(read(text), Statement::Ddl(tables), "{text}");
        }
    }

    #[test]
    fn index_ddl_and_new_tables_are_told_apart() {
        for text in [
            "create unique index i on t (a)",
            "drop index i on t",
            "alter table t add index i (a, b), drop key j, add unique key u (c(3))",
            "/*!40000 ALTER TABLE `t` DISABLE KEYS */",
        ] {
            assert_eq!(read(text), Statement::IndexDdl(name("t")), "{text}");
        }
        assert_eq!(
            read("create table if not exists t (a int)"),
            Statement::CreateTable(name("t"))
        );
        for text in [
            "create table t (a int) with system versioning",
            "create or replace sequence t start with 5",
        ] {
            assert_eq!(read(text), Statement::CreateSpecial(name("t")), "{text}");
        }
        assert_eq!(read("create temporary table t (a int)"), Statement::Other);
        assert_eq!(read("drop temporary table t"), Statement::Other);
        assert_eq!(read("TRUNCATE t"), Statement::Truncate(name("t")));
        assert_eq!(
            read("truncate table x.`t`"),
            Statement::Truncate(name("x.t"))
        );
        assert_eq!(
            read("drop schema if exists `x`"),
            Statement::DropDatabase("x".into())
        );
    }

    #[test]
    fn a_row_changing_text_is_searched_for_names_outside_of_strings() {
        let text = r"insert into `t` select 'u \' v' from w -- x";
        assert_eq!(read(text), Statement::RowChange("INSERT".into()));
        assert!(mentions(text, "t", Backslash::Escapes));
        assert!(mentions(text, "W", Backslash::Escapes));
        assert!(!mentions(text, "u", Backslash::Escapes));
        assert!(!mentions(text, "v", Backslash::Escapes));
        assert!(!mentions(text, "x", Backslash::Escapes));
    }

    #[test]
    fn garbage_is_other_and_never_a_panic() {
        for text in [
            "",
            "   ",
            "/*",
            "`",
            "'",
            "alter",
            "drop table",
            "rename table",
            "create or",
            "alter table `",
        ] {
            let _ = read(text);
        }
        assert_eq!(read("flush tables"), Statement::Other);
    }
}
