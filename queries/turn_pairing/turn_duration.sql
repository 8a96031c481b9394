-- How long turns take from the question to their end, and how much of that is waiting.
--
-- One row per status of a run. The duration is the time from the first item of a run to its last,
-- or to when the Runner ended, whichever is later; one whose items came all at one moment, as
-- after an import, is not timed. The working time is the Runner's own, and known only where
-- something saw it end: a run that stops for an approval has a duration that holds the wait, and
-- a working time that does not. A run that begins in the middle of a turn is timed from there.
--
-- read: Compare p50_working_seconds with p50_duration_seconds. A waiting_share near 0 says that
-- people wait for the agent, near 1 that the agent waits for people. It is the share of the
-- duration of the runs whose working time is known.
--
-- act: Find the slow part with `tool_usage` and `time_to_first_response`; list the turns that
-- waited with `resumed_turns`. A long p95 of runs that failed is time in which somebody waited
-- for nothing.
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
--     Return at most this many statuses, that of the most runs first.

with

chosen as (
    select
        status,
        working_seconds,
        nullif(duration_seconds, 0) as duration_seconds,
        -- Whole microseconds, whose sums do not depend on their order.
        round(duration_seconds * 1000000)::bigint as duration_us,
        case
            when working_seconds is not null
                then round(greatest(duration_seconds - working_seconds, 0) * 1000000)::bigint
        end as waiting_us
    from runs
    where
        ($session_id::varchar is null or session_id = $session_id)
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
        and ($include_superseded::boolean or status <> 'superseded')
)

select
    status,
    count(*) as run_count,
    count(duration_seconds) as timed_count,
    quantile_cont(duration_seconds, 0.5) as p50_duration_seconds,
    quantile_cont(duration_seconds, 0.95) as p95_duration_seconds,
    max(duration_seconds) as max_duration_seconds,
    count(working_seconds) as working_known_count,
    quantile_cont(working_seconds, 0.5) as p50_working_seconds,
    quantile_cont(working_seconds, 0.95) as p95_working_seconds,
    max(working_seconds) as max_working_seconds,
    sum(waiting_us)
    / nullif(sum(duration_us) filter (where waiting_us is not null), 0)::double as waiting_share
from chosen
group by status
order by run_count desc, status asc
limit $row_limit
