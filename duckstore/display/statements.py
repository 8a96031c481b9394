"""The statements that read what is shown of a conversation.

They ask the tables of the store, as no export has to answer them, and read of each text only the
beginning: a text can be megabytes.
"""

from __future__ import annotations

__all__ = ["ENDS", "HEAD", "ITEMS", "UNSEEN"]

HEAD = """
select
    sessions.title,
    sessions.user_id,
    sessions.tags,
    sessions.source,
    sessions.parent_session_id,
    sessions.item_count,
    sessions.run_count,
    sessions.created_at,
    sessions.updated_at,
    current.name as branch,
    listed.branch_count,
    called.call_count,
    called.error_count,
    used.total_tokens,
from sessions
left join branch_rows as current on sessions.current_branch_id = current.branch_id,
(
    select count(*) as branch_count
    from branches
    where session_id = $session_id and deleted_at is null
) as listed,
(
    select count(*) as call_count, count(*) filter (where status = 'error') as error_count
    from tool_calls
    where session_id = $session_id
) as called,
(
    select sum(total_tokens)::bigint as total_tokens
    from responses
    where session_id = $session_id
) as used
where sessions.session_id = $session_id
"""

# Ids first, and the wide columns of the few that are shown. A way begins with an item that is not
# on the path, where the one before it is, or is another branch's.
ITEMS = """
with

own as (
    select item_id, parent_item_id, branch_id, position, turn_number, is_current, is_archived
    from placed_items
    where session_id = $session_id
),

path as (
    select
        item_id,
        row_number() over (order by item_id) as number,
        count(*) over () as total,
        dense_rank() over (order by turn_number) as turn,
        row_number() over (partition by turn_number order by item_id) as from_start,
        row_number() over (partition by turn_number order by item_id desc) as from_end,
    from own
    where is_current
),

archived as (
    select
        item_id,
        row_number() over (order by item_id) as number,
        count(*) over () as total,
    from own
    where is_archived
),

apart as (
    select * from own where not is_current and not is_archived
),

begun as (
    select
        apart.item_id as way_id,
        apart.branch_id,
        apart.position as first_position,
        lead(apart.position, 1, 9223372036854775807) over (
            partition by apart.branch_id order by apart.position, apart.item_id
        ) as next_position,
        count(*) over () as way_count,
        row_number() over (order by apart.item_id desc) as from_end,
    from apart
    left join apart as befores
        on apart.parent_item_id = befores.item_id and apart.branch_id = befores.branch_id
    where befores.item_id is null
),

ways as (
    select
        apart.item_id,
        begun.way_id,
        begun.way_count,
        row_number() over (partition by begun.way_id order by apart.item_id) as number,
        count(*) over (partition by begun.way_id) as total,
    from begun
    inner join apart
        on begun.branch_id = apart.branch_id
        and begun.first_position <= apart.position
        and apart.position < begun.next_position
    where begun.from_end <= $most_ways
),

shown as (
    select 'path' as part, null as way_id, null as way_count, item_id, number, total
    from path
    where
        (turn <= $first_turns or turn > (select max(turn) from path) - $last_turns)
        and (from_start <= $turn_items or from_end <= $turn_items)
    union all
    select 'archived', null, null, item_id, number, total
    from archived
    where number <= $way_items or number > total - $way_items
    union all
    select 'way', way_id, way_count, item_id, number, total
    from ways
    where number <= $way_items
),

calls as (
    select
        id,
        status,
        arguments,
        output,
        error,
        handoff_to,
        duration_seconds,
    from tool_calls
    where session_id = $session_id
),

points as (
    select
        alternative_item_id,
        kind,
        rank,
        alternative_count,
    from edit_points
    where session_id = $session_id
),

endings as (
    select
        branches.branch_id,
        branches.name,
        branches.deleted_at is not null as is_deleted,
    from branches
    where session_id = $session_id
)

select
    shown.*,
    placed_items.parent_item_id,
    placed_items.turn_number,
    placed_items.operation,
    placed_items.item_type,
    placed_items.role,
    placed_items.agent_name,
    placed_items.tool_name,
    placed_items.created_at,
    placed_items.answers_item_id,
    placed_items.call_index is not null as is_call,
    left(coalesce(placed_items.text, placed_items.item), $most) as text,
    length(coalesce(placed_items.text, placed_items.item)) as text_length,
    placed_items.text is null as is_raw,
    left(coalesce(calls.arguments, placed_items.arguments), $most) as arguments,
    length(coalesce(calls.arguments, placed_items.arguments)) as arguments_length,
    coalesce(calls.status, placed_items.status) as status,
    left(calls.output, $most) as output,
    length(calls.output) as output_length,
    left(coalesce(calls.error, placed_items.error), $most) as error,
    coalesce(calls.handoff_to, placed_items.handoff_to) as handoff_to,
    calls.duration_seconds,
    points.kind,
    points.rank,
    points.alternative_count,
    endings.name as branch,
    endings.is_deleted,
from shown
inner join placed_items
    on shown.item_id = placed_items.item_id and placed_items.session_id = $session_id
left join calls on shown.item_id = calls.id
left join points on shown.item_id = points.alternative_item_id
left join endings on placed_items.branch_id = endings.branch_id
order by shown.part, shown.way_id, shown.number
"""

UNSEEN = """
select
    parent_tool_call_id,
    anchor_item_id,
    agent_name,
    tool_name,
    status,
    left(arguments, $most) as arguments,
    length(arguments) as arguments_length,
    left(output, $most) as output,
    length(output) as output_length,
    left(error, $most) as error,
    handoff_to,
    duration_seconds,
from tool_calls
where session_id = $session_id and position is null
order by id asc
limit $unseen
"""

ENDS = """
select
    anchor_item_id,
    string_agg(
        concat_ws(': ', 'ended', concat_ws(', ', outcome, error_type), left(error, 500)),
        '; ' order by outcome_id
    ),
from outcomes
where session_id = $session_id and outcome <> 'completed'
group by anchor_item_id
"""
