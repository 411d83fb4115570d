//! Which server the target is.
//!
//! By what it says of itself in `version()`, and openGauss by a setting that only it has: the
//! version numbers of all of them are PostgreSQL's of long ago.

use common::pg::{Operation as _, PgError};
use postgres::Client;

use super::dialect::{Compatibility, Dates, Dialect, EmptyText, Lengths};
use super::session::SessionError;

/// The first version of each product with which the loader works.
const LEAST_POSTGRESQL: i32 = 120_000;
const LEAST_GREENPLUM: u32 = 6;
const LEAST_OPENGAUSS: u32 = 3;

/// What the target calls itself.
const ASK: &str = "\
select version(), current_setting('server_version_num')::integer, \
       (select s.setting from pg_catalog.pg_settings s where s.name = 'sql_compatibility')";

/// What an openGauss database makes of values.
const ASK_COMPATIBILITY: &str = "\
select '' is null, \
       char_length('\u{e9}\u{e9}'::varchar(2)) = 2, \
       pg_typeof('2024-01-01'::date)::text = 'date'";

/// The target's product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// How it is spoken to.
    pub dialect: Dialect,
    /// Product and version, for messages.
    pub name: String,
}

impl Server {
    /// Asks the target what it is.
    ///
    /// # Errors
    /// When it is away, or nothing that is supported.
    pub fn ask(client: &mut Client) -> Result<Self, SessionError> {
        let row = client
            .query_one(ASK, &[])
            .operation("read the target's version")?;
        let told = Told {
            version: row.get(0),
            number: row.get(1),
            mode: row.get(2),
        };
        match told.product() {
            Product::Known(dialect, name) => Ok(Self { dialect, name }),
            Product::OpenGauss(name) => Ok(Self {
                dialect: Dialect::OpenGauss(compatibility(client)?),
                name,
            }),
            Product::TooOld(name, least) => Err(SessionError::Server { name, least }),
        }
    }
}

fn compatibility(client: &mut Client) -> Result<Compatibility, PgError> {
    let row = client
        .query_one(ASK_COMPATIBILITY, &[])
        .operation("read the target's compatibility mode")?;
    Ok(Compatibility {
        empty_text: if row.get(0) {
            EmptyText::Null
        } else {
            EmptyText::Kept
        },
        lengths: if row.get(1) {
            Lengths::Characters
        } else {
            Lengths::Bytes
        },
        dates: if row.get(2) {
            Dates::Date
        } else {
            Dates::Timestamp
        },
    })
}

/// What a server says of itself.
struct Told<'a> {
    version: &'a str,
    number: i32,
    /// `sql_compatibility`.
    mode: Option<&'a str>,
}

#[derive(Debug, PartialEq, Eq)]
enum Product {
    Known(Dialect, String),
    OpenGauss(String),
    /// Its name, and what is needed.
    TooOld(String, &'static str),
}

impl Told<'_> {
    fn product(&self) -> Product {
        let (major, minor) = (self.number / 10_000, self.number % 10_000);
        if let Some(mode) = self.mode {
            let version = behind(self.version, "openGauss ");
            let name = format!(
                "openGauss {}, sql_compatibility {mode}",
                version.unwrap_or("of an unknown version")
            );
            return match version.and_then(number) {
                Some(version) if version < LEAST_OPENGAUSS => {
                    Product::TooOld(name, "openGauss 3 or later")
                }
                Some(_) | None => Product::OpenGauss(name),
            };
        }
        if self.version.contains("Cloudberry") {
            let version = behind(self.version, "Cloudberry Database ")
                .or_else(|| behind(self.version, "Cloudberry "));
            let name = format!("Cloudberry {}", version.unwrap_or_default());
            return Product::Known(Dialect::Cloudberry, name.trim_end().into());
        }
        for product in ["Greenplum", "Greengage"] {
            let Some(version) = behind(self.version, &format!("{product} Database ")) else {
                continue;
            };
            let name = format!("{product} {version}");
            return match number(version) {
                Some(LEAST_GREENPLUM) => Product::Known(Dialect::Greenplum6, name),
                Some(version) if version > LEAST_GREENPLUM => {
                    Product::Known(Dialect::Greenplum7, name)
                }
                Some(_) | None => Product::TooOld(name, "Greenplum 6 or later"),
            };
        }
        let name = format!("PostgreSQL {major}.{minor}");
        if self.number < LEAST_POSTGRESQL {
            return Product::TooOld(name, "12 or later");
        }
        Product::Known(Dialect::PostgreSql, name)
    }
}

