-- Whether runs in which a tool failed got it to work after all.
--
-- One row per tool that failed. A run has recovered from a tool's first failure in it when a call
-- of the same tool in a later response of the run went well; calls made at once with the one that
-- failed do not count. (A hosted tool can be tried again within the same response.) Tries are the
-- later calls of the tool until the first that went well, that one included; seconds are from the
-- moment that the failed call was stored to that of this one. error_count counts all failures in
-- these runs. A run that was begun over in its middle goes on from the calls that it kept, and a
-- failure that it kept counts once, with what came on the current path. What runs in an agent that
-- is a tool is left out. The completed shares are those of the runs that are on their session's
-- path.
--
-- read: recovered_share says how often the agent gets by with the same tool. Where it is small and
-- completed_share is large, it finds another way, or answers without: compare
-- recovered_completed_share with unrecovered_completed_share for what the failure costs.
--
-- act: A tool that recovers after many tries needs a better description of its arguments; one that
-- never does needs a way out in the instructions. `after_tool_failure` has the next step alone,
-- `tool_errors` the errors.
--
-- scope: store
--
-- param session_id: varchar = null
--     Only calls in this session.
-- param since: timestamptz = null
--     Ignore runs in which the tool first failed before this moment.
-- param until: timestamptz = null
--     Ignore runs in which the tool first failed at or after this moment.
-- param agent_name: varchar = null
--     Only runs in which this agent made the tool's first failed call.
-- param tool_name: varchar = null
--     Only this tool.
-- param include_superseded: boolean = true
--     Also runs on paths that an edit replaced.
-- param row_limit: bigint = null
--     Return at most this many tools, those that failed in the most runs first.

with

called as (
    select
        id,
        session_id,
        run_id,
        turn_number,
        tool_name,
        agent_name,
        status,
        created_at,
        -- A tool that the model's provider ran has its output in its call: the response can try
        -- again.
        case
            when
                tool_type not in (
                    'code_interpreter', 'file_search', 'image_generation', 'mcp', 'web_search'
                )
                then coalesce(response_id, id)
            else id
        end as step_id,
        is_current or is_archived as is_live
    from tool_calls
    where
        parent_tool_call_id is null
        and ($session_id::varchar is null or session_id = $session_id)
),

-- Runs of which something is no longer on the path.
departed as (
    select distinct run_id
    from called
    where $include_superseded::boolean and not is_live
),

-- What is on the current path is one sequence for each turn_number, with 0 for a run that left it.
-- A run that did comes with the calls that it shares with the path, which are not its own.
sequenced as (
    select
        *,
        0::bigint as superseded_run_id,
        true as is_own
    from called
    where is_live
    union all
    select
        called.*,
        called.run_id as superseded_run_id,
        not called.is_live as is_own
    from called
    inner join departed on called.run_id = departed.run_id
),

first_failures as (
    select
        session_id,
        turn_number,
        superseded_run_id,
        tool_name,
        count(*) as error_count,
        min(id) as failure_id,
        arg_min(step_id, id) as step_id,
        arg_min(created_at, id) as failed_at,
        arg_min_null(agent_name, id) as agent_name,
        arg_min(is_own, id) as is_own
    from sequenced
    where status = 'error'
    group by session_id, turn_number, superseded_run_id, tool_name
),

failures as (
    select *
    from first_failures
    where
        is_own
        and ($since::timestamptz is null or failed_at >= $since)
        and ($until::timestamptz is null or failed_at < $until)
        and ($agent_name::varchar is null or agent_name = $agent_name)
        and ($tool_name::varchar is null or tool_name = $tool_name)
),

tries as (
    select
        failures.failure_id,
        sequenced.status,
        date_diff('microseconds', failures.failed_at, sequenced.created_at)
        / 1000000.0 as seconds,
        row_number() over (
            partition by failures.failure_id
            order by sequenced.id asc
        ) as try_number
    from failures
    inner join sequenced
        on
            failures.session_id = sequenced.session_id
            and failures.turn_number = sequenced.turn_number
            and failures.superseded_run_id = sequenced.superseded_run_id
            and failures.tool_name = sequenced.tool_name
            and failures.step_id < sequenced.step_id
),

tried as (
    select
        failure_id,
        min(try_number) filter (where status = 'ok') as try_count,
        arg_min(seconds, try_number) filter (where status = 'ok') as seconds
    from tries
    group by failure_id
),

-- How each turn of a path ended; of a run that was begun over in its middle the later one tells.
ended as (
    select
        session_id,
        turn_number,
        arg_max(status, id) = 'completed' as is_completed
    from runs
    where
        status <> 'superseded'
        and ($session_id::varchar is null or session_id = $session_id)
    group by session_id, turn_number
),

told as (
    select
        failures.tool_name,
        failures.error_count,
        tried.try_count,
        tried.seconds,
        ended.is_completed,
        tried.failure_id is not null as is_retried,
        tried.try_count is not null as is_recovered
    from failures
    left join tried on failures.failure_id = tried.failure_id
    left join ended
        on
            failures.session_id = ended.session_id
            and failures.turn_number = ended.turn_number
            and failures.superseded_run_id = 0
)

select
    tool_name,
    count(*) as failed_run_count,
    sum(error_count)::bigint as error_count,
    count(*) filter (where is_retried) as retried_run_count,
    count(*) filter (where is_recovered) as recovered_run_count,
    count(*) filter (where is_completed) as completed_run_count,
    count(*) filter (where is_recovered) / count(*)::double as recovered_share,
    quantile_cont(try_count, 0.5) as median_try_count,
    max(try_count) as max_try_count,
    quantile_cont(seconds, 0.5) as median_seconds,
    avg(is_completed::bigint) as completed_share,
    avg(is_completed::bigint) filter (where is_recovered) as recovered_completed_share,
    avg(is_completed::bigint) filter (where not is_recovered) as unrecovered_completed_share
from told
group by tool_name
order by failed_run_count desc, error_count desc, tool_name asc nulls last
limit $row_limit
