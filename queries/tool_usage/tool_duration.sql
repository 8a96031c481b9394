-- How long tools take, by agent, and how much of their runs' time goes into them.
--
-- One row per tool and agent. Only calls that something timed count for the seconds, known_count of
-- call_count; they are NULL where nobody timed any. A call inside an agent that is a tool counts
-- for its own tool, and again within that agent's. overlap_share is the part of the time in which
-- another call of the same response ran too. working_share is the time in which at least one call
-- of the tool ran, over the working time of the runs it was timed in; waiting for a person is no
-- working time, and it is NULL where no such run's time is known.
--
-- read: A p99 far above p50 is a tool that hangs now and then; a p50 that is high is one that is
-- slow as a rule. A high working_share with a low overlap_share is time that everybody waits for.
--
-- act: Begin with the tool of the most total_seconds: let it be called at once with others, see
-- `parallel_calls`, keep what it gives, see `cacheable_calls`, or set a timeout near its p99. Where
-- one agent's calls of a tool take longer than another's, compare what they ask for.
--
-- scope: store
--
-- param session_id: varchar = null
--     Only calls in this session.
-- param since: timestamptz = null
--     Ignore calls made before this moment.
-- param until: timestamptz = null
--     Ignore calls made at or after this moment.
-- param agent_name: varchar = null
--     Only calls by this agent.
-- param tool_name: varchar = null
--     Only this tool.
-- param include_superseded: boolean = true
--     Also calls on paths that an edit replaced: they were made and paid for.
-- param row_limit: bigint = null
--     Return at most this many rows, the most total seconds first.

with

calls as (
    select
        id,
        run_id,
        tool_name,
        agent_name,
        started_at,
        ended_at,
        duration_seconds,
        overlap_seconds,
        date_diff('microseconds', started_at, ended_at) as call_microseconds
    from tool_calls
    where
        ($session_id::varchar is null or session_id = $session_id)
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
        and ($agent_name::varchar is null or agent_name = $agent_name)
        and ($tool_name::varchar is null or tool_name = $tool_name)
        and ($include_superseded::boolean or is_current or is_archived)
),

work as (
    select
        run_id,
        sum(date_diff('microseconds', started_at, ended_at))::bigint as work_microseconds
    from outcomes
    where
        ($session_id::varchar is null or session_id = $session_id)
        and started_at is not null
        and ended_at is not null
    group by run_id
),

-- The part of each call in which none of the tool's that began before it ran any more.
busy as (
    select
        id,
        run_id,
        row_number() over in_run as call_rank,
        greatest(
            date_diff(
                'microseconds',
                greatest(
                    started_at,
                    max(ended_at) over (
                        in_run rows between unbounded preceding and 1 preceding
                    )
                ),
                ended_at
            ),
            0
        ) as busy_microseconds
    from calls
    where call_microseconds is not null
    window in_run as (
        partition by run_id, tool_name, agent_name
        order by started_at asc, id asc
    )
),

-- The run's time stands beside the first call only, so that it is added up once.
shares as (
    select
        busy.id,
        busy.busy_microseconds,
        if(busy.call_rank = 1, work.work_microseconds, 0) as work_microseconds
    from busy
    inner join work on busy.run_id = work.run_id
),

measured as (
    select
        calls.tool_name,
        calls.agent_name,
        count(*) as call_count,
        count(calls.call_microseconds) as known_count,
        count(distinct calls.run_id) as run_count,
        quantile_cont(calls.duration_seconds, 0.5) as p50_seconds,
        quantile_cont(calls.duration_seconds, 0.9) as p90_seconds,
        quantile_cont(calls.duration_seconds, 0.95) as p95_seconds,
        quantile_cont(calls.duration_seconds, 0.99) as p99_seconds,
        max(calls.duration_seconds) as max_seconds,
        sum(calls.call_microseconds)::bigint as total_microseconds,
        sum(round(calls.overlap_seconds * 1000000)::bigint)::bigint as overlap_microseconds,
        sum(calls.call_microseconds) filter (
            where calls.overlap_seconds is not null
        )::bigint as compared_microseconds,
        sum(shares.busy_microseconds)::bigint as busy_microseconds,
        sum(shares.work_microseconds)::bigint as work_microseconds
    from calls
    left join shares on calls.id = shares.id
    group by calls.tool_name, calls.agent_name
)

select
    tool_name,
    agent_name,
    call_count,
    known_count,
    run_count,
    p50_seconds,
    p90_seconds,
    p95_seconds,
    p99_seconds,
    max_seconds,
    total_microseconds / 1000000.0::double as total_seconds,
    overlap_microseconds / nullif(compared_microseconds, 0)::double as overlap_share,
    busy_microseconds / nullif(work_microseconds, 0)::double as working_share
from measured
order by
    total_microseconds desc nulls last,
    call_count desc,
    tool_name asc nulls last,
    agent_name asc nulls last
limit $row_limit
