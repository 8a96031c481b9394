-- Which tool follows which within a run.
--
-- One row per pair of tools of which one came right after the other. The calls of a run follow each
-- other in order of id: by response, and those made at once in one response by their call_index.
-- Each sequence begins with a transition from '(start)' and ends with one to '(end)', which are no
-- tools; NULL is a call whose tool nobody knows. Runs without calls do not count, and where a run
-- still goes on, '(end)' comes after its last call so far. A run that was begun over in its middle
-- goes on from the calls that it kept: all that stands under one turn_number of the current path is
-- one sequence. A run that is no longer on the path is one too, after the calls of its turn that
-- came before it, and only what is its own and not on the path counts there. An agent that runs as
-- a tool has a sequence of its own in each call of it. A transition has the moment and the agent of
-- its later call, one to '(end)' those of the last call. The error share is that of the later calls
-- that are not pending. Seconds are from the moment one call was stored to that of the next, so
-- that the model's time is in them; pairs within one response are left out of them.
--
-- read: transition_share says how often from_tool is followed by to_tool, and adds up to 1 over the
-- rows of a from_tool. A parallel_count near transition_count is not an order but two calls made at
-- once. A tool that follows itself often, with an error_share, is being retried.
--
-- act: Where one tool nearly always follows another, make them one tool, or have the first give
-- what the second looks up. See longer patterns with `tool_sequences`, retries with
-- `after_tool_failure` and calls that go in circles with `tool_loops`.
--
-- scope: store
--
-- param session_id: varchar = null
--     Only calls in this session.
-- param since: timestamptz = null
--     Ignore transitions whose later call was made before this moment.
-- param until: timestamptz = null
--     Ignore transitions whose later call was made at or after this moment.
-- param agent_name: varchar = null
--     Only transitions whose later call this agent made.
-- param tool_name: varchar = null
--     Only transitions from or to this tool; their shares stay those among all.
-- param include_superseded: boolean = true
--     Also runs on paths that an edit replaced.
-- param row_limit: bigint = null
--     Return at most this many pairs, the most frequent first.

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
        status,
        created_at,
        coalesce(response_id, id) as step_id,
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

linked as (
    select
        tool_name,
        agent_name,
        status,
        created_at,
        step_id,
        is_own,
        lag(id) over path as from_id,
        lag(tool_name) over path as from_name,
        lag(created_at) over path as from_created_at,
        lag(step_id) over path as from_step_id,
        lead(id) over path is null as is_last
    from sequenced
    window path as (
        partition by session_id, turn_number, parent_tool_call_id, superseded_run_id
        order by id asc
    )
),

transitions as (
    select
        case when from_id is null then '(start)' else from_name end as from_tool,
        tool_name as to_tool,
        agent_name,
        status,
        created_at,
        coalesce(from_step_id = step_id, false) as is_parallel,
        date_diff('microseconds', from_created_at, created_at) / 1000000.0 as seconds
    from linked
    where is_own
    union all
    select
        tool_name as from_tool,
        '(end)' as to_tool,
        agent_name,
        null as status,
        created_at,
        false as is_parallel,
        null as seconds
    from linked
    where is_own and is_last
),

counted as (
    select
        from_tool,
        to_tool,
        count(*) as transition_count,
        count(*) filter (where is_parallel) as parallel_count,
        count(*) filter (where status = 'error') as error_count,
        count(*) filter (where status <> 'pending') as settled_count,
        quantile_cont(seconds, 0.5) filter (where not is_parallel) as median_seconds
    from transitions
    where
        ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
        and ($agent_name::varchar is null or agent_name = $agent_name)
    group by from_tool, to_tool
),

shared as (
    select
        from_tool,
        to_tool,
        transition_count,
        parallel_count,
        error_count,
        settled_count,
        median_seconds,
        sum(transition_count) over (partition by from_tool) as from_count
    from counted
)

select
    from_tool,
    to_tool,
    transition_count,
    parallel_count,
    error_count,
    median_seconds,
    transition_count / from_count::double as transition_share,
    error_count / nullif(settled_count, 0)::double as error_share
from shared
where $tool_name::varchar is null or from_tool = $tool_name or to_tool = $tool_name
order by transition_count desc, from_tool asc nulls last, to_tool asc nulls last
limit $row_limit
