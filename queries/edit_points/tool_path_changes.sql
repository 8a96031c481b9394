-- Which tools were called after an edit or another try, and which had been called before it.
--
-- One row per pair of tool paths. A tool path is the names of the tools that a run called, in
-- order, from the edit point on. Compared are an alternative and the latest earlier one of the
-- same sort, as in `edit_effects`: edits of what was said to the agent, and regenerations of what
-- it made; forks by name, compactions, and alternatives copied from another session are not. Pairs
-- of the same path are left out unless asked for.
--
-- read: change_count says how often the first path was left for the second. An empty path is an
-- answer without tools. Failed calls on the left and none on the right are tries that helped.
--
-- act: Where an edit brings a tool into play, say in its description when to use it. Where failed
-- calls are what is left, look at the tool with `tool_usage`; at the runs with `edit_effects`.
--
-- scope: store
--
-- param session_id: varchar = null
--     Only this session.
-- param since: timestamptz = null
--     Ignore alternatives begun before this moment.
-- param until: timestamptz = null
--     Ignore alternatives begun at or after this moment.
-- param tool_name: varchar = null
--     Only pairs in which this tool is on either path.
-- param include_unchanged: boolean = false
--     Also alternatives that led to the same tools in the same order.
-- param row_limit: bigint = null
--     Return at most this many pairs, the most frequent first.

with

alternatives as (
    select
        session_id,
        kind,
        run_id,
        alternative_item_id,
        created_at,
        lag(alternative_item_id) over tries as before_item_id,
        lag(run_id) over tries as before_run_id
    from edit_points
    where
        kind <> 'compact'
        and ($session_id::varchar is null or session_id = $session_id)
    window tries as (
        partition by
            session_id,
            item_before_id,
            coalesce(item_type, '') = 'message' and coalesce(role, '') <> 'assistant'
        order by rank asc
    )
),

changes as (
    select *
    from alternatives
    where
        before_item_id is not null
        and kind in ('edit', 'regenerate')
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
),

sides as (
    select
        before_item_id as item_id,
        before_run_id as run_id
    from changes
    union
    select
        alternative_item_id,
        run_id
    from changes
),

called as (
    select
        sides.item_id,
        list(tool_calls.tool_name order by tool_calls.id asc) as tool_names,
        count(*) filter (where tool_calls.status = 'error') as error_count
    from sides
    inner join tool_calls
        on
            sides.run_id = tool_calls.run_id
            and sides.item_id <= tool_calls.anchor_item_id
    group by sides.item_id
),

paths as (
    select
        sides.item_id,
        coalesce(called.tool_names, []::varchar[]) as tool_names,
        coalesce(called.error_count, 0) as error_count
    from sides
    inner join items on sides.item_id = items.item_id and items.operation <> 'fork'
    left join called on sides.item_id = called.item_id
),

pairs as (
    select
        changes.session_id,
        changes.kind,
        befores.tool_names as before_tool_names,
        afters.tool_names as after_tool_names,
        befores.error_count as before_error_count,
        afters.error_count as after_error_count
    from changes
    inner join paths as befores on changes.before_item_id = befores.item_id
    inner join paths as afters on changes.alternative_item_id = afters.item_id
)

select
    before_tool_names,
    after_tool_names,
    count(*) as change_count,
    count(*) filter (where kind = 'edit') as edit_count,
    count(*) filter (where kind = 'regenerate') as regeneration_count,
    count(distinct session_id) as session_count,
    sum(before_error_count)::bigint as before_error_count,
    sum(after_error_count)::bigint as after_error_count
from pairs
where
    ($include_unchanged::boolean or before_tool_names <> after_tool_names)
    and (
        $tool_name::varchar is null
        or list_contains(before_tool_names, $tool_name)
        or list_contains(after_tool_names, $tool_name)
    )
group by before_tool_names, after_tool_names
order by change_count desc, before_tool_names asc, after_tool_names asc
limit $row_limit
