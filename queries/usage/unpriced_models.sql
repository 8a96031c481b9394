-- Which models have no price, and how much they were used.
--
-- One row per model. A model is listed where any response has no price: nobody gave one, or only
-- one that holds from a later day on. Responses whose model is not known are one row, with NULL.
--
-- read: Each row is a model whose cost is missing in every sum of costs.
--
-- act: Set prices with `duckstore prices --set`, from the day of first_used_at on, or update
-- genai-prices.
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
-- param model: varchar = null
--     Only this model.
-- param include_superseded: boolean = true
--     Also responses on paths that an edit replaced: they were made and paid for.
-- param row_limit: bigint = null
--     Return at most this many models, the most used first.

select
    model,
    count(*) as response_count,
    count(distinct session_id) as session_count,
    sum(input_tokens)::bigint as input_tokens,
    sum(output_tokens)::bigint as output_tokens,
    min(created_at) as first_used_at,
    max(created_at) as last_used_at
from costs
where
    currency is null
    and ($session_id::varchar is null or session_id = $session_id)
    and ($since::timestamptz is null or created_at >= $since)
    and ($until::timestamptz is null or created_at < $until)
    and ($agent_name::varchar is null or agent_name = $agent_name)
    and ($model::varchar is null or model = $model)
    and ($include_superseded::boolean or is_current or is_archived)
group by model
order by response_count desc, model asc nulls last
limit $row_limit
