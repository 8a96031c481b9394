-- Where an agent calls the same tools in the same order again and again.
--
-- One row per loop: a stretch of one run's calls, as long as can be, that repeats one tool, or two
-- or three in turn. The calls of a run follow each other in order of id: by response, and those
-- made at once in one response by their call_index. Calls that all come from one response are no
-- loop. Two or three of the same tool in turn are a loop of period 1 only; loops of different
-- periods can overlap at their ends. repetition_count counts whole repetitions, call_count also the
-- calls of a last one that was begun. Arguments are equal where each repetition has the same JSON
-- values as the one before it, whatever the order of their keys, or the same texts where they are
-- no JSON; NULL where none are known. A run that was begun over in its middle goes on from the
-- calls that it kept; run_id is that of the last call. A run that is no longer on its session's
-- path stands by itself, after the calls of its turn that came before it, and has the loops that
-- end with a call of its own. An agent that runs as a tool has loops of its own in each call of it.
-- A loop has the moment and the agent of its first call.
--
-- read: With has_equal_arguments the agent got the same answer each time and did not notice. With
-- changing arguments it may be going through a list, which is work and no loop: look whether
-- tool_error_count is near call_count, or the arguments come back after a while.
--
-- act: Read the run with `duckstore show`. Have the tool say what is wrong and what to do instead,
-- give the agent a tool that takes a list, or lower max_turns. `repeated_calls` finds calls that
-- come twice without standing side by side, `after_tool_failure` what follows a failed one.
--
-- scope: session
--
-- param min_repetition_count: bigint = 3
--     Only loops with at least this many whole repetitions.
-- param session_id: varchar = null
--     Only this session.
-- param since: timestamptz = null
--     Ignore loops that began before this moment.
-- param until: timestamptz = null
--     Ignore loops that began at or after this moment.
-- param agent_name: varchar = null
--     Only loops that this agent began.
-- param tool_name: varchar = null
--     Only loops with this tool in them.
-- param include_superseded: boolean = true
--     Also runs on paths that an edit replaced: their calls were made and paid for.
-- param row_limit: bigint = null
--     Return at most this many loops, those with the most repetitions first.

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
        status = 'error' as is_error,
        coalesce(call_index, 1) = 1 as begins_step,
        case
            when arguments is not null
                then hash(coalesce(json_normalize(arguments_json), arguments))
        end as arguments_key,
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

-- Counts up to each call, from whose differences those of a loop are had.
numbered as (
    select
        id,
        session_id,
        run_id,
        turn_number,
        tool_name,
        agent_name,
        created_at,
        is_error,
        is_own,
        arguments_key,
        superseded_run_id is not null as is_superseded,
        -- The first call of its own, below zero for a run that left the path.
        min(case when is_own then id end) over (
            path rows between unbounded preceding and unbounded following
        ) * if(superseded_run_id is null, 1, -1) as path_id,
        row_number() over path as call_number,
        count(*) filter (where is_error) over path as errors_so_far,
        count(*) filter (where begins_step) over path as steps_so_far,
        [
            lag(tool_name) over path,
            lag(tool_name, 2) over path,
            lag(tool_name, 3) over path
        ] as tools_before,
        [
            lag(arguments_key) over path,
            lag(arguments_key, 2) over path,
            lag(arguments_key, 3) over path
        ] as keys_before
    from sequenced
    window path as (
        partition by session_id, turn_number, parent_tool_call_id, superseded_run_id
        order by id asc
    )
),

-- The calls whose tool was also called one, two or three calls before.
recurring as (
    select
        *,
        unnest([1, 2, 3]::bigint[]) as period
    from numbered
    where list_contains(tools_before, tool_name)
),

repeating as (
    select
        path_id,
        call_number,
        id,
        run_id,
        is_own,
        created_at,
        errors_so_far,
        steps_so_far,
        period,
        list_reverse(tools_before[1:period]) as tools,
        arguments_key = keys_before[period] as has_equal_arguments
    from recurring
    where tool_name = tools_before[period]
),

-- Calls that stand side by side have the same difference.
islands as (
    select
        *,
        call_number - row_number() over (
            partition by path_id, period
            order by call_number asc
        ) as island
    from repeating
),

-- The first of its calls repeats the one that stands a period before it, where the loop begins.
loops as (
    select
        path_id,
        period,
        min(call_number) - period as first_call_number,
        count(*) + period as call_count,
        (count(*) + period) // period as repetition_count,
        arg_min(tools, call_number) as tools,
        bool_and(has_equal_arguments) as has_equal_arguments,
        bool_or(is_own) as is_own,
        arg_max(run_id, call_number) as run_id,
        max(id) as last_call_id,
        arg_max(created_at, call_number) as last_called_at,
        max(errors_so_far) as errors_so_far,
        max(steps_so_far) as steps_so_far
    from islands
    group by path_id, period, island
),

long_loops as (
    select *
    from loops
    where repetition_count >= $min_repetition_count::bigint
),

begun as (
    select
        numbered.session_id,
        long_loops.run_id,
        numbered.turn_number,
        numbered.is_superseded,
        numbered.agent_name,
        long_loops.tools,
        long_loops.period,
        long_loops.repetition_count,
        long_loops.call_count,
        long_loops.has_equal_arguments,
        long_loops.is_own,
        numbered.id as first_call_id,
        long_loops.last_call_id,
        numbered.created_at as first_called_at,
        long_loops.last_called_at,
        long_loops.steps_so_far - numbered.steps_so_far + 1 as response_count,
        long_loops.errors_so_far - numbered.errors_so_far + numbered.is_error::bigint
            as tool_error_count
    from long_loops
    inner join numbered
        on
            long_loops.path_id = numbered.path_id
            and long_loops.first_call_number = numbered.call_number
)

select
    session_id,
    run_id,
    turn_number,
    is_superseded,
    agent_name,
    tools,
    period,
    repetition_count,
    call_count,
    response_count,
    tool_error_count,
    has_equal_arguments,
    first_call_id,
    last_call_id,
    first_called_at,
    last_called_at
from begun
where
    is_own
    -- Two or three of one tool in turn are one of it.
    and (period = 1 or len(list_distinct(tools)) > 1)
    and response_count > 1
    and ($since::timestamptz is null or first_called_at >= $since)
    and ($until::timestamptz is null or first_called_at < $until)
    and ($agent_name::varchar is null or agent_name = $agent_name)
    and ($tool_name::varchar is null or list_contains(tools, $tool_name))
order by
    repetition_count desc,
    call_count desc,
    first_call_id asc,
    period asc,
    last_call_id asc
limit $row_limit
