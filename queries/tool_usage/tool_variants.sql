-- The ways that runs go through the tools: each whole path with how often it was taken.
--
-- One row per variant: the names of the tools that a run called, in order. Runs without tools are
-- the empty variant. Calls that came in one response stand in the order of the response; calls
-- that an agent made which is itself a tool are inside of that tool's call and left out. A run
-- that goes on from the middle of another, after a new answer or a compaction, has the calls that
-- still stand before it too; its seconds and tokens are those from there on. A superseded run has
-- the calls that were made in it. Seconds and tokens are medians, NULL where nobody recorded any.
--
-- read: A few variants with a cumulative_share near 1 are a settled process; hundreds of variants
-- of one run each are an agent that finds its way anew each time. tool_error_share is the share of
-- the variant's runs in which a tool failed, completed_share that of those that came to an answer.
--
-- act: Compare variants that begin alike and end differently, and read the example of the one that
-- is completed less often. Make one tool of a path that is nearly always the same; look at single
-- steps with `tool_transitions`.
--
-- scope: store
--
-- param session_id: varchar = null
--     Only runs of this session.
-- param since: timestamptz = null
--     Ignore runs that began before this moment.
-- param until: timestamptz = null
--     Ignore runs that began at or after this moment.
-- param tool_name: varchar = null
--     Only variants with this tool; shares stay those of all runs.
-- param collapse_repetitions: boolean = false
--     Count a tool that is called several times on end as called once.
-- param max_path_length: bigint = null
--     Look at so many tools of each run at most: runs that begin alike are one variant.
-- param include_superseded: boolean = false
--     Also runs that are no longer on their session's path.
-- param row_limit: bigint = null
--     Return at most this many variants, the most frequent first.

with

chosen as (
    select
        id,
        session_id,
        turn_number,
        total_tokens,
        duration_seconds,
        status = 'completed' as is_completed,
        status = 'superseded' as is_superseded
    from runs
    where
        ($session_id::varchar is null or session_id = $session_id)
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
        and ($include_superseded::boolean or status <> 'superseded')
),

calls as (
    select
        id,
        session_id,
        turn_number,
        run_id,
        tool_name,
        is_current or is_archived as is_live,
        status = 'error' as has_failed
    from tool_calls
    where
        parent_tool_call_id is null
        and tool_name is not null
        and ($session_id::varchar is null or session_id = $session_id)
),

-- What stands on a session's path belongs to the run that does: one for each turn.
steps as (
    select
        chosen.id as run_id,
        calls.id,
        calls.tool_name,
        calls.has_failed
    from chosen
    inner join calls
        on
            chosen.session_id = calls.session_id
            and chosen.turn_number = calls.turn_number
    where calls.is_live and not chosen.is_superseded
    union all
    select
        chosen.id as run_id,
        calls.id,
        calls.tool_name,
        calls.has_failed
    from chosen
    inner join calls on chosen.id = calls.run_id
    where chosen.is_superseded
),

paths as (
    select
        run_id,
        bool_or(has_failed) as has_failed,
        list_transform(
            list_sort(list(struct_pack(id := id, tool_name := tool_name))),
            lambda step: step['tool_name']
        ) as tool_names
    from steps
    group by run_id
),

-- Each name beside the one before it: one that equals it is left out.
collapsed as (
    select
        run_id,
        has_failed,
        case
            when $collapse_repetitions::boolean
                then list_transform(
                    list_filter(
                        list_zip(tool_names, list_prepend(null, tool_names), true),
                        lambda pair: pair[1] is distinct from pair[2]
                    ),
                    lambda pair: pair[1]
                )
            else tool_names
        end as tool_names
    from paths
),

cut as (
    select
        run_id,
        has_failed,
        case
            when $max_path_length::bigint is null then tool_names
            else list_slice(tool_names, 1, greatest($max_path_length, 0))
        end as tool_names
    from collapsed
),

went as (
    select
        chosen.id,
        chosen.session_id,
        chosen.total_tokens,
        chosen.duration_seconds,
        chosen.is_completed,
        coalesce(cut.has_failed, false) as has_failed,
        coalesce(cut.tool_names, []::varchar[]) as tool_names
    from chosen
    left join cut on chosen.id = cut.run_id
),

variants as (
    select
        tool_names,
        len(tool_names) as path_length,
        count(*) as run_count,
        count(distinct session_id) as session_count,
        count(*) filter (where has_failed) / count(*)::double as tool_error_share,
        count(*) filter (where is_completed) / count(*)::double as completed_share,
        quantile_cont(duration_seconds, 0.5) as p50_seconds,
        quantile_cont(total_tokens, 0.5) as p50_tokens,
        min(id) as example_run_id,
        arg_min(session_id, id) as example_session_id
    from went
    group by tool_names
),

ranked as (
    select
        *,
        run_count / sum(run_count) over ()::double as run_share,
        sum(run_count) over (
            order by run_count desc, example_run_id asc
            rows between unbounded preceding and current row
        ) / sum(run_count) over ()::double as cumulative_share
    from variants
)

select
    tool_names,
    path_length,
    run_count,
    run_share,
    cumulative_share,
    session_count,
    tool_error_share,
    completed_share,
    p50_seconds,
    p50_tokens,
    example_session_id,
    example_run_id
from ranked
where $tool_name::varchar is null or list_contains(tool_names, $tool_name)
order by run_count desc, example_run_id asc
limit $row_limit
