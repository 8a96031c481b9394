-- Which calls were made more than once with equal arguments.
--
-- One row per run, tool and arguments with which the tool was called more than once in the run; per
-- session, tool and arguments where runs are put together. Arguments are equal where they are the
-- same JSON value, whatever its spaces and the order of its keys (a number counts as it is written:
-- 1 is not 1.0), or where they are no JSON, the same text. Calls whose arguments or whose tool's
-- name nobody knows are left out. is_adjacent tells whether any two of the calls came right after
-- each other in their run, in order of id, with no other call between them. The outputs are counted
-- that are there, and differ in their text. A run that was begun over in its middle has the calls
-- that it kept, and run_id is that of the last call. A run that is no longer on its session's path
-- is counted by itself, together with the calls of its turn that came before it, and has a row
-- where any of the calls is its own. An agent that runs as a tool counts like a run in each call of
-- it. The filters by time, agent and tool pick the calls that count.
--
-- read: With one distinct_output_count the agent asked again for what it knew. With several, the
-- call was tried until it worked, or asks for what changes. A response_count of 1 is one response
-- that made the same call several times at once.
--
-- act: Cache the tool, or have its output say that the answer will not change. Where the first
-- output was lost from view, shorten what stands between. `tool_loops` finds calls that go in
-- circles, `after_tool_failure` those that follow a failure.
--
-- scope: session
--
-- param across_runs: boolean = false
--     Count the calls of all runs on a session's path together; run_id and turn_number are
--     then NULL.
-- param min_call_count: bigint = 2
--     Only what was called at least so often.
-- param session_id: varchar = null
--     Only calls in this session.
-- param since: timestamptz = null
--     Ignore calls made before this moment.
-- param until: timestamptz = null
--     Ignore calls made at or after this moment.
-- param agent_name: varchar = null
--     Only calls that this agent made.
-- param tool_name: varchar = null
--     Only this tool.
-- param include_superseded: boolean = true
--     Also runs on paths that an edit replaced: their calls were made and paid for.
-- param row_limit: bigint = null
--     Return at most this many rows, the most called first.

with recursive

called as (
    select
        id,
        session_id,
        run_id,
        turn_number,
        parent_tool_call_id,
        tool_name,
        agent_name,
        created_at,
        -- Sixteen bytes for each text: equal ones are as good as equal texts.
        md5_number(coalesce(json_normalize(arguments_json), arguments)) as arguments_key,
        is_current or is_archived as is_live
    from tool_calls
    where $session_id::varchar is null or session_id = $session_id
),

-- Runs of which something is no longer on the path.
departed as (
    select distinct
        run_id,
        session_id,
        turn_number
    from called
    where $include_superseded::boolean and not is_live
),

-- Where runs of their turns went another way than a run before them: at the last item that they
-- have in common.
heads as (
    select
        session_id,
        turn_number,
        run_id,
        parent_item_id
    from items
    where item_id = run_id and parent_item_id is not null
),

departed_heads as (
    select distinct
        heads.run_id,
        heads.turn_number,
        heads.parent_item_id
    from heads
    inner join departed
        on
            heads.session_id = departed.session_id
            and heads.turn_number = departed.turn_number
),

forks as (
    select
        departed_heads.run_id,
        items.run_id as kept_run_id,
        items.item_id as last_kept_id
    from departed_heads
    inner join items
        on
            departed_heads.parent_item_id = items.item_id
            and departed_heads.turn_number = items.turn_number
),

-- What a run that left the path had kept of others, and those of others before them.
openings as (
    select
        departed.run_id,
        forks.kept_run_id,
        forks.last_kept_id
    from departed
    inner join forks on departed.run_id = forks.run_id
    union all
    select
        openings.run_id,
        forks.kept_run_id,
        forks.last_kept_id
    from openings
    inner join forks on openings.kept_run_id = forks.run_id
),

-- What is on the current path is one sequence for each turn_number. A run that left the path comes
-- with the calls of its turn before it, which are not its own, nor are those that are on the path.
sequenced as (
    select
        *,
        null::bigint as superseded_run_id,
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
    union all
    select
        called.*,
        openings.run_id as superseded_run_id,
        false as is_own
    from called
    inner join openings
        on
            called.run_id = openings.kept_run_id
            and called.id <= openings.last_kept_id
),

