-- What each tool cost and how long it took, with the agents that ran as tools.
--
-- One row per tool and currency; a call in which models of two currencies were paid is in both. A
-- tool costs what the agents in it used: their model calls, in millionths of the currency, and NULL
-- for a tool in which no agent ran or none that is priced.
-- Times are known only where something that saw the tool run recorded them. The overlap share is
-- the part of them during which another call of the same response ran too.
--
-- read: A tool with a total_cost is an agent that runs as a tool. An overlap_share near 1 means
-- that its time is hidden behind other calls, near 0 that everybody waits for it.
--
-- act: Give a dear tool's agent a smaller model, or fewer instructions; let slow tools be called
-- at once.
--
-- scope: store
--
-- param session_id: varchar = null
--     Only calls in this session.
-- param since: timestamptz = null
--     Ignore calls made before this moment.
-- param until: timestamptz = null
--     Ignore calls made at or after this moment.
-- param tool_name: varchar = null
--     Only this tool.
-- param agent_name: varchar = null
--     Only calls that this agent made.
-- param include_superseded: boolean = true
--     Also calls on paths that an edit replaced: they were made and paid for.
-- param row_limit: bigint = null
--     Return at most this many tools, the dearest first.

with

nested as (
    select
        response_id,
        parent_tool_call_id,
        total_tokens
    from responses
    where
        parent_tool_call_id is not null
        and ($session_id::varchar is null or session_id = $session_id)
),

priced as (
    select
        response_id,
        currency,
        total_cost
    from costs
    where $session_id is null or session_id = $session_id
),

-- What the model calls in each tool call cost together.
paid as (
    select
        nested.parent_tool_call_id as tool_call_id,
        priced.currency,
        count(*) as response_count,
        sum(nested.total_tokens)::bigint as total_tokens,
        sum(priced.total_cost)::bigint as total_cost
    from nested
    inner join priced on nested.response_id = priced.response_id
    group by nested.parent_tool_call_id, priced.currency
),

chosen as (
    select *
    from tool_calls
    where
        ($session_id is null or session_id = $session_id)
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
        and ($tool_name::varchar is null or tool_name = $tool_name)
        and ($agent_name::varchar is null or agent_name = $agent_name)
        and ($include_superseded::boolean or is_current or is_archived)
),

called as (
    select
        chosen.tool_name,
        chosen.agent_name,
        chosen.status,
        chosen.duration_seconds,
        chosen.overlap_seconds,
        paid.currency,
        paid.response_count,
        paid.total_tokens,
        paid.total_cost
    from chosen
    left join paid on chosen.id = paid.tool_call_id
)

select
    tool_name,
    currency,
    count(*) as call_count,
    count(*) filter (where status = 'error') as error_count,
    count(distinct agent_name) as agent_count,
    -- To the microsecond, as they were taken: a sum of doubles differs from time to time.
    round(sum(duration_seconds), 6) as total_seconds,
    quantile_cont(duration_seconds, 0.5) as p50_seconds,
    quantile_cont(duration_seconds, 0.95) as p95_seconds,
    round(sum(overlap_seconds), 6) / nullif(round(sum(duration_seconds), 6), 0) as overlap_share,
    sum(response_count)::bigint as response_count,
    sum(total_tokens)::bigint as total_tokens,
    sum(total_cost)::bigint as total_cost
from called
group by tool_name, currency
order by
    total_cost desc nulls last,
    total_seconds desc nulls last,
    tool_name asc nulls last,
    currency asc nulls last
limit $row_limit
