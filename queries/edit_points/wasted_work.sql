-- What agents used, cost and took for answers that are no longer on any session's path.
--
-- One row per agent, model and currency: whoever changes an agent's instructions or model changes
-- what is thrown away, and currencies do not add up. Superseded is what is no longer on its
-- session's path, a branch by name that the session is not on too; what a compaction took off the
-- path is not. Seconds are those of the model calls, and known only where something timed them;
-- costs are in millionths of the currency. What is not known is NULL, and a share of nothing too.
--
-- read: Compare superseded_token_share between the agents: it is the part of what was used whose
-- result the user did not keep. With few responses a share says little.
--
-- act: Find what is edited away with `edit_points`, and how soon with `time_to_edit`. An agent that
-- wastes much should ask back before it goes to work, or answer in fewer steps.
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
--     Only this model.
-- param row_limit: bigint = null
--     Return at most this many rows, the most superseded tokens first.

with

chosen as (
    select
        response_id,
        session_id,
        agent_name,
        model,
        total_tokens,
        -- Whole microseconds, whose sum is the same in any order.
        (duration_seconds * 1000000)::bigint as duration_us,
        not is_current and not is_archived as is_superseded
    from responses
    where
        ($session_id::varchar is null or session_id = $session_id)
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
        and ($agent_name::varchar is null or agent_name = $agent_name)
        and ($model::varchar is null or model = $model)
),

priced as (
    select
        chosen.*,
        costs.currency,
        costs.total_cost
    from chosen
    left join costs on chosen.response_id = costs.response_id
),

summed as (
    select
        agent_name,
        model,
        currency,
        count(*) as response_count,
        count(*) filter (where is_superseded) as superseded_response_count,
        sum(total_tokens)::bigint as total_tokens,
        sum(total_tokens) filter (where is_superseded)::bigint as superseded_tokens,
        sum(total_cost)::bigint as total_cost,
        sum(total_cost) filter (where is_superseded)::bigint as superseded_cost,
        sum(duration_us) / 1000000.0::double as total_seconds,
        sum(duration_us) filter (where is_superseded) / 1000000.0::double as superseded_seconds,
        count(distinct session_id) as session_count,
        count(distinct session_id) filter (where is_superseded) as superseded_session_count
    from priced
    group by agent_name, model, currency
)

select
    agent_name,
    model,
    currency,
    response_count,
    superseded_response_count,
    total_tokens,
    superseded_tokens,
    total_cost,
    superseded_cost,
    total_seconds,
    superseded_seconds,
    session_count,
    superseded_session_count,
    superseded_response_count / response_count::double as superseded_response_share,
    superseded_tokens / nullif(total_tokens, 0)::double as superseded_token_share,
    superseded_cost / nullif(total_cost, 0)::double as superseded_cost_share,
    superseded_seconds / nullif(total_seconds, 0) as superseded_seconds_share
from summed
order by
    superseded_tokens desc nulls last,
    superseded_response_count desc,
    agent_name asc nulls last,
    model asc nulls last,
    currency asc nulls last
limit $row_limit
