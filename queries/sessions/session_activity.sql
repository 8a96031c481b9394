-- How much the agents were used, day by day.
--
-- One row per UTC day on which a session was begun, or anything was said, called or edited. All
-- that happened counts, also what an edit replaced later. A session is active on a day on which an
-- item was added to it; a user is active in their sessions, and sessions without a user_id add
-- none. Edits are messages of the user said anew and answers generated again. What a fork of a
-- session copied was said before and does not count. Days on which nothing happened are no rows.
--
-- read: active_session_count above begun_session_count are people who came back. Compare the same
-- weekdays; imported sessions count on the day of the import.
--
-- act: List the sessions of a day that stands out with `session_summary`, and its use of tokens
-- with `usage_by_day`.
--
-- scope: store
--
-- param session_id: varchar = null
--     Only this session.
-- param user_id: varchar = null
--     Only sessions of this user.
-- param since: timestamptz = null
--     Ignore what happened before this moment.
-- param until: timestamptz = null
--     Ignore what happened at or after this moment.
-- param row_limit: bigint = null
--     Return at most this many days, the latest first.

with

chosen as (
    select
        session_id,
        user_id,
        created_at
    from sessions
    where
        ($session_id::varchar is null or session_id = $session_id)
        and ($user_id::varchar is null or user_id = $user_id)
),

-- One row per session and day for each kind of thing, so that few rows are put together.
happened as (
    select
        session_id,
        timezone('UTC', created_at)::date as active_on,
        0 as begun_count,
        count(*) as item_count,
        count(*) filter (where item_id = run_id and operation <> 'compact') as run_count,
        0 as tool_call_count,
        0 as edit_count
    from items
    where
        operation <> 'fork'
        and ($session_id is null or session_id = $session_id)
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
    group by session_id, active_on
    union all
    select
        session_id,
        timezone('UTC', created_at)::date as active_on,
        0 as begun_count,
        0 as item_count,
        0 as run_count,
        count(*) as tool_call_count,
        0 as edit_count
    from tool_calls
    where
        ($session_id is null or session_id = $session_id)
        and ($since is null or created_at >= $since)
        and ($until is null or created_at < $until)
    group by session_id, active_on
    union all
    select
        session_id,
        timezone('UTC', created_at)::date as active_on,
        0 as begun_count,
        0 as item_count,
        0 as run_count,
        0 as tool_call_count,
        count(*) as edit_count
    from branches
    where
        kind in ('edit', 'regenerate')
        and ($session_id is null or session_id = $session_id)
        and ($since is null or created_at >= $since)
        and ($until is null or created_at < $until)
    group by session_id, active_on
    union all
    select
        session_id,
        timezone('UTC', created_at)::date as active_on,
        1 as begun_count,
        0 as item_count,
        0 as run_count,
        0 as tool_call_count,
        0 as edit_count
    from chosen
    where
        ($since is null or created_at >= $since)
        and ($until is null or created_at < $until)
),

owned as (
    select
        happened.*,
        chosen.user_id
    from happened
    inner join chosen on happened.session_id = chosen.session_id
)

select
    active_on,
    sum(begun_count)::bigint as begun_session_count,
    count(distinct session_id) filter (where item_count > 0) as active_session_count,
    count(distinct user_id) filter (where item_count > 0) as active_user_count,
    sum(run_count)::bigint as run_count,
    sum(item_count)::bigint as item_count,
    sum(tool_call_count)::bigint as tool_call_count,
    sum(edit_count)::bigint as edit_count
from owned
group by active_on
order by active_on desc
limit $row_limit
