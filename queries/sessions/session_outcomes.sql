-- How sessions ended.
--
-- One row per status of the last run on a session's current path; NULL are sessions without a run.
-- Runs, seconds and tool errors are those of the current path, unless superseded ones are asked
-- for. Seconds are the time from each user message to the end of its run, added up for a session.
-- Edits are messages of the user said anew and answers generated again, wherever in the session.
--
-- read: completed says that the user got a last answer, not that it was right; a session that goes
-- on is counted as it stands now. Compare tool_error_session_share and edited_session_share of the
-- sessions that ended badly with those of the others.
--
-- act: List the sessions of a status with `session_summary`. Where unanswered or interrupted ones
-- are many, read their last runs with `turn_pairs`; where tool errors go with them, see
-- `tool_errors`.
--
-- scope: store
--
-- param session_id: varchar = null
--     Only this session.
-- param user_id: varchar = null
--     Only sessions of this user.
-- param since: timestamptz = null
--     Ignore sessions that last changed before this moment.
-- param until: timestamptz = null
--     Ignore sessions that last changed at or after this moment.
-- param include_superseded: boolean = false
--     Also count runs, seconds and tool errors on paths that an edit replaced.
-- param row_limit: bigint = null
--     Return at most this many rows, the most frequent first.

with

chosen as (
    select session_id
    from sessions
    where
        ($session_id::varchar is null or session_id = $session_id)
        and ($user_id::varchar is null or user_id = $user_id)
        and ($since::timestamptz is null or updated_at >= $since)
        and ($until::timestamptz is null or updated_at < $until)
),

ran as (
    select
        session_id,
        count(*) filter (
            where $include_superseded::boolean or status <> 'superseded'
        ) as run_count,
        -- To the microsecond, as they were taken: a sum of doubles differs from time to time.
        round(
            sum(duration_seconds) filter (
                where $include_superseded or status <> 'superseded'
            ), 6
        ) as run_seconds,
        arg_max(status, id) filter (where status <> 'superseded') as last_status
    from runs
    where $session_id is null or session_id = $session_id
    group by session_id
),

failed as (
    select distinct session_id
    from tool_calls
    where
        status = 'error'
        and ($session_id is null or session_id = $session_id)
        and ($include_superseded or is_current or is_archived)
),

edited as (
    select distinct session_id
    from branches
    where
        kind in ('edit', 'regenerate')
        and ($session_id is null or session_id = $session_id)
),

ended as (
    select
        chosen.session_id,
        ran.last_status,
        ran.run_seconds,
        coalesce(ran.run_count, 0) as run_count,
        failed.session_id is not null as has_tool_error,
        edited.session_id is not null as has_edit
    from chosen
    left join ran on chosen.session_id = ran.session_id
    left join failed on chosen.session_id = failed.session_id
    left join edited on chosen.session_id = edited.session_id
)

select
    last_status,
    count(*) as session_count,
    count(*) / (sum(count(*)) over ())::double as session_share,
    quantile_cont(run_count, 0.5) as p50_run_count,
    quantile_cont(run_seconds, 0.5) as p50_run_seconds,
    count(*) filter (where has_tool_error) as tool_error_session_count,
    count(*) filter (where has_tool_error) / count(*)::double as tool_error_session_share,
    count(*) filter (where has_edit) as edited_session_count,
    count(*) filter (where has_edit) / count(*)::double as edited_session_share
from ended
group by last_status
order by session_count desc, last_status asc nulls last
limit $row_limit
