-- What each tool's outputs weigh in the contexts of the model calls that came after them.
--
-- One row per tool. An output is read again by every later response on every path through it,
-- until a compaction takes it off the path; a path that another shares is counted once. Carried
-- characters are the length of the output's text times the responses that had it in their
-- context. Outputs whose call nobody knows have no tool name. A model call that left no items is
-- not counted; what a session was forked with is carried there once more.
--
-- read: carried_share says which tool fills the contexts. A tool gets there by long outputs, see
-- total_chars, or by early ones that a long conversation drags along, see p50_response_count.
--
-- act: Let the tool that leads the list answer in fewer words, give it a limit or a page, or
-- compact the conversation after it. `tool_usage` tells how often it is called at all.
--
-- scope: store
--
-- param session_id: varchar = null
--     Only outputs in this session.
-- param since: timestamptz = null
--     Ignore outputs stored before this moment.
-- param until: timestamptz = null
--     Ignore outputs stored at or after this moment.
-- param tool_name: varchar = null
--     Only this tool; its share stays that of all tools.
-- param include_superseded: boolean = true
--     Also outputs and responses on paths that an edit replaced: they were made and paid for.
-- param row_limit: bigint = null
--     Return at most this many tools, the most carried first.

with recursive

heads as (
    select
        branch_id,
        position
    from items
    where
        response_id = item_id
        and operation <> 'fork'
        and ($session_id::varchar is null or session_id = $session_id)
        and ($include_superseded::boolean or is_current or is_archived)
),

-- How many responses each branch holds by itself.
made as (
    select
        branch_id,
        count(*) as response_count
    from heads
    group by branch_id
),

others as (
    select
        branch_id,
        fork_position,
        fork_position + 1 as first_position
    from branches
    where
        parent_branch_id is not null
        and ($session_id::varchar is null or session_id = $session_id)
),

-- Where each branch grows out of another: by the tree, which is not always the parent branch. A
-- branch that has fewer items before it than the tree is one that a compaction cut at its start.
forks as (
    select
        others.branch_id,
        others.fork_position,
        roots.branch_id as lower_branch_id,
        roots.position as lower_position,
        roots.position - others.fork_position as dropped_count
    from others
    inner join items as firsts
        on
            others.branch_id = firsts.branch_id
            and others.first_position = firsts.position
    inner join items as roots on firsts.parent_item_id = roots.item_id
),

-- The responses on each branch and on all that grows out of it, by steps that double: after each,
-- a row holds the branches up to twice as far above it, and points twice as far down. Edits of
-- edits are deep, and a row for every pair of them would be too many.
steps as materialized (
    select
        forks.branch_id,
        forks.lower_branch_id,
        forks.dropped_count,
        coalesce(made.response_count, 0) as response_count,
        0 as step
    from forks
    left join made on forks.branch_id = made.branch_id
    union all
    (
        with

        upper_sums as (
            select
                lower_branch_id,
                sum(response_count) as response_count
            from steps
            where lower_branch_id is not null
            group by lower_branch_id
        ),

        ways as (
            select count(lower_branch_id) as open_count
            from steps
        )

        select
            steps.branch_id,
            lower_steps.lower_branch_id,
            (steps.dropped_count + coalesce(lower_steps.dropped_count, 0))::bigint
                as dropped_count,
            (steps.response_count + coalesce(upper_sums.response_count, 0))::bigint
                as response_count,
            steps.step + 1 as step
        from steps
        cross join ways
        left join steps as lower_steps on steps.lower_branch_id = lower_steps.branch_id
        left join upper_sums on steps.branch_id = upper_sums.lower_branch_id
        where ways.open_count > 0
    )
),

last_steps as (
    select
        branch_id,
        dropped_count as all_dropped_count,
        response_count
    from steps
    qualify step = max(step) over ()
),

grown as materialized (
    select
        forks.*,
        last_steps.all_dropped_count,
        last_steps.response_count
    from forks
    inner join last_steps on forks.branch_id = last_steps.branch_id
),

-- For the few branches that were cut at their start: the stretches of the branches below them
-- whose items went, with numbers that count from the start of the tree.
cuts as (
    select
        lower_branch_id,
        lower_position,
        response_count,
        all_dropped_count - dropped_count as kept_to,
        all_dropped_count as dropped_to
    from grown
    where dropped_count > 0
    union all
    select
        grown.lower_branch_id,
        grown.lower_position,
        cuts.response_count,
        cuts.kept_to,
        cuts.dropped_to
    from cuts
    inner join grown on cuts.lower_branch_id = grown.branch_id
    where grown.fork_position + grown.all_dropped_count > cuts.kept_to
),

cut_stretches as (
    select
        cuts.lower_branch_id as branch_id,
        cuts.response_count,
        greatest(
            coalesce(grown.fork_position, 0), cuts.kept_to - coalesce(grown.all_dropped_count, 0)
        ) as kept_position,
        least(
            cuts.lower_position, cuts.dropped_to - coalesce(grown.all_dropped_count, 0)
        ) as dropped_position
    from cuts
    left join grown on cuts.lower_branch_id = grown.branch_id
    where dropped_position > kept_position
),

outputs as (
    select
        branch_id,
        position,
        tool_name,
        coalesce(length(text), 0) as char_count
    from items
    where
        ends_with(item_type, '_output')
        and ($session_id::varchar is null or session_id = $session_id)
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
        and ($include_superseded::boolean or is_current or is_archived)
    union all
    -- Tools that the provider ran: the output is in the call.
    select
        branch_id,
        position,
        tool_name,
        length(output) as char_count
    from tool_calls
    where
        output_item_id is null
        and output is not null
        and tool_type <> 'function'
        and ($session_id::varchar is null or session_id = $session_id)
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
        and ($include_superseded::boolean or is_current or is_archived)
),

-- All that counts for an output stands after it on its branch: responses, and what grows there.
-- Places are positions, doubled to set a response before what else has its position.
places as (
    select
        branch_id,
        2 * position as place,
        tool_name,
        char_count,
        0 as response_count
    from outputs
    union all by name
    select
        branch_id,
        2 * position - 1 as place,
        1 as response_count
    from heads
    union all by name
    select
        lower_branch_id as branch_id,
        response_count,
        2 * lower_position as place
    from grown
    union all by name
    select
        branch_id,
        -response_count as response_count,
        2 * dropped_position as place
    from cut_stretches
    union all by name
    select
        branch_id,
        response_count,
        2 * kept_position as place
    from cut_stretches
),

carried as (
    select
        tool_name,
        char_count,
        (
            sum(response_count) over (
                partition by branch_id
                order by place desc
            )
        )::bigint as response_count
    from places
),

tools as (
    select
        tool_name,
        count(*) as output_count,
        sum(char_count)::bigint as total_chars,
        quantile_cont(char_count, 0.5) as p50_chars,
        quantile_cont(response_count, 0.5) as p50_response_count,
        max(response_count) as max_response_count,
        sum(char_count * response_count)::bigint as carried_chars
    from carried
    where char_count is not null
    group by tool_name
),

shares as (
    select
        *,
        carried_chars / nullif(sum(carried_chars) over (), 0)::double as carried_share
    from tools
)

select *
from shares
where $tool_name::varchar is null or tool_name = $tool_name
order by carried_chars desc, total_chars desc, tool_name asc nulls last
limit $row_limit
