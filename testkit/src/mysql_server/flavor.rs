//! The server versions and everything in which they differ.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::RowMetadata;
use crate::template::servers_directory;

/// A server product and release series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flavor {
    /// MariaDB of this Debian (10.11 on Debian 12).
    MariaDb1011,
    /// MariaDB 11.8.
    MariaDb118,
    /// MySQL 5.7.
    Mysql57,
    /// MySQL 9.7.
    Mysql97,
}

impl Flavor {
    /// Every version that `scripts/install_servers.sh --all` installs.
    pub const ALL: [Self; 4] = [
        Self::MariaDb1011,
        Self::MariaDb118,
        Self::Mysql57,
        Self::Mysql97,
    ];

    /// Whether this is a MariaDB server.
    pub fn is_mariadb(self) -> bool {
        match self {
            Self::MariaDb1011 | Self::MariaDb118 => true,
            Self::Mysql57 | Self::Mysql97 => false,
        }
    }

    /// A short name, fit for a file.
    pub fn name(self) -> &'static str {
        match self {
            Self::MariaDb1011 => "mariadb1011",
            Self::MariaDb118 => "mariadb118",
            Self::Mysql57 => "mysql57",
            Self::Mysql97 => "mysql97",
        }
    }

    pub(super) fn installation(self) -> Installation {
        let root = servers_directory().join(self.name());
        match self {
            Self::MariaDb1011 => Installation {
                program: PathBuf::from("/usr/sbin/mariadbd"),
                plugins: servers_directory().join("mariadb1011_plugins"),
                base: PathBuf::from("/usr"),
                messages: PathBuf::from("/usr/share/mysql"),
            },
            Self::MariaDb118 => Installation {
                program: root.join("usr/sbin/mariadbd"),
                plugins: root.join("usr/lib/mysql/plugin"),
                base: root.join("usr"),
                messages: root.join("usr/share/mariadb"),
            },
            Self::Mysql57 => Installation {
                program: root.join("mysqld"),
                plugins: root.join("lib/mysql/plugin"),
                messages: root.join("share/mysql"),
                base: root,
            },
            Self::Mysql97 => Installation {
                program: root.join("usr/sbin/mysqld"),
                plugins: root.join("usr/lib/mysql/plugin"),
                base: root.join("usr"),
                messages: root.join("usr/share/mysql"),
            },
        }
    }

    /// Small files and caches; the same for the template and its copies.
    pub(super) fn size_args(self) -> &'static [&'static str] {
        match self {
            Self::MariaDb1011 => &[
                "--innodb-buffer-pool-size=64M",
                "--innodb-log-file-size=32M",
                "--innodb-use-native-aio=0",
            ],
            Self::MariaDb118 => &[
                "--innodb-buffer-pool-size=64M",
                "--innodb-log-file-size=32M",
                "--innodb-use-native-aio=0",
                "--innodb-undo-tablespaces=0",
            ],
            Self::Mysql57 => &[
                "--innodb-buffer-pool-size=64M",
                "--innodb-log-file-size=16M",
                "--innodb-use-native-aio=0",
                "--explicit-defaults-for-timestamp=1",
                "--log-syslog=0",
                "--secure-file-priv=",
            ],
            Self::Mysql97 => &[
                "--innodb-buffer-pool-size=64M",
                "--innodb-redo-log-capacity=32M",
                "--innodb-use-native-aio=0",
                "--mysqlx=OFF",
                "--secure-file-priv=",
            ],
        }
    }

    /// Never waits for the disk.
    pub(super) fn fast_args(self) -> &'static [&'static str] {
        &[
            "--innodb-flush-log-at-trx-commit=0",
            "--sync-binlog=0",
            "--innodb-flush-method=nosync",
            "--innodb-doublewrite=0",
        ]
    }

    pub(super) fn gtid_args(self) -> &'static [&'static str] {
        if self.is_mariadb() {
            // MariaDB always numbers its transactions.
            &[]
        } else {
            &["--gtid-mode=ON", "--enforce-gtid-consistency=ON"]
        }
    }

    pub(super) fn row_metadata_arg(self, metadata: RowMetadata) -> Option<&'static str> {
        match (self, metadata) {
            (Self::Mysql57, _) => None,
            (_, RowMetadata::Full) => Some("--binlog-row-metadata=FULL"),
            (_, RowMetadata::Minimal) => Some("--binlog-row-metadata=MINIMAL"),
        }
    }

    /// How the server makes a data directory.
    pub(super) fn initialize_args(self, bootstrap: &Path) -> Vec<String> {
        if self.is_mariadb() {
            vec!["--bootstrap".to_owned()]
        } else {
            vec![
                "--initialize-insecure".to_owned(),
                format!("--init-file={}", bootstrap.display()),
            ]
        }
    }

    /// What the server runs while it makes a data directory.
    ///
    /// MariaDB is fed its own system tables; their script gives `root` an account for
    /// 127.0.0.1 without password when `@auth_root_socket` is null.
    pub(super) fn bootstrap_sql(self) -> String {
        let prefix = match self {
            Self::MariaDb1011 => "mysql",
            Self::MariaDb118 => "mariadb",
            Self::Mysql57 | Self::Mysql97 => {
                return "create user root@'127.0.0.1';\n\
                        grant all on *.* to root@'127.0.0.1' with grant option;\n"
                    .to_owned();
            }
        };
        let mut sql =
            "create database mysql;\nuse mysql;\nset @auth_root_socket = null;\n".to_owned();
        for file in [
            format!("{prefix}_system_tables.sql"),
            format!("{prefix}_performance_tables.sql"),
            format!("{prefix}_system_tables_data.sql"),
            "maria_add_gis_sp_bootstrap.sql".to_owned(),
        ] {
            let path = self.installation().messages.join(file);
            let script = fs::read_to_string(&path)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            sql.push_str(&script);
        }
        sql
    }
}

impl fmt::Display for Flavor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::MariaDb1011 => "MariaDB 10.11",
            Self::MariaDb118 => "MariaDB 11.8",
            Self::Mysql57 => "MySQL 5.7",
            Self::Mysql97 => "MySQL 9.7",
        })
    }
}

/// Where a server's files are.
#[derive(Debug)]
pub(super) struct Installation {
    pub(super) program: PathBuf,
    plugins: PathBuf,
    base: PathBuf,
    messages: PathBuf,
}

impl Installation {
    /// The options without which the server does not find its own files.
    pub(super) fn args(&self) -> Vec<String> {
        let mut args = vec![
            "--no-defaults".to_owned(),
            format!("--basedir={}", self.base.display()),
            format!("--lc-messages-dir={}", self.messages.display()),
            format!(
                "--character-sets-dir={}",
                self.messages.join("charsets").display()
            ),
        ];
        if self.plugins.exists() {
            args.push(format!("--plugin-dir={}", self.plugins.display()));
        }
        if rustix::process::geteuid().is_root() {
            args.push("--user=root".to_owned());
        }
        args
    }
}
