-- How much of the input was read from the provider's cache, and what that saved.
--
-- One row per agent, model and currency, over the responses whose usage is known. Shares are those
-- of the input tokens. A response is the first of its session or of its run where the same agent
-- did not call the same model there before, on any path; an agent that is a tool begins anew with
-- each call. What was saved is, in millionths of the currency, what the cached tokens would have
-- cost at the mean price of those outside the cache, less what reading and writing them did cost:
-- an estimate, and NULL where nothing is priced. A provider that does not tell of its cache looks
-- like one that never hits.
--
-- read: The first response of a session finds little in the cache, so compare later_read_share,
-- that of the second and further responses of a run, which repeat the input of the one before. A
-- run_first_read_share far below it means that the cache is lost while the user thinks. A
-- saved_cost below 0 means that writing to the cache cost more than reading from it saved.
--
-- act: Where later_read_share is low, put what changes (dates, names, retrieved texts) behind the
-- instructions and the tools, which must stay the same to the letter, and keep their order. See
-- with `context_growth` how long the inputs get.
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
-- param include_superseded: boolean = true
--     Also responses on paths that an edit replaced: they were made and paid for.
-- param row_limit: bigint = null
--     Return at most this many rows, the most input tokens first.

with

-- Responses on any path and of any time come before others: they filled the cache all the same. One
-- that failed did not.
session_firsts as (
    select min(response_id) as response_id
    from responses
    where
        error_type is null
        and error is null
        and ($session_id::varchar is null or session_id = $session_id)
    group by session_id, agent_name, model
),

run_firsts as (
    select min(response_id) as response_id
    from responses
    where
        error_type is null
        and error is null
        and ($session_id is null or session_id = $session_id)
    group by run_id, parent_tool_call_id, agent_name, model
),

chosen as (
    select *
    from costs
    where
        input_tokens is not null
        and ($session_id::varchar is null or session_id = $session_id)
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
        and ($agent_name::varchar is null or agent_name = $agent_name)
        and ($model::varchar is null or model = $model)
        and ($include_superseded::boolean or is_current or is_archived)
),

used as (
    select
        chosen.agent_name,
        chosen.model,
        chosen.currency,
        chosen.input_tokens,
        chosen.input_cost,
        chosen.cache_read_cost,
        chosen.cache_write_cost,
        coalesce(chosen.cache_read_input_tokens, 0) as read_tokens,
        coalesce(chosen.cache_write_input_tokens, 0) as written_tokens,
        case
            when session_firsts.response_id is not null then 'session'
            when run_firsts.response_id is not null then 'run'
            else 'later'
        end as place
    from chosen
    left join session_firsts on chosen.response_id = session_firsts.response_id
    left join run_firsts on chosen.response_id = run_firsts.response_id
),

summed as (
    select
        agent_name,
        model,
        currency,
        count(*) as response_count,
        sum(input_tokens)::bigint as input_tokens,
        sum(read_tokens)::bigint as read_tokens,
        sum(written_tokens)::bigint as written_tokens,
        count(*) filter (where read_tokens > 0) as hit_count,
        count(*) filter (where place = 'session') as session_first_count,
        sum(input_tokens) filter (where place = 'session')::double as session_first_tokens,
        sum(read_tokens) filter (where place = 'session') as session_first_read_tokens,
        count(*) filter (where place = 'run') as run_first_count,
        sum(input_tokens) filter (where place = 'run')::double as run_first_tokens,
        sum(read_tokens) filter (where place = 'run') as run_first_read_tokens,
        count(*) filter (where place = 'later') as later_count,
        sum(input_tokens) filter (where place = 'later')::double as later_tokens,
        sum(read_tokens) filter (where place = 'later') as later_read_tokens,
        sum(greatest(input_tokens - read_tokens - written_tokens, 0))::double as plain_tokens,
        sum(input_cost)::double as plain_cost,
        sum(cache_read_cost + cache_write_cost)::double as cache_cost
    from used
    group by agent_name, model, currency
)

select
    agent_name,
    model,
    currency,
    response_count,
    input_tokens,
    read_tokens as cache_read_input_tokens,
    written_tokens as cache_write_input_tokens,
    hit_count,
    session_first_count,
    run_first_count,
    later_count,
    read_tokens / nullif(input_tokens, 0)::double as read_share,
    hit_count / response_count::double as hit_share,
    session_first_read_tokens / nullif(session_first_tokens, 0) as session_first_read_share,
    run_first_read_tokens / nullif(run_first_tokens, 0) as run_first_read_share,
    later_read_tokens / nullif(later_tokens, 0) as later_read_share,
    round(
        plain_cost / nullif(plain_tokens, 0) * (read_tokens + written_tokens) - cache_cost
    )::bigint as saved_cost
from summed
order by
    input_tokens desc,
    agent_name asc nulls last,
    model asc nulls last,
    currency asc nulls last
limit $row_limit
