-- Calls that repeat an earlier one in tool, arguments and output: what a cache would have saved.
--
-- One row per tool that was called with success. Only calls that went well and whose output is
-- known are compared, and only those that the parameters choose. Arguments and outputs are equal
-- where their texts are, to the letter. Handoffs are left out. repeated_count is how many calls had
-- an earlier one with equal arguments and equal output. changed_share is the share of the argument
-- sets called more than once that gave different outputs, NULL where none was called twice.
-- saved_seconds is the time of the repeated calls that were timed, NULL where none was.
--
-- read: A high repeated_share with a changed_share of 0 is a tool whose output can be kept. A
-- changed_share above 0 is one whose answers grow old. That two outputs are equal does not mean
-- that the second call did nothing: sending a message twice gives "sent" twice.
--
-- act: Put a cache before tools that only read and have a changed_share of 0; with
-- within_session see whether one for each session is enough. Where the same run repeats its calls,
-- tell the agent to use what it has.
--
-- scope: store
--
-- param session_id: varchar = null
--     Only calls in this session.
-- param since: timestamptz = null
--     Ignore calls made before this moment.
-- param until: timestamptz = null
--     Ignore calls made at or after this moment.
-- param agent_name: varchar = null
--     Only calls by this agent.
-- param tool_name: varchar = null
--     Only this tool.
-- param within_session: boolean = false
--     Compare a call with those of its own session only, as a cache for each session would.
-- param include_superseded: boolean = true
--     Also calls on paths that an edit replaced: they were made and paid for.
-- param row_limit: bigint = null
--     Return at most this many tools, the most repeated calls first.

with

-- Texts are long and compared often: hashes stand for them.
calls as (
    select
        id,
        tool_name,
        if($within_session::boolean, session_id, null) as cache_id,
        hash(arguments) as arguments_hash,
        hash(output) as output_hash,
        date_diff('microseconds', started_at, ended_at) as call_microseconds
    from tool_calls
    where
        status = 'ok'
        and output is not null
        and handoff_to is null
        and ($session_id::varchar is null or session_id = $session_id)
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
        and ($agent_name::varchar is null or agent_name = $agent_name)
        and ($tool_name::varchar is null or tool_name = $tool_name)
        and ($include_superseded::boolean or is_current or is_archived)
),

-- One row per distinct call, with what the calls after the first one took.
answers as (
    select
        tool_name,
        cache_id,
        arguments_hash,
        output_hash,
        count(*) as call_count,
        count(call_microseconds) as timed_count,
        sum(call_microseconds)::bigint as call_microseconds,
        arg_min_null(call_microseconds, id) as first_microseconds
    from calls
    group by tool_name, cache_id, arguments_hash, output_hash
),

argument_sets as (
    select
        tool_name,
        cache_id,
        arguments_hash,
        count(*) as answer_count,
        sum(call_count)::bigint as call_count,
        (sum(timed_count) - count(first_microseconds))::bigint as timed_repeat_count,
        (
            sum(call_microseconds) - coalesce(sum(first_microseconds), 0)
        )::bigint as repeat_microseconds
    from answers
    group by tool_name, cache_id, arguments_hash
)

select
    tool_name,
    sum(call_count)::bigint as call_count,
    count(*) as argument_set_count,
    sum(answer_count)::bigint as distinct_call_count,
    sum(call_count - answer_count)::bigint as repeated_count,
    sum(call_count - answer_count) / sum(call_count)::double as repeated_share,
    if(sum(timed_repeat_count) > 0, sum(repeat_microseconds)::bigint, null)
    / 1000000.0::double as saved_seconds,
    count(*) filter (where call_count > 1) as repeated_set_count,
    count(*) filter (where answer_count > 1) as changed_set_count,
    count(*) filter (where answer_count > 1)
    / nullif(count(*) filter (where call_count > 1), 0)::double as changed_share
from argument_sets
group by tool_name
order by repeated_count desc, call_count desc, tool_name asc nulls last
limit $row_limit
