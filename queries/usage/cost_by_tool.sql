-- What each tool cost and how long it took, with the agents that ran as tools.
--
-- One row per tool and currency; a call in which models of two currencies were paid is in both. A
-- tool costs what the agents in it used: their model calls, in
-- millionths of the currency, and NULL for a tool in which no agent ran or none that is priced.
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
-- param include_superseded: boolean = true
--     Also calls on paths that an edit replaced: they were made and paid for.
-- param row_limit: bigint = null
--     Return at most this many tools, the dearest first.

with

-- What the model calls in each tool call cost together.
paid as (
    select
        responses.parent_tool_call_id as tool_call_id,
        costs.currency,
        count(*) as response_count,
        sum(responses.total_tokens)::bigint as total_tokens,
        sum(costs.total_cost)::bigint as total_cost
    from responses
    inner join costs on responses.response_id = costs.response_id
    where responses.parent_tool_call_id is not null
    group by responses.parent_tool_call_id, costs.currency
),

chosen as (
    select *
    from tool_calls
    where
        ($session_id::varchar is null or session_id = $session_id)
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
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
    sum(duration_seconds) as total_seconds,
    quantile_cont(duration_seconds, 0.5) as p50_seconds,
    quantile_cont(duration_seconds, 0.95) as p95_seconds,
    sum(overlap_seconds) / nullif(sum(duration_seconds), 0) as overlap_share,
    sum(response_count)::bigint as response_count,
    sum(total_tokens)::bigint as total_tokens,
    sum(total_cost)::bigint as total_cost
from called
group by tool_name, currency
order by
    total_cost desc nulls last,
    total_seconds desc nulls last,
    tool_name asc nulls last,
    currency asc
limit $row_limit
