use super::*;
use std::fs;

const SEED: &str = r#"
[src.mysql]
host = "192.168.1.1"
port = "3301"
user = "test"
password = "123456"
db = "test"
encodingdir = "share"
encoding = "utf8"
binlogfile = "mysql-bin.000001"
[local.pgsql]
connect_string = "dbname=test host=127.0.0.1 port=5432 user=test password=pgsql"
[desc.pgsql]
connect_string = "host=192.167.1.2 dbname=postgres port=5432 user=test password=pgsql"
target_schema = "test"
[binlogloader]
loader_table_list = "loader_table_list.txt"
load_batch = "10"
load_batch_gap = "10"
"#;

fn load(text: &str, variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("loader_table_list.txt"), "orders\n").unwrap();
    let path = folder.path().join("my.cfg");
    fs::write(&path, text).unwrap();
    let environment = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .chain([("USER".to_owned(), "me".to_owned())])
        .collect();
    Settings::load(&path, &environment)
}

#[test]
fn the_configuration_of_the_original_is_accepted() {
    let settings = load(SEED, &[]).unwrap();
    assert_eq!(settings.source.address(), "192.168.1.1:3301");
    assert_eq!(settings.source.start.to_string(), "mysql-bin.000001:4");
    assert_eq!(settings.task.name, "test");
    assert_eq!(settings.target.schema, "test");
    assert_eq!(settings.loader.load_batch, 10);
    assert_eq!(settings.loader.load_batch_gap, Duration::from_secs(10));
    assert!(
        settings
            .tables
            .contains(&crate::table::TableName::new("test", "orders"))
    );
}

#[test]
fn the_section_of_full_loads_is_ignored_and_said() {
    let settings = load(
        &format!("{SEED}\n[src.pgsql]\nconnect_string = \"x\"\n"),
        &[],
    )
    .unwrap();
    assert!(
        settings
            .notices
            .iter()
            .any(|notice| notice.contains("[src.pgsql]"))
    );
}

#[test]
fn a_limit_of_refused_rows_is_taken() {
    let key = "target_schema = \"test\"\nignore_copy_error_count_each_table = \"10\"";
    let settings = load(&SEED.replace("target_schema = \"test\"", key), &[]).unwrap();
    assert_eq!(settings.target.dead_letter_limit, 10);
}

#[test]
fn an_unknown_key_names_its_nearest_neighbour() {
    let error = load(&SEED.replace("load_batch_gap", "load_bach_gap"), &[])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("\"load_bach_gap\"") && error.contains("\"load_batch_gap\""),
        "{error}"
    );
    let error = load(&SEED.replace("[binlogloader]", "[binlogloder]"), &[])
        .unwrap_err()
        .to_string();
    assert!(error.contains("did you mean \"binlogloader\""), "{error}");
}

#[test]
fn all_problems_are_said_at_once() {
    let text = SEED
        .replace("host = \"192.168.1.1\"\n", "")
        .replace("dbname=test", "dbnam=test")
        .replace("mysql-bin.000001", "mysql-bin");
    let error = load(&text, &[]).unwrap_err().to_string();
    for part in [
        "src.mysql.host is missing",
        "\"dbnam\"",
        "src.mysql.binlogfile wants",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn a_configuration_of_rds_dbsync_gets_a_clear_error() {
    let text = SEED
        .replace("binlogfile = \"mysql-bin.000001\"\n", "")
        .replace("loader_table_list = \"loader_table_list.txt\"\n", "");
    let error = load(&text, &[]).unwrap_err().to_string();
    assert!(
        error.contains("rds_dbsync") && error.contains("SHOW BINARY LOGS"),
        "{error}"
    );
}

#[test]
fn the_environment_wins_over_the_file() {
    let settings = load(
        SEED,
        &[
            ("MYSQL2GP__SRC__MYSQL__PORT", "3399"),
            ("MYSQL2GP__SRC__MYSQL__PASSWORD", "from env"),
            ("MYSQL2GP__BINLOGLOADER__SKIP_NO_PK_TABLE", "true"),
        ],
    )
    .unwrap();
    assert_eq!(settings.source.port, 3399);
    assert_eq!(settings.source.password.expose(), "from env");
    assert!(settings.loader.skip_no_pk_table);
    let error = load(SEED, &[("MYSQL2GP__SRC__MYSQL__PASWORD", "secret")])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("\"password\"") && !error.contains("secret"),
        "{error}"
    );
}

#[test]
fn no_error_shows_a_password() {
    for text in [
        SEED.replace("password = \"123456\"", "password = \"123456"),
        SEED.replace("password = \"123456\"", "password = 123456\nport = 123456"),
        SEED.replace("port = \"3301\"", "port = \"123456\""),
        SEED.replace("password=pgsql", "password=123456 sslmode=123456"),
    ] {
        let error = load(&text, &[]).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("123456"), "{shown}");
    }
}

