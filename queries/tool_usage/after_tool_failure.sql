-- What an agent does after a tool call that failed.
--
-- One row per tool and next action. The next action is what the next response of the same run does
-- that calls a tool or says something; calls made at once with the one that failed are no reaction
-- to it. (Of a hosted tool, whose output the model has at once, it is what comes after in the same
-- response.) Of what it does, the first of these counts: same_call (the same tool with equal
-- arguments: the same JSON value whatever the order of its keys, or else the same text),
-- changed_arguments (the same tool otherwise), handoff, other_tool, answer (it only says
-- something). Where nothing comes: open, where the run is the session's last and nobody saw it end,
-- else nothing. A run that was begun over in its middle goes on from the calls that it kept, and a
-- failure that it kept counts once, with what came on the current path. What runs in an agent that
-- is a tool is left out: its responses are not stored. next_count counts the failures after which
-- the run called the tool again, however late, and that call is not pending; next_ok_count those
-- where it went well. completed_share is that of the failures in runs that are on their session's
-- path.
--
-- read: same_call with a small next_ok_share is a waste of calls. changed_arguments with a large
-- one is an error message that says what to do. nothing is a failure that ended the run.
--
-- act: Reword the errors after which the agent repeats itself; `tool_errors` has them. Where
-- another tool follows and the runs are completed, describe when to use which. See with
-- `tool_recovery` how many tries it takes.
--
-- scope: store
--
-- param session_id: varchar = null
--     Only calls in this session.
-- param since: timestamptz = null
--     Ignore failed calls made before this moment.
-- param until: timestamptz = null
--     Ignore failed calls made at or after this moment.
-- param agent_name: varchar = null
--     Only failed calls that this agent made.
-- param tool_name: varchar = null
--     Only failed calls of this tool.
-- param include_superseded: boolean = true
--     Also failures on paths that an edit replaced.
-- param row_limit: bigint = null
--     Return at most this many rows, the most frequent first.

with

called as (
    select
        id,
        session_id,
        run_id,
        turn_number,
        tool_name,
        agent_name,
        status,
        created_at,
        handoff_to is not null as is_handoff,
        coalesce(response_id, id) as response_id,
        -- The model's provider ran it: its output is in its call.
        tool_type in (
            'code_interpreter', 'file_search', 'image_generation', 'mcp', 'web_search'
        ) as is_hosted,
        -- Sixteen bytes for each text: equal ones are as good as equal texts.
        md5_number(coalesce(json_normalize(arguments_json), arguments)) as arguments_key,
        is_current or is_archived as is_live
    from tool_calls
    where
        parent_tool_call_id is null
        and ($session_id::varchar is null or session_id = $session_id)
),

-- Runs of which something is no longer on the path.
departed as (
    select distinct run_id
    from called
    where $include_superseded::boolean and not is_live
),

-- What is on the current path is one sequence for each turn_number, with 0 for a run that left it.
-- A run that did comes with the calls that it shares with the path, which are not its own.
sequenced as (
    select
        *,
        0::bigint as superseded_run_id,
        true as is_own
    from called
    where is_live
    union all
    select
        called.*,
        called.run_id as superseded_run_id,
        not called.is_live as is_own
    from called
    inner join departed on called.run_id = departed.run_id
),

-- The sequences in which anything failed; only these are looked into.
paths as (
    select
        session_id,
        turn_number,
        superseded_run_id,
        min(id) as path_id
    from sequenced
    where status = 'error' and is_own
    group by session_id, turn_number, superseded_run_id
),

path_calls as (
    select
        sequenced.*,
        paths.path_id
    from sequenced
    inner join paths
        on
            sequenced.session_id = paths.session_id
            and sequenced.turn_number = paths.turn_number
            and sequenced.superseded_run_id = paths.superseded_run_id
),

spoken as (
    select
        item_id as id,
        session_id,
        run_id,
        turn_number,
        response_id,
        is_current or is_archived as is_live
    from messages
    where
        role = 'assistant'
        and response_id is not null
        and ($session_id::varchar is null or session_id = $session_id)
),

-- What the responses do: calls (one without a response is by itself) and messages.
acts as (
    select
        path_id,
        id,
        response_id,
        is_hosted
    from path_calls
    union all
    select
        paths.path_id,
        spoken.id,
        spoken.response_id,
        false as is_hosted
    from spoken
    inner join paths
        on
            spoken.session_id = paths.session_id
            and spoken.turn_number = paths.turn_number
    where paths.superseded_run_id = 0 and spoken.is_live
    union all
    select
        paths.path_id,
        spoken.id,
        spoken.response_id,
        false as is_hosted
    from spoken
    inner join paths on spoken.run_id = paths.superseded_run_id
),

-- A step is a response, or what it does after a hosted call; its number is above those of all that
-- came before.
steps as (
    select
        path_id,
        id,
        coalesce(
            max(case when is_hosted then id + 1 end) over (
                partition by path_id, response_id
                order by id asc
                rows between unbounded preceding and 1 preceding
            ),
            response_id
        ) as step_id
    from acts
),

