-- What was used and what it cost, day by day.
--
-- One row per UTC day, model and currency. A response counts on the day on which it was stored;
-- days without responses are no rows. A run or a session that used two models, or went on over
-- midnight, counts in each row that it is in. Costs are in millionths of the currency, and NULL
-- where no price or no tokens are known: unpriced_count says for how many responses.
--
-- read: Compare the same weekdays. Where total_tokens grows and run_count does not, each run got
-- longer; where total_cost grows and total_tokens does not, dearer tokens are used.
--
-- act: See who used what on a day that stands out with `usage_by_agent` and `expensive_turns`,
-- giving them the day as since and until.
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
--     Return at most this many rows, the latest day first.

with

chosen as (
    select
        *,
        timezone('UTC', created_at)::date as used_on
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
    used_on,
    model,
    currency,
    count(*) as response_count,
    count(*) filter (where error_type is not null or error is not null) as error_count,
    count(*) filter (where total_cost is null) as unpriced_count,
    count(distinct run_id) as run_count,
    count(distinct session_id) as session_count,
    sum(input_tokens)::bigint as input_tokens,
    sum(cache_read_input_tokens)::bigint as cache_read_input_tokens,
    sum(cache_write_input_tokens)::bigint as cache_write_input_tokens,
    sum(output_tokens)::bigint as output_tokens,
    sum(reasoning_output_tokens)::bigint as reasoning_output_tokens,
    sum(total_tokens)::bigint as total_tokens,
    sum(total_cost)::bigint as total_cost
from priced
group by used_on, model, currency
order by
    used_on desc,
    total_tokens desc nulls last,
    model asc nulls last,
    currency asc nulls last
limit $row_limit
