-- How many tools are called in a turn.
--
-- One row per number of tool calls, with the turns that made so many. Calls that failed, were
-- refused or have no output count, and so do those inside of agents that ran as tools. Where an
-- answer was generated again, or a compaction came in the middle of a turn, what came before
-- counts with the turn that is on the path now. What is only on replaced paths is left out unless
-- asked for.
--
-- read: The row of 0 calls is the turns that were answered from what the model knew. error_share
-- is that of the calls whose output is there; where it rises with tool_call_count, the many calls
-- are one call tried again.
--
-- act: Find the repeated calls with `tool_loops` and `repeated_calls`. Where turns with 0 calls
-- should have looked something up, say so in the instructions.
--
-- scope: store
--
-- param session_id: varchar = null
--     Only turns in this session.
-- param since: timestamptz = null
--     Ignore turns that began before this moment.
-- param until: timestamptz = null
--     Ignore turns that began at or after this moment.
-- param include_superseded: boolean = false
--     Also turns that are no longer on their session's path, with what they do not share.
-- param row_limit: bigint = null
--     Return at most this many rows, the fewest calls first.

with

-- On a path a turn is one run, and what the path shows of the turn's other runs is its.
turns as (
    select
        session_id,
        turn_number,
        status,
        if(status = 'superseded', id, 0) as superseded_run_id
    from runs
    where
        ($session_id::varchar is null or session_id = $session_id)
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
        and ($include_superseded::boolean or status <> 'superseded')
),

counted as (
    select
        session_id,
        turn_number,
        if(is_current or is_archived, 0, run_id) as superseded_run_id,
        count(*) as tool_call_count,
        count(*) filter (where status = 'error') as error_count,
        count(*) filter (where status <> 'pending') as answered_count
    from tool_calls
    where ($session_id::varchar is null or session_id = $session_id)
    group by all
),

sized as (
    select
        turns.status,
        counted.error_count,
        counted.answered_count,
        coalesce(counted.tool_call_count, 0) as tool_call_count
    from turns
    left join counted
        on
            turns.session_id = counted.session_id
            and turns.turn_number = counted.turn_number
            and turns.superseded_run_id = counted.superseded_run_id
),

distribution as (
    select
        tool_call_count,
        count(*) as run_count,
        count(*) filter (where status = 'completed') as completed_count,
        sum(error_count) / nullif(sum(answered_count), 0)::double as error_share
    from sized
    group by tool_call_count
)

select
    tool_call_count,
    run_count,
    completed_count,
    error_share,
    run_count / sum(run_count) over ()::double as run_share,
    sum(run_count) over (order by tool_call_count asc)
    / sum(run_count) over ()::double as cumulative_run_share,
    completed_count / run_count::double as completed_share
from distribution
order by tool_call_count asc
limit $row_limit