calls as (
    select
        path_calls.*,
        steps.step_id
    from path_calls
    inner join steps
        on
            path_calls.path_id = steps.path_id
            and path_calls.id = steps.id
),

distinct_steps as (
    select distinct
        path_id,
        step_id
    from steps
),

next_steps as (
    select
        path_id,
        step_id,
        lead(step_id) over (
            partition by path_id
            order by step_id asc
        ) as next_step_id
    from distinct_steps
),

-- What a step calls: whether it hands off, each tool, and each tool with its arguments.
calling_steps as (
    select
        path_id,
        step_id,
        bool_or(is_handoff) as has_handoff
    from calls
    group by path_id, step_id
),

called_tools as (
    select
        path_id,
        tool_name,
        step_id,
        arg_min(status, id) as first_status
    from calls
    where tool_name is not null
    group by path_id, tool_name, step_id
),

next_tools as (
    select
        path_id,
        tool_name,
        step_id,
        lead(step_id) over tries as next_step_id,
        lead(first_status) over tries as next_status
    from called_tools
    window tries as (
        partition by path_id, tool_name
        order by step_id asc
    )
),

distinct_calls as (
    select distinct
        path_id,
        step_id,
        tool_name,
        arguments_key
    from calls
),

failures as (
    select
        id,
        path_id,
        session_id,
        turn_number,
        superseded_run_id,
        step_id,
        tool_name,
        arguments_key
    from calls
    where
        status = 'error'
        and is_own
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
        and ($agent_name::varchar is null or agent_name = $agent_name)
        and ($tool_name::varchar is null or tool_name = $tool_name)
),

-- How each turn of a path ended; of a run that was begun over in its middle the later one tells.
ended as (
    select
        session_id,
        turn_number,
        arg_max(status, id) as status,
        arg_max(coalesce(outcome, ''), id) as outcome
    from runs
    where
        status <> 'superseded'
        and ($session_id::varchar is null or session_id = $session_id)
    group by session_id, turn_number
),

last_turns as (
    select
        session_id,
        max(turn_number) as turn_number
    from ended
    group by session_id
),

reactions as (
    select
        failures.tool_name,
        failures.session_id,
        next_steps.next_step_id,
        next_tools.next_status,
        calling_steps.has_handoff,
        ended.status as run_status,
        distinct_calls.arguments_key is not null as is_same_call,
        next_tools.next_step_id = next_steps.next_step_id as is_same_tool,
        last_turns.turn_number is not null
        and ended.outcome in ('', 'interrupted') as is_open
    from failures
    inner join next_steps
        on
            failures.path_id = next_steps.path_id
            and failures.step_id = next_steps.step_id
    left join next_tools
        on
            failures.path_id = next_tools.path_id
            and failures.tool_name = next_tools.tool_name
            and failures.step_id = next_tools.step_id
    left join calling_steps
        on
            next_steps.path_id = calling_steps.path_id
            and next_steps.next_step_id = calling_steps.step_id
    left join distinct_calls
        on
            next_steps.path_id = distinct_calls.path_id
            and next_steps.next_step_id = distinct_calls.step_id
            and failures.tool_name = distinct_calls.tool_name
            and failures.arguments_key = distinct_calls.arguments_key
    left join ended
        on
            failures.session_id = ended.session_id
            and failures.turn_number = ended.turn_number
            and failures.superseded_run_id = 0
    left join last_turns
        on
            ended.session_id = last_turns.session_id
            and ended.turn_number = last_turns.turn_number
),

told as (
    select
        tool_name,
        session_id,
        next_status,
        run_status,
        case
            when next_step_id is null and is_open then 'open'
            when next_step_id is null then 'nothing'
            when is_same_call then 'same_call'
            when is_same_tool then 'changed_arguments'
            when has_handoff then 'handoff'
            when has_handoff is not null then 'other_tool'
            else 'answer'
        end as next_action
    from reactions
),

counted as (
    select
        tool_name,
        next_action,
        count(*) as failure_count,
        count(distinct session_id) as session_count,
        count(*) filter (where next_status <> 'pending') as next_count,
        count(*) filter (where next_status = 'ok') as next_ok_count,
        count(run_status) as current_count,
        count(*) filter (where run_status = 'completed') as completed_count
    from told
    group by tool_name, next_action
)

select
    tool_name,
    next_action,
    failure_count,
    session_count,
    next_count,
    next_ok_count,
    completed_count,
    failure_count / sum(failure_count) over (partition by tool_name)::double as failure_share,
    next_ok_count / nullif(next_count, 0)::double as next_ok_share,
    completed_count / nullif(current_count, 0)::double as completed_share
from counted
order by failure_count desc, tool_name asc nulls last, next_action asc
limit $row_limit
