-- How many answers were generated again, by agent and model.
--
-- One row per agent and model; either is NULL where nobody told. An answer is a message of an
-- assistant that ends a run: a run that stopped at a tool call has none. It was generated again
-- where an alternative of the kind regenerate was put, later, beside it or beside an item of its
-- run before it. So an answer that was tried three times is three answers, two of which were
-- generated again. An assistant's message that somebody edited counts as well: the store cannot
-- tell the two apart. Answers that a session was forked with were counted in the other one, and an
-- alternative on a branch asked for by name is no second try.
--
-- read: regenerated_share is the part of answers that somebody did not take as they were. Compare
-- agents and models with enough answers only.
--
-- act: Read what was refused beside what replaced it with `edit_effects` and kind 'regenerate',
-- starting with the first row's agent.
--
-- scope: store
--
-- param session_id: varchar = null
--     Only answers in this session.
-- param since: timestamptz = null
--     Ignore answers given before this moment.
-- param until: timestamptz = null
--     Ignore answers given at or after this moment.
-- param agent_name: varchar = null
--     Only this agent.
-- param model: varchar = null
--     Only this model.
-- param row_limit: bigint = null
--     Return at most this many rows, the most regenerated answers first.

with

alternatives as (
    select
        run_id,
        rank,
        alternative_item_id,
        coalesce(item_type, '') = 'message'
        and coalesce(role, '') <> 'assistant' as is_input,
        max(rank) filter (where kind = 'regenerate') over (
            partition by session_id, item_before_id
        ) as last_rank
    from edit_points
    where $session_id::varchar is null or session_id = $session_id
),

-- The first item of each run that another try was put beside.
replaced as (
    select
        run_id,
        min(alternative_item_id) as item_id
    from alternatives
    where rank < last_rank and not is_input
    group by run_id
),

ends as (
    select max(item_id) as item_id
    from items
    where
        operation not in ('compact', 'fork')
        and ($session_id::varchar is null or session_id = $session_id)
        and (
            response_id is not null
            or ends_with(item_type, '_output')
            or item_type = 'mcp_approval_response'
        )
    group by run_id
),

answers as (
    select
        item_id,
        session_id,
        run_id,
        response_id,
        agent_name
    from messages
    where
        role = 'assistant'
        and item_id in (select ends.item_id from ends)
        and ($session_id::varchar is null or session_id = $session_id)
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
        and ($agent_name::varchar is null or agent_name = $agent_name)
),

judged as (
    select
        answers.session_id,
        answers.agent_name,
        responses.model,
        replaced.item_id <= answers.item_id as is_regenerated
    from answers
    left join responses on answers.response_id = responses.response_id
    left join replaced on answers.run_id = replaced.run_id
)

select
    agent_name,
    model,
    count(*) as answer_count,
    count(*) filter (where is_regenerated) as regenerated_count,
    count(*) filter (where is_regenerated) / count(*)::double as regenerated_share,
    count(distinct session_id) as session_count
from judged
where $model::varchar is null or model = $model
group by agent_name, model
order by
    regenerated_count desc,
    answer_count desc,
    agent_name asc nulls last,
    model asc nulls last
limit $row_limit
