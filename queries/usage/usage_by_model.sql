-- What each model was used for, took and cost.
--
-- One row per model and currency. Every response counts, also one that failed or of which nobody
-- told the model or the tokens. Costs are in millionths of the currency. Responses for which no
-- price is known stand in rows without a currency; their costs are NULL and not 0. The unpriced
-- share is that of the responses without a cost, which are also those whose tokens nobody told.
-- Seconds are known only where something timed the model calls. A run or a session that used two
-- models counts in both rows.
--
-- read: total_cost is the sum of the five costs beside it. Where unpriced_share is above 0, it is
-- too low by what is not priced. A p95 far above the p50 is a model that is slow now and then.
--
-- act: Compare the cached part of the input with `cache_hits`; set the prices that
-- `unpriced_models` finds missing.
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
--     Return at most this many rows, the dearest first.

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
        paid.input_cost,
        paid.cache_read_cost,
        paid.cache_write_cost,
        paid.output_cost,
        paid.request_cost,
        paid.total_cost
    from chosen
    left join paid on chosen.response_id = paid.response_id
)

select
    model,
    currency,
    count(*) as response_count,
    count(*) filter (where error_type is not null or error is not null) as error_count,
    count(*) filter (where total_cost is null) as unpriced_count,
    count(*) filter (where total_cost is null) / count(*)::double as unpriced_share,
    sum(request_count)::bigint as request_count,
    sum(input_tokens)::bigint as input_tokens,
    sum(cache_read_input_tokens)::bigint as cache_read_input_tokens,
    sum(cache_write_input_tokens)::bigint as cache_write_input_tokens,
    sum(output_tokens)::bigint as output_tokens,
    sum(reasoning_output_tokens)::bigint as reasoning_output_tokens,
    sum(total_tokens)::bigint as total_tokens,
    sum(input_cost)::bigint as input_cost,
    sum(cache_read_cost)::bigint as cache_read_cost,
    sum(cache_write_cost)::bigint as cache_write_cost,
    sum(output_cost)::bigint as output_cost,
    -- A request has its price also where nobody told its tokens; that is in no total.
    sum(request_cost) filter (where total_cost is not null)::bigint as request_cost,
    sum(total_cost)::bigint as total_cost,
    quantile_cont(duration_seconds, 0.5) as p50_seconds,
    quantile_cont(duration_seconds, 0.95) as p95_seconds,
    count(distinct run_id) as run_count,
    count(distinct session_id) as session_count,
    min(created_at) as first_used_at,
    max(created_at) as last_used_at
from priced
group by model, currency
order by total_cost desc nulls last, model asc nulls last, currency asc nulls last
limit $row_limit
