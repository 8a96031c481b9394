-- Which tools agents call at once, whether those calls ran side by side, and what that saved.
--
-- One row per set of tools and number of calls, for responses that made more than one. tool_names
-- has each tool once; parallel_count is how many calls the response made, so that three calls of
-- two tools are one row whichever of them came twice. A response is taken whole. Calls that no
-- item tells of are left out, since no response is known to have made them together. Seconds are
-- those of the responses all of whose calls were timed (timed_response_count), NULL where there
-- are none.
--
-- read: called_seconds is what the calls took one by one, elapsed_seconds what they took together,
-- saved_seconds the difference. An overlap_share near 0 beside a high parallel_count is a set of
-- calls that was asked for at once and run one after the other.
--
-- act: Make tools that do not overlap asynchronous, or allow them to run at once. Where the same
-- tool is called many times in a response, give it a list to work on. Find tools that are never
-- called at once with `tool_duration`.
--
-- scope: store
--
-- param session_id: varchar = null
--     Only responses in this session.
-- param since: timestamptz = null
--     Ignore responses made before this moment.
-- param until: timestamptz = null
--     Ignore responses made at or after this moment.
-- param agent_name: varchar = null
--     Only responses of this agent.
-- param tool_name: varchar = null
--     Only sets with this tool.
-- param include_superseded: boolean = true
--     Also responses of which no call is on its session's path any more: they were made and paid
--     for.
-- param row_limit: bigint = null
--     Return at most this many sets, the most frequent first.

with

calls as (
    select
        id,
        session_id,
        response_id,
        agent_name,
        tool_name,
        status,
        created_at,
        started_at,
        ended_at,
        overlap_seconds,
        is_current or is_archived as is_live
    from tool_calls
    where
        parallel_count > 1
        and ($session_id::varchar is null or session_id = $session_id)
),

-- The part of each call in which none that began before it ran any more: together, the time in
-- which at least one of them ran.
timed as (
    select
        response_id,
        overlap_seconds,
        date_diff('microseconds', started_at, ended_at) as called_microseconds,
        greatest(
            date_diff(
                'microseconds',
                greatest(
                    started_at,
                    max(ended_at) over (
                        partition by response_id
                        order by started_at asc, id asc
                        rows between unbounded preceding and 1 preceding
                    )
                ),
                ended_at
            ),
            0
        ) as elapsed_microseconds
    from calls
    where started_at is not null and ended_at is not null
),

times as (
    select
        response_id,
        count(*) as timed_count,
        sum(called_microseconds)::bigint as called_microseconds,
        sum(elapsed_microseconds)::bigint as elapsed_microseconds,
        sum(called_microseconds) filter (
            where overlap_seconds is not null
        )::bigint as compared_microseconds,
        sum(round(overlap_seconds * 1000000)::bigint)::bigint as overlap_microseconds
    from timed
    group by response_id
),

called as (
    select
        response_id,
        any_value(session_id) as session_id,
        min(created_at) as created_at,
        bool_or(is_live) as is_live,
        list_distinct(list(agent_name)) as agent_names,
        list_sort(list_distinct(list(tool_name))) as tool_names,
        count(*) as parallel_count,
        count(*) filter (where status = 'error') as error_count,
        count(*) filter (where status <> 'pending') as ended_count
    from calls
    group by response_id
),

chosen as (
    select *
    from called
    where
        ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
        and ($agent_name::varchar is null or list_contains(agent_names, $agent_name))
        and ($tool_name::varchar is null or list_contains(tool_names, $tool_name))
        and ($include_superseded::boolean or is_live)
)

select
    chosen.tool_names,
    chosen.parallel_count,
    count(*) as response_count,
    sum(chosen.parallel_count)::bigint as call_count,
    count(distinct chosen.session_id) as session_count,
    sum(chosen.error_count)::bigint as error_count,
    sum(chosen.error_count) / nullif(sum(chosen.ended_count), 0)::double as error_share,
    count(times.response_id) as timed_response_count,
    sum(times.called_microseconds)::bigint / 1000000.0::double as called_seconds,
    sum(times.elapsed_microseconds)::bigint / 1000000.0::double as elapsed_seconds,
    sum(times.called_microseconds - times.elapsed_microseconds)::bigint
    / 1000000.0::double as saved_seconds,
    sum(times.overlap_microseconds)::bigint
    / nullif(sum(times.compared_microseconds), 0)::double as overlap_share
from chosen
left join times
    on
        chosen.response_id = times.response_id
        and chosen.parallel_count = times.timed_count
group by chosen.tool_names, chosen.parallel_count
order by response_count desc, chosen.parallel_count desc, chosen.tool_names asc
limit $row_limit
