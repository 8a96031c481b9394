-- Which tools an agent is offered and never calls.
--
-- One row per agent and tool that its model was offered, handoffs among them, and that it called at
-- most max_call_count times. Only responses whose offered tools are known count, and not those that
-- failed; call_count is of the calls in them. The tools of a server that the provider asks (hosted
-- MCP) are not known to be offered, and those that wait behind a tool search are.
--
-- read: A tool that was offered in hundreds of responses and never called costs tokens in each of
-- them, and makes the choice harder. calls_per_response is of the responses that offered it. Where
-- last_called_at is known and call_count is 0, it was called where nobody recorded the offer. A
-- last_offered_at that lies far back is of a tool that the agent no longer has.
--
-- act: Take the tool away from that agent, or offer it only where it can be needed. If it should
-- have been called, describe it better. Raise max_call_count to see those that are hardly ever
-- called, and look at `tool_usage` before a tool goes for good: another agent may need it.
--
-- scope: store
--
-- param session_id: varchar = null
--     Only responses in this session.
-- param since: timestamptz = null
--     Ignore responses and calls before this moment.
-- param until: timestamptz = null
--     Ignore responses and calls at or after this moment.
-- param agent_name: varchar = null
--     Only tools of this agent.
-- param tool_name: varchar = null
--     Only this tool.
-- param model: varchar = null
--     Only responses of this model, and calls in them.
-- param max_call_count: bigint = 0
--     Only tools that were called at most so many times.
-- param include_superseded: boolean = true
--     Also responses and calls on paths that an edit replaced: they were made and paid for.
-- param row_limit: bigint = null
--     Return at most this many rows, the most offered tools first.

with

-- The same tools are offered again and again: responses are counted by the hash of their list.
answers as (
    select
        response_id,
        run_id,
        agent_name,
        created_at,
        case
            when offered_tools is not null and error is null and error_type is null
                then hash(offered_tools)
        end as list_key
    from responses
    where
        ($session_id::varchar is null or session_id = $session_id)
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
        and ($agent_name::varchar is null or agent_name = $agent_name)
        and ($model::varchar is null or model = $model)
        and ($include_superseded::boolean or is_current or is_archived)
),

lists as (
    select
        hash(offered_tools) as list_key,
        list_distinct(any_value(offered_tools)) as tool_names
    from responses
    where
        ($session_id::varchar is null or session_id = $session_id)
        and ($agent_name::varchar is null or agent_name = $agent_name)
    group by hash(offered_tools)
),

listed as (
    select
        list_key,
        unnest(tool_names) as tool_name
    from lists
),

list_offers as (
    select
        agent_name,
        list_key,
        count(*) as offered_count,
        max(created_at) as last_offered_at
    from answers
    where list_key is not null
    group by agent_name, list_key
),

offers as (
    select
        list_offers.agent_name,
        listed.tool_name,
        sum(list_offers.offered_count)::bigint as offered_count,
        max(list_offers.last_offered_at) as last_offered_at
    from list_offers
    inner join listed on list_offers.list_key = listed.list_key
    group by list_offers.agent_name, listed.tool_name
),

-- What an agent had in one run can change: runs are counted by all the lists that it had.
run_lists as (
    select
        agent_name,
        run_id,
        list_sort(list(distinct list_key)) as list_keys
    from answers
    where list_key is not null
    group by agent_name, run_id
),

run_sets as (
    select
        agent_name,
        list_keys,
        count(*) as run_count
    from run_lists
    group by agent_name, list_keys
),

run_keys as (
    select
        agent_name,
        list_keys,
        run_count,
        unnest(list_keys) as list_key
    from run_sets
),

run_tools as (
    select distinct
        run_keys.agent_name,
        run_keys.list_keys,
        run_keys.run_count,
        listed.tool_name
    from run_keys
    inner join listed on run_keys.list_key = listed.list_key
),

run_counts as (
    select
        agent_name,
        tool_name,
        sum(run_count)::bigint as run_count
    from run_tools
    group by agent_name, tool_name
),

calls as (
    select
        agent_name,
        tool_name,
        run_id,
        response_id,
        created_at
    from tool_calls
    where
        ($session_id::varchar is null or session_id = $session_id)
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
        and ($agent_name::varchar is null or agent_name = $agent_name)
        and ($include_superseded::boolean or is_current or is_archived)
),

-- Of a call that an agent made as a tool of another one, the run is known and not the response.
placed_calls as (
    select
        calls.agent_name,
        calls.tool_name,
        calls.created_at,
        answers.list_key is not null or run_lists.run_id is not null as is_counted
    from calls
    left join answers on calls.response_id = answers.response_id
    left join run_lists
        on
            calls.response_id is null
            and calls.run_id = run_lists.run_id
            and calls.agent_name is not distinct from run_lists.agent_name
    where calls.response_id is null or answers.response_id is not null
),

call_counts as (
    select
        agent_name,
        tool_name,
        count(*) filter (where is_counted) as call_count,
        max(created_at) as last_called_at
    from placed_calls
    group by agent_name, tool_name
),

counted as (
    select
        offers.agent_name,
        offers.tool_name,
        offers.offered_count,
        offers.last_offered_at,
        run_counts.run_count,
        call_counts.last_called_at,
        coalesce(call_counts.call_count, 0) as call_count
    from offers
    inner join run_counts
        on
            offers.agent_name is not distinct from run_counts.agent_name
            and offers.tool_name = run_counts.tool_name
    left join call_counts
        on
            offers.agent_name is not distinct from call_counts.agent_name
            and offers.tool_name = call_counts.tool_name
)

select
    agent_name,
    tool_name,
    offered_count,
    run_count,
    call_count,
    last_offered_at,
    last_called_at,
    call_count::double / offered_count as calls_per_response
from counted
where
    call_count <= $max_call_count::bigint
    and ($tool_name::varchar is null or tool_name = $tool_name)
order by offered_count desc, agent_name asc nulls last, tool_name asc
limit $row_limit
