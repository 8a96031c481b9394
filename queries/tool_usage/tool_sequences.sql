-- Which tools are called one after the other, so many at a time.
--
-- One row per sequence of tools that came right after each other within a run. The calls of a run
-- follow each other in order of id: by response, and those made at once in one response by their
-- call_index. Sequences overlap: four calls have two sequences of three. NULL is a call whose tool
-- nobody knows. A run that was begun over in its middle goes on from the calls that it kept. One
-- that is no longer on its session's path stands by itself, after the calls of its turn that came
-- before it, and only sequences that end with a call of its own count there. An agent that runs as
-- a tool counts like a run in each call of it. run_count is the support: the runs that have the
-- sequence at least once; its share is that of the runs with any call. A sequence has the moment of
-- its last call. The error share is that of the occurrences in which any call failed.
--
-- read: A sequence with a large support_share is what the agents do as a matter of course. Compare
-- occurrence_count with run_count: far above it, the sequence comes again and again in one run.
-- A large error_share is a way of working that goes wrong.
--
-- act: Make one tool of a sequence that is always the same, or write it into the instructions. Take
-- the odds of each step from `tool_transitions`, and see with `tool_loops` where agents go in
-- circles.
--
-- scope: store
--
-- param sequence_length: bigint = 3
--     How many calls a sequence has.
-- param session_id: varchar = null
--     Only calls in this session.
-- param since: timestamptz = null
--     Ignore sequences whose last call was made before this moment.
-- param until: timestamptz = null
--     Ignore sequences whose last call was made at or after this moment.
-- param agent_name: varchar = null
--     Only sequences of which this agent made every call.
-- param tool_name: varchar = null
--     Only sequences with this tool in them; their shares stay those among all.
-- param include_superseded: boolean = true
--     Also runs on paths that an edit replaced.
-- param row_limit: bigint = null
--     Return at most this many sequences, those of the most runs first.

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

numbered as (
    select
        tool_name,
        agent_name,
        created_at,
        is_own,
        status = 'error' as is_error,
        -- The first call of its own, below zero for a run that left the path.
        min(case when is_own then id end) over (
            path rows between unbounded preceding and unbounded following
        ) * if(superseded_run_id is null, 1, -1) as path_id,
        row_number() over path as call_number,
        count(*) over (
            path rows between unbounded preceding and unbounded following
        ) as path_call_count
    from sequenced
    window path as (
        partition by session_id, turn_number, parent_tool_call_id, superseded_run_id
        order by id asc
    )
),

-- Each call once for each place that it has in a sequence; no places where a run has too few.
placed as (
    select
        path_id,
        tool_name,
        created_at,
        is_own,
        is_error,
        call_number,
        coalesce(agent_name = $agent_name::varchar, false) as is_of_agent,
        unnest(range(
            greatest($sequence_length::bigint - 1 - (path_call_count - call_number), 0),
            least($sequence_length::bigint, call_number)
        )) as place
    from numbered
    where path_call_count >= $sequence_length::bigint
),

occurrences as (
    select
        path_id,
        call_number - place as first_call_number,
        list_transform(
            list_sort(list(struct_pack(place := place, tool_name := tool_name))),
            lambda entry: struct_extract(entry, 'tool_name')
        ) as tools,
        bool_or(is_error) as has_error,
        bool_or(is_own) as is_own,
        bool_and(is_of_agent) as is_of_agent,
        arg_max(created_at, place) as created_at
    from placed
    group by path_id, call_number - place
),

counted as (
    select
        tools,
        count(*) as occurrence_count,
        count(distinct path_id) as run_count,
        count(*) filter (where has_error) as error_count
    from occurrences
    where
        is_own
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
        and ($agent_name::varchar is null or is_of_agent)
    group by tools
),

-- The runs with any call, however few.
active as (
    select count(distinct path_id) as run_count
    from numbered
    where
        is_own
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
        and ($agent_name::varchar is null or agent_name = $agent_name)
),

shared as (
    select
        counted.*,
        active.run_count as active_run_count
    from counted
    cross join active
)

select
    tools,
    occurrence_count,
    run_count,
    error_count,
    run_count / active_run_count::double as support_share,
    error_count / occurrence_count::double as error_share
from shared
where $tool_name::varchar is null or list_contains(tools, $tool_name)
order by run_count desc, occurrence_count desc, tools asc
limit $row_limit
