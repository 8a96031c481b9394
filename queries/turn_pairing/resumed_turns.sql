-- Which turns stopped and went on, and how long they waited.
--
-- One row per run that waited for an approval that was then given or refused, that the Runner was
-- set going for more than once, or in which a call was stored in one batch and its output in a
-- later one. A program that stores each item by itself does the last in every turn. The time
-- waited is that between the Runner's stops and starts where they were seen, else from asking for
-- the approvals to their decision, else from the calls to their outputs. Turns that still wait are
-- not here.
--
-- read: waited_seconds beside working_seconds, the Runner's own time, says whether the person or
-- the agent was slow. start_count is how often the Runner was set going, where more than one of
-- its ends was seen. tool_names are the tools that were waited for, in the order of the alphabet.
--
-- act: Let tools run without approval that are always allowed (`approvals` tells which), and
-- notify people sooner where they keep the agent waiting.
--
-- scope: session
--
-- param session_id: varchar = null
--     Only runs in this session.
-- param since: timestamptz = null
--     Ignore runs that began before this moment.
-- param until: timestamptz = null
--     Ignore runs that began at or after this moment.
-- param tool_name: varchar = null
--     Only runs that waited for this tool.
-- param include_superseded: boolean = false
--     Also what happened on paths that an edit replaced.
-- param row_limit: bigint = null
--     Return at most this many runs, those that waited longest first.

with

-- A batch has the id of its first item: what answers an earlier item answers an earlier batch.
-- What stands on the path belongs to the turn that is on it now, whichever run stored it.
outputs as (
    select
        item_id,
        session_id,
        turn_number,
        run_id,
        batch_id,
        item_type,
        call_id,
        answers_item_id,
        created_at,
        if(is_current or is_archived, 0, run_id) as superseded_run_id
    from items
    where
        (answers_item_id < batch_id or item_type = 'mcp_approval_response')
        and ($session_id::varchar is null or session_id = $session_id)
        and ($include_superseded::boolean or is_current or is_archived)
),

calls as (
    select
        item_id,
        run_id,
        item_type,
        call_id,
        tool_name,
        created_at
    from items
    where
        tool_name is not null
        and answers_item_id is null
        and ($session_id::varchar is null or session_id = $session_id)
),

-- Which call an output belongs to. A person's word on a hosted tool is for the last request of it.
answers as (
    select
        item_id as output_item_id,
        answers_item_id as call_item_id
    from outputs
    where answers_item_id is not null
    union all
    select
        outputs.item_id as output_item_id,
        max(calls.item_id) as call_item_id
    from outputs
    inner join calls on outputs.run_id = calls.run_id and outputs.call_id = calls.call_id
    where
        outputs.item_type = 'mcp_approval_response'
        and calls.item_type = 'mcp_approval_request'
        and calls.item_id < outputs.item_id
    group by outputs.item_id
),

-- An import stores all at one moment: where its batches end says nothing.
stops as (
    select
        outputs.session_id,
        outputs.turn_number,
        outputs.superseded_run_id,
        calls.tool_name,
        calls.created_at as stopped_at,
        outputs.created_at as resumed_at,
        false as is_approval
    from answers
    inner join outputs on answers.output_item_id = outputs.item_id
    inner join calls on answers.call_item_id = calls.item_id
    where
        outputs.run_id = calls.run_id
        and outputs.created_at > calls.created_at
    union all
    select
        session_id,
        turn_number,
        if(is_current or is_archived, 0, run_id) as superseded_run_id,
        tool_name,
        approval_asked_at as stopped_at,
        approval_decided_at as resumed_at,
        true as is_approval
    from tool_calls
    where
        approval_decided_at is not null
        and ($session_id::varchar is null or session_id = $session_id)
        and ($include_superseded::boolean or is_current or is_archived)
),

-- Several waits at once are one: each counts from where the longest before it ended.
waits as (
    select
        *,
        greatest(
            stopped_at,
            max(resumed_at) over (
                partition by session_id, turn_number, superseded_run_id, is_approval
                order by stopped_at asc, resumed_at asc
                rows between unbounded preceding and 1 preceding
            )
        ) as waits_from
    from stops
),

waited as (
    select
        session_id,
        turn_number,
        superseded_run_id,
        count(*) filter (where is_approval) as approval_count,
        count(*) filter (where not is_approval) as late_output_count,
        list_sort(list_distinct(list(tool_name))) as tool_names,
        min(stopped_at) as stopped_at,
        max(resumed_at) as resumed_at,
        sum(greatest(date_diff('microseconds', waits_from, resumed_at), 0)) filter (
            where is_approval
        ) as approval_us,
        sum(greatest(date_diff('microseconds', waits_from, resumed_at), 0)) filter (
            where not is_approval
        ) as output_us
    from waits
    group by session_id, turn_number, superseded_run_id
),

starts as (
    select
        session_id,
        turn_number,
        started_at,
        if(is_current or is_archived, 0, run_id) as superseded_run_id,
        lag(ended_at) over (
            partition by session_id, turn_number, if(is_current or is_archived, 0, run_id)
            order by outcome_id asc
        ) as stopped_at
    from outcomes
    where
        ($session_id::varchar is null or session_id = $session_id)
        and ($include_superseded::boolean or is_current or is_archived)
),

restarts as (
    select
        session_id,
        turn_number,
        superseded_run_id,
        count(*) as start_count,
        min(stopped_at) as stopped_at,
        max(started_at) as resumed_at,
        -- NULL where a stop was not seen.
        if(
            count(stopped_at) = count(*) - 1 and count(started_at) = count(*),
            sum(greatest(date_diff('microseconds', stopped_at, started_at), 0)),
            null
        ) as start_us
    from starts
    group by session_id, turn_number, superseded_run_id
    having count(*) > 1
),

turns as (
    select
        id,
        session_id,
        turn_number,
        status,
        user_message,
        created_at,
        duration_seconds,
        working_seconds,
        if(status = 'superseded', id, 0) as superseded_run_id
    from runs
    where
        ($session_id::varchar is null or session_id = $session_id)
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
        and ($include_superseded::boolean or status <> 'superseded')
),

resumed as (
    select
        turns.session_id,
        turns.turn_number,
        turns.id as run_id,
        turns.status,
        turns.user_message,
        turns.created_at,
        turns.duration_seconds,
        turns.working_seconds,
        restarts.start_count,
        coalesce(waited.tool_names, []::varchar[]) as tool_names,
        coalesce(waited.approval_count, 0) as approval_count,
        coalesce(waited.late_output_count, 0) as late_output_count,
        least(waited.stopped_at, restarts.stopped_at) as stopped_at,
        greatest(waited.resumed_at, restarts.resumed_at) as resumed_at,
        coalesce(restarts.start_us, waited.approval_us, waited.output_us)
        / 1000000.0::double as waited_seconds
    from turns
    left join waited
        on
            turns.session_id = waited.session_id
            and turns.turn_number = waited.turn_number
            and turns.superseded_run_id = waited.superseded_run_id
    left join restarts
        on
            turns.session_id = restarts.session_id
            and turns.turn_number = restarts.turn_number
            and turns.superseded_run_id = restarts.superseded_run_id
    where waited.session_id is not null or restarts.session_id is not null
)

select *
from resumed
where $tool_name::varchar is null or list_contains(tool_names, $tool_name)
order by waited_seconds desc nulls last, session_id asc, turn_number asc, run_id asc
limit $row_limit
