-- What each session holds, took and cost, the latest first.
--
-- One row per session. Runs, items, tool calls, tokens and costs are all that were made, on every
-- path, unless superseded ones are left out; a run that was begun over in its middle is two. Items
-- copied from the session that this one was forked from count as items only. Branches are those
-- that were not deleted, the first among them. The cost is in millionths of the currency; it is
-- NULL where no response has a price, and where they were paid in more than one currency.
-- run_seconds is the time from each user message to the end of its run, added up. last_status is
-- that of the last run on the current path; NULL where there is none.
--
-- read: Many edits beside few runs are a user who had to ask again. unpriced_count are responses
-- without a cost: where it is above 0, total_cost is too low by what is not priced. updated_at is
-- when the session last changed, be it by a switch of branches.
--
-- act: Open a session that stands out with `duckstore show`; see its runs with `turn_pairs`, what
-- its tools did with `tool_usage` and its edits with `edit_points`, each with its session_id.
--
-- scope: session
--
-- param session_id: varchar = null
--     Only this session.
-- param user_id: varchar = null
--     Only sessions of this user.
-- param since: timestamptz = null
--     Ignore sessions that last changed before this moment.
-- param until: timestamptz = null
--     Ignore sessions that last changed at or after this moment.
-- param include_superseded: boolean = true
--     Also count what is on paths that an edit replaced.
-- param row_limit: bigint = null
--     Return at most this many sessions, the latest first.

with

chosen as (
    select
        session_id,
        title,
        user_id,
        source,
        created_at,
        updated_at
    from sessions
    where
        ($session_id::varchar is null or session_id = $session_id)
        and ($user_id::varchar is null or user_id = $user_id)
        and ($since::timestamptz is null or updated_at >= $since)
        and ($until::timestamptz is null or updated_at < $until)
),

-- A run that has no end on the current path is superseded, whatever came after it.
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

held as (
    select
        session_id,
        count(*) as item_count
    from items
    where
        ($session_id is null or session_id = $session_id)
        and ($include_superseded or is_current or is_archived)
    group by session_id
),

called as (
    select
        session_id,
        count(*) as tool_call_count,
        count(*) filter (where status = 'error') as tool_error_count
    from tool_calls
    where
        ($session_id is null or session_id = $session_id)
        and ($include_superseded or is_current or is_archived)
    group by session_id
),

branched as (
    select
        session_id,
        count(*) filter (where kind = 'edit') as edit_count,
        count(*) filter (where kind = 'regenerate') as regeneration_count,
        count(*) filter (where deleted_at is null) as branch_count
    from branches
    where $session_id is null or session_id = $session_id
    group by session_id
),

used as (
    select
        session_id,
        count(*) as response_count,
        sum(input_tokens)::bigint as input_tokens,
        sum(output_tokens)::bigint as output_tokens,
        sum(total_tokens)::bigint as total_tokens
    from responses
    where
        ($session_id is null or session_id = $session_id)
        and ($include_superseded or is_current or is_archived)
    group by session_id
),

paid as (
    select
        session_id,
        count(*) as priced_count,
        min(currency) as first_currency,
        max(currency) as last_currency,
        sum(total_cost)::bigint as total_cost
    from costs
    where
        total_cost is not null
        and ($session_id is null or session_id = $session_id)
        and ($include_superseded or is_current or is_archived)
    group by session_id
)

select
    chosen.session_id,
    chosen.title,
    chosen.user_id,
    chosen.source,
    chosen.created_at,
    chosen.updated_at,
    ran.last_status,
    used.input_tokens,
    used.output_tokens,
    used.total_tokens,
    ran.run_seconds,
    case when paid.first_currency = paid.last_currency then paid.first_currency end as currency,
    case when paid.first_currency = paid.last_currency then paid.total_cost end as total_cost,
    coalesce(used.response_count, 0) - coalesce(paid.priced_count, 0) as unpriced_count,
    coalesce(ran.run_count, 0) as run_count,
    coalesce(used.response_count, 0) as response_count,
    coalesce(held.item_count, 0) as item_count,
    coalesce(called.tool_call_count, 0) as tool_call_count,
    coalesce(called.tool_error_count, 0) as tool_error_count,
    coalesce(branched.edit_count, 0) as edit_count,
    coalesce(branched.regeneration_count, 0) as regeneration_count,
    coalesce(branched.branch_count, 0) as branch_count
from chosen
left join ran on chosen.session_id = ran.session_id
left join held on chosen.session_id = held.session_id
left join called on chosen.session_id = called.session_id
left join branched on chosen.session_id = branched.session_id
left join used on chosen.session_id = used.session_id
left join paid on chosen.session_id = paid.session_id
order by chosen.updated_at desc, chosen.session_id asc
limit $row_limit
