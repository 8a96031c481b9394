-- What each agent used, took and cost, by model.
--
-- One row per agent, model and currency. Agents that ran as tools are rows of their own where
-- hooks or tracing saw them; without, their model calls have no agent. Seconds are those of the
-- model calls and known only where something timed them; costs are in millionths of the currency.
-- Model calls that failed count as errors and used nothing.
--
-- read: Compare total_tokens and total_cost with response_count: an agent with many tokens a
-- response carries a long context. A row without an agent is usage whose agent nobody told.
--
-- act: Shorten the instructions or the tools of the agent that leads the list, or give it a
-- smaller model, and look again.
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
--     Only this agent.
-- param model: varchar = null
--     Only responses of this model.
-- param include_superseded: boolean = true
--     Also responses on paths that an edit replaced: they were made and paid for.
-- param row_limit: bigint = null
--     Return at most this many rows, the most tokens first.

with

chosen as (
    select *
    from responses
    where
        ($session_id::varchar is null or session_id = $session_id)
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
        and ($agent_name::varchar is null or agent_name = $agent_name)
        and ($model::varchar is null or model = $model)
        and ($include_superseded::boolean or is_current or is_archived)
),

paid as (
    select *
    from costs
    where $session_id::varchar is null or session_id = $session_id
),

priced as (
    select
        chosen.*,
        paid.currency,
        paid.total_cost
    from chosen
    left join paid on chosen.response_id = paid.response_id
)

select
    agent_name,
    model,
    currency,
    count(*) as response_count,
    count(*) filter (where error_type is not null or error is not null) as error_count,
    sum(request_count)::bigint as request_count,
    sum(input_tokens)::bigint as input_tokens,
    sum(cache_read_input_tokens)::bigint as cache_read_input_tokens,
    sum(output_tokens)::bigint as output_tokens,
    sum(reasoning_output_tokens)::bigint as reasoning_output_tokens,
    sum(total_tokens)::bigint as total_tokens,
    sum(total_cost)::bigint as total_cost,
    -- To the microsecond, as they were taken: a sum of doubles differs from time to time.
    round(sum(duration_seconds), 6) as total_seconds,
    quantile_cont(duration_seconds, 0.5) as p50_seconds,
    quantile_cont(duration_seconds, 0.95) as p95_seconds,
    count(distinct run_id) as run_count,
    count(distinct session_id) as session_count
from priced
group by agent_name, model, currency
order by
    total_tokens desc nulls last,
    agent_name asc nulls last,
    model asc nulls last,
    currency asc nulls last
limit $row_limit
