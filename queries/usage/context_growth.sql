-- How the input of the model grows from turn to turn.
--
-- One row per turn number, over the responses whose usage is known; those of agents that are tools
-- have a context of their own and are left out. Where one row stands for several requests, its
-- input is the mean of theirs. Growth is measured along each session's current path: from the last
-- response of the turn before to the last of this one, and within the turn from its first response
-- to its last. It is NULL where the turn before has no usage, and below 0 where a compaction, or a
-- handoff to an agent with less to read, made the input shorter.
--
-- read: p50_growth_tokens is what one more turn adds to the input of every later one; of it,
-- p50_inner_growth_tokens came while the agent worked: calls and outputs of tools. Rows of few
-- sessions, those of the highest turns, say little.
--
-- act: Where growth comes from within the turns, shorten what the tools give back: see
-- `tool_output_size` and `context_carry`. Where the p95 nears the model's limit, compact or
-- summarize before the turn at which it does. See with `cache_hits` how much of the repeated input
-- is cached.
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
--     Only responses of this agent. Growth is that of the turns whose last response it gave.
-- param model: varchar = null
--     Only responses of this model. Growth is that of the turns whose last response it gave.
-- param include_superseded: boolean = false
--     Also responses on paths that an edit replaced. Growth stays that of the current path.
-- param row_limit: bigint = null
--     Return at most this many turns, the first ones first.

with

used as (
    select
        response_id,
        session_id,
        turn_number,
        agent_name,
        model,
        created_at,
        input_tokens // greatest(coalesce(request_count, 1), 1) as input_tokens,
        is_current or is_archived as is_on_path
    from responses
    where
        input_tokens is not null
        and parent_tool_call_id is null
        and ($session_id::varchar is null or session_id = $session_id)
),

-- On one path ids grow, and a turn that was begun over in its middle is one turn again.
turns as (
    select
        session_id,
        turn_number,
        max(response_id) as last_response_id,
        arg_min(input_tokens, response_id) as first_input_tokens,
        arg_max(input_tokens, response_id) as last_input_tokens
    from used
    where is_on_path
    group by session_id, turn_number
),

growths as (
    select
        turns.last_response_id,
        turns.last_input_tokens - befores.last_input_tokens as growth_tokens,
        turns.last_input_tokens - turns.first_input_tokens as inner_growth_tokens
    from turns
    left join turns as befores
        on
            turns.session_id = befores.session_id
            and turns.turn_number = befores.turn_number + 1
),

chosen as (
    select *
    from used
    where
        ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
        and ($agent_name::varchar is null or agent_name = $agent_name)
        and ($model::varchar is null or model = $model)
        and ($include_superseded::boolean or is_on_path)
),

grown as (
    select
        chosen.*,
        growths.growth_tokens,
        growths.inner_growth_tokens
    from chosen
    left join growths on chosen.response_id = growths.last_response_id
)

select
    turn_number,
    count(distinct session_id) as session_count,
    count(*) as response_count,
    quantile_cont(input_tokens, 0.5) as p50_input_tokens,
    quantile_cont(input_tokens, 0.95) as p95_input_tokens,
    max(input_tokens) as max_input_tokens,
    quantile_cont(growth_tokens, 0.5) as p50_growth_tokens,
    quantile_cont(growth_tokens, 0.95) as p95_growth_tokens,
    quantile_cont(inner_growth_tokens, 0.5) as p50_inner_growth_tokens
from grown
group by turn_number
order by turn_number asc
limit $row_limit
