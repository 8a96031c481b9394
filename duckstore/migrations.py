"""How a store of an older version is brought up to date, one version at a time.

The texts are those of their time and stay as they are: a store goes through all of them in turn.
"""

from __future__ import annotations

__all__ = ["migration_sql"]


def migration_sql(version: int) -> str:
    """The statements that turn the tables of that version into those of the next."""
    return _MIGRATIONS[version]


_MIGRATIONS = {
    1: """
create table request_rows (
    client_id varchar not null,
    request_number bigint not null,
    session_key bigint,
    answer varchar not null,
    created_at timestamptz not null,
);

insert into store_meta values ('folded', '0');
""",
    2: """
create table response_rows_3 (
    response_id bigint not null,
    session_key bigint not null,
    item_id bigint not null,
    run_id bigint not null,
    parent_tool_call_id bigint,
    agent_name varchar,
    model varchar,
    provider_response_id varchar,
    request_count bigint,
    input_tokens bigint,
    output_tokens bigint,
    cache_read_input_tokens bigint,
    cache_write_input_tokens bigint,
    reasoning_output_tokens bigint,
    total_tokens bigint,
    finish_reason varchar,
    started_at timestamptz,
    ended_at timestamptz,
    elapsed_seconds double,
    error_type varchar,
    error varchar,
    span_id varchar,
    trace_id varchar,
    workflow_name varchar,
    group_id varchar,
);

create table call_rows (
    tool_call_id bigint not null,
    session_key bigint not null,
    item_id bigint not null,
    run_id bigint not null,
    parent_tool_call_id bigint,
    agent_name varchar,
    tool_name varchar,
    call_id varchar,
    arguments varchar,
    output varchar,
    started_at timestamptz,
    ended_at timestamptz,
    overlap_seconds double,
    status varchar,
    status_source varchar,
    error_type varchar,
    error varchar,
    approval varchar,
    decided_at timestamptz,
    span_id varchar,
    trace_id varchar,
);

create table outcome_rows (
    outcome_id bigint not null,
    session_key bigint not null,
    item_id bigint not null,
    run_id bigint not null,
    outcome varchar not null,
    error_type varchar,
    error varchar,
    started_at timestamptz,
    ended_at timestamptz,
    trace_id varchar,
    workflow_name varchar,
    group_id varchar,
);

create table guardrail_rows (
    guardrail_id bigint not null,
    session_key bigint not null,
    item_id bigint not null,
    run_id bigint not null,
    guardrail_name varchar not null,
    is_triggered boolean not null,
    agent_name varchar,
    started_at timestamptz,
    ended_at timestamptz,
    span_id varchar,
    trace_id varchar,
);

create table price_rows (
    model varchar not null,
    source varchar not null,
    currency varchar not null,
    valid_from date,
    daily_from time not null,
    above_input_tokens bigint not null,
    input_price bigint not null,
    cache_read_price bigint,
    cache_write_price bigint,
    output_price bigint not null,
    request_price bigint,
    price_date date,
);

insert into response_rows_3 by name
select
    response_rows.* rename (cache_creation_input_tokens as cache_write_input_tokens),
    item_rows.item_id,
    item_rows.run_id,
from response_rows
inner join item_rows on response_rows.response_id = item_rows.item_id
order by response_rows.response_id;

drop table response_rows;
alter table response_rows_3 rename to response_rows;
""",
    3: """
alter table response_rows add column offered_tools varchar;
""",
}
