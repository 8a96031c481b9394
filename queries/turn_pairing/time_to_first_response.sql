-- How long people wait for the first response to their question.
--
-- One row per agent and model of the first response of a turn: the first model call that did not
-- fail, timed from the question to its end. (Words that are streamed come sooner.) Turns without
-- a response are left out. The time is known only where something that saw the model call told
-- its end; known_count says of how many. A turn whose answer was generated again counts once,
-- with the response that came first.
--
-- read: Look at p95_seconds beside p50_seconds: few people complain about the middle. Quantiles
-- over a small known_count say little.
--
-- act: Where the first response is slow, shorten the agent's instructions, have it think less or
-- give it a smaller model, and stream; compare the agents' tokens with `usage_by_agent`.
--
-- scope: store
--
-- param session_id: varchar = null
--     Only turns in this session.
-- param since: timestamptz = null
--     Ignore turns that began before this moment.
-- param until: timestamptz = null
--     Ignore turns that began at or after this moment.
-- param agent_name: varchar = null
--     Only turns to which this agent responded first.
-- param model: varchar = null
--     Only turns to which this model responded first.
-- param include_superseded: boolean = false
--     Also turns whose question is no longer on its session's path.
-- param row_limit: bigint = null
--     Return at most this many rows, the most turns first.

with

-- Runs that begin with a question. One that begins in the middle of a turn has nothing to be timed
-- from.
turns as (
    select
        id,
        user_item_id,
        first_response_seconds
    from runs
    where
        forked_run_id is null
        and ($session_id::varchar is null or session_id = $session_id)
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
),

questions as (
    select item_id
    from items
    where
        role = 'user'
        and ($session_id::varchar is null or session_id = $session_id)
        and ($include_superseded::boolean or is_current or is_archived)
),

-- The one that ended first, or the first where that is not known.
first_responses as (
    select
        run_id,
        agent_name,
        model
    from responses
    where
        error_type is null
        and error is null
        and ($session_id::varchar is null or session_id = $session_id)
    qualify row_number() over (
        partition by run_id
        order by ended_at asc nulls last, response_id asc
    ) = 1
),

timed as (
    select
        turns.first_response_seconds,
        first_responses.agent_name,
        first_responses.model
    from turns
    inner join questions on turns.user_item_id = questions.item_id
    inner join first_responses on turns.id = first_responses.run_id
)

select
    agent_name,
    model,
    count(*) as run_count,
    count(first_response_seconds) as known_count,
    quantile_cont(first_response_seconds, 0.5) as p50_seconds,
    quantile_cont(first_response_seconds, 0.95) as p95_seconds,
    max(first_response_seconds) as max_seconds
from timed
where
    ($agent_name::varchar is null or agent_name = $agent_name)
    and ($model::varchar is null or model = $model)
group by agent_name, model
order by run_count desc, agent_name asc nulls last, model asc nulls last
limit $row_limit
