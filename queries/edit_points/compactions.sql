-- What each compaction replaced, what it put there, and how much smaller the context became.
--
-- One row per compaction. A compaction replaces all items of the path, or those from some item on;
-- what it kept in front of them is in kept_item_count, and counts before and after are those of the
-- whole path. Characters are of what a person could read: text, the words of calls and outputs; an
-- encrypted summary has none, and is NULL. Turns and characters of what was replaced are NULL, too,
-- where the compaction also dropped the beginning of the path, and where it kept a part and put
-- nothing after that. Input tokens are those of the last model call among what was replaced, and of
-- the first after it on the same branch, of those whose usage is known.
--
-- read: input_tokens_after beside input_tokens_before is what the model no longer has to read. An
-- item_count_before that keeps growing from one compaction of a session to the next says that the
-- threshold is not reached where it should be.
--
-- act: Where users repeat themselves after a compaction, the summary lost something: see
-- `reformulations`, and read both sides with `duckstore diff`. Compact later where
-- replaced_chars is small.
--
-- scope: session
--
-- param session_id: varchar = null
--     Only this session.
-- param since: timestamptz = null
--     Ignore compactions made before this moment.
-- param until: timestamptz = null
--     Ignore compactions made at or after this moment.
-- param row_limit: bigint = null
--     Return at most this many compactions.

with recursive

listed as (
    select *
    from branches
    where $session_id::varchar is null or session_id = $session_id
),

summaries as (
    select
        session_id,
        branch_id,
        parent_branch_id,
        fork_position,
        created_at
    from listed
    where
        kind = 'compact'
        and ($since::timestamptz is null or created_at >= $since)
        and ($until::timestamptz is null or created_at < $until)
),

moves as (
    select
        to_branch_id as branch_id,
        from_position as item_count
    from history
    where operation = 'compact'
),

-- Each with the length of the path before it.
made as (
    select
        summaries.*,
        moves.item_count
    from summaries
    inner join moves on summaries.branch_id = moves.branch_id
),

placed as (
    select
        item_id,
        branch_id,
        position,
        parent_item_id
    from items
    where session_id in (select made.session_id from made)
),

-- Where each branch left the tree: the branch on which the item before it was written.
links as (
    select
        listed.branch_id,
        listed.fork_position,
        homes.branch_id as home_branch_id,
        homes.position as home_position
    from listed
    inner join placed
        on
            listed.branch_id = placed.branch_id
            and listed.fork_position + 1 = placed.position
    inner join placed as homes on placed.parent_item_id = homes.item_id
),

-- The branch with the last item of the path: the parent, if the path was not cut further in front.
tips as (
    select
        branch_id,
        item_count,
        parent_branch_id as source_branch_id,
        item_count - fork_position as wanted_count
    from made
    where item_count > fork_position
    union all
    select
        tips.branch_id,
        tips.item_count,
        listed.parent_branch_id as source_branch_id,
        tips.wanted_count
    from tips
    inner join listed on tips.source_branch_id = listed.branch_id
    where
        listed.fork_position >= tips.item_count
        and listed.parent_branch_id is not null
        and listed.kind <> 'compact'
),

-- What was replaced, branch by branch from the end of the path until it is as many items.
stretches as (
    select
        tips.branch_id,
        tips.source_branch_id,
        tips.item_count as last_position,
        tips.wanted_count
    from tips
    inner join listed on tips.source_branch_id = listed.branch_id
    where listed.fork_position < tips.item_count
    union all
    select
        stretches.branch_id,
        links.home_branch_id as source_branch_id,
        links.home_position as last_position,
        stretches.wanted_count - (stretches.last_position - links.fork_position) as wanted_count
    from stretches
    inner join links on stretches.source_branch_id = links.branch_id
    where stretches.wanted_count > stretches.last_position - links.fork_position
),

