-- The loader's part of the target, version 1, in schema mysql2gp. Plain enough for Greenplum 6 and openGauss; on
-- Greenplum each table is distributed by its task.

create table if not exists mysql2gp.checkpoint (
    task                text not null primary key,
    timeline_id         text not null,
    log_id              text not null,
    file_created        bigint,
    start_position      text not null,
    applied_file        text not null,
    applied_pos         bigint not null,
    applied_gtid_set    text,
    staging_id          text not null,
    transaction_seq     bigint not null,
    event_seq           bigint not null,
    commit_time         timestamptz,
    consistent_from     text,
    epoch               bigint not null,
    holder              text not null,
    applied_at          timestamptz not null
);

-- Tables that are behind the checkpoint, each with a position of its own.
create table if not exists mysql2gp.checkpoint_tables (
    task             text not null,
    database_name    text not null,
    table_name       text not null,
    -- paused, or catching_up with the checkpoint
    state            text not null,
    timeline_id      text not null,
    log_id           text not null,
    file_created     bigint,
    applied_file     text not null,
    applied_pos      bigint not null,
    applied_gtid_set text,
    consistent_from  text,
    changed_at       timestamptz not null,
    primary key (task, database_name, table_name)
);

-- Rows that the target refused and that nothing has settled. All that staging shows of them is here too, so that the
-- loss of staging loses none.
create table if not exists mysql2gp.checkpoint_dead_letters (
    task          text not null,
    log_id        text not null,
    binlog_file   text not null,
    binlog_pos    bigint not null,
    row_number    bigint not null,
    copy_number   integer not null,
    database_name text not null,
    table_name    text not null,
    op            text not null,
    definition    text not null,
    key_cells     text,
    row_cells     text not null,
    sqlstate      text not null,
    error         text not null,
    refused_at    timestamptz not null,
    primary key (task, log_id, binlog_file, binlog_pos, row_number, copy_number, database_name, table_name)
);
