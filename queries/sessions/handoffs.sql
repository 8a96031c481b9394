-- Which agent hands over to which, how often, and what comes of it.
--
-- One row per pair of agents. A handoff is a tool call whose output names the agent that takes
-- over; one that was called and not carried out is none. Who hands over is NULL where nobody told
-- the agent of the call. The completed share is that of the runs that are not superseded. Seconds
-- run from the handoff to the next message of the run that is the assistant's, by the times at
-- which both were stored; a handoff that no message follows in its run has none.
--
-- read: Many handoffs with a small completed_share are conversations that went to an agent that
-- could not help. handoff_count above run_count means that runs take the same way twice: see
-- `handoff_loops`.
--
-- act: Say more clearly in the handoff's description when it is meant, or give the first agent the
-- tool that it hands over for. Let the first agent be the one that most runs end with.
--
-- scope: store
--
-- param session_id: varchar = null
--     Only handoffs in this session.
-- param since: timestamptz = null
--     Ignore handoffs made before this moment.
-- param until: timestamptz = null
--     Ignore handoffs made at or after this moment.
-- param agent_name: varchar = null
--     Only handoffs by this agent or to it.
-- param include_superseded: boolean = true
--     Also handoffs on paths that an edit replaced.
-- param row_limit: bigint = null
--     Return at most this many pairs, the most frequent first.

with

handed_over as (
    select
        output_item_id as item_id,
        session_id,
        run_id,
        agent_name,
        handoff_to,
        created_at
    from tool_calls
    where
        handoff_to is not null
        and ($session_id::varchar is null or session_id = $session_id)
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
        and (
            $agent_name::varchar is null
            or agent_name = $agent_name
            or handoff_to = $agent_name
        )
        and ($include_superseded::boolean or is_current or is_archived)
),

-- Handoffs and messages of a run in order, so that each handoff sees what comes after it.
steps as (
    select
        item_id,
        run_id,
        null as answered_at
    from handed_over
    union all
    select
        messages.item_id,
        messages.run_id,
        messages.created_at as answered_at
    from messages
    semi join handed_over on messages.run_id = handed_over.run_id
    where
        messages.role = 'assistant'
        and messages.text is not null
),

answers as (
    select
        item_id,
        answered_at,
        first_value(answered_at ignore nulls) over (
            partition by run_id
            order by item_id asc
            rows between current row and unbounded following
        ) as next_answered_at
    from steps
),

ends as (
    select
        runs.id,
        runs.status
    from runs
    semi join handed_over on runs.id = handed_over.run_id
    where runs.status <> 'superseded'
),

told as (
    select
        handed_over.*,
        ends.status,
        date_diff('microseconds', handed_over.created_at, answers.next_answered_at)
        / 1000000.0 as answer_seconds
    from handed_over
    inner join answers
        on
            handed_over.item_id = answers.item_id
            and answers.answered_at is null
    left join ends on handed_over.run_id = ends.id
)

select
    agent_name as from_agent_name,
    handoff_to as to_agent_name,
    count(*) as handoff_count,
    count(distinct run_id) as run_count,
    count(distinct session_id) as session_count,
    count(distinct run_id) filter (where status = 'completed')
    / nullif(count(distinct run_id) filter (where status is not null), 0)::double
        as completed_share,
    quantile_cont(answer_seconds, 0.5) as p50_answer_seconds
from told
group by agent_name, handoff_to
order by handoff_count desc, from_agent_name asc nulls last, to_agent_name asc
limit $row_limit