measured as (
    select
        item_id,
        branch_id,
        position,
        parent_item_id,
        turn_number,
        operation = 'compact' as is_summary,
        length(text) as char_count
    from items
    where branch_id in (select stretches.source_branch_id from stretches)
),

gone as (
    select
        stretches.branch_id,
        measured.item_id,
        measured.parent_item_id,
        measured.turn_number,
        measured.is_summary,
        measured.char_count
    from stretches
    inner join measured
        on
            stretches.source_branch_id = measured.branch_id
            and stretches.last_position >= measured.position
            and stretches.last_position - stretches.wanted_count < measured.position
),

-- The parent of the first item tells where the replaced part began.
replaced as (
    select
        branch_id,
        count(*) as item_count,
        arg_min(coalesce(parent_item_id, 0), item_id) as item_before_id,
        count(distinct turn_number) filter (where not is_summary) as turn_count,
        max(turn_number) as turn_number,
        sum(char_count)::bigint as char_count
    from gone
    group by branch_id
),

written as (
    select
        branch_id,
        count(*) filter (where operation = 'compact') as item_count,
        arg_min(coalesce(parent_item_id, 0), item_id) as item_before_id,
        bool_or(is_current) as is_current,
        sum(length(text)) filter (where operation = 'compact')::bigint as char_count
    from items
    where branch_id in (select made.branch_id from made)
    group by branch_id
),

-- The agents' own model calls; those of agents that are tools have other contexts.
called as (
    select
        response_id,
        branch_id,
        anchor_item_id,
        input_tokens
    from responses
    where
        parent_tool_call_id is null
        and session_id in (select made.session_id from made)
),

called_before as (
    select
        gone.branch_id,
        arg_max(called.input_tokens, called.response_id) as input_tokens
    from gone
    inner join called on gone.item_id = called.anchor_item_id
    group by gone.branch_id
),

called_after as (
    select
        branch_id,
        arg_min(input_tokens, response_id) as input_tokens
    from called
    where branch_id in (select made.branch_id from made)
    group by branch_id
),

-- Nothing is said of what was replaced where that cannot be told to be the end of the path: the
-- beginning was dropped with it, or nothing stands where it was.
checked as (
    select
        made.branch_id,
        coalesce(replaced.item_count, 0) = made.item_count - made.fork_position
        and (
            made.fork_position = 0
            or coalesce(replaced.item_before_id = written.item_before_id, false)
        ) as is_whole
    from made
    left join replaced on made.branch_id = replaced.branch_id
    left join written on made.branch_id = written.branch_id
),

joined as (
    select
        made.session_id,
        made.branch_id,
        made.parent_branch_id,
        made.item_count as item_count_before,
        made.fork_position as kept_item_count,
        made.created_at,
        replaced.turn_number,
        written.char_count as written_chars,
        called_before.input_tokens as input_tokens_before,
        called_after.input_tokens as input_tokens_after,
        made.item_count - made.fork_position as replaced_item_count,
        made.fork_position + coalesce(written.item_count, 0) as item_count_after,
        coalesce(written.item_count, 0) as written_item_count,
        coalesce(written.is_current, false) as is_current,
        case when checked.is_whole then coalesce(replaced.turn_count, 0) end
            as replaced_turn_count,
        case when checked.is_whole then replaced.char_count end as replaced_chars
    from made
    inner join checked on made.branch_id = checked.branch_id
    left join replaced on made.branch_id = replaced.branch_id
    left join written on made.branch_id = written.branch_id
    left join called_before on made.branch_id = called_before.branch_id
    left join called_after on made.branch_id = called_after.branch_id
)

select
    session_id,
    branch_id,
    parent_branch_id,
    turn_number,
    is_current,
    item_count_before,
    item_count_after,
    kept_item_count,
    replaced_item_count,
    written_item_count,
    replaced_turn_count,
    replaced_chars,
    written_chars,
    input_tokens_before,
    input_tokens_after,
    created_at
from joined
order by session_id asc, branch_id asc
limit $row_limit
