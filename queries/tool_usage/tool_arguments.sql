-- Which arguments each tool is called with, what they hold, and how calls with them end.
--
-- One row per tool and top level argument; a tool that was never given any has one row without an
-- argument. Shares of an argument are those of the calls whose arguments are a JSON object; the
-- others, and those that name an argument twice, count in invalid_share alone. Custom tools and
-- some of a provider's own take a text or a list, and theirs is 1. Error shares leave out the calls
-- that are pending. Values are alike if their JSON is; example_value is the start of the first one.
--
-- read: An argument with a small present_share, a large null_share or one distinct value is one
-- that the model hardly uses; several value_types mean that it guesses the type. The error_share
-- beside absent_error_share tells whether a tool fails because of the argument or for want of it.
--
-- act: Take away what nobody uses, make required what calls fail without, and say type and form in
-- the schema where they vary; with a strict schema invalid_share is 0. Read the errors themselves
-- with `tool_errors`.
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
-- param include_superseded: boolean = true
--     Also calls on paths that an edit replaced: they were made and paid for.
-- param row_limit: bigint = null
--     Return at most this many rows, the most called tools first.

with

calls as (
    select
        id,
        tool_name,
        tool_type,
        arguments_json,
        json_keys(arguments_json) as argument_names,
        coalesce(json_type(arguments_json) = 'OBJECT', false)
        and list_unique(argument_names) = len(argument_names) as is_object,
        status = 'error' as has_failed,
        status <> 'pending' as has_ended
    from tool_calls
    where
        ($session_id::varchar is null or session_id = $session_id)
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
        and ($agent_name::varchar is null or agent_name = $agent_name)
        and ($tool_name::varchar is null or tool_name = $tool_name)
        and ($include_superseded::boolean or is_current or is_archived)
),

tools as (
    select
        tool_name,
        tool_type,
        count(*) as call_count,
        count(*) filter (where is_object) as object_count,
        count(*) filter (where is_object and has_ended) as ended_count,
        count(*) filter (where is_object and has_failed) as error_count
    from calls
    group by tool_name, tool_type
),

named as (
    select
        id,
        tool_name,
        tool_type,
        has_ended,
        has_failed,
        unnest(argument_names) as argument_name,
        unnest(json_extract(arguments_json, '$.*')) as argument_value
    from calls
    where is_object
),

-- By type first: values of two types are never alike.
typed as (
    select
        tool_name,
        tool_type,
        argument_name,
        case json_type(argument_value)
            when 'VARCHAR' then 'string'
            when 'BOOLEAN' then 'boolean'
            when 'NULL' then 'null'
            when 'ARRAY' then 'array'
            when 'OBJECT' then 'object'
            when 'DOUBLE' then 'number'
            else 'integer'
        end as value_type,
        count(*) as call_count,
        count(*) filter (where has_ended) as ended_count,
        count(*) filter (where has_failed) as error_count,
        count(distinct hash(argument_value::varchar)) as value_count,
        min(id) as first_id,
        arg_min(left(argument_value::varchar, 80), id) as first_value
    from named
    group by tool_name, tool_type, argument_name, value_type
),

arguments as (
    select
        tool_name,
        tool_type,
        argument_name,
        sum(call_count)::bigint as call_count,
        sum(ended_count)::bigint as ended_count,
        sum(error_count)::bigint as error_count,
        coalesce(sum(call_count) filter (where value_type = 'null'), 0)::bigint as null_count,
        coalesce(sum(value_count) filter (where value_type <> 'null'), 0)::bigint as value_count,
        list(
            struct_pack(value_type := value_type, call_count := call_count)
            order by call_count desc, value_type asc
        ) as value_types,
        arg_min(first_value, first_id) filter (where value_type <> 'null') as first_value
    from typed
    group by tool_name, tool_type, argument_name
)

select
    tools.tool_name,
    tools.tool_type,
    arguments.argument_name,
    arguments.value_types,
    arguments.first_value as example_value,
    arguments.value_count as distinct_value_count,
    tools.call_count as tool_call_count,
    (tools.call_count - tools.object_count) / tools.call_count::double as invalid_share,
    coalesce(arguments.call_count, 0) as call_count,
    arguments.call_count / tools.object_count::double as present_share,
    arguments.null_count / arguments.call_count::double as null_share,
    arguments.error_count / nullif(arguments.ended_count, 0)::double as error_share,
    (tools.error_count - arguments.error_count)
    / nullif(tools.ended_count - arguments.ended_count, 0)::double as absent_error_share
from tools
left join arguments
    on
        tools.tool_name is not distinct from arguments.tool_name
        and tools.tool_type is not distinct from arguments.tool_type
order by
    tools.call_count desc,
    tools.tool_name asc nulls last,
    tools.tool_type asc nulls last,
    arguments.call_count desc nulls last,
    arguments.argument_name asc
limit $row_limit
