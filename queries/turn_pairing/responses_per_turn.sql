-- How many model calls a turn takes.
--
-- One row per number of responses, with the turns that took so many. Those of agents that ran as
-- tools count too. Where an answer was generated again, or a compaction came in the middle of a
-- turn, what came before counts with the turn that is on the path now. What is only on replaced
-- paths is left out unless asked for.
--
-- read: A turn takes one response, and one more for each round of tools. Where completed_share
-- falls as response_count rises, long turns are turns that go wrong.
--
-- act: Look for the long turns' calls with `tools_per_turn` and `tool_loops`; set max_turns of
-- the Runner where completed_share has fallen to nothing.
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
--     Return at most this many rows, the fewest responses first.

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
        count(*) as response_count
    from responses
    where ($session_id::varchar is null or session_id = $session_id)
    group by all
),

sized as (
    select
        turns.status,
        coalesce(counted.response_count, 0) as response_count
    from turns
    left join counted
        on
            turns.session_id = counted.session_id
            and turns.turn_number = counted.turn_number
            and turns.superseded_run_id = counted.superseded_run_id
),

distribution as (
    select
        response_count,
        count(*) as run_count,
        count(*) filter (where status = 'completed') as completed_count
    from sized
    group by response_count
)

select
    response_count,
    run_count,
    completed_count,
    run_count / sum(run_count) over ()::double as run_share,
    sum(run_count) over (order by response_count asc)
    / sum(run_count) over ()::double as cumulative_run_share,
    completed_count / run_count::double as completed_share
from distribution
order by response_count asc
limit $row_limit
