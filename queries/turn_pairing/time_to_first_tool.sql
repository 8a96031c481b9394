-- How long after the question the first tool is called, and which it is.
--
-- One row per tool that was the first of a turn: the one that started first, or that was called
-- first where nobody saw them start. Turns without a tool call are left out. The time, from the
-- question to the start of the tool, is known only where something saw the tool run; known_count
-- says of how many. A turn whose answer was generated again counts once, with the tool that came
-- first.
--
-- read: The tools at the top are those that agents begin with. The time is that of the model
-- calls before the tool; a tool with a long one comes after much thinking, after a handoff, or
-- after an approval.
--
-- act: What is looked up at the start of almost every turn can be put into the instructions or
-- fetched before the model is asked. See with `tool_transitions` what follows.
--
-- scope: store
--
-- param session_id: varchar = null
--     Only turns in this session.
-- param since: timestamptz = null
--     Ignore turns that began before this moment.
-- param until: timestamptz = null
--     Ignore turns that began at or after this moment.
-- param tool_name: varchar = null
--     Only turns whose first tool is this one.
-- param include_superseded: boolean = false
--     Also turns whose question is no longer on its session's path.
-- param row_limit: bigint = null
--     Return at most this many tools, the most turns first.

with

-- Runs that begin with a question. One that begins in the middle of a turn has nothing to be timed
-- from.
turns as (
    select
        id,
        user_item_id,
        first_tool_call_seconds
    from runs
    where
        forked_run_id is null
        and ($session_id::varchar is null or session_id = $session_id)
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
),

questions as (
    select item_id
    from items
    where
        role = 'user'
        and ($session_id::varchar is null or session_id = $session_id)
        and ($include_superseded::boolean or is_current or is_archived)
),

first_calls as (
    select
        run_id,
        tool_name,
        tool_type
    from tool_calls
    where $session_id::varchar is null or session_id = $session_id
    qualify row_number() over (
        partition by run_id
        order by started_at asc nulls last, id asc
    ) = 1
),

timed as (
    select
        turns.first_tool_call_seconds,
        first_calls.tool_name,
        first_calls.tool_type
    from turns
    inner join questions on turns.user_item_id = questions.item_id
    inner join first_calls on turns.id = first_calls.run_id
)

select
    tool_name,
    tool_type,
    count(*) as run_count,
    count(first_tool_call_seconds) as known_count,
    quantile_cont(first_tool_call_seconds, 0.5) as p50_seconds,
    quantile_cont(first_tool_call_seconds, 0.95) as p95_seconds,
    max(first_tool_call_seconds) as max_seconds
from timed
where ($tool_name::varchar is null or tool_name = $tool_name)
group by tool_name, tool_type
order by run_count desc, tool_name asc nulls last, tool_type asc nulls last
limit $row_limit