/// The word that follows.
fn behind<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(word)?;
    rest.split([' ', ')', ',']).next()
}

/// The number that a version begins with.
fn number(version: &str) -> Option<u32> {
    version
        .split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(version: &str, number: i32, mode: Option<&str>) -> Product {
        Told {
            version,
            number,
            mode,
        }
        .product()
    }

    #[test]
    fn servers_are_told_apart_by_what_they_say() {
        for (version, number, dialect, name) in [
            (
                "PostgreSQL 15.18 (Debian 15.18-0+deb12u1) on x86_64-pc-linux-gnu, compiled by gcc",
                150_018,
                Dialect::PostgreSql,
                "PostgreSQL 15.18",
            ),
            (
                "PostgreSQL 9.4.26 (Greenplum Database 6.24.3 build commit:25d3498a400ca5230e81abb94861f23389315213) \
                 on x86_64-unknown-linux-gnu",
                90_426,
                Dialect::Greenplum6,
                "Greenplum 6.24.3",
            ),
            (
                "PostgreSQL 12beta2 (Greenplum Database 7.0.0-alpha.0+dev.15638.g5dd7a6e2f0 build dev) on x86_64",
                120_000,
                Dialect::Greenplum7,
                "Greenplum 7.0.0-alpha.0+dev.15638.g5dd7a6e2f0",
            ),
            (
                "PostgreSQL 9.4.26 (Greengage Database 6.29.1_arenadata66 build 1234) on x86_64",
                90_426,
                Dialect::Greenplum6,
                "Greengage 6.29.1_arenadata66",
            ),
            (
                "PostgreSQL 14.4 (Cloudberry Database 1.5.4 build commit:0e6b8e9) on x86_64",
                140_004,
                Dialect::Cloudberry,
                "Cloudberry 1.5.4",
            ),
            (
                "PostgreSQL 14.4 (Apache Cloudberry 2.0.0-incubating build 1) on x86_64",
                140_004,
                Dialect::Cloudberry,
                "Cloudberry 2.0.0-incubating",
            ),
        ] {
            assert_eq!(
                product(version, number, None),
                Product::Known(dialect, name.into()),
                "{version}"
            );
        }
        let version =
            "(openGauss 6.0.0 build aee4abd5) compiled at 2024-09-29 19:14:27 commit 0 last mr";
        assert_eq!(
            product(version, 90_204, Some("A")),
            Product::OpenGauss("openGauss 6.0.0, sql_compatibility A".into())
        );
    }

    #[test]
    fn what_is_too_old_is_refused_with_what_is_needed() {
        for (version, number, mode, expected) in [
            (
                "PostgreSQL 11.22 on x86_64",
                110_022,
                None,
                "PostgreSQL 11.22: 12 or later",
            ),
            (
                "PostgreSQL 8.3.23 (Greenplum Database 5.29.1 build commit:1) on x86_64",
                80_323,
                None,
                "Greenplum 5.29.1: Greenplum 6 or later",
            ),
            (
                "PostgreSQL 9.2.4 (openGauss 2.1.0 build 590b0f8e) compiled at 2021-09-30",
                90_204,
                Some("B"),
                "openGauss 2.1.0, sql_compatibility B: openGauss 3 or later",
            ),
        ] {
            let Product::TooOld(name, least) = product(version, number, mode) else {
                panic!("{version}");
            };
            assert_eq!(format!("{name}: {least}"), expected);
        }
    }
}
