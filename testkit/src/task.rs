//! The configuration files of a task: `my.cfg` and `loader_table_list.txt`.
//!
//! Only text is made here; what the keys mean is the programs' business. Values are
//! written as quoted strings, as users of the original tool have them.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::mysql_server::MysqlServer;
use crate::scratch;

/// A task to be written; made by [`TaskFiles::builder`]. A key that is set again replaces
/// the first.
#[derive(Clone, Debug, Default)]
#[must_use = "the files are written by write()"]
pub struct TaskBuilder {
    sections: Vec<(String, Vec<(String, String)>)>,
    tables: Option<Vec<String>>,
    raw: String,
}

impl TaskBuilder {
    /// Sets a key of a section, `set("src.mysql", "port", "3301")`.
    pub fn set(mut self, section: &str, key: &str, value: impl ToString) -> Self {
        let value = value.to_string();
        let entries = match self
            .sections
            .iter_mut()
            .position(|(name, _)| name == section)
        {
            Some(index) => self.sections.get_mut(index),
            None => {
                self.sections.push((section.to_owned(), Vec::new()));
                self.sections.last_mut()
            }
        };
        let entries = &mut entries.expect("found or just pushed").1;
        match entries.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value,
            None => entries.push((key.to_owned(), value)),
        }
        self
    }

    /// Takes a key out again.
    pub fn without(mut self, section: &str, key: &str) -> Self {
        for (name, entries) in &mut self.sections {
            if name == section {
                entries.retain(|(name, _)| name != key);
            }
        }
        self
    }

    /// The source: `database` of a server, as `root`, from the first binlog file on.
    pub fn source(self, server: &MysqlServer, database: &str) -> Self {
        self.set("src.mysql", "host", server.host())
            .set("src.mysql", "port", server.port())
            .set("src.mysql", "user", "root")
            .set("src.mysql", "password", "")
            .set("src.mysql", "db", database)
            .set("src.mysql", "encodingdir", "share")
            .set("src.mysql", "encoding", "utf8")
            .set("src.mysql", "binlogfile", "mysql-bin.000001")
    }

    /// The staging database.
    pub fn staging(self, connect_string: &str) -> Self {
        self.set("local.pgsql", "connect_string", connect_string)
    }

    /// The target database and schema.
    pub fn target(self, connect_string: &str, schema: &str) -> Self {
        self.set("desc.pgsql", "connect_string", connect_string)
            .set("desc.pgsql", "target_schema", schema)
    }

    /// The lines of `loader_table_list.txt`; without this there is no list.
    pub fn tables(mut self, lines: &[&str]) -> Self {
        self.tables = Some(lines.iter().map(|line| (*line).to_owned()).collect());
        self.set("binlogloader", "loader_table_list", "loader_table_list.txt")
    }

    /// Text after the sections, for `[[rule]]` and for what is wrong on purpose.
    pub fn raw(mut self, text: &str) -> Self {
        self.raw.push_str(text);
        self.raw.push('\n');
        self
    }

    /// Writes the files into a new directory.
    ///
    /// # Panics
    /// When the temporary directory is not writable.
    pub fn write(&self) -> TaskFiles {
        let directory = scratch::directory("task");
        let files = TaskFiles { directory };
        fs::write(files.config(), self.config_text()).expect("the new directory is ours");
        // It may hold passwords.
        fs::set_permissions(files.config(), fs::Permissions::from_mode(0o600))
            .expect("the new file is ours");
        if let Some(tables) = &self.tables {
            fs::write(files.table_list(), tables.join("\n") + "\n")
                .expect("the new directory is ours");
        }
        files
    }

    fn config_text(&self) -> String {
        let mut text = String::new();
        for (section, entries) in &self.sections {
            let _ = writeln!(text, "[{section}]");
            for (key, value) in entries {
                let value = value.replace('\\', "\\\\").replace('"', "\\\"");
                let _ = writeln!(text, "{key} = \"{value}\"");
            }
        }
        text + &self.raw
    }
}

/// The files of a task, in a directory that goes on drop.
#[derive(Debug)]
pub struct TaskFiles {
    directory: TempDir,
}

impl TaskFiles {
    /// A task without any section.
    pub fn builder() -> TaskBuilder {
        TaskBuilder::default()
    }

    /// The directory, a good working directory for the programs.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The path of `my.cfg`.
    pub fn config(&self) -> PathBuf {
        self.directory.path().join("my.cfg")
    }

    /// The path of `loader_table_list.txt`.
    pub fn table_list(&self) -> PathBuf {
        self.directory.path().join("loader_table_list.txt")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_set_again_replaces_the_first_and_values_are_quoted() {
        let task = TaskFiles::builder()
            .set("src.mysql", "port", 3301)
            .staging("dbname=a")
            .set("src.mysql", "port", 3302)
            .set("src.mysql", "password", r#"a"b\c"#)
            .raw("[[rule]]")
            .tables(&["orders", "item*"])
            .write();

        assert_eq!(
            fs::read_to_string(task.config()).unwrap(),
            "[src.mysql]\nport = \"3302\"\npassword = \"a\\\"b\\\\c\"\n\
             [local.pgsql]\nconnect_string = \"dbname=a\"\n\
             [binlogloader]\nloader_table_list = \"loader_table_list.txt\"\n[[rule]]\n"
        );
        assert_eq!(
            fs::read_to_string(task.table_list()).unwrap(),
            "orders\nitem*\n"
        );
    }
}