-- The calls that count, each with the run that it is counted in.
chosen as (
    select
        id,
        session_id,
        superseded_run_id,
        tool_name,
        arguments_key,
        is_own,
        case when not $across_runs::boolean then turn_number end as turn_number,
        case when not $across_runs::boolean then parent_tool_call_id end as parent_tool_call_id
    from sequenced
    where
        tool_name is not null
        and arguments_key is not null
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
        and ($agent_name::varchar is null or agent_name = $agent_name)
        and ($tool_name::varchar is null or tool_name = $tool_name)
),

repeated as (
    select
        coalesce(superseded_run_id, 0) as superseded_run_id,
        min(id) as first_call_id,
        list(id) as call_ids,
        count(*) as call_count
    from chosen
    group by
        session_id,
        turn_number,
        parent_tool_call_id,
        superseded_run_id,
        tool_name,
        arguments_key
    having
        count(*) > 1
        and bool_or(is_own)
),

members as (
    select
        superseded_run_id,
        first_call_id,
        unnest(call_ids) as call_id
    from repeated
    where call_count >= $min_call_count::bigint
),

-- The turns that they stand in. Only there it matters what comes after what, and only of them texts
-- are fetched.
touched as (
    select distinct
        called.session_id,
        called.turn_number
    from members
    inner join called on members.call_id = called.id
),

linked as (
    select
        sequenced.id,
        coalesce(sequenced.superseded_run_id, 0) as superseded_run_id,
        lag(sequenced.id) over (
            partition by
                sequenced.session_id,
                sequenced.turn_number,
                sequenced.parent_tool_call_id,
                sequenced.superseded_run_id
            order by sequenced.id asc
        ) as id_before
    from sequenced
    inner join touched
        on
            sequenced.session_id = touched.session_id
            and sequenced.turn_number = touched.turn_number
),

texts as (
    select
        id,
        session_id,
        run_id,
        turn_number,
        tool_name,
        status,
        arguments,
        output,
        created_at,
        coalesce(response_id, id) as step_id
    from tool_calls
    where $session_id::varchar is null or session_id = $session_id
),

told as (
    select
        members.first_call_id,
        members.superseded_run_id,
        texts.id,
        texts.session_id,
        texts.run_id,
        texts.turn_number,
        texts.tool_name,
        texts.arguments,
        texts.status,
        texts.created_at,
        texts.step_id,
        md5_number(texts.output) as output_key,
        linked.id_before = lag(members.call_id) over (
            partition by members.first_call_id, members.superseded_run_id
            order by members.call_id asc
        ) as is_adjacent
    from members
    inner join linked
        on
            members.call_id = linked.id
            and members.superseded_run_id = linked.superseded_run_id
    inner join texts on members.call_id = texts.id
),

counted as (
    select
        first_call_id,
        superseded_run_id <> 0 as is_superseded,
        any_value(session_id) as session_id,
        any_value(tool_name) as tool_name,
        arg_min(arguments, id) as arguments,
        count(*) as call_count,
        count(distinct output_key) as distinct_output_count,
        count(*) filter (where status = 'error') as error_count,
        count(distinct step_id) as response_count,
        count(distinct run_id) as run_count,
        coalesce(bool_or(is_adjacent), false) as is_adjacent,
        max(id) as last_call_id,
        min(created_at) as first_called_at,
        max(created_at) as last_called_at,
        arg_max(run_id, id) as last_run_id,
        arg_max(turn_number, id) as last_turn_number
    from told
    group by first_call_id, superseded_run_id
)

select
    session_id,
    is_superseded,
    tool_name,
    arguments,
    call_count,
    distinct_output_count,
    error_count,
    response_count,
    run_count,
    is_adjacent,
    first_call_id,
    last_call_id,
    first_called_at,
    last_called_at,
    case when is_superseded or not $across_runs::boolean then last_run_id end as run_id,
    case when is_superseded or not $across_runs::boolean then last_turn_number end as turn_number
from counted
order by call_count desc, first_call_id asc, last_call_id asc
limit $row_limit
