-- How often each tool is called, and how often it fails.
--
-- One row per tool name and type. A call whose output is not there yet is counted as pending. The
-- error share is that of the calls that are not pending; a call that a person refused is no error.
-- Times are known only where something that saw the tool run recorded them, and NULL elsewhere.
--
-- read: Look at error_share beside call_count: a share of few calls says little. A p95 far above
-- the p50 is a tool that is slow now and then.
--
-- act: Read the errors of a tool that fails often with `tool_errors`, and see with
-- `after_tool_failure` what the agent does then. Describe a tool better, or take it away, where it
-- is called and never helps.
--
-- scope: store
--
-- param session_id: varchar = null
--     Only calls in this session.
-- param since: timestamptz = null
--     Ignore calls made before this moment.
-- param until: timestamptz = null
--     Ignore calls made at or after this moment.
-- param tool_name: varchar = null
--     Only this tool.
-- param include_superseded: boolean = true
--     Also calls on paths that an edit replaced: they were made and paid for.
-- param row_limit: bigint = null
--     Return at most this many tools, the most called first.

select
    tool_name,
    tool_type,
    count(*) as call_count,
    count(*) filter (where status = 'ok') as ok_count,
    count(*) filter (where status = 'error') as error_count,
    count(*) filter (where status = 'rejected') as rejected_count,
    count(*) filter (where status = 'pending') as pending_count,
    count(*) filter (where status = 'error')
    / nullif(count(*) filter (where status <> 'pending'), 0)::double as error_share,
    count(distinct session_id) as session_count,
    count(distinct run_id) as run_count,
    quantile_cont(duration_seconds, 0.5) as p50_seconds,
    quantile_cont(duration_seconds, 0.95) as p95_seconds,
    min(created_at) as first_called_at,
    max(created_at) as last_called_at
from tool_calls
where
    ($session_id::varchar is null or session_id = $session_id)
    and ($since::timestamptz is null or created_at >= $since)
    and ($until::timestamptz is null or created_at < $until)
    and ($tool_name::varchar is null or tool_name = $tool_name)
    and ($include_superseded::boolean or is_current or is_archived)
group by tool_name, tool_type
order by call_count desc, tool_name asc nulls last, tool_type asc
limit $row_limit