#[test]
fn a_rule_keeps_the_case_of_its_columns_and_fills_in_names() {
    let rule = "[[rule]]\nschema = \"shop_*\"\npg_table = \"orders\"\n\
                columns.rename = { Cust = \"CustomerId\" }\ncolumns.drop = [\"Debug\"]\n\
                columns.add_to_key = { Shard = \"{schema}/{table}\" }\n";
    let settings = load(&format!("{SEED}{rule}"), &[]).unwrap();
    let columns = &settings.rules[0].columns;
    assert_eq!(columns.target_name("cust"), Some("CustomerId"));
    assert_eq!(columns.target_name("DEBUG"), None);
    assert_eq!(columns.target_name("Other"), Some("Other"));
    let [shard] = columns.constants() else {
        panic!("{columns:?}");
    };
    assert_eq!((shard.column.as_str(), shard.role), ("Shard", Role::Key));
    let name = crate::table::TableName::new("shop_1", "t");
    assert_eq!(shard.value(&name), "shop_1/t");
}

#[test]
fn rules_that_contradict_themselves_or_hide_each_other_are_refused() {
    for (rule, word) in [
        (
            "columns.rename = { a = \"x\" }\ncolumns.drop = [\"A\"]",
            "renamed and dropped",
        ),
        (
            "columns.rename = { a = \"x\", b = \"x\" }",
            "two columns become x",
        ),
        (
            "columns.rename = { a = \"x\" }\ncolumns.add = { x = \"1\" }",
            "two columns become x",
        ),
        ("columns.add = { x = \"{shard}\" }", "{schema}"),
        ("columns.add = { x = \"{schema\" }", "{schema}"),
        (
            "disjoint_keys = true\ncolumns.add_to_key = { x = \"1\" }",
            "exclude each other",
        ),
        ("columns.rname = { a = \"x\" }", "\"rename\""),
        ("[[rule]]\nschema = \"shop_1\"", "rule 1 comes first"),
    ] {
        let text = format!("{SEED}[[rule]]\nschema = \"shop_*\"\n{rule}\n");
        let error = load(&text, &[]).unwrap_err().to_string();
        assert!(error.contains(word), "{rule}: {error}");
    }
}

#[test]
fn a_missing_file_says_how_to_name_one() {
    let error = Settings::load(
        Path::new("/nonexistent/my.cfg"),
        &ProcessEnvironment::default(),
    )
    .unwrap_err();
    assert!(error.to_string().contains("-c FILE"), "{error}");
}

#[test]
fn every_section_and_key_is_documented_in_the_sample() {
    let sample = include_str!("../../../etc/my.cfg");
    for (section, keys) in keys::KEYS {
        assert!(
            sample.contains(&format!("[{section}]")),
            "etc/my.cfg lacks [{section}]"
        );
        for key in *keys {
            assert!(
                sample.lines().any(|line| line
                    .trim_start_matches(['#', ' '])
                    .strip_prefix(key)
                    .is_some_and(|rest| rest.trim_start().starts_with('='))),
                "etc/my.cfg lacks {key} of [{section}]"
            );
        }
    }
}
