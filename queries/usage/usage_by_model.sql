-- What the model calls cost, by model.
--
-- One row per model and currency. Costs are in millionths of the currency. Responses for which no
-- price is known stand in rows without a currency; their costs are NULL and not 0. The unpriced
-- share is that of the responses without a cost, which are also those whose tokens nobody told.
--
-- read: total_cost is the sum of the four costs beside it. Where unpriced_share is above 0, it is
-- too low by what is not priced.
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
-- param include_superseded: boolean = true
--     Also responses on paths that an edit replaced: they were made and paid for.
-- param row_limit: bigint = null
--     Return at most this many rows, the dearest first.

select
    model,
    currency,
    count(*) as response_count,
    count(*) filter (where total_cost is null) as unpriced_count,
    count(*) filter (where total_cost is null) / count(*)::double as unpriced_share,
    sum(input_tokens)::bigint as input_tokens,
    sum(cache_read_input_tokens)::bigint as cache_read_input_tokens,
    sum(cache_write_input_tokens)::bigint as cache_write_input_tokens,
    sum(output_tokens)::bigint as output_tokens,
    sum(input_cost)::bigint as input_cost,
    sum(cache_read_cost)::bigint as cache_read_cost,
    sum(cache_write_cost)::bigint as cache_write_cost,
    sum(output_cost)::bigint as output_cost,
    sum(total_cost)::bigint as total_cost,
    min(created_at) as first_used_at,
    max(created_at) as last_used_at
from costs
where
    ($session_id::varchar is null or session_id = $session_id)
    and ($since::timestamptz is null or created_at >= $since)
    and ($until::timestamptz is null or created_at < $until)
    and ($include_superseded::boolean or is_current or is_archived)
group by model, currency
order by total_cost desc nulls last, model asc nulls last, currency asc
limit $row_limit
