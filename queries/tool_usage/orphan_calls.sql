-- Tool calls without an output, and outputs that no call asked for.
--
-- One row per item that is half of a pair. What is a call and what an output, the item_type alone
-- tells. Calls: function_call, custom_tool_call, computer_call, local_shell_call, shell_call,
-- apply_patch_call, tool_search_call, program. Outputs: function_call_output,
-- custom_tool_call_output, computer_call_output, local_shell_call_output, shell_call_output,
-- apply_patch_call_output, tool_search_output, program_output. Tools that the provider runs, such
-- as web_search_call, have their output in the same item and are neither, nor are items of unknown
-- types.
--
-- An output belongs to the latest call before it that has the same call_id and no output yet, both
-- on the output's own path as that stood when the output was added. The types need not agree. A
-- local_shell_call_output without a call_id goes by its id. An output of a tool search without a
-- call_id belongs to the earliest tool search without one that has no output yet; any other half
-- without a call_id is never paired. Hence:
--
-- - output_without_call is an output that belongs to no call: also the second output of a call,
--   and one that comes before its call.
-- - call_without_output is a call to which no output belongs on any path; also a call that stands
--   on its session's path while all of its outputs do not (has_superseded_output), as after a pop
--   of the output.
--
-- A copy that a session was forked with can be answered in it, and is listed only where it came
-- from. What a compaction put in the place of items is neither call nor output. What a compaction
-- archived counts here as standing on the path, but nothing that is added later is paired with it.
--
-- read: is_last_of_session is true where nothing but outputs follows the call's response, or the
-- output, on the session's path: an agent that is at work, waits for an approval, or stopped there.
-- All others that are not superseded stand in histories that a model's provider may refuse. The
-- tool_name of an output is NULL.
--
-- act: Resume a session that stopped at a call, or pop the call. Outputs without calls come from
-- histories that were cut by hand or by a limit that split a pair: cut between runs.
--
-- scope: session
--
-- param session_id: varchar = null
--     Only this session.
-- param kind: varchar = null
--     Only call_without_output or output_without_call.
-- param since: timestamptz = null
--     Ignore items added before this moment.
-- param until: timestamptz = null
--     Ignore items added at or after this moment.
-- param agent_name: varchar = null
--     Only calls by this agent.
-- param tool_name: varchar = null
--     Only calls of this tool.
-- param include_superseded: boolean = true
--     Also items that are no longer on their session's path.
-- param row_limit: bigint = null
--     Return at most this many items, session by session, in the order of the items.

with

halves as (
    select
        item_id,
        session_id,
        run_id,
        turn_number,
        response_id,
        item_type,
        call_id,
        tool_name,
        agent_name,
        created_at,
        operation,
        answers_item_id,
        is_current,
        is_current or is_archived as is_live,
        case
            when
                item_type in (
                    'function_call',
                    'custom_tool_call',
                    'computer_call',
                    'local_shell_call',
                    'shell_call',
                    'apply_patch_call',
                    'tool_search_call',
                    'program'
                )
                then 'call_without_output'
            when
                item_type in (
                    'function_call_output',
                    'custom_tool_call_output',
                    'computer_call_output',
                    'local_shell_call_output',
                    'shell_call_output',
                    'apply_patch_call_output',
                    'tool_search_output',
                    'program_output'
                )
                then 'output_without_call'
        end as kind
    from items
    where $session_id::varchar is null or session_id = $session_id
),

answered as (
    select
        answers_item_id,
        bool_or(is_live) as is_live
    from halves
    where answers_item_id is not null
    group by answers_item_id
),

orphans as (
    select
        halves.session_id,
        halves.kind,
        halves.turn_number,
        halves.run_id,
        halves.item_id,
        halves.item_type,
        halves.call_id,
        halves.tool_name,
        halves.agent_name,
        halves.created_at,
        halves.response_id,
        halves.is_current,
        answered.answers_item_id is not null as has_superseded_output,
        not halves.is_live as is_superseded
    from halves
    left join answered on halves.item_id = answered.answers_item_id
    where
        halves.kind is not null
        and halves.operation not in ('compact', 'fork')
        and halves.answers_item_id is null
        and (
            answered.answers_item_id is null
            or (halves.is_live and not answered.is_live)
        )
),

chosen as (
    select *
    from orphans
    where
        ($kind::varchar is null or kind = $kind)
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
        and ($agent_name::varchar is null or agent_name = $agent_name)
        and ($tool_name::varchar is null or tool_name = $tool_name)
        and ($include_superseded::boolean or not is_superseded)
),

-- The last item of each session's path that is no output.
tips as (
    select
        session_id,
        max(item_id) as item_id
    from halves
    where is_current and kind is distinct from 'output_without_call'
    group by session_id
),

last_responses as (
    select
        tips.session_id,
        tips.item_id,
        halves.response_id
    from tips
    inner join halves on tips.item_id = halves.item_id
)

select
    chosen.session_id,
    chosen.kind,
    chosen.turn_number,
    chosen.run_id,
    chosen.item_id,
    chosen.item_type,
    chosen.call_id,
    chosen.tool_name,
    chosen.agent_name,
    chosen.created_at,
    chosen.has_superseded_output,
    chosen.is_superseded,
    chosen.is_current and case
        when chosen.kind = 'call_without_output'
            then coalesce(chosen.response_id = last_responses.response_id, false)
        else chosen.item_id > coalesce(last_responses.item_id, 0)
    end as is_last_of_session
from chosen
left join last_responses on chosen.session_id = last_responses.session_id
order by chosen.session_id asc, chosen.item_id asc
limit $row_limit
