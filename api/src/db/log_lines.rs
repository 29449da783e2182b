//! What builds wrote.

use loggia_types::BuildId;
use loggia_types::build::LogLine;
use loggia_types::timestamp::Timestamp;

use super::{DbError, GenericClient, statements, text};

statements! {
    INSERT = "
        insert into build_log_lines (build_id, attempt, sequence, step, logged_at, line)
        select $1, $2, line.* from unnest($3::integer[], $4::text[], $5::timestamptz[], $6::text[]) as line
        on conflict do nothing";

    LIST = "
        select sequence, step, logged_at, line from build_log_lines
        where build_id = $1 and attempt = $2 and sequence >= $3 order by sequence limit $4";
}

/// Lines that are there already stay as they are.
pub(crate) async fn insert(
    db: &impl GenericClient,
    build_id: BuildId,
    attempt: i16,
    lines: &[LogLine],
) -> Result<(), DbError> {
    let sequences: Vec<i32> =
        lines.iter().map(|line| i32::try_from(line.sequence).unwrap_or(i32::MAX)).collect();
    let steps: Vec<&str> = lines.iter().map(|line| line.step.as_str()).collect();
    let times: Vec<time::OffsetDateTime> = lines.iter().map(|line| line.at.0).collect();
    // Postgres' text has no NUL.
    let texts: Vec<String> = lines.iter().map(|line| line.text.replace('\0', "\u{fffd}")).collect();
    let statement = db.prepare_cached(INSERT).await?;
    db.execute(&statement, &[&build_id.as_str(), &attempt, &sequences, &steps, &times, &texts]).await?;
    Ok(())
}

pub(crate) async fn list(
    db: &impl GenericClient,
    build_id: BuildId,
    attempt: i16,
    from: i32,
    limit: i64,
) -> Result<Vec<LogLine>, DbError> {
    let statement = db.prepare_cached(LIST).await?;
    let rows = db.query(&statement, &[&build_id.as_str(), &attempt, &from, &limit]).await?;
    rows.iter()
        .map(|row| {
            Ok(LogLine {
                sequence: u32::try_from(row.try_get::<_, i32>("sequence")?).unwrap_or(0),
                at: Timestamp(row.try_get("logged_at")?),
                step: text(row, "step")?,
                text: row.try_get("line")?,
            })
        })
        .collect()
}
