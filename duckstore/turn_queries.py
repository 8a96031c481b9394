"""What a session's turns are asked, in SQL: see `duckstore.turns`.

All but two begin with `SHOWN`, the items of one branch.
"""

from __future__ import annotations

__all__ = [
    "FOUND_MESSAGES",
    "ITEMS",
    "OPEN_CALLS",
    "SHOWN",
    "STORED_USAGE",
    "TOOLS",
    "TURN_USAGE",
    "USAGE",
    "USER_MESSAGES",
    "USER_TURNS",
]

# The items of one branch, where they stand on its path, and those that compactions took off it.
SHOWN = """
with

wanted as (
    select branch_id
    from branches
    where
        session_id = $session_id
        and deleted_at is null
        and case
            when $branch::varchar is not null then name = $branch
            when $branch_id::bigint is not null then branch_id = $branch_id
            else is_current
        end
),

shown as (
    select
        item_rows.*,
        item_rows.position + branch_stretches.position_offset as path_position,
        branch_stretches.is_archived,
        case
            when item_rows.item_type in ('mcp_call', 'mcp_approval_request')
                then concat_ws('.', nullif(item_rows.server_label, ''), item_rows.tool_name)
            when item_rows.item_type in ('tool_search_call', 'tool_search_output')
                then 'tool_search'
            when item_rows.item_type in ('function_call', 'custom_tool_call')
                then concat_ws(
                    '.',
                    nullif(
                        nullif(try(json_extract_string(item_rows.item, '$.namespace')), ''),
                        item_rows.tool_name
                    ),
                    item_rows.tool_name
                )
            when item_rows.tool_type is not null
                then item_rows.item_type
        end as own_tool_name
    from wanted
    inner join branch_stretches on wanted.branch_id = branch_stretches.branch_id
    inner join item_rows
        on branch_stretches.source_branch_id = item_rows.branch_id
        and item_rows.position
        between branch_stretches.first_position and branch_stretches.last_position
),

-- What a compaction put there is no turn.
said as (
    select *
    from shown
    where not is_archived and operation <> 'compact' and item_type = 'message'
)
"""

# Every branch's number of turns that a user began. What it shares is counted there too.
USER_TURNS = """
select branch_stretches.branch_id, count(distinct item_rows.turn_number)
from branch_stretches
inner join session_rows on branch_stretches.session_key = session_rows.session_key
inner join item_rows
    on session_rows.session_key = item_rows.session_key
    and branch_stretches.source_branch_id = item_rows.branch_id
    and item_rows.position
    between branch_stretches.first_position and branch_stretches.last_position
where
    session_rows.session_id = $session_id
    and not branch_stretches.is_archived
    and item_rows.operation <> 'compact'
    and item_rows.item_type = 'message'
    and item_rows.role = 'user'
group by branch_stretches.branch_id
"""

USER_MESSAGES = """
select turn_number, item, epoch_us(created_at)
from said
where role = 'user'
order by path_position
"""

FOUND_MESSAGES = """
select turn_number, item, epoch_us(created_at)
from said
where
    role = 'user'
    and turn_number in (
        select turn_number
        from said
        where
            role in ('user', 'assistant')
            and contains(
                lower(upper(nfc_normalize(replace(coalesce(text, ''), chr(0), ' ')))),
                lower(upper(nfc_normalize(replace($text, chr(0), ' '))))
            )
    )
order by path_position
"""

ITEMS = """
select
    turn_number,
    case when role in ('user', 'assistant') then role else coalesce(item_type, 'other') end,
    own_tool_name
from shown
where not is_archived
order by path_position
"""

TOOLS = """
select own_tool_name, count(*), turn_number
from shown
where call_index is not null and operation not in ('compact', 'fork')
group by own_tool_name, turn_number
order by turn_number, own_tool_name
"""

USAGE = """
select
    sum(response_rows.request_count)::bigint,
    coalesce(sum(response_rows.input_tokens), 0)::bigint,
    coalesce(sum(response_rows.output_tokens), 0)::bigint,
    coalesce(sum(response_rows.total_tokens), 0)::bigint,
    count(
        distinct case
            when $everywhere then coalesce(heads.forked_run_id, heads.run_id)
            else heads.turn_number
        end
    ) filter (where response_rows.total_tokens is not null)
from response_rows
inner join item_rows as heads on response_rows.item_id = heads.item_id
inner join session_rows on heads.session_key = session_rows.session_key
where
    session_rows.session_id = $session_id
    and ($everywhere or response_rows.item_id in (select item_id from shown))
"""

TURN_USAGE = """
select
    shown.turn_number,
    sum(response_rows.request_count)::bigint,
    sum(response_rows.input_tokens)::bigint,
    sum(response_rows.output_tokens)::bigint,
    sum(response_rows.total_tokens)::bigint,
    sum(response_rows.cache_read_input_tokens)::bigint,
    sum(response_rows.cache_write_input_tokens)::bigint,
    sum(response_rows.reasoning_output_tokens)::bigint
from shown
inner join response_rows on shown.item_id = response_rows.item_id
where
    response_rows.total_tokens is not null
    and ($turn::bigint is null or shown.turn_number = $turn)
group by shown.turn_number
order by shown.turn_number
"""

# The calls of the last run that have no output.
OPEN_CALLS = """
select calls.call_id, calls.tool_name, calls.arguments
from shown as calls
anti join shown as outputs on calls.item_id = outputs.answers_item_id
where
    calls.call_index is not null
    and calls.call_id is not null
    and calls.status is null
    and calls.run_id = (select arg_max(run_id, path_position) from shown where not is_archived)
order by calls.path_position
"""

# What is stored with the last run.
STORED_USAGE = """
select
    coalesce(sum(response_rows.request_count), 0)::bigint,
    coalesce(sum(response_rows.input_tokens), 0)::bigint,
    coalesce(sum(response_rows.output_tokens), 0)::bigint,
    coalesce(sum(response_rows.cache_read_input_tokens), 0)::bigint,
    coalesce(sum(response_rows.cache_write_input_tokens), 0)::bigint,
    coalesce(sum(response_rows.reasoning_output_tokens), 0)::bigint,
    coalesce(sum(response_rows.total_tokens), 0)::bigint
from response_rows
where run_id = (select arg_max(run_id, path_position) from shown where not is_archived)
"""
