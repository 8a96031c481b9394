-- Which tools are called in the same runs, and whether more often than chance would have it.
--
-- One row per pair of tools, each pair once, by name. A tool counts once for a run, however often
-- the run called it. Shares are of the runs that called a tool at all: runs without tools say
-- nothing about which go together. Calls that an agent made which is itself a tool are left out:
-- they come with that tool always. What stands on a session's path is taken turn by turn, also
-- where a turn was begun over in its middle; what does not, by the run in which it was called.
--
-- read: support_share is the share of runs with both tools; lift is that share over the one to be
-- expected if neither cared about the other, support_share(both) / (support_share(first) *
-- support_share(second)). Above 1 they seek each other, below 1 they avoid each other. A lift that
-- rests on a few runs says little.
--
-- act: Where second_given_first_share is near 1, let the first tool give what the second one is
-- called for, or make one tool of both. A pair that does the same and has a low lift is two ways to
-- one end: keep one. See the order of calls with `tool_variants`.
--
-- scope: store
--
-- param session_id: varchar = null
--     Only runs of this session.
-- param since: timestamptz = null
--     Ignore calls made before this moment.
-- param until: timestamptz = null
--     Ignore calls made at or after this moment.
-- param agent_name: varchar = null
--     Only calls by this agent, and only runs in which it called a tool.
-- param tool_name: varchar = null
--     Only pairs with this tool.
-- param min_run_count: bigint = 1
--     Only pairs that at least so many runs have in common.
-- param include_superseded: boolean = false
--     Also calls on paths that an edit replaced.
-- param row_limit: bigint = null
--     Return at most this many pairs, the most frequent first.

with

calls as (
    select
        session_id,
        turn_number,
        tool_name,
        if(is_current or is_archived, null, run_id) as superseded_run_id
    from tool_calls
    where
        parent_tool_call_id is null
        and tool_name is not null
        and ($session_id::varchar is null or session_id = $session_id)
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
        and ($agent_name::varchar is null or agent_name = $agent_name)
        and ($include_superseded::boolean or is_current or is_archived)
),

baskets as (
    select list_sort(list_distinct(list(tool_name))) as tool_names
    from calls
    group by session_id, turn_number, superseded_run_id
),

-- Many runs call the same tools: pairs are made once for each set of tools.
tool_sets as (
    select
        tool_names,
        count(*) as run_count
    from baskets
    group by tool_names
),

members as (
    select
        tool_names,
        run_count,
        unnest(tool_names) as tool_name
    from tool_sets
),

tools as (
    select
        tool_name,
        sum(run_count)::bigint as run_count
    from members
    group by tool_name
),

pairs as (
    select
        firsts.tool_name as first_tool_name,
        seconds.tool_name as second_tool_name,
        sum(firsts.run_count)::bigint as run_count
    from members as firsts
    inner join members as seconds
        on
            firsts.tool_names = seconds.tool_names
            and firsts.tool_name < seconds.tool_name
    group by firsts.tool_name, seconds.tool_name
),

totals as (
    select sum(run_count)::bigint as run_count
    from tool_sets
),

chosen as (
    select *
    from pairs
    where
        run_count >= $min_run_count::bigint
        and (
            $tool_name::varchar is null
            or first_tool_name = $tool_name
            or second_tool_name = $tool_name
        )
)

select
    chosen.first_tool_name,
    chosen.second_tool_name,
    chosen.run_count,
    firsts.run_count as first_run_count,
    seconds.run_count as second_run_count,
    chosen.run_count / totals.run_count::double as support_share,
    chosen.run_count / firsts.run_count::double as second_given_first_share,
    chosen.run_count / seconds.run_count::double as first_given_second_share,
    chosen.run_count::double * totals.run_count
    / (firsts.run_count::double * seconds.run_count) as lift
from chosen
inner join tools as firsts on chosen.first_tool_name = firsts.tool_name
inner join tools as seconds on chosen.second_tool_name = seconds.tool_name
cross join totals
order by chosen.run_count desc, chosen.first_tool_name asc, chosen.second_tool_name asc
limit $row_limit
