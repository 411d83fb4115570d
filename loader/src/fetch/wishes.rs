//! What operators ask of a running loader, by way of staging.

use common::pg::{Operation as _, PgError};
use common::table::TableName;
use postgres::Client;

use super::{FetchError, Fetcher};
use crate::target::{Held, Wish};

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its number.
    pub id: i64,
    /// What to do.
    pub wish: Wish,
    /// With which table.
    pub table: TableName,
}

/// What became of a wish meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is there until it is answered.
    Up,
    /// Who has asked has taken it back.
    Back,
}

/// Asks the loader that runs, for as long as the session is there; the number of the wish.
///
/// # Errors
/// When staging is away.
pub fn ask(client: &mut Client, wish: Wish, table: &TableName) -> Result<i64, PgError> {
    let row = client
        .query_one(
            "with asked as (insert into mysql2gp.wish (wish, database_name, table_name) values ($1, $2, $3) \
                            returning wish_id) \
             select wish_id, pg_notify($4, ''), pg_advisory_lock(k.class, k.object) \
               from asked, mysql2gp.wish_lock(wish_id) k",
            &[
                &wish.as_str(),
                &table.database,
                &table.table,
                &common::staging::NOTIFY_CHANNEL,
            ],
        )
        .operation("ask the loader")?;
    Ok(row.get(0))
}

/// What the loader has answered; `None` when it has not.
///
/// # Errors
/// When staging is away.
pub fn answer_to(client: &mut Client, id: i64) -> Result<Option<Held>, PgError> {
    let row = client
        .query_opt(
            "select answer from mysql2gp.wish where wish_id = $1",
            &[&id],
        )
        .operation("look for the loader's answer")?;
    Ok(row
        .and_then(|row| row.get::<_, Option<String>>(0))
        .and_then(|text| Held::from_text(&text)))
}

/// Takes the wish back, or its answer away: what was answered, if anything. A loader that is at
/// it is waited for.
///
/// # Errors
/// When staging is away.
pub fn withdraw(client: &mut Client, id: i64) -> Result<Option<Held>, PgError> {
    let row = client
        .query_opt(
            "delete from mysql2gp.wish where wish_id = $1 returning answer",
            &[&id],
        )
        .operation("take the wish back")?;
    Ok(row
        .and_then(|row| row.get::<_, Option<String>>(0))
        .and_then(|text| Held::from_text(&text)))
}

impl Fetcher {
    /// What is asked and not answered, oldest first.
    ///
    /// # Errors
    /// When staging is away.
    pub fn wishes(&mut self) -> Result<Vec<Asked>, FetchError> {
        let rows = self
            .client
            .query(
                "select wish_id, wish, database_name, table_name from mysql2gp.wish \
                  where answer is null and mysql2gp.is_waited_for(wish_id) order by wish_id",
                &[],
            )
            .operation("read what is asked")?;
        Ok(rows
            .iter()
            .map(|row| Asked {
                id: row.get(0),
                wish: match row.get(1) {
                    "pause" => Wish::Pause,
                    _ => Wish::Resume,
                },
                table: TableName::new(row.get::<_, &str>(2), row.get::<_, &str>(3)),
            })
            .collect())
    }

    /// Takes a wish up: until it is answered, or the session ends, it cannot be taken back.
    /// Whether it is still there.
    ///
    /// # Errors
    /// When staging is away, or another loader has begun to read it: that one answers.
    pub fn take_up(&mut self, id: i64) -> Result<Taken, FetchError> {
        let operation = "take up what is asked";
        self.client.batch_execute("begin").operation(operation)?;
        let row = self
            .client
            .query_opt(
                "select 1 from mysql2gp.wish where wish_id = $1 for update",
                &[&id],
            )
            .operation(operation)?;
        let ours = match &self.tenure {
            Some(tenure) => tenure.holds(&mut self.client)?,
            None => true,
        };
        if row.is_some() && ours {
            return Ok(Taken::Up);
        }
        self.client.batch_execute("rollback").operation(operation)?;
        if ours {
            Ok(Taken::Back)
        } else {
            Err(FetchError::Taken)
        }
    }

    /// Answers what was taken up.
    ///
    /// # Errors
    /// When staging is away.
    pub fn answer(&mut self, id: i64, held: Held) -> Result<(), FetchError> {
        let operation = "answer what is asked";
        self.client
            .execute(
                "update mysql2gp.wish set answer = $2 where wish_id = $1",
                &[&id, &held.as_str()],
            )
            .operation(operation)?;
        // What nobody has fetched or waits for.
        self.client
            .execute(
                "delete from mysql2gp.wish where not mysql2gp.is_waited_for(wish_id)",
                &[],
            )
            .operation(operation)?;
        self.client.batch_execute("commit").operation(operation)?;
        Ok(())
    }
}
