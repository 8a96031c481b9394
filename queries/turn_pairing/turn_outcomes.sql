-- How turns end.
--
-- One row per status, outcome and type of error. The status is always known, from the items where
-- nobody watched; the outcome is what the Runner said, and NULL where nobody told it or where
-- something was added afterwards. A run of which only a part is still on the path is one with what
-- followed it there.
--
-- read: completed is a turn with an answer, unanswered a question to which nothing came,
-- interrupted one that stopped on its way or waits for an approval, error one that failed; the
-- outcome says at what: max_turns, guardrail or error, with the error_type.
--
-- act: Read what was asked in the turns without an answer with `unanswered_turns`. Raise max_turns
-- or stop the loops that `tool_loops` finds; which guardrails triggered stands in the relation
-- guardrails.
--
-- scope: store
--
-- param session_id: varchar = null
--     Only runs in this session.
-- param since: timestamptz = null
--     Ignore runs that began before this moment.
-- param until: timestamptz = null
--     Ignore runs that began at or after this moment.
-- param include_superseded: boolean = false
--     Also runs that are no longer on their session's path, as a status of their own.
-- param row_limit: bigint = null
--     Return at most this many rows, the most runs first.

with

outcomes_of_runs as (
    select
        status,
        outcome,
        error_type,
        count(*) as run_count,
        count(distinct session_id) as session_count,
        min(created_at) as first_began_at,
        max(created_at) as last_began_at
    from runs
    where
        ($session_id::varchar is null or session_id = $session_id)
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
        and ($include_superseded::boolean or status <> 'superseded')
    group by status, outcome, error_type
)

select
    status,
    outcome,
    error_type,
    run_count,
    session_count,
    first_began_at,
    last_began_at,
    run_count / sum(run_count) over ()::double as run_share
from outcomes_of_runs
order by
    run_count desc,
    status asc,
    outcome asc nulls last,
    error_type asc nulls last
limit $row_limit
