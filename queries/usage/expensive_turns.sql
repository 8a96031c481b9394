-- Which runs cost the most, and what the user asked in them.
--
-- One row per run. Tokens and cost are those of all its model calls, with those of agents that ran
-- as tools; a run that was begun over in its middle counts what it used until then, and the one
-- that goes on from there the rest. The cost is in millionths of the currency. It is NULL where no
-- response has a price, and where they were paid in more than one currency. Responses without a
-- cost are counted as unpriced. Seconds are those from the user's message to the end of the run.
--
-- read: Amounts of different currencies stand in one order but cannot be compared; without any
-- cost, the order is that of the tokens. Many responses at a high total_tokens are a loop over
-- tools; few are a long context.
--
-- act: Read the dearest with `duckstore show`. See with `context_growth` whether the turn number
-- explains it, and with `usage_by_agent` which agent it was.
--
-- scope: session
--
-- param session_id: varchar = null
--     Only runs in this session.
-- param since: timestamptz = null
--     Ignore runs that began before this moment.
-- param until: timestamptz = null
--     Ignore runs that began at or after this moment.
-- param include_superseded: boolean = true
--     Also runs that an edit replaced: they were paid for.
-- param row_limit: bigint = null
--     Return at most this many runs, the dearest first.

with

paid as (
    select
        run_id,
        count(total_cost) as priced_count,
        min(currency) filter (where total_cost is not null) as first_currency,
        max(currency) filter (where total_cost is not null) as last_currency,
        sum(total_cost)::bigint as total_cost
    from costs
    where $session_id::varchar is null or session_id = $session_id
    group by run_id
),

chosen as (
    select *
    from runs
    where
        ($session_id::varchar is null or session_id = $session_id)
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
        and ($include_superseded::boolean or status <> 'superseded')
),

priced as (
    select
        chosen.*,
        chosen.response_count - coalesce(paid.priced_count, 0) as unpriced_count,
        case when paid.first_currency = paid.last_currency then paid.first_currency end as currency,
        case when paid.first_currency = paid.last_currency then paid.total_cost end as total_cost
    from chosen
    left join paid on chosen.id = paid.run_id
)

select
    session_id,
    turn_number,
    id as run_id,
    status,
    user_message,
    currency,
    total_cost,
    unpriced_count,
    total_tokens,
    input_tokens,
    cache_read_input_tokens,
    output_tokens,
    reasoning_output_tokens,
    response_count,
    tool_call_count,
    tool_error_count,
    created_at,
    duration_seconds
from priced
order by total_cost desc nulls last, total_tokens desc nulls last, run_id asc
limit $row_limit
