-- What an edit or another try changed: the answer, the tools, the tokens and the time.
--
-- One row per alternative that was put beside an earlier one, with what either led to: the rest of
-- its own run, from the edit point on, until the next user message or until it was begun over. The
-- one before is the latest earlier alternative of the same sort, which is said to the agent or
-- made by it (in most places the one with rank - 1); a question in the place of an answer has
-- nothing to compare with, nor has a compaction. Only edits and regenerations, unless another kind
-- is asked for. Calls and tokens from before a regeneration count on neither side.
--
-- A status is how the run ended, superseded or not: completed, unanswered, interrupted or error.
-- Seconds are from the question to the end of its run; of an answer, from when its model was asked,
-- as far as that is known. What was copied from another session is no run of this one, and NULL.
--
-- read: Compare each after_ column with its before_ column. The same answer and the same tools
-- after an edit mean that the new words made no difference to the agent.
--
-- act: Keep the pairs in which an error became completed as examples for the instructions. Sum up
-- which tools were left for which with `tool_path_changes`; read the words of the edits with
-- `edit_text_changes`.
--
-- scope: session
--
-- param session_id: varchar = null
--     Only this session.
-- param kind: varchar = null
--     Only alternatives of this kind: edit, regenerate or fork. Null for edits and regenerations.
-- param since: timestamptz = null
--     Ignore alternatives begun before this moment.
-- param until: timestamptz = null
--     Ignore alternatives begun at or after this moment.
-- param row_limit: bigint = null
--     Return at most this many alternatives.

with

alternatives as (
    select
        *,
        lag(alternative_item_id) over tries as before_item_id,
        lag(run_id) over tries as before_run_id
    from edit_points
    where
        kind <> 'compact'
        and ($session_id::varchar is null or session_id = $session_id)
    window tries as (
        partition by
            session_id,
            item_before_id,
            coalesce(item_type, '') = 'message' and coalesce(role, '') <> 'assistant'
        order by rank asc
    )
),

changes as (
    select *
    from alternatives
    where
        before_item_id is not null
        and (kind = $kind::varchar or ($kind::varchar is null and kind in ('edit', 'regenerate')))
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
),

sides as (
    select
        before_item_id as item_id,
        before_run_id as run_id
    from changes
    union
    select
        alternative_item_id,
        run_id
    from changes
),

-- Where an alternative is not the first item of its response, all of the response counts for it.
starts as (
    select
        sides.item_id,
        sides.run_id,
        items.response_id,
        items.created_at,
        coalesce(items.item_type, '') = 'message'
        and coalesce(items.role, '') <> 'assistant' as is_input,
        coalesce(items.response_id, items.item_id) as head_item_id
    from sides
    inner join items on sides.item_id = items.item_id
),

kept as (
    select
        item_id,
        run_id,
        created_at,
        response_id is not null and item_type = 'message' as is_message,
        response_id is not null
        or ends_with(item_type, '_output')
        or item_type = 'mcp_approval_response' as is_work
    from items
    where
        operation not in ('compact', 'fork')
        and run_id in (select sides.run_id from sides)
),

made as (
    select
        run_id,
        max(item_id) as last_item_id,
        max(item_id) filter (where is_work) as last_work_id,
        max(item_id) filter (where is_message) as last_message_id,
        max(created_at) as last_at
    from kept
    group by run_id
),

answered as (
    select
        run_id,
        max(item_id) as item_id
    from messages
    where
        role = 'assistant'
        and text is not null
        and operation not in ('compact', 'fork')
        and run_id in (select sides.run_id from sides)
    group by run_id
),

answers as (
    select
        run_id,
        item_id,
        text
    from messages
    where item_id in (select answered.item_id from answered)
),

-- How a run ended is known where nothing was added after that.
ended as (
    select
        run_id,
        arg_max(outcome, outcome_id) as outcome,
        max(anchor_item_id) as last_item_id,
        max(ended_at) as last_at
    from outcomes
    where run_id in (select sides.run_id from sides)
    group by run_id
),

ends as (
    select
        made.run_id,
        made.last_work_id,
        made.last_message_id,
        case when ended.last_item_id >= made.last_item_id then ended.outcome end as outcome,
        greatest(made.last_at, ended.last_at) as ended_at
    from made
    left join ended on made.run_id = ended.run_id
),

called as (
    select
        sides.item_id,
        list(tool_calls.tool_name order by tool_calls.id asc) as tool_names,
        count(*) filter (where tool_calls.status = 'error') as error_count
    from sides
    inner join tool_calls
        on
            sides.run_id = tool_calls.run_id
            and sides.item_id <= tool_calls.anchor_item_id
    group by sides.item_id
),

spent as (
    select
        starts.item_id,
        sum(responses.total_tokens)::bigint as total_tokens,
        any_value(responses.elapsed_seconds) filter (
            where responses.response_id = starts.response_id
        ) as elapsed_seconds
    from starts
    inner join responses
        on
            starts.run_id = responses.run_id
            and starts.head_item_id <= responses.anchor_item_id
    group by starts.item_id
),

results as (
    select
        starts.item_id,
        spent.total_tokens,
        case when answers.item_id >= starts.item_id then answers.text end as answer,
        case
            when ends.outcome in ('error', 'max_turns', 'guardrail') then 'error'
            when ends.outcome = 'cancelled' then 'interrupted'
            when ends.last_work_id is null then 'unanswered'
            when ends.outcome is not null then ends.outcome
            when ends.last_work_id = ends.last_message_id then 'completed'
            else 'interrupted'
        end as status,
        coalesce(called.tool_names, []::varchar[]) as tool_names,
        coalesce(called.error_count, 0) as tool_error_count,
        case
            when ends.last_work_id is not null or ends.outcome is not null
                then
                    date_diff('microseconds', starts.created_at, ends.ended_at) / 1000000.0
                    + if(starts.is_input, 0, spent.elapsed_seconds)
        end as duration_seconds
    from starts
    inner join ends on starts.run_id = ends.run_id
    left join answers on starts.run_id = answers.run_id
    left join called on starts.item_id = called.item_id
    left join spent on starts.item_id = spent.item_id
)

select
    changes.session_id,
    changes.item_before_id,
    changes.position,
    changes.turn_number,
    changes.kind,
    changes.rank,
    changes.is_current,
    changes.before_run_id,
    changes.run_id as after_run_id,
    befores.answer as before_answer,
    afters.answer as after_answer,
    befores.status as before_status,
    afters.status as after_status,
    befores.tool_names as before_tool_names,
    afters.tool_names as after_tool_names,
    befores.tool_error_count as before_tool_error_count,
    afters.tool_error_count as after_tool_error_count,
    befores.total_tokens as before_total_tokens,
    afters.total_tokens as after_total_tokens,
    befores.duration_seconds as before_seconds,
    afters.duration_seconds as after_seconds,
    changes.created_at
from changes
left join results as befores on changes.before_item_id = befores.item_id
left join results as afters on changes.alternative_item_id = afters.item_id
order by
    changes.session_id asc,
    changes.position asc,
    changes.item_before_id asc nulls first,
    changes.rank asc
limit $row_limit
