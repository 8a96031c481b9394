-- Which tools each agent calls, how often they fail for it, and how long they take.
--
-- One row per agent, tool name and type. Calls whose agent nobody told are rows without one. The
-- error share is that of the calls that are not pending, the call share that of all calls of the
-- agent. Agents that ran as tools are there where hooks or tracing saw them. Times are known only
-- where something that saw the tool run recorded them, and NULL elsewhere.
--
-- read: Compare one tool between agents: where it fails for one of them only, that agent is told
-- too little about it. A call_share near 1 is an agent that does one thing.
--
-- act: Take tools that an agent hardly calls away from it, and give those that two agents call
-- with different success one description. See with `tool_arguments` what each of them passes.
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
--     Only this agent.
-- param tool_name: varchar = null
--     Only this tool; shares stay those of all calls of the agent.
-- param include_superseded: boolean = true
--     Also calls on paths that an edit replaced: they were made and paid for.
-- param row_limit: bigint = null
--     Return at most this many rows, the most called first.

with

tools as (
    select
        agent_name,
        tool_name,
        tool_type,
        count(*) as call_count,
        count(*) filter (where status = 'error') as error_count,
        count(*) filter (where status = 'error')
        / nullif(count(*) filter (where status <> 'pending'), 0)::double as error_share,
        count(distinct run_id) as run_count,
        count(distinct session_id) as session_count,
        quantile_cont(duration_seconds, 0.5) as p50_seconds,
        quantile_cont(duration_seconds, 0.95) as p95_seconds
    from tool_calls
    where
        ($session_id::varchar is null or session_id = $session_id)
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
        and ($agent_name::varchar is null or agent_name = $agent_name)
        and ($include_superseded::boolean or is_current or is_archived)
    group by agent_name, tool_name, tool_type
),

shares as (
    select
        agent_name,
        tool_name,
        tool_type,
        call_count,
        error_count,
        error_share,
        run_count,
        session_count,
        p50_seconds,
        p95_seconds,
        call_count / (sum(call_count) over (partition by agent_name))::double as call_share
    from tools
)

select *
from shares
where $tool_name::varchar is null or tool_name = $tool_name
order by
    call_count desc,
    agent_name asc nulls last,
    tool_name asc nulls last,
    tool_type asc nulls last
limit $row_limit
