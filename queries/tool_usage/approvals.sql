-- For which tools a person was asked, what was decided, and how long that took.
--
-- One row per tool name and type for which anybody was asked or had decided beforehand. A call
-- that was asked about is granted, refused or waiting: it has no output and is still on the path.
-- One that an edit replaced before anybody decided, or that was answered and nobody told how, is
-- none of the three. Calls that a decision for all calls of the tool covers count as preset alone.
-- Where nobody watched, only refusals show, by the words that the SDK puts in place of an output.
-- What a provider's MCP server asks is an item and no call, and is left out.
--
-- read: A refused_share near 0 over many calls is a question that could go unasked; a high one is
-- an agent that tries what it may not. The seconds run from the call to the decision.
-- refused_completed_share is the share of the refused calls whose run came to an answer all the
-- same, without those on superseded paths.
--
-- act: Ask no more where everybody grants; tell the agent in its instructions what people refuse.
-- Find those who still wait with waiting_count and answer them, and see in `tool_usage` what became
-- of the calls that were granted.
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
--     Also calls on paths that an edit replaced: a person was asked about them.
-- param row_limit: bigint = null
--     Return at most this many tools, the most asked about first.

with

calls as (
    select
        run_id,
        tool_name,
        tool_type,
        approval_seconds,
        is_current or is_archived as is_live,
        -- Where nobody watched, the words of the output tell that somebody was asked.
        coalesce(approval = 'asked', status = 'rejected')
        or approval_decided_at is not null as is_asked,
        approval is not null and not is_asked as is_preset,
        is_asked and status = 'rejected' as is_refused,
        is_asked and not is_refused and coalesce(approval = 'granted', false) as is_granted,
        is_asked
        and is_live
        and status = 'pending'
        and coalesce(approval = 'asked', false) as is_waiting
    from tool_calls
    where
        ($session_id::varchar is null or session_id = $session_id)
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
        and ($agent_name::varchar is null or agent_name = $agent_name)
        and ($tool_name::varchar is null or tool_name = $tool_name)
        and ($include_superseded::boolean or is_current or is_archived)
),

refused as (
    select distinct run_id
    from calls
    where is_refused and is_live
),

refused_runs as (
    select
        runs.id,
        runs.status
    from runs
    semi join refused on runs.id = refused.run_id
    where runs.status <> 'superseded'
),

ended as (
    select
        calls.*,
        refused_runs.status as run_status
    from calls
    left join refused_runs
        on
            calls.run_id = refused_runs.id
            and calls.is_refused
            and calls.is_live
)

select
    tool_name,
    tool_type,
    count(*) as call_count,
    count(*) filter (where is_asked) as asked_count,
    count(*) filter (where is_asked) / count(*)::double as asked_share,
    count(*) filter (where is_granted) as granted_count,
    count(*) filter (where is_refused) as refused_count,
    count(*) filter (where is_refused)
    / nullif(count(*) filter (where is_granted or is_refused), 0)::double as refused_share,
    count(*) filter (where is_waiting) as waiting_count,
    count(*) filter (where is_preset) as preset_count,
    count(*) filter (where run_status = 'completed')
    / nullif(count(run_status), 0)::double as refused_completed_share,
    quantile_cont(approval_seconds, 0.5) as p50_seconds,
    quantile_cont(approval_seconds, 0.95) as p95_seconds,
    max(approval_seconds) as max_seconds
from ended
group by tool_name, tool_type
having count(*) filter (where is_asked or is_preset) > 0
order by asked_count desc, preset_count desc, tool_name asc nulls last, tool_type asc nulls last
limit $row_limit
